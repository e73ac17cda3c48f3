//! Options of `hako run` and `hako demo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use hako_machine::trace::TraceSpec;
use hako_machine::{
    ClockKind, Config, DiskSpec, EngineChoice, FirmwareChoice, MachineKind, ModuleSpec, SinkSpec, Source,
};

use hako_x86::Model;

use super::values::{self, BootOrder, Port};

/// Which CPU executes the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// kvm where it is there and fast, else soft
    Auto,
    /// /dev/kvm
    Kvm,
    /// hako's own CPU in software
    Soft,
}

/// Which board the guest runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Machine {
    /// RAM with the image at 0, a byte sink at port 1, nothing else
    Bare,
    /// A PC with its chips and firmware
    Pc,
}

/// How a kernel is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// ELF with a PVH note
    Pvh,
    /// bzImage, 64-bit entry
    Linux64,
    /// bzImage, 32-bit entry
    Linux32,
    /// bzImage, 16-bit setup code, which asks the firmware
    Linux16,
    /// Multiboot 1
    Multiboot,
    /// Multiboot 2
    Multiboot2,
}

impl From<Protocol> for hako_machine::Protocol {
    fn from(protocol: Protocol) -> hako_machine::Protocol {
        match protocol {
            Protocol::Pvh => hako_machine::Protocol::Pvh,
            Protocol::Linux64 => hako_machine::Protocol::Linux64,
            Protocol::Linux32 => hako_machine::Protocol::Linux32,
            Protocol::Linux16 => hako_machine::Protocol::Linux16,
            Protocol::Multiboot => hako_machine::Protocol::Multiboot,
            Protocol::Multiboot2 => hako_machine::Protocol::Multiboot2,
        }
    }
}

/// How guest time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Clock {
    /// By instructions executed: repeatable to the bit; waiting costs nothing
    Virtual,
    /// With the host's time
    Host,
}

/// What follows a triple fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TripleFault {
    /// Stop with a report and status 6
    Stop,
    /// Reset the machine, as a PC does
    Reset,
}

const EXAMPLES: &str = "\
IMAGE is booted as what it is. A kernel is started directly: a bzImage, an ELF file with a PVH note, a
Multiboot 1 or 2 kernel. Media boot through the firmware: a floppy size (160K to 2.88M) with the boot signature as a floppy, an
ISO 9660 image as a CD, anything else with the boot signature as a hard disk, also of 512 bytes.
With --machine bare it is copied to address 0 as it is.

Exit status:
  odd          the guest wrote V to the debug-exit port: ((V << 1) | 1) & 0xff
  0            the guest halted for good, powered off, or reset with --no-reboot
  2, 4         wrong usage; a host or image error
  6            triple fault, with a report
  8, 10        an engine error; an instruction or exit that nobody understands
  124          timeout
  130, 143     interrupted, terminated

Standard input goes to the virtio console if that is on stdio, else to the first serial port that is. On a terminal,
Ctrl-A x leaves and Ctrl-A Ctrl-A sends Ctrl-A.

Examples:
  hako run boot.img
  hako run --engine soft --screen --timeout 5s mbr.bin
  hako run --disk a.img,snapshot --cdrom install.iso --boot cdrom,disk
  hako run --machine bare --trace exits,io rom.bin
  hako run vmlinuz --initrd ird.gz --append console=ttyS0
  hako run vmlinuz --initrd ird.gz --append console=hvc0 --console stdio --serial none
  hako run kernel.elf --module fs.img,root --append verbose
  hako run --debug-exit 0x501 --no-reboot kernel.img; echo $?";

/// Boot an image and let it run.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The image to boot; may be left out where --disk, --floppy or --cdrom gives the medium
    pub image: Option<PathBuf>,

    /// Everything else.
    #[command(flatten)]
    pub options: RunOptions,
}

