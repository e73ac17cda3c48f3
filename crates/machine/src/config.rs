//! What a machine is made of, as plain data. The command line and the tester fill it in; [`crate::Builder`] is the
//! same by method calls.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hako_loader::Protocol;
use hako_x86::Model;
use hako_x86::cpuid::X86_64_V2;

use crate::trace::TraceSpec;

/// Which engine executes the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// kvm where /dev/kvm exists, is permitted and is fast; soft otherwise.
    #[default]
    Auto,
    /// /dev/kvm or an error.
    Kvm,
    /// Our own CPU.
    Soft,
}

/// Which of the two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MachineKind {
    /// RAM at 0 with the image in it, port 0x01, nothing else.
    Bare,
    /// A PC.
    #[default]
    Pc,
}

/// What runs at a PC's reset vector.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum FirmwareChoice {
    /// Our own BIOS services.
    #[default]
    Builtin,
    /// SeaBIOS from where distributions put it.
    SeaBios,
    /// A ROM file.
    Path(PathBuf),
}

/// Where bytes come from: a file, or memory of the caller (tests, `hako demo`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of the host.
    File(PathBuf),
    /// Bytes in memory; writes of the guest stay in the machine.
    Bytes(Arc<[u8]>),
}

impl Source {
    /// How messages call it.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Bytes(bytes) => format!("an image of {} bytes in memory", bytes.len()),
        }
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Source {
        Source::File(path)
    }
}

impl From<&str> for Source {
    fn from(path: &str) -> Source {
        Source::File(path.into())
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Source {
        Source::Bytes(bytes.into())
    }
}

impl From<&[u8]> for Source {
    fn from(bytes: &[u8]) -> Source {
        Source::Bytes(bytes.into())
    }
}

/// A disk, floppy or CD given to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// Its contents.
    pub source: Source,
    /// Refuse writes.
    pub readonly: bool,
    /// Keep writes in memory and leave the file as it is.
    pub snapshot: bool,
    /// Where it is plugged in; default: virtio where a kernel is started directly, IDE otherwise.
    pub interface: Option<DiskInterface>,
}

/// Where a hard disk is plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskInterface {
    /// The IDE channels.
    Ide,
    /// A virtio block device of today.
    Virtio,
    /// A virtio block device with the registers from before virtio 1.0.
    VirtioLegacy,
}

impl<S: Into<Source>> From<S> for DiskSpec {
    fn from(source: S) -> DiskSpec {
        DiskSpec { source: source.into(), readonly: false, snapshot: false, interface: None }
    }
}

impl FromStr for DiskInterface {
    type Err = String;

    fn from_str(name: &str) -> Result<DiskInterface, String> {
        match name {
            "ide" => Ok(DiskInterface::Ide),
            "virtio" => Ok(DiskInterface::Virtio),
            "virtio-legacy" => Ok(DiskInterface::VirtioLegacy),
            _ => Err(format!("'{name}' is not one of ide, virtio, virtio-legacy")),
        }
    }
}

/// A file that goes along with a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleSpec {
    /// What the kernel is told that it is called.
    pub name: String,
    /// Its contents.
    pub source: Source,
    /// Its arguments.
    pub args: String,
}

/// A kind of medium to boot from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootDevice {
    /// The first hard disk (letter c).
    Disk,
    /// The first floppy (letter a).
    Floppy,
    /// The CD-ROM (letter d).
    Cdrom,
}

/// Where what the guest says goes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SinkSpec {
    /// Nowhere. It is still kept for [`crate::Machine::serial`] and its kin.
    #[default]
    None,
    /// Standard output.
    Stdio,
    /// A file, created or emptied.
    File(PathBuf),
}

/// Where bytes for the guest go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inlet {
    /// A serial port, 0 for COM1.
    Com(u8),
    /// The virtio console.
    Console,
}

/// What a triple fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TripleFault {
    /// Ends the run with a report.
    #[default]
    End,
    /// Resets the machine, as a PC does.
    Reset,
}

/// How guest time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    /// By instructions; HLT jumps to the next event. Repeatable to the bit. Only on soft.
    Virtual,
    /// With the host.
    Host,
}

