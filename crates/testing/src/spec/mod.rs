//! What a test wants: the machine, the steps, and how it must end.

mod raw;
mod value;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hako_chips::i8042::KeyEvent;
use hako_machine::{BootDevice, EngineChoice, FirmwareChoice, Inlet, MachineKind, Protocol, TripleFault};

pub use raw::{Condition, Exit};
pub use value::{Medium, Module, Size};

use crate::error::Error;
use crate::keys;
use crate::pattern::Pattern;

/// How long a guest may run unless its test says otherwise, in guest time.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// A test, read and checked.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What it shows, in one line.
    pub about: Option<String>,
    /// The engines to run on.
    pub engines: Vec<EngineChoice>,
    /// The firmwares to run on; one that does not matter for a bare machine.
    pub firmwares: Vec<FirmwareChoice>,
    /// The machine.
    pub machine: MachineKind,
    /// Bytes of RAM.
    pub memory: Option<u64>,
    /// The image to boot, a kernel or a medium.
    pub image: Option<Medium>,
    /// What goes along with a kernel.
    pub kernel: KernelSpec,
    /// How many CPUs.
    pub cpus: u8,
    /// Whether there are ACPI tables.
    pub acpi: bool,
    /// Whether kvm-unit-tests' test device is there.
    pub testdev: bool,
    /// Whether there is a virtio entropy source.
    pub rng: bool,
    /// Whether there is a virtio console.
    pub console: bool,
    /// A balloon, and how many bytes the guest is asked for.
    pub balloon: Option<u64>,
    /// How many serial ports there are.
    pub serial_ports: u8,
    /// Further disks.
    pub disks: Vec<Medium>,
    /// The floppy.
    pub floppy: Option<Medium>,
    /// The CD-ROM.
    pub cdrom: Option<Medium>,
    /// The boot order.
    pub boot: Vec<BootDevice>,
    /// The debug-exit port.
    pub debug_exit: Option<u16>,
    /// A reset ends the run.
    pub no_reboot: bool,
    /// What a triple fault does.
    pub triple_fault: TripleFault,
    /// The longest run in guest time.
    pub limit: Duration,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What must hold at the end; without it the test passes with its last step.
    pub finals: Option<Final>,
    /// Where it cannot pass, and why.
    pub exempt: Vec<Exempt>,
}

/// What goes along with a kernel.
#[derive(Clone, Debug, Default)]
pub struct KernelSpec {
    /// Its command line.
    pub append: Option<String>,
    /// Its initial RAM disk.
    pub initrd: Option<Medium>,
    /// Its modules.
    pub modules: Vec<Module>,
    /// How it is started; default: by its content.
    pub protocol: Option<Protocol>,
}

/// One step of a test.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The guest must say this, within a time if one is given.
    Expect(Channel, Pattern, Option<Duration>),
    /// Keys are typed.
    SendKeys(Vec<KeyEvent>),
    /// Bytes arrive.
    Send(Inlet, Vec<u8>),
    /// Guest time passes.
    Wait(Duration),
}

impl Step {
    /// Whether it sends something to the guest.
    pub fn is_input(&self) -> bool {
        matches!(self, Step::SendKeys(_) | Step::Send(..))
    }
}

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// What a serial port said, 0 for COM1 (on bare: port 0x01).
    Com(u8),
    /// What ports 0x402 and 0xe9 said.
    Debugcon,
    /// What the virtio console said.
    Console,
    /// The text on the screen, or what INT 10h printed.
    Screen,
}

impl Channel {
    /// All that are streams of bytes, in the order in which they are shown.
    pub const STREAMS: [Channel; 6] = [
        Channel::Com(0),
        Channel::Com(1),
        Channel::Com(2),
        Channel::Com(3),
        Channel::Debugcon,
        Channel::Console,
    ];

    /// How messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Com(0) => "the serial line",
            Channel::Com(1) => "COM2",
            Channel::Com(2) => "COM3",
            Channel::Com(_) => "COM4",
            Channel::Debugcon => "the debug console",
            Channel::Console => "the virtio console",
            Channel::Screen => "the screen",
        }
    }

    /// How test files and reports call it.
    pub fn key(self) -> &'static str {
        match self {
            Channel::Com(0) => "serial",
            Channel::Com(1) => "com2",
            Channel::Com(2) => "com3",
            Channel::Com(_) => "com4",
            Channel::Debugcon => "debugcon",
            Channel::Console => "console",
            Channel::Screen => "screen",
        }
    }
}

/// What must hold at the end.
#[derive(Clone, Debug, Default)]
pub struct Final {
    /// How the run must have ended.
    pub exit: Option<Exit>,
    /// hako's exit status for it.
    pub status: Option<u8>,
    /// Registers by name.
    pub registers: Vec<(String, u64)>,
    /// Memory at physical addresses.
    pub memory: Vec<(u64, Vec<u8>)>,
    /// Sectors of disks.
    pub sectors: Vec<Sector>,
    /// Writes to ports, with these values or any.
    pub ports: Vec<(u16, Option<u64>)>,
    /// Patterns in all that was said.
    pub said: Vec<(Channel, Pattern)>,
}