/// Run one of the built-in guests.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  hako demo\n  hako demo hello\n  hako demo print-a --firmware seabios --screen"
)]
pub struct DemoArgs {
    /// The guest's name; without one, the list is printed
    pub name: Option<String>,

    /// Everything else.
    #[command(flatten)]
    pub options: RunOptions,
}

/// Options that `run` and `demo` share.
#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    /// Which CPU executes the guest
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,

    /// Which board the guest runs on
    #[arg(long, value_enum, default_value_t = Machine::Pc)]
    pub machine: Machine,

    /// RAM [default: 64M; 256M for a kernel; on bare the image's size, rounded up to 4K]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    pub memory: Option<u64>,

    /// builtin (no file needed), seabios (from /usr/share/seabios), or the path of a ROM image [default: builtin]
    #[arg(long, value_name = "WHICH")]
    pub firmware: Option<String>,

    /// The kernel's command line
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub append: Option<String>,

    /// The kernel's initial RAM disk; for Multiboot its first module
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,

    /// Modules.
    #[arg(long, help = "A module for the kernel: FILE[,ARGS]; repeatable", value_name = "SPEC", value_parser = values::module)]
    pub module: Vec<ModuleSpec>,

    /// How the kernel is started [default: by its content]
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,

    /// What CPUID tells.
    #[arg(long, help = "The CPU model: x86-64-v2, or max (all that hako's own CPU has); a wrong name lists all", value_name = "MODEL[,+F][,-F]", default_value = "x86-64-v2", value_parser = values::cpu)]
    pub cpu: Model,

    /// How many CPUs there are
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub cpus: u8,

    /// No ACPI tables; the MP table stays
    #[arg(long)]
    pub no_acpi: bool,

    /// The test device of kvm-unit-tests
    #[arg(long)]
    pub testdev: bool,

    /// A virtio entropy source
    #[arg(long)]
    pub rng: bool,

    /// A virtio console, hvc0 to Linux: stdio, none or file:PATH
    #[arg(long, value_name = "WHERE", value_parser = values::sink)]
    pub console: Option<SinkSpec>,

    /// A virtio memory balloon that asks the guest for SIZE; with 0 it only takes reports of free pages
    #[arg(long, value_name = "SIZE", value_parser = values::bytes_or_none)]
    pub balloon: Option<u64>,

    /// Hard disks.
    #[arg(long, help = "A hard disk: PATH[,if=ide|virtio|virtio-legacy][,readonly][,snapshot], on virtio where a kernel is started directly, else IDE; repeatable", value_name = "SPEC", value_parser = values::disk)]
    pub disk: Vec<DiskSpec>,

    /// The floppy in drive A.
    #[arg(long, help = "A floppy image in drive A: PATH[,readonly][,snapshot]", value_name = "SPEC", value_parser = values::floppy)]
    pub floppy: Option<DiskSpec>,

    /// A CD image
    #[arg(long, value_name = "PATH")]
    pub cdrom: Option<PathBuf>,

    /// What to try in which order: disk, floppy, cdrom, separated by commas [default: where IMAGE went first]
    #[arg(long, value_name = "ORDER", value_parser = values::boot_order)]
    pub boot: Option<BootOrder>,

    /// COM1: stdio, none or file:PATH; a second --serial is COM2, and so on to COM4
    #[arg(long, value_name = "WHERE", default_value = "stdio", value_parser = values::sink)]
    pub serial: Vec<SinkSpec>,

    /// The debug ports 0xe9 and 0x402: stdio, none or file:PATH
    #[arg(long, value_name = "WHERE", default_value = "none", value_parser = values::sink)]
    pub debugcon: SinkSpec,

    /// The port whose writes end the run, or none [default: 0xf4]
    #[arg(long, value_name = "PORT", value_parser = values::port)]
    pub debug_exit: Option<Port>,

    /// A reset ends the run instead of restarting the machine
    #[arg(long)]
    pub no_reboot: bool,

    /// What follows a triple fault
    #[arg(long, value_enum, default_value_t = TripleFault::Stop)]
    pub triple_fault: TripleFault,

    /// End after this time: guest time under the virtual clock, wall time otherwise (5s, 500ms, 2m)
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub timeout: Option<Duration>,

    /// How guest time passes on soft [default: host on a terminal, else virtual]
    #[arg(long, value_enum)]
    pub clock: Option<Clock>,

    /// Print the VGA text screen after the end
    #[arg(long)]
    pub screen: bool,

    /// Write the screen as a PNG picture after the end
    #[arg(long, value_name = "FILE")]
    pub screenshot: Option<PathBuf>,

    /// Log exits, io, mmio, int, instr (comma-separated) to standard error, or to FILE with :FILE behind
    #[arg(long, value_name = "KINDS[:FILE]", value_parser = values::trace)]
    pub trace: Option<TraceSpec>,

    /// Say which engine was chosen and why, what was loaded, and what it took
    #[arg(short, long)]
    pub verbose: bool,
}

