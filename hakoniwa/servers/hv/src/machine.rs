//! What a guest is made of: its board with memory and disks, the firmware, the kernel.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hako_board::pc::FIRST_SLOT;
use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_chips::Block;
use hako_chips::pci::Bdf;
use hako_firmware::{Bios, Drive};
use hako_loader::Request;
use hako_mem::{Gpa, GuestMemory, MemoryRange};
use hako_virtio::blk::{BlkConfig, blk};
use hako_virtio::{Flavour, console};
use hako_x86::CpuState;
use hakoniwa_abi::Error;

use crate::config::Config;
use crate::disk::RamDisk;
use crate::files::Files;
use crate::memory;

/// A reason to give up, from an error of the kernel's.
pub fn failed(what: &'static str) -> impl Fn(Error) -> String {
    move |why| format!("{what}: {why:?}")
}

/// A kernel and what goes along with it.
pub struct Kernel {
    name: String,
    append: String,
    image: Vec<u8>,
    initrd: Option<Vec<u8>>,
    ranges: Vec<MemoryRange>,
    rsdp: Option<Gpa>,
}

impl Kernel {
    /// Puts it into memory, and says how the processor starts.
    pub fn load(&self, memory: &GuestMemory) -> Result<CpuState, String> {
        let request = Request {
            name: &self.name,
            append: &self.append,
            initrd: self.initrd.as_deref(),
            memory: &self.ranges,
            rsdp: self.rsdp,
            ..Request::default()
        };
        let loaded = hako_loader::load(&self.image, &request, memory);
        loaded.map(|loaded| loaded.state).map_err(|why| format!("{}: {why}", self.name))
    }
}

/// What a guest is made of.
pub struct Machine {
    /// The board.
    pub board: Board,
    /// The first processor's first state.
    pub state: CpuState,
    /// The firmware.
    pub bios: Option<Bios>,
    /// The kernel that it starts.
    pub kernel: Option<Kernel>,
    /// Where its virtio console is.
    pub console: Option<Bdf>,
}

/// The board, the CPU's first state, the firmware, and the kernel that it starts.
pub fn machine(files: Files, number: u64, config: &Config, disk: Option<RamDisk>) -> Result<Machine, String> {
    if let Some(image) = &config.bare {
        return bare(number, &files.read(image)?);
    }
    let rom = hako_firmware::rom();
    let layout = Layout::new(config.memory << 20, rom.len());
    let slab = memory::slab(number, layout.slab_len()).map_err(failed("no memory for it"))?;
    let memory = layout.memory(Arc::new(slab), &rom).map_err(|why| format!("its memory map: {why}"))?;
    let mut disks = Disks::default();
    let mut pc = PcConfig::new(layout);
    (pc.builtin, pc.post, pc.acpi, pc.debug_exit) = (true, true, config.acpi, Some(0xf4));
    (pc.cpus, pc.testdev) = (config.cpus, config.testdev);
    match (disk, &config.kernel) {
        (Some(disk), Some(_)) => {
            let flavour = if config.modern { Flavour::Modern } else { Flavour::Legacy };
            let serial = BlkConfig { serial: config.name.clone(), ..BlkConfig::default() };
            pc.devices.push(blk(serial, Box::new(disk) as Box<dyn Block>, flavour));
        }
        (Some(disk), None) => {
            disks.hard.push(Box::new(disk));
            pc.boot = alloc::vec![Drive::HardDisk(0)];
        }
        (None, _) => {}
    }
    let mut place = None;
    if config.console {
        let (space, device, _) = console((80, 25), Flavour::Modern);
        place = u8::try_from(pc.devices.len()).ok().map(|n| Bdf::new(0, FIRST_SLOT + n, 0));
        pc.devices.push((space, device));
    }
    let pc = Pc::new(pc, memory, disks);
    let kernel = match &config.kernel {
        None => None,
        Some(name) => Some(Kernel {
            name: name.clone(),
            append: config.append.clone(),
            image: files.read(name)?,
            initrd: config.initrd.as_deref().map(|name| files.read(name)).transpose()?,
            ranges: layout.memory_ranges(),
            rsdp: pc.rsdp(),
        }),
    };
    let bios = if kernel.is_some() { Bios::for_kernel() } else { Bios::new() };
    let board = Board::Pc(Box::new(pc));
    Ok(Machine { board, state: CpuState::reset(), bios: Some(bios), kernel, console: place })
}

/// The machine without chips.
fn bare(number: u64, image: &[u8]) -> Result<Machine, String> {
    use hako_board::Bare;
    use hako_mem::{MemoryMap, Region, RegionKind, SlabOffset};
    let slab = memory::slab(number, image.len() as u64).map_err(failed("no memory for it"))?;
    let mut map = MemoryMap::new();
    map.map(Region { gpa: Gpa(0), len: slab.len(), kind: RegionKind::Ram, offset: SlabOffset(0) })
        .map_err(|why| format!("its memory map: {why}"))?;
    let memory = GuestMemory::new(Arc::new(slab), map);
    memory.write(Gpa(0), image).map_err(|why| format!("its image: {why}"))?;
    let board = Board::Bare(Bare::new(memory));
    Ok(Machine { board, state: Bare::initial_state(), bios: None, kernel: None, console: None })
}