/// A sector of a hard disk at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sector {
    /// Which disk, from 0.
    pub disk: u8,
    /// Which sector, from 0.
    pub sector: u64,
    /// What it must begin with.
    pub bytes: Option<Vec<u8>>,
    /// Whether the guest must, or must not, have changed it.
    pub written: Option<bool>,
}

/// Where a test cannot pass.
#[derive(Clone, Debug)]
pub struct Exempt {
    /// On this engine only.
    pub engine: Option<EngineChoice>,
    /// On this firmware only.
    pub firmware: Option<FirmwareChoice>,
    /// Under this condition only.
    pub when: Option<Condition>,
    /// Why.
    pub reason: String,
}

impl Spec {
    /// Reads a test; `place` is the file's name for messages.
    pub fn parse(text: &str, place: &str) -> Result<Spec, Error> {
        let at = |offset: Option<usize>| match offset {
            Some(offset) => format!("{place}:{}", line(text, offset)),
            None => place.to_owned(),
        };
        let file: raw::File = toml::from_str(text).map_err(|e| Error::Spec {
            place: at(e.span().map(|span| span.start)),
            message: e.message().trim().to_owned(),
        })?;
        let wrong = |offset: Option<usize>| move |message: String| Error::Spec { place: at(offset), message };
        let steps = file.step.into_iter().map(|spanned| {
            let offset = spanned.span().start;
            step(spanned.into_inner()).map_err(wrong(Some(offset)))
        });
        let steps = steps.collect::<Result<Vec<_>, _>>()?;
        let final_at = text.find("[final]");
        let finals = file.r#final.map(finals).transpose().map_err(wrong(final_at))?;
        if steps.is_empty() && finals.is_none() {
            let message =
                "nothing is expected: add a [[step]] with expect.serial or expect.screen, or a [final]";
            return Err(wrong(None)(message.into()));
        }
        if file.image.is_none() && file.disk.0.is_empty() && file.floppy.is_none() && file.cdrom.is_none() {
            return Err(wrong(None)(
                "nothing to boot: add image = \"FILE\", or disk, floppy or cdrom".into(),
            ));
        }
        Ok(Spec {
            about: file.about,
            engines: file.engines.0.into_iter().map(engine).collect(),
            firmwares: file.firmware.0.iter().map(|name| firmware(name)).collect(),
            machine: match file.machine {
                raw::Machine::Bare => MachineKind::Bare,
                raw::Machine::Pc => MachineKind::Pc,
            },
            memory: file.memory.map(|size| size.0),
            image: file.image,
            kernel: KernelSpec {
                append: file.append,
                initrd: file.initrd,
                modules: file.module.0,
                protocol: file.protocol.map(protocol),
            },
            cpus: cpus(file.cpus).map_err(wrong(text.find("cpus")))?,
            acpi: !file.no_acpi,
            testdev: file.testdev,
            rng: file.rng,
            console: file.console,
            balloon: file.balloon.map(|size| size.0),
            serial_ports: serial_ports(file.serial_ports).map_err(wrong(text.find("serial-ports")))?,
            disks: file.disk.0,
            floppy: file.floppy,
            cdrom: file.cdrom,
            boot: file.boot.0.into_iter().map(boot).collect(),
            debug_exit: file.debug_exit.map_or(Some(0xf4), |port| port.0),
            no_reboot: file.no_reboot,
            triple_fault: match file.triple_fault {
                raw::TripleFault::End => TripleFault::End,
                raw::TripleFault::Reset => TripleFault::Reset,
            },
            limit: file.limit.map_or(DEFAULT_LIMIT, |span| span.0),
            steps,
            finals,
            exempt: file.exempt.into_iter().map(exempt).collect(),
        })
    }

    /// Reads a test file.
    pub fn load(path: &Path) -> Result<Spec, Error> {
        let text = std::fs::read_to_string(path).map_err(|why| Error::read(path, why))?;
        Spec::parse(&text, &path.display().to_string())
    }
}

/// The line, from 1, that `offset` is on.
fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&b| b == b'\n').count() + 1
}

fn engine(name: raw::Engine) -> EngineChoice {
    match name {
        raw::Engine::Auto => EngineChoice::Auto,
        raw::Engine::Kvm => EngineChoice::Kvm,
        raw::Engine::Soft => EngineChoice::Soft,
    }
}

fn firmware(name: &str) -> FirmwareChoice {
    match name {
        "builtin" => FirmwareChoice::Builtin,
        "seabios" => FirmwareChoice::SeaBios,
        path => FirmwareChoice::Path(PathBuf::from(path)),
    }
}

fn protocol(name: raw::Protocol) -> Protocol {
    match name {
        raw::Protocol::Pvh => Protocol::Pvh,
        raw::Protocol::Linux64 => Protocol::Linux64,
        raw::Protocol::Linux32 => Protocol::Linux32,
        raw::Protocol::Linux16 => Protocol::Linux16,
        raw::Protocol::Multiboot => Protocol::Multiboot,
        raw::Protocol::Multiboot2 => Protocol::Multiboot2,
    }
}

