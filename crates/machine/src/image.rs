//! What an image is: decided by its content.

use hako_chips::Block;

use crate::error::Error;

/// What kind of medium an image boots as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// A floppy of standard size with a boot signature.
    Floppy,
    /// An ISO 9660 file system.
    Cdrom,
    /// Anything else with a boot signature.
    HardDisk,
}

/// The sizes of floppies in KiB.
const FLOPPIES: [u64; 8] = [160, 180, 320, 360, 720, 1200, 1440, 2880];

/// The 512-byte sector of the ISO 9660 primary volume descriptor.
const ISO_DESCRIPTOR: u64 = 16 * 4;

/// Decides by content; `name` is for the message.
pub fn classify(disk: &mut dyn Block, name: &str) -> Result<ImageKind, Error> {
    let host = |e: hako_chips::BlockError| Error::Host(format!("cannot read {name}: {e}"));
    let mut sector = [0; 512];
    disk.read(0, &mut sector).map_err(host)?;
    let signature = sector[510..] == [0x55, 0xaa];
    let sectors = disk.sectors();
    if signature && sectors.is_multiple_of(2) && FLOPPIES.contains(&(sectors / 2)) {
        return Ok(ImageKind::Floppy);
    }
    if sectors > ISO_DESCRIPTOR {
        disk.read(ISO_DESCRIPTOR, &mut sector).map_err(host)?;
        if sector[1..6] == *b"CD001" {
            return Ok(ImageKind::Cdrom);
        }
    }
    if signature {
        return Ok(ImageKind::HardDisk);
    }
    Err(Error::Image(format!(
        "{name} cannot be booted: its first sector does not end in 55 AA and it is no CD image (CD001); a raw ROM runs \
         with --machine bare"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk;

    fn kind(bytes: Vec<u8>) -> Result<ImageKind, Error> {
        let mut d = disk::open(&bytes.into()).unwrap();
        classify(&mut *d, "x")
    }

    fn signed(len: usize) -> Vec<u8> {
        let mut v = vec![0; len];
        v[510] = 0x55;
        v[511] = 0xaa;
        v
    }

    #[test]
    fn a_signed_image_of_a_floppys_size_is_a_floppy() {
        for kib in FLOPPIES {
            assert_eq!(kind(signed(kib as usize * 1024)).unwrap(), ImageKind::Floppy);
        }
    }

    #[test]
    fn any_other_signed_image_is_a_hard_disk_also_of_512_bytes() {
        for len in [512, 1024, 700, 1 << 20] {
            assert_eq!(kind(signed(len)).unwrap(), ImageKind::HardDisk);
        }
    }

    #[test]
    fn cd001_makes_a_cd_even_with_a_boot_signature() {
        let mut v = signed(40 * 2048);
        v[0x8001..0x8006].copy_from_slice(b"CD001");
        assert_eq!(kind(v).unwrap(), ImageKind::Cdrom);
    }

    #[test]
    fn no_signature_is_an_error_with_a_word_about_bare() {
        for v in [vec![0; 512], vec![0; 41], vec![0x55; 1 << 20]] {
            let e = kind(v).unwrap_err();
            assert_eq!(e.status(), 4);
            assert!(e.to_string().contains("--machine bare"));
        }
    }
}
