//! Kernels that are started directly: the files, and the moment when they go into memory.
//!
//! The firmware does its power-on work as for any other guest, so that a kernel finds what a BIOS leaves; then, in place of
//! a boot sector, the kernel is loaded and entered. Other firmware than the built-in one asks for it by an option ROM.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use hako_board::Layout;
use hako_chips::Wish;
use hako_engine::EngineError;
use hako_firmware::Bios;
use hako_loader::{MemoryRange, Module, Plan, Protocol, Request, is_bzimage};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::CpuState;

use crate::config::{Config, FirmwareChoice, Source};
use crate::disk;
use crate::error::Error;
use crate::machine::Machine;
use crate::outcome::Ended;

/// As much of an image is looked at to find out whether it may be a kernel: up to and with the sector that says CD.
const PREFIX: u64 = 36 << 10;
/// Where a CD says that it is one.
const CD: std::ops::Range<usize> = 0x8001..0x8006;

/// A file that goes along with a kernel.
struct Companion {
    name: String,
    args: String,
    bytes: Arc<[u8]>,
}

/// A kernel and what goes along with it.
pub(crate) struct Kernel {
    image: Arc<[u8]>,
    /// What messages call it.
    name: String,
    /// The first word of a command line that begins with the file's name.
    word: String,
    append: String,
    initrd: Option<Arc<[u8]>>,
    modules: Vec<Companion>,
    protocol: Option<Protocol>,
    /// Other firmware than ours does the power-on work, and starts it by an option ROM.
    under_firmware: bool,
}

/// The beginning of an image.
fn prefix(source: &Source) -> Result<Vec<u8>, Error> {
    match source {
        Source::Bytes(bytes) => Ok(bytes.iter().take(PREFIX as usize).copied().collect()),
        Source::File(path) => {
            let mut bytes = Vec::new();
            let mut read = || File::open(path)?.take(PREFIX).read_to_end(&mut bytes);
            read().map_err(|why| Error::file("read", path, why))?;
            Ok(bytes)
        }
    }
}

/// Whether the image is a kernel, by its content.
fn is_kernel(source: &Source, image: &Arc<[u8]>) -> Result<bool, Error> {
    let found = hako_loader::detect(image);
    found.map(|protocol| protocol.is_some()).map_err(|why| refused(source, &why))
}

fn refused(source: &Source, why: &dyn std::fmt::Display) -> Error {
    Error::Image(format!("{} cannot be started: {why}", source.name()))
}

impl Kernel {
    /// The kernel that the description names, if its image is one.
    pub fn open(config: &Config) -> Result<Option<Kernel>, Error> {
        match &config.image {
            Some(source) => match Kernel::read(config, source)? {
                Some(kernel) => Ok(Some(kernel)),
                None => no_kernel(config, &format!("{} is no kernel", source.name())),
            },
            None => no_kernel(config, "no kernel is given"),
        }
    }

    fn read(config: &Config, source: &Source) -> Result<Option<Kernel>, Error> {
        let prefix = prefix(source)?;
        if prefix.get(CD) == Some(b"CD001") || !hako_loader::may_be_kernel(&prefix) {
            return Ok(None);
        }
        let image = disk::whole(source)?;
        if config.protocol.is_none() && !is_kernel(source, &image)? {
            return Ok(None);
        }
        let companion = |m: &crate::config::ModuleSpec| {
            Ok(Companion { name: m.name.clone(), args: m.args.clone(), bytes: disk::whole(&m.source)? })
        };
        let under_firmware = config.firmware != FirmwareChoice::Builtin;
        Ok(Some(Kernel {
            name: source.name(),
            word: match source {
                Source::File(path) => path.display().to_string(),
                Source::Bytes(_) => "kernel".into(),
            },
            append: config.append.clone().unwrap_or_default(),
            initrd: config.initrd.as_ref().map(disk::whole).transpose()?,
            modules: config.modules.iter().map(companion).collect::<Result<_, Error>>()?,
            // Under other firmware than ours the setup code asks that one.
            protocol: config.protocol.or((under_firmware && is_bzimage(&image)).then_some(Protocol::Linux16)),
            under_firmware,
            image,
        }))
    }