fn cpus(count: Option<u8>) -> Result<u8, String> {
    match count.unwrap_or(1) {
        count @ 1..=8 => Ok(count),
        count => Err(format!("a machine has 1 to 8 CPUs, not {count}")),
    }
}

fn serial_ports(count: Option<u8>) -> Result<u8, String> {
    match count.unwrap_or(1) {
        count @ 1..=4 => Ok(count),
        count => Err(format!("a machine has 1 to 4 serial ports, not {count}")),
    }
}

fn boot(device: raw::Boot) -> BootDevice {
    match device {
        raw::Boot::Disk => BootDevice::Disk,
        raw::Boot::Floppy => BootDevice::Floppy,
        raw::Boot::Cdrom => BootDevice::Cdrom,
    }
}

fn exempt(raw: raw::Exempt) -> Exempt {
    Exempt {
        engine: raw.engine.map(engine),
        firmware: raw.firmware.as_deref().map(firmware),
        when: raw.when,
        reason: raw.reason,
    }
}

/// A step says exactly one thing.
fn step(raw: raw::Step) -> Result<Step, String> {
    let mut said = Vec::new();
    if let Some(expect) = raw.expect {
        let channels = [
            (Channel::Com(0), expect.serial),
            (Channel::Com(1), expect.com2),
            (Channel::Com(2), expect.com3),
            (Channel::Com(3), expect.com4),
            (Channel::Console, expect.console),
            (Channel::Screen, expect.screen),
            (Channel::Debugcon, expect.debugcon),
        ];
        let within = raw.within.map(|span| span.0);
        said.extend(channels.into_iter().filter_map(|(channel, p)| Some(Step::Expect(channel, p?, within))));
    } else if raw.within.is_some() {
        return Err("`within` goes with an `expect`".into());
    }
    if let Some(send) = raw.send {
        if let Some(keys) = send.keys {
            said.push(Step::SendKeys(keys::parse(&keys)?));
        }
        let inlets = [
            (Inlet::Com(0), send.serial),
            (Inlet::Com(1), send.com2),
            (Inlet::Com(2), send.com3),
            (Inlet::Com(3), send.com4),
            (Inlet::Console, send.console),
        ];
        said.extend(inlets.into_iter().filter_map(|(to, text)| Some(Step::Send(to, text?.into_bytes()))));
    }
    said.extend(raw.wait.map(|span| Step::Wait(span.0)));
    match <[Step; 1]>::try_from(said) {
        Ok([step]) => Ok(step),
        Err(said) => Err(format!(
            "a step does exactly one thing, this one {}; the things are expect.serial, expect.screen, \
             expect.debugcon, expect.console, expect.com2 to com4, send.keys, send.serial, send.console, send.com2 to \
             com4, and wait",
            said.len()
        )),
    }
}

fn finals(raw: raw::Final) -> Result<Final, String> {
    let said = [
        (Channel::Com(0), raw.serial),
        (Channel::Com(1), raw.com2),
        (Channel::Com(2), raw.com3),
        (Channel::Com(3), raw.com4),
        (Channel::Console, raw.console),
        (Channel::Screen, raw.screen),
        (Channel::Debugcon, raw.debugcon),
    ];
    let registers: Vec<_> = raw.registers.into_iter().map(|(name, n)| (name.to_lowercase(), n.0)).collect();
    if let Some((name, _)) = registers.iter().find(|(name, _)| !crate::registers::known(name)) {
        return Err(format!("there is no register `{name}`; known are {}", crate::registers::names()));
    }
    let bytes = |bytes: Option<value::Bytes>, text: Option<String>| match (bytes, text) {
        (Some(_), Some(_)) => Err("give either `bytes` or `text`".to_owned()),
        (bytes, text) => Ok(bytes.map(|b| b.0).or(text.map(String::into_bytes))),
    };
    let memory = raw.memory.0.into_iter().map(|m| match bytes(m.bytes, m.text)? {
        Some(wanted) => Ok((m.at.0, wanted)),
        None => Err("what must be in memory? add `bytes` or `text`".to_owned()),
    });
    let sectors = raw.disk.0.into_iter().map(|s| {
        let sector =
            Sector { disk: s.disk, sector: s.sector, bytes: bytes(s.bytes, s.text)?, written: s.written };
        match &sector.bytes {
            None if sector.written.is_none() => {
                Err("add `bytes`, `text` or `written` to say what of the sector".into())
            }
            Some(bytes) if bytes.len() > 512 => Err("a sector has 512 bytes".to_owned()),
            _ => Ok(sector),
        }
    });
    Ok(Final {
        exit: raw.exit,
        status: raw.status,
        registers,
        memory: memory.collect::<Result<_, _>>()?,
        sectors: sectors.collect::<Result<_, _>>()?,
        ports: raw.ports.0.into_iter().map(|p| (p.port, p.value.map(|n| n.0))).collect(),
        said: said.into_iter().filter_map(|(channel, pattern)| Some((channel, pattern?))).collect(),
    })
}

#[cfg(test)]
mod tests;
