//! The devices on a PC's PCI bus, from the description: virtio disks and an entropy source.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hako_chips::pci::{ConfigSpace, PciDevice};
use hako_chips::{Block, BlockError};
use hako_virtio::rng::{Entropy, Seeded, rng};
use hako_virtio::{BlkConfig, Flavour, blk};

use crate::config::{Config, DiskInterface, DiskSpec};
use crate::disk;
use crate::error::Error;

/// What the entropy source gives under the virtual clock: the same in every run.
const SEED: u64 = 0x6861_6b6f;

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

/// What a PC has on its PCI bus.
#[derive(Default)]
pub(crate) struct Devices {
    /// The functions, in the order of their slots.
    pub pci: Vec<(ConfigSpace, Box<dyn PciDevice>)>,
    /// The disks among them.
    pub disks: Vec<SharedDisk>,
}

/// Where a disk is plugged in: as asked for, else virtio for a kernel and IDE for firmware.
pub(crate) fn interface(spec: &DiskSpec, kernel: bool) -> DiskInterface {
    spec.interface.unwrap_or(if kernel { DiskInterface::Virtio } else { DiskInterface::Ide })
}

/// Makes the devices.
pub(crate) fn open(config: &Config, kernel: bool, repeatable: bool) -> Result<Devices, Error> {
    let mut devices = Devices::default();
    for spec in &config.disks {
        let flavour = match interface(spec, kernel) {
            DiskInterface::Ide => continue,
            DiskInterface::Virtio => Flavour::Modern,
            DiskInterface::VirtioLegacy => Flavour::Legacy,
        };
        let disk = SharedDisk::new(disk::open(spec)?);
        let serial = format!("hako-{}", devices.disks.len());
        devices.pci.push(blk(BlkConfig { serial, ..BlkConfig::default() }, Box::new(disk.clone()), flavour));
        devices.disks.push(disk);
    }
    if config.rng {
        let entropy: Box<dyn Entropy> = if repeatable {
            Box::new(Seeded::new(SEED))
        } else {
            let path = std::path::Path::new("/dev/urandom");
            Box::new(HostEntropy(File::open(path).map_err(|why| Error::file("open", path, why))?))
        };
        devices.pci.push(rng(entropy, Flavour::Modern));
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
