//! From a description to a machine.

use std::sync::Arc;

use hako_board::pc::MEGABYTE;
use hako_board::{Bare, Board, Layout, Pc, PcConfig};
use hako_engine::{Debug, Time};
use hako_firmware::Bios;
use hako_mem::{Gpa, GuestMemory, MapError, MemoryMap, PAGE_SIZE, Region, RegionKind, Slab, SlabOffset};

use crate::boot::{self, Kernel};
use crate::clock::Clock;
use crate::config::{ClockKind, Config, MachineKind, SinkSpec, Source};
use crate::core::Core;
use crate::devices::{self, Devices};
use crate::engine::{self, Engine};
use crate::error::Error;
use crate::inbox::Inbox;
use crate::incoming::Incoming;
use crate::io_thread::IoThreads;
use crate::machine::Machine;
use crate::sink::Sinks;
use crate::stdin::Stdin;
use crate::trace::Trace;
use crate::usage::check;
use crate::{disk, firmware, media, signals, terminal};

/// The largest RAM that can be asked for: 64 GiB, which the physical addresses of every model reach.
const MAX_MEMORY: u64 = 64 << 30;
/// RAM of a PC by default.
const PC_MEMORY: u64 = 64 << 20;
/// And where a kernel is started directly: few that are built today make do with less.
const KERNEL_MEMORY: u64 = 256 << 20;
/// 2000-01-01 00:00:00 UTC.
const Y2K: u64 = 946_684_800;

/// A board with its engine.
struct Assembly {
    board: Board,
    engine: Engine,
    bios: Option<Bios>,
    kernel: Option<Kernel>,
    devices: Devices,
    io_threads: Option<IoThreads>,
    image: Option<Arc<[u8]>>,
    ram: u64,
}

impl Machine {
    /// Opens everything that the description names and makes the machine.
    pub(crate) fn new(config: Config) -> Result<Machine, Error> {
        check(&config)?;
        let com = |n: usize| config.coms.get(n).unwrap_or(&SinkSpec::None);
        let console = config.console.as_ref().unwrap_or(&SinkSpec::None);
        let sinks = Sinks::open([&config.serial, com(0), com(1), com(2), &config.debugcon, console])?;
        let trace = config.trace.as_ref().map(Trace::open).transpose()?;
        let mut notes = Vec::new();
        let mut made = match config.machine {
            MachineKind::Bare => bare(&config, &mut notes)?,
            MachineKind::Pc => pc(&config, &mut notes)?,
        };
        made.engine.set_first_state(&made.board.initial_state())?;
        if trace.as_ref().is_some_and(|t| t.what.instr) {
            made.engine.set_debug(&Debug { step: true, breakpoints: Vec::new() })?;
        }
        let clock = clock(&config, &made.engine)?;
        let inbox = Arc::new(Inbox::default());
        inbox.set_kicker(made.engine.kicker());
        if config.signals {
            signals::catch(&inbox).map_err(|e| Error::Host(format!("cannot wait for signals: {e}")))?;
        }
        let stdin = if config.stdin { Stdin::open(&inbox)? } else { Stdin::Ended };
        let machine = Machine {
            engine: made.engine,
            bios: made.bios,
            kernel: made.kernel,
            virtio_disks: made.devices.disks,
            io_threads: made.io_threads,
            inlet: config.inlet(),
            image: made.image,
            ram: made.ram,
            core: Core {
                board: made.board,
                clock,
                sinks,
                trace,
                incoming: Incoming::new(made.devices.panel.console.as_ref().map(|console| console.at)),
                took_input: false,
                horizon: Time::NEVER,
                stop_on_output: false,
                spoke: false,
                activity: 0,
                acknowledged: 0,
                services: 0,
                ports: config.log_ports.then(Vec::new),
                sink_error: None,
            },
            inbox,
            stdin,
            panel: made.devices.panel,
            input_open: false,
            outcome: None,
            rescued: 0,
            resets: 0,
            shown: Time::ZERO,
            count_base: 0,
            notes,
            idle: false,
            hang: Default::default(),
            faults_seen: Vec::new(),
            shown_count: None,
            config,
        };
        machine.load()?;
        Ok(machine)
    }
}

/// The clock asked for, or the one that suits the engine.
fn clock(config: &Config, engine: &Engine) -> Result<Clock, Error> {
    match (config.clock, engine.counts()) {
        (Some(ClockKind::Virtual), false) => {
            Err(Error::Usage("--clock virtual needs instructions to be counted: use --engine soft".into()))
        }
        (None, true) if config.stdin && terminal::stdin_is_terminal() => Ok(Clock::new_host()),
        (Some(ClockKind::Virtual) | None, true) => Ok(Clock::new_virtual(config.ns_per_instruction)),
        (Some(ClockKind::Host), _) | (None, false) => Ok(Clock::new_host()),
    }
}

/// Whether so much RAM can be given at all.
fn check_memory(ram: u64) -> Result<(), Error> {
    if ram > MAX_MEMORY {
        return Err(Error::Usage(format!(
            "{ram} bytes of memory are more than the 64 GiB that hako can give"
        )));
    }
    Ok(())
}

fn map_error(e: MapError) -> Error {
    Error::Host(format!("cannot lay out the guest's memory: {e}"))
}

