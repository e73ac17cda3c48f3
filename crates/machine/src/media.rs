//! The disks of a PC and the order they are booted in, from the description.

use hako_board::Disks;
use hako_board::pc::MAX_HARD_DISKS;
use hako_firmware::Drive;

use crate::config::{BootDevice, Config, DiskInterface, DiskSpec, FirmwareChoice};
use crate::error::Error;
use crate::image::{ImageKind, classify};
use crate::{devices, disk};

/// Opens all media. The image, if it is no kernel, becomes what its content says and is booted first.
pub(crate) fn open(config: &Config, kernel: bool) -> Result<(Disks, Vec<Drive>), Error> {
    let mut disks = Disks::default();
    let mut first = None;
    if let Some(source) = config.image.as_ref().filter(|_| !kernel) {
        let mut image = disk::open(&DiskSpec { snapshot: config.image_snapshot, ..source.clone().into() })?;
        let kind = classify(&mut *image, &source.name())?;
        let conflict = |what: &str| {
            Error::Usage(format!("{} is a {what}, and --{what} gives another one", source.name()))
        };
        match kind {
            ImageKind::Floppy if config.floppy.is_some() => return Err(conflict("floppy")),
            ImageKind::Cdrom if config.cdrom.is_some() => return Err(conflict("cdrom")),
            ImageKind::Floppy => disks.floppy = Some(image),
            ImageKind::Cdrom => disks.cdrom = Some(image),
            ImageKind::HardDisk => disks.hard.push(image),
        }
        first = Some(kind);
    }
    let ide = |spec: &&DiskSpec| devices::interface(spec, kernel) == DiskInterface::Ide;
    for spec in config.disks.iter().filter(ide) {
        disks.hard.push(disk::open(spec)?);
    }
    if disks.hard.len() > MAX_HARD_DISKS {
        return Err(Error::Usage(format!(
            "there are {} hard disks; the IDE channels take {MAX_HARD_DISKS} beside the CD-ROM drive",
            disks.hard.len()
        )));
    }
    if let Some(spec) = &config.floppy {
        disks.floppy = Some(disk::open(spec)?);
    }
    if let Some(spec) = &config.cdrom {
        disks.cdrom = Some(disk::open(&DiskSpec { readonly: true, ..spec.clone() })?);
    }
    let order = if kernel { Vec::new() } else { order(config, first, &disks)? };
    Ok((disks, order))
}

/// The boot order: as asked for, else the image, else hard disk, floppy, CD as far as they are there.
fn order(config: &Config, first: Option<ImageKind>, disks: &Disks) -> Result<Vec<Drive>, Error> {
    let there = |device: BootDevice| match device {
        BootDevice::Disk => !disks.hard.is_empty(),
        BootDevice::Floppy => disks.floppy.is_some(),
        BootDevice::Cdrom => disks.cdrom.is_some(),
    };
    let drive = |device: &BootDevice| match device {
        BootDevice::Disk => Drive::HardDisk(0),
        BootDevice::Floppy => Drive::Floppy(0),
        BootDevice::Cdrom => Drive::Cdrom(0),
    };
    if !config.boot.is_empty() {
        return Ok(config.boot.iter().map(drive).collect());
    }
    let image = first.map(|kind| match kind {
        ImageKind::HardDisk => BootDevice::Disk,
        ImageKind::Floppy => BootDevice::Floppy,
        ImageKind::Cdrom => BootDevice::Cdrom,
    });
    let mut all: Vec<BootDevice> = image.into_iter().collect();
    for device in [BootDevice::Disk, BootDevice::Floppy, BootDevice::Cdrom] {
        if there(device) && !all.contains(&device) {
            all.push(device);
        }
    }
    // What other firmware boots from virtio disks is its own affair.
    let virtio = !config.disks.is_empty() && config.firmware != FirmwareChoice::Builtin;
    if all.is_empty() && !virtio {
        return Err(Error::Usage(
            "there is nothing to boot: give an image, --disk, --floppy or --cdrom (the built-in firmware boots no \
             virtio disks)"
                .into(),
        ));
    }
    Ok(all.iter().map(drive).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floppy() -> Vec<u8> {
        let mut v = vec![0; 1440 << 10];
        v[510..512].copy_from_slice(&[0x55, 0xaa]);
        v
    }

    #[test]
    fn the_image_is_booted_first() {
        let config =
            Config { image: Some(floppy().into()), disks: vec![vec![0u8; 512].into()], ..Config::default() };
        let (disks, order) = open(&config, false).unwrap();
        assert_eq!(disks.hard.len(), 1);
        assert_eq!(order, [Drive::Floppy(0), Drive::HardDisk(0)]);
    }

    #[test]
    fn an_image_may_be_left_out_where_a_disk_is_given() {
        let config = Config { disks: vec![vec![0u8; 512].into()], ..Config::default() };
        assert_eq!(open(&config, false).unwrap().1, [Drive::HardDisk(0)]);
        let nothing = open(&Config::default(), false).err().unwrap();
        assert_eq!(nothing.status(), 2);
    }

    #[test]
    fn two_media_for_one_drive_are_an_error() {
        let config =
            Config { image: Some(floppy().into()), floppy: Some(floppy().into()), ..Config::default() };
        assert_eq!(open(&config, false).err().unwrap().status(), 2);
    }

    #[test]
    fn a_fourth_hard_disk_has_no_place() {
        let config = Config { disks: vec![vec![0u8; 512].into(); 4], ..Config::default() };
        assert_eq!(open(&config, false).err().unwrap().status(), 2);
    }
}
