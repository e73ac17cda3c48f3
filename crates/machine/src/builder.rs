//! A machine described by method calls.

use std::path::PathBuf;
use std::time::Duration;

use hako_loader::Protocol;

use crate::config::{
    BootDevice, ClockKind, Config, DiskSpec, EngineChoice, FirmwareChoice, MachineKind, ModuleSpec, SinkSpec,
    Source, TripleFault,
};
use crate::error::Error;
use crate::machine::Machine;
use crate::trace::TraceSpec;

/// Builds a [`Machine`]. `Machine::builder().image(&bytes[..]).build()` is a 64 MiB PC that boots them.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    config: Config,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $t:ty;)*) => {
        $($(#[$doc])* #[must_use] pub fn $name(mut self, value: $t) -> Builder {
            self.config.$name = value;
            self
        })*
    };
}

impl Builder {
    /// Goes on from a complete description.
    pub fn from_config(config: Config) -> Builder {
        Builder { config }
    }

    /// The description so far.
    pub fn config(&self) -> &Config {
        &self.config
    }

    setters! {
        /// Which engine; default auto.
        engine: EngineChoice;
        /// Which machine; default pc.
        machine: MachineKind;
        /// The firmware; default builtin.
        firmware: FirmwareChoice;
        /// The boot order.
        boot: Vec<BootDevice>;
        /// Where COM1 goes besides [`Machine::serial`].
        serial: SinkSpec;
        /// COM2 to COM4, as many as there are, and where they go besides [`Machine::com`].
        coms: Vec<SinkSpec>;
        /// A virtio console, and where it goes besides [`Machine::console`].
        console: Option<SinkSpec>;
        /// A memory balloon, and how many bytes the guest is asked for.
        balloon: Option<u64>;
        /// Where the debug console goes besides [`Machine::debugcon`].
        debugcon: SinkSpec;
        /// The debug-exit port; default 0xf4.
        debug_exit: Option<u16>;
        /// Whether a reset by the guest ends the run.
        no_reboot: bool;
        /// What a triple fault does.
        triple_fault: TripleFault;
        /// Feed standard input to [`Config::inlet`].
        stdin: bool;
        /// End on signals.
        signals: bool;
        /// Report hangs.
        detect_hang: bool;
        /// Keep the list of port writes.
        log_ports: bool;
        /// How many CPUs; default 1.
        cpus: u8;
        /// What CPUID tells; default x86-64-v2.
        cpu: hako_x86::Model;
        /// Whether there are ACPI tables; default yes.
        acpi: bool;
        /// Whether kvm-unit-tests' test device is there; default no.
        testdev: bool;
        /// Whether there is a virtio entropy source; default no.
        rng: bool;
        /// What an instruction costs under the virtual clock, in nanoseconds; default 10.
        ns_per_instruction: u64;
    }

    /// Bytes of RAM.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Builder {
        self.config.memory = Some(bytes);
        self
    }

    /// The image to boot, a kernel or a medium, a path or bytes.
    #[must_use]
    pub fn image(mut self, image: impl Into<Source>) -> Builder {
        self.config.image = Some(image.into());
        self
    }

    /// The kernel's command line.
    #[must_use]
    pub fn append(mut self, command_line: impl Into<String>) -> Builder {
        self.config.append = Some(command_line.into());
        self
    }

    /// The kernel's initial RAM disk.
    #[must_use]
    pub fn initrd(mut self, initrd: impl Into<Source>) -> Builder {
        self.config.initrd = Some(initrd.into());
        self
    }

    /// A further module of the kernel, with its arguments.
    #[must_use]
    pub fn module(mut self, module: impl Into<Source>, args: impl Into<String>) -> Builder {
        let source = module.into();
        self.config.modules.push(ModuleSpec { name: source.name(), source, args: args.into() });
        self
    }

    /// How the kernel is started; default: by its content.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Builder {
        self.config.protocol = Some(protocol);
        self
    }

    /// A further hard disk.
    #[must_use]
    pub fn disk(mut self, disk: impl Into<DiskSpec>) -> Builder {
        self.config.disks.push(disk.into());
        self
    }

    /// The floppy.
    #[must_use]
    pub fn floppy(mut self, disk: impl Into<DiskSpec>) -> Builder {
        self.config.floppy = Some(disk.into());
        self
    }

    /// The CD-ROM.
    #[must_use]
    pub fn cdrom(mut self, disk: impl Into<DiskSpec>) -> Builder {
        self.config.cdrom = Some(disk.into());
        self
    }

    /// A ROM file as firmware.
    #[must_use]
    pub fn firmware_file(self, path: impl Into<PathBuf>) -> Builder {
        self.firmware(FirmwareChoice::Path(path.into()))
    }

    /// The clock.
    #[must_use]
    pub fn clock(mut self, clock: ClockKind) -> Builder {
        self.config.clock = Some(clock);
        self
    }

    /// The longest run.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Builder {
        self.config.timeout = Some(limit);
        self
    }

    /// What to trace.
    #[must_use]
    pub fn trace(mut self, trace: TraceSpec) -> Builder {
        self.config.trace = Some(trace);
        self
    }

    /// What the real-time clock shows at power-on, in seconds since 1970.
    #[must_use]
    pub fn rtc(mut self, seconds: u64) -> Builder {
        self.config.rtc = Some(seconds);
        self
    }

    /// Opens all files and makes the machine.
    pub fn build(self) -> Result<Machine, Error> {
        Machine::new(self.config)
    }
}