impl From<Engine> for EngineChoice {
    fn from(engine: Engine) -> EngineChoice {
        match engine {
            Engine::Auto => EngineChoice::Auto,
            Engine::Kvm => EngineChoice::Kvm,
            Engine::Soft => EngineChoice::Soft,
        }
    }
}

impl RunOptions {
    /// An option that was given and that a bare machine has no use for. Most are found in the machine's description;
    /// these look there as if they had not been given.
    pub fn not_for_bare(&self) -> Option<&'static str> {
        let asked = [
            (self.screen, "--screen"),
            (self.screenshot.is_some(), "--screenshot"),
            (self.firmware.is_some(), "--firmware"),
            (self.debug_exit.is_some(), "--debug-exit"),
        ];
        asked.into_iter().find_map(|(asked, option)| asked.then_some(option))
    }

    /// The machine that the options describe, with `image` in it.
    pub fn config(&self, image: Option<Source>) -> Config {
        Config {
            engine: self.engine.into(),
            machine: match self.machine {
                Machine::Bare => MachineKind::Bare,
                Machine::Pc => MachineKind::Pc,
            },
            memory: self.memory,
            firmware: match self.firmware.as_deref() {
                None | Some("builtin") => FirmwareChoice::Builtin,
                Some("seabios") => FirmwareChoice::SeaBios,
                Some(path) => FirmwareChoice::Path(path.into()),
            },
            image,
            append: self.append.clone(),
            initrd: self.initrd.clone().map(Source::File),
            modules: self.module.clone(),
            protocol: self.protocol.map(Into::into),
            cpus: self.cpus,
            cpu: self.cpu,
            acpi: !self.no_acpi,
            testdev: self.testdev,
            rng: self.rng,
            disks: self.disk.clone(),
            floppy: self.floppy.clone(),
            cdrom: self.cdrom.clone().map(|path| DiskSpec::from(Source::File(path))),
            boot: self.boot.clone().map_or_else(Vec::new, |order| order.0),
            console: self.console.clone(),
            balloon: self.balloon,
            serial: self.serial.first().cloned().unwrap_or_default(),
            coms: self.serial.iter().skip(1).cloned().collect(),
            debugcon: self.debugcon.clone(),
            debug_exit: self.debug_exit.unwrap_or_default().0,
            no_reboot: self.no_reboot,
            triple_fault: match self.triple_fault {
                TripleFault::Stop => hako_machine::TripleFault::End,
                TripleFault::Reset => hako_machine::TripleFault::Reset,
            },
            clock: self.clock.map(|clock| match clock {
                Clock::Virtual => ClockKind::Virtual,
                Clock::Host => ClockKind::Host,
            }),
            timeout: self.timeout,
            trace: self.trace.clone(),
            stdin: self.serial.iter().chain(&self.console).any(|sink| *sink == SinkSpec::Stdio),
            signals: true,
            ..Config::default()
        }
    }
}