    /// Calls `f` with the checked kernel.
    fn with_plan<T>(
        &self,
        memory: &[MemoryRange],
        rsdp: Option<Gpa>,
        f: impl FnOnce(Plan<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let modules: Vec<Module<'_>> =
            self.modules.iter().map(|m| Module { name: &m.name, args: &m.args, bytes: &m.bytes }).collect();
        let request = Request {
            name: &self.word,
            append: &self.append,
            initrd: self.initrd.as_deref(),
            modules: &modules,
            memory,
            rsdp,
            protocol: self.protocol,
        };
        let plan = hako_loader::plan(&self.image, &request);
        f(plan.map_err(|why| Error::Image(format!("{} cannot be started: {why}", self.name)))?)
    }

    /// Whether everything is in order and fits: one line about it.
    pub fn check(&self, ram: u64) -> Result<String, Error> {
        self.with_plan(&memory_map(ram), None, |plan| Ok(format!("{}: {}", self.name, plan.about())))
    }

    /// Puts it into memory: the CPU to start it with.
    fn load(&self, map: &[MemoryRange], memory: &GuestMemory) -> Result<CpuState, Error> {
        self.with_plan(map, rsdp(memory), |plan| {
            let loaded = plan.write(memory).map_err(|why| Error::Host(why.to_string()))?;
            Ok(loaded.state)
        })
    }
}

/// Where ACPI's root pointer is: on a 16-byte boundary in the BIOS's segment (ACPI 6.5, 5.2.5.1).
fn rsdp(memory: &GuestMemory) -> Option<Gpa> {
    (0xf_0000..0x10_0000)
        .step_by(16)
        .map(Gpa)
        .find(|&at| memory.load(at) == Ok(u64::from_le_bytes(*b"RSD PTR ")))
}

/// The built-in firmware for a kernel, or for media.
pub(crate) fn bios(kernel: Option<&Kernel>) -> Bios {
    if kernel.is_some() { Bios::for_kernel() } else { Bios::new() }
}

/// What only kernels take must not be given without one.
fn no_kernel(config: &Config, why: &str) -> Result<Option<Kernel>, Error> {
    let given = [
        (config.append.is_some(), "--append"),
        (config.initrd.is_some(), "--initrd"),
        (!config.modules.is_empty(), "--module"),
        (config.protocol.is_some(), "--protocol"),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, option)) => Err(Error::Usage(format!("{option} goes with a kernel, and {why}"))),
        None => Ok(None),
    }
}

/// The memory map that the kernel is told: what the built-in firmware would answer to INT 15h/E820h.
fn memory_map(ram: u64) -> Vec<MemoryRange> {
    let layout = Layout::new(ram, hako_firmware::ROM_LEN);
    hako_firmware::memory_map(&layout.memory_ranges())
}

impl Machine {
    /// Loads and enters the kernel; `state` is the CPU's after the built-in firmware's power-on work.
    pub(crate) fn start_kernel(&mut self, state: CpuState) -> Result<(), Ended> {
        self.enter_kernel(state, &memory_map(self.ram))
    }

    /// Other firmware than ours writes to the trap port: it wants the kernel if the option ROM says so.
    pub(crate) fn firmware_asks(&mut self) -> Result<(), Ended> {
        if !self.kernel.as_ref().is_some_and(|k| k.under_firmware) {
            return Ok(());
        }
        let vcpu = self.engine.vcpu();
        let state = self.core.looked_at(|core| vcpu.state(core)).map_err(|e| Ended::Failed(e.to_string()))?;
        match hako_firmware::kernel_asked(&state, self.core.board.memory()) {
            Some(map) => self.enter_kernel(state, &map),
            None => Ok(()),
        }
    }

    fn enter_kernel(&mut self, state: CpuState, map: &[MemoryRange]) -> Result<(), Ended> {
        let Some(kernel) = &self.kernel else { return self.grant(Wish::Reset) };
        let loaded =
            kernel.load(map, self.core.board.memory()).map_err(|why| Ended::Failed(why.to_string()))?;
        // What no protocol speaks of stays as it is.
        let CpuState { xsave, xcr0, msrs, tsc, dr, dr6, dr7, .. } = state;
        let state = CpuState { xsave, xcr0, msrs, tsc, dr, dr6, dr7, ..loaded };
        let failed = |e: EngineError| Ended::Failed(e.to_string());
        self.engine.vcpu().set_state(&state).map_err(failed)
    }
}
