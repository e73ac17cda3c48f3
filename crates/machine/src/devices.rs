//! The devices on a PC's PCI bus, from the description: virtio disks, an entropy source, a console and a balloon.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hako_board::pc::FIRST_SLOT;
use hako_chips::pci::{Bdf, ConfigSpace, PciDevice};
use hako_chips::{Block, BlockError};
use hako_mem::{PAGE_SIZE, Slab, SlabOffset};
use hako_virtio::rng::{Entropy, Seeded, rng};
use hako_virtio::{Balloon, BlkConfig, ConsoleSize, Flavour, Function, Reclaim, balloon, blk, console};

use crate::config::{Config, DiskInterface, DiskSpec, SinkSpec};
use crate::error::Error;
use crate::io_thread::IoThreads;
use crate::{disk, terminal};

/// What the entropy source gives under the virtual clock: the same in every run.
const SEED: u64 = 0x6861_6b6f;

/// Columns and rows where there is no terminal.
const TERMINAL: (u16, u16) = (80, 24);

/// A disk that the machine looks at too (see [`crate::Machine::read_sector`]).
#[derive(Clone)]
pub(crate) struct SharedDisk(Arc<Mutex<Box<dyn Block>>>);

impl SharedDisk {
    fn new(disk: Box<dyn Block>) -> SharedDisk {
        SharedDisk(Arc::new(Mutex::new(disk)))
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Block>> {
        // A thread that panicked in the middle of an access leaves a disk as one that lost its power would be.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Block for SharedDisk {
    fn sectors(&self) -> u64 {
        self.lock().sectors()
    }

    fn read_only(&self) -> bool {
        self.lock().read_only()
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        self.lock().read(lba, buf)
    }

    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        self.lock().write(lba, data)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.lock().flush()
    }

    fn discard(&mut self, lba: u64, count: u64) -> Result<(), BlockError> {
        self.lock().discard(lba, count)
    }

    fn write_zeroes(&mut self, lba: u64, count: u64, unmap: bool) -> Result<(), BlockError> {
        self.lock().write_zeroes(lba, count, unmap)
    }
}

/// The host's random bytes.
struct HostEntropy(File);

impl Entropy for HostEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        // The host's generator has no end and does not fail once it is open; zeros would be what a guest can stand.
        if self.0.read_exact(bytes).is_err() {
            bytes.fill(0);
        }
    }
}

/// Gives pages that the guest does not need back to the host.
struct GiveBack;

impl Reclaim for GiveBack {
    fn give_back(&mut self, slab: &Slab, at: SlabOffset, len: u64) {
        // Where the host takes nothing back, the pages stay as they are.
        let _ = slab.discard(at, len);
    }
}

/// A console that can be told of its terminal's size.
pub(crate) struct Console {
    pub at: Bdf,
    pub size: ConsoleSize,
}

/// A balloon, in bytes.
pub(crate) struct PluggedBalloon {
    pub at: Bdf,
    balloon: Balloon,
}

impl PluggedBalloon {
    /// Asks the guest for so many bytes.
    pub fn set_target(&self, bytes: u64) {
        self.balloon.set_target(u32::try_from(bytes / PAGE_SIZE).unwrap_or(u32::MAX));
    }

    /// How many bytes it says that it has given.
    pub fn given(&self) -> u64 {
        u64::from(self.balloon.actual()) * PAGE_SIZE
    }
}

/// The devices that are changed from outside.
#[derive(Default)]
pub(crate) struct Panel {
    pub console: Option<Console>,
    pub balloon: Option<PluggedBalloon>,
}

/// A function for the bus.
type Plug = (ConfigSpace, Box<dyn PciDevice>);

/// What a PC has on its PCI bus.
#[derive(Default)]
pub(crate) struct Devices {
    /// The functions, in the order of their slots.
    pub pci: Vec<Plug>,
    /// The disks among them.
    pub disks: Vec<SharedDisk>,
    /// Those that are changed from outside.
    pub panel: Panel,
}

impl Devices {
    /// The next slot.
    fn slot(&self) -> Bdf {
        let slot = usize::from(FIRST_SLOT) + self.pci.len();
        // That they are too many is found when all are there.
        Bdf::new(0, u8::try_from(slot).unwrap_or(u8::MAX), 0)
    }

    /// Puts a function into the next slot.
    fn plug(&mut self, function: Plug) -> Bdf {
        let at = self.slot();
        self.pci.push(function);
        at
    }
}

/// Where a disk is plugged in: as asked for, else virtio for a kernel and IDE for firmware.
pub(crate) fn interface(spec: &DiskSpec, kernel: bool) -> DiskInterface {
    spec.interface.unwrap_or(if kernel { DiskInterface::Virtio } else { DiskInterface::Ide })
}

/// Makes the devices. Disks are served by threads, where there are such.
pub(crate) fn open(
    config: &Config,
    kernel: bool,
    repeatable: bool,
    mut threads: Option<&mut IoThreads>,
) -> Result<Devices, Error> {
    let mut devices = Devices::default();
    for spec in &config.disks {
        let flavour = match interface(spec, kernel) {
            DiskInterface::Ide => continue,
            DiskInterface::Virtio => Flavour::Modern,
            DiskInterface::VirtioLegacy => Flavour::Legacy,
        };
        let disk = SharedDisk::new(disk::open(spec)?);
        let serial = format!("hako-{}", devices.disks.len());
        let model = blk::model(&BlkConfig { serial, ..BlkConfig::default() }, Box::new(disk.clone()));
        let (space, mut function) = Function::new(model, flavour);
        if let Some(threads) = &mut threads {
            function.set_station(threads.station(devices.slot())?);
        }
        devices.plug((space, Box::new(function)));
        devices.disks.push(disk);
    }
    if config.rng {
        let entropy: Box<dyn Entropy> = if repeatable {
            Box::new(Seeded::new(SEED))
        } else {
            let path = std::path::Path::new("/dev/urandom");
            Box::new(HostEntropy(File::open(path).map_err(|why| Error::file("open", path, why))?))
        };
        devices.plug(rng(entropy, Flavour::Modern));
    }
    if let Some(sink) = &config.console {
        let terminal = if *sink == SinkSpec::Stdio { terminal::size() } else { None };
        let (space, device, size) = console(terminal.unwrap_or(TERMINAL), Flavour::Modern);
        devices.panel.console = Some(Console { at: devices.plug((space, device)), size });
    }
    if let Some(bytes) = config.balloon {
        let (space, device, balloon) = balloon(Box::new(GiveBack), Flavour::Modern);
        let plugged = PluggedBalloon { at: devices.plug((space, device)), balloon };
        plugged.set_target(bytes);
        devices.panel.balloon = Some(plugged);
    }
    if devices.pci.len() > hako_board::pc::MAX_DEVICES {
        return Err(Error::Usage(format!(
            "there are {} PCI devices; the bus has {} free slots",
            devices.pci.len(),
            hako_board::pc::MAX_DEVICES
        )));
    }
    Ok(devices)
}