/// Host memory for a guest.
fn slab(len: u64) -> Result<Arc<Slab>, Error> {
    if len > MAX_MEMORY {
        return Err(Error::Usage(format!(
            "{len} bytes of memory are more than the 64 GiB that hako can give"
        )));
    }
    let slab = hako_mem::host::slab(len).map_err(|e| {
        Error::Host(format!("cannot get {len} bytes of memory for the guest: {e}; try less with --memory"))
    })?;
    Ok(Arc::new(slab))
}

/// The image of the bare machine.
fn bare_image(config: &Config) -> Result<Arc<[u8]>, Error> {
    match &config.image {
        Some(source) => disk::whole(source),
        None => Err(Error::Usage("--machine bare needs an image".into())),
    }
}

/// Whether the bare machine's image fits into its memory.
fn check_fit(config: &Config, image: &[u8], len: u64) -> Result<(), Error> {
    if image.len() as u64 <= len {
        return Ok(());
    }
    let name = config.image.as_ref().map(Source::name).unwrap_or_default();
    Err(Error::Image(format!(
        "{name} has {} bytes and does not fit into {len} bytes of memory; give more with --memory",
        image.len()
    )))
}

impl Machine {
    /// The bare machine's image as the description names it now.
    pub(crate) fn bare_image(&self) -> Result<Arc<[u8]>, Error> {
        let image = bare_image(&self.config)?;
        check_fit(&self.config, &image, self.ram)?;
        Ok(image)
    }
}

/// RAM at 0 with the image in it.
fn bare(config: &Config, notes: &mut Vec<String>) -> Result<Assembly, Error> {
    let image = bare_image(config)?;
    let asked = config.memory.unwrap_or(image.len() as u64).max(1);
    check_memory(asked)?;
    let len = asked.next_multiple_of(PAGE_SIZE);
    check_fit(config, &image, len)?;
    let slab = slab(len)?;
    let mut map = MemoryMap::new();
    map.map(Region { gpa: Gpa(0), len, kind: RegionKind::Ram, offset: SlabOffset(0) }).map_err(map_error)?;
    let memory = GuestMemory::new(slab, map);
    let (engine, _) = engine::make(config, &memory, notes)?;
    Ok(Assembly {
        board: Board::Bare(Bare::new(memory)),
        engine,
        bios: None,
        kernel: None,
        devices: Devices::default(),
        io_threads: None,
        image: Some(image),
        ram: len,
    })
}

/// A PC.
fn pc(config: &Config, notes: &mut Vec<String>) -> Result<Assembly, Error> {
    let kernel = Kernel::open(config)?;
    let ram = config.memory.unwrap_or(if kernel.is_some() { KERNEL_MEMORY } else { PC_MEMORY });
    if ram < MEGABYTE {
        return Err(Error::Usage(format!("a PC has at least 1 MiB of memory, not {ram} bytes")));
    }
    check_memory(ram)?;
    if config.balloon.is_some_and(|bytes| bytes >= ram) {
        return Err(Error::Usage(format!(
            "a balloon must leave the guest some of its {ram} bytes of memory"
        )));
    }
    if kernel.is_some() && !config.boot.is_empty() {
        return Err(Error::Usage("--boot is for firmware, and a kernel is started directly".into()));
    }
    let (disks, boot) = media::open(config, kernel.is_some())?;
    let firmware = firmware::load(&config.firmware)?;
    notes.extend(firmware.note);
    let layout = Layout::new(ram, firmware.rom.len());
    if let Some(kernel) = &kernel {
        notes.push(kernel.check(layout.ram)?);
    }
    let memory = layout.memory(slab(layout.slab_len())?, &firmware.rom).map_err(map_error)?;
    let (engine, irqs) = engine::make(config, &memory, notes)?;
    let virtual_clock = engine.counts() && config.clock != Some(ClockKind::Host);
    // A trace shows every access, also those that would only ring a bell.
    let mut io_threads = if config.trace.is_none() { IoThreads::of(&engine) } else { None };
    let mut devices = devices::open(config, kernel.is_some(), virtual_clock, io_threads.as_mut())?;
    let rtc = config.rtc.unwrap_or_else(|| if virtual_clock { Y2K } else { now() });
    let pc = Pc::new(
        PcConfig {
            irqs,
            debug_exit: config.debug_exit,
            builtin: firmware.builtin,
            vga_rom: firmware.vga_rom.map(|rom| rom.to_vec()),
            kernel_rom: kernel.is_some() && !firmware.builtin,
            boot,
            rtc,
            post: firmware.builtin,
            cpus: config.cpus,
            acpi: config.acpi,
            testdev: config.testdev,
            devices: std::mem::take(&mut devices.pci),
            coms: std::array::from_fn(|n| n <= config.coms.len()),
            ..PcConfig::new(layout)
        },
        memory,
        disks,
    );
    Ok(Assembly {
        board: Board::Pc(Box::new(pc)),
        engine,
        bios: firmware.builtin.then(|| boot::bios(kernel.as_ref())),
        kernel,
        devices,
        io_threads,
        image: None,
        ram: layout.ram,
    })
}

/// The host's time in seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(Y2K, |d| d.as_secs())
}