/// Everything a machine is built from. `Config::default()` is the command line's defaults, but for the sinks and the
/// input, which go nowhere.
#[derive(Clone, Debug)]
pub struct Config {
    /// The engine.
    pub engine: EngineChoice,
    /// The machine.
    pub machine: MachineKind,
    /// Bytes of RAM; default 64 MiB on a PC, 256 MiB where a kernel is started directly, the image's size rounded up to pages on bare.
    pub memory: Option<u64>,
    /// The firmware of a PC.
    pub firmware: FirmwareChoice,
    /// The image to boot, a kernel or a medium: its content decides what it is.
    pub image: Option<Source>,
    /// Keep writes to the image in memory and leave its file as it is.
    pub image_snapshot: bool,
    /// The kernel's command line.
    pub append: Option<String>,
    /// The kernel's initial RAM disk.
    pub initrd: Option<Source>,
    /// Files that go along with the kernel.
    pub modules: Vec<ModuleSpec>,
    /// How the kernel is started; default: by its content.
    pub protocol: Option<Protocol>,
    /// How many CPUs there are.
    pub cpus: u8,
    /// What CPUID tells; on kvm as far as it supports that.
    pub cpu: Model,
    /// Whether there are ACPI tables.
    pub acpi: bool,
    /// Whether kvm-unit-tests' test device is there.
    pub testdev: bool,
    /// Whether there is a virtio entropy source.
    pub rng: bool,
    /// A virtio console, hvc0 to Linux, and where it goes.
    pub console: Option<SinkSpec>,
    /// A virtio memory balloon, and how many bytes the guest is asked for; it reports free pages in any case.
    pub balloon: Option<u64>,
    /// Further hard disks.
    pub disks: Vec<DiskSpec>,
    /// The floppy.
    pub floppy: Option<DiskSpec>,
    /// The CD-ROM.
    pub cdrom: Option<DiskSpec>,
    /// Boot order; empty: what the image is, else disk, floppy, CD by what is there.
    pub boot: Vec<BootDevice>,
    /// Where COM1 (on bare: port 0x01) goes.
    pub serial: SinkSpec,
    /// Where COM2 to COM4 go, as many as there are.
    pub coms: Vec<SinkSpec>,
    /// Where ports 0x402 and 0xe9 go.
    pub debugcon: SinkSpec,
    /// The debug-exit port.
    pub debug_exit: Option<u16>,
    /// End instead of restarting when the guest resets.
    pub no_reboot: bool,
    /// What a triple fault does.
    pub triple_fault: TripleFault,
    /// The clock; default: host on kvm or with a terminal, virtual otherwise.
    pub clock: Option<ClockKind>,
    /// Nanoseconds of guest time per instruction under the virtual clock.
    pub ns_per_instruction: u64,
    /// The longest run: guest time under the virtual clock, wall time otherwise.
    pub timeout: Option<Duration>,
    /// What to trace and where to.
    pub trace: Option<TraceSpec>,
    /// Feed standard input (raw mode on a terminal) to the console if that is on stdio, else to the first serial port
    /// that is, else to COM1.
    pub stdin: bool,
    /// Catch SIGINT, SIGTERM and SIGHUP, and end the run with 128 + signal.
    pub signals: bool,
    /// End with `Ended::Hang` when the guest can make no progress any more (soft under the virtual clock).
    pub detect_hang: bool,
    /// Keep a list of all port writes for [`crate::Machine::ports_written`].
    pub log_ports: bool,
    /// Seconds since 1970 that the real-time clock shows at power-on; default: the host's time under the host clock,
    /// 2000-01-01 under the virtual one.
    pub rtc: Option<u64>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            engine: EngineChoice::Auto,
            machine: MachineKind::Pc,
            memory: None,
            firmware: FirmwareChoice::Builtin,
            image: None,
            image_snapshot: false,
            append: None,
            initrd: None,
            modules: Vec::new(),
            protocol: None,
            cpus: 1,
            cpu: X86_64_V2,
            acpi: true,
            testdev: false,
            rng: false,
            console: None,
            balloon: None,
            disks: Vec::new(),
            floppy: None,
            cdrom: None,
            boot: Vec::new(),
            serial: SinkSpec::None,
            coms: Vec::new(),
            debugcon: SinkSpec::None,
            debug_exit: Some(0xf4),
            no_reboot: false,
            triple_fault: TripleFault::End,
            clock: None,
            ns_per_instruction: 10,
            timeout: None,
            trace: None,
            stdin: false,
            signals: false,
            detect_hang: false,
            log_ports: false,
            rtc: None,
        }
    }
}

impl Config {
    /// Where standard input goes.
    pub fn inlet(&self) -> Inlet {
        if self.console == Some(SinkSpec::Stdio) {
            return Inlet::Console;
        }
        let mut serials = (0..).zip([&self.serial].into_iter().chain(&self.coms));
        let found = serials.find(|(_, sink)| **sink == SinkSpec::Stdio);
        Inlet::Com(found.map_or(0, |(n, _)| n))
    }
}
