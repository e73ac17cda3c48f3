//! What a PC's firmware finds in the CMOS RAM: the machine's configuration, set by the board before the first
//! instruction. Layout of the IBM PC/AT, with the bytes that SeaBIOS adds.

use super::Rtc;

/// Indices of the bytes that the setters write.
pub mod index {
    /// What the firmware does after a reset (0: POST).
    pub const SHUTDOWN: u8 = 0x0f;
    /// Types of floppy drives: A in the upper half, B in the lower.
    pub const FLOPPIES: u8 = 0x10;
    /// Types of hard disks 0 and 1: 0xf means "see 0x19, 0x1a".
    pub const DISKS: u8 = 0x12;
    /// Equipment: number of floppy drives, display, keyboard, FPU.
    pub const EQUIPMENT: u8 = 0x14;
    /// KiB of base memory, 16 bits.
    pub const BASE_MEMORY: u8 = 0x15;
    /// KiB above 1 MiB, 16 bits, at most 65535.
    pub const EXTENDED_MEMORY: u8 = 0x17;
    /// Extended types of hard disks 0 and 1; 47 means "user-defined".
    pub const DISK_TYPES: u8 = 0x19;
    /// Geometries of hard disks 0 and 1, nine bytes each.
    pub const GEOMETRIES: u8 = 0x1b;
    /// First byte that the checksum at 0x2e covers is 0x10, this is the last.
    pub const CHECKED_END: u8 = 0x2d;
    /// Sum of bytes 0x10 to 0x2d, high byte first.
    pub const CHECKSUM: u8 = 0x2e;
    /// The same as `EXTENDED_MEMORY`, as found by POST.
    pub const EXTENDED_MEMORY_POST: u8 = 0x30;
    /// Units of 64 KiB above 16 MiB, 16 bits.
    pub const HIGH_MEMORY: u8 = 0x34;
    /// SeaBIOS: bit 0 no floppy signature check, bits 7-4 third boot device.
    pub const BOOT_LAST: u8 = 0x38;
    /// SeaBIOS: translation of the four ATA disks, two bits each (0 none, 1 LBA, 2 large, 3 R-ECHS).
    pub const TRANSLATION: u8 = 0x39;
    /// SeaBIOS: first boot device in the lower half, second in the upper.
    pub const BOOT_FIRST: u8 = 0x3d;
    /// SeaBIOS: units of 64 KiB above 4 GiB, 24 bits.
    pub const ABOVE_4G: u8 = 0x5b;
    /// SeaBIOS: number of CPUs less one.
    pub const CPUS: u8 = 0x5f;
}

/// Floppy drives as byte 0x10 names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum FloppyType {
    /// No drive.
    #[default]
    None = 0,
    /// 5.25 inch, 360 KiB.
    F360K = 1,
    /// 5.25 inch, 1.2 MiB.
    F1200K = 2,
    /// 3.5 inch, 720 KiB.
    F720K = 3,
    /// 3.5 inch, 1.44 MiB.
    F1440K = 4,
    /// 3.5 inch, 2.88 MiB.
    F2880K = 5,
}

/// Where SeaBIOS looks for an operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum BootDevice {
    /// Nowhere.
    #[default]
    None = 0,
    /// First floppy.
    Floppy = 1,
    /// First hard disk.
    Disk = 2,
    /// CD-ROM.
    Cdrom = 3,
    /// Network.
    Network = 4,
}

/// The geometry of a hard disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Cylinders.
    pub cylinders: u16,
    /// Heads.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors: u8,
}

impl Rtc {
    /// A byte of the RAM, without the effects of a guest's access.
    pub fn cmos(&self, index: u8) -> u8 {
        self.byte(index)
    }

    /// Sets a byte of the RAM, without the effects of a guest's access. The clock's own bytes (0 to 0x0d and 0x32)
    /// are left alone.
    pub fn set_cmos(&mut self, index: u8, value: u8) {
        let index = index & 0x7f;
        if index > super::reg::D && index != super::reg::CENTURY {
            *self.byte_mut(index) = value;
            self.update_checksum();
        }
    }

    fn set_cmos_word(&mut self, index: u8, value: u16) {
        let [low, high] = value.to_le_bytes();
        self.set_cmos(index, low);
        self.set_cmos(index + 1, high);
    }

    /// Memory sizes in bytes: RAM from 0 to the hole below 4 GiB, and RAM from 4 GiB on. Sets 0x15/16, 0x17/18,
    /// 0x30/31, 0x34/35 and 0x5b-0x5d.
    pub fn set_memory(&mut self, below_4g: u64, above_4g: u64) {
        let clamp = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
        let extended = clamp(below_4g.saturating_sub(1 << 20) >> 10);
        self.set_cmos_word(index::BASE_MEMORY, clamp((below_4g >> 10).min(640)));
        self.set_cmos_word(index::EXTENDED_MEMORY, extended);
        self.set_cmos_word(index::EXTENDED_MEMORY_POST, extended);
        self.set_cmos_word(index::HIGH_MEMORY, clamp(below_4g.saturating_sub(16 << 20) >> 16));
        let above = (above_4g >> 16).min(0xff_ffff).to_le_bytes();
        for (at, byte) in (index::ABOVE_4G..).zip(above.into_iter().take(3)) {
            self.set_cmos(at, byte);
        }
    }

    /// Floppy drives A and B. Sets 0x10 and the drive count in 0x14 (with 80-column colour display and FPU).
    pub fn set_floppies(&mut self, a: FloppyType, b: FloppyType) {
        self.set_cmos(index::FLOPPIES, (a as u8) << 4 | b as u8);
        let count = [a, b].iter().filter(|&&drive| drive != FloppyType::None).count() as u8;
        let drives = if count == 0 { 0 } else { (count - 1) << 6 | 1 };
        self.set_cmos(index::EQUIPMENT, drives | 0x26);
    }

    /// Hard disk 0 or 1. Sets its half of 0x12, its type 47 at 0x19/0x1a, its geometry at 0x1b-0x2c and its
    /// translation in 0x39 (0 none, 1 LBA, 2 large, 3 R-ECHS).
    pub fn set_hard_disk(&mut self, disk: u8, geometry: Geometry, translation: u8) {
        let disk = disk & 1;
        let half = if disk == 0 { 0xf0 } else { 0x0f };
        self.set_cmos(index::DISKS, self.cmos(index::DISKS) | half);
        self.set_cmos(index::DISK_TYPES + disk, 47);
        let [low, high] = geometry.cylinders.to_le_bytes();
        // Cylinders, heads, write precompensation (none), control byte, landing zone, sectors.
        let control = if geometry.heads > 8 { 0xc8 } else { 0xc0 };
        let bytes = [low, high, geometry.heads, 0xff, 0xff, control, low, high, geometry.sectors];
        for (at, byte) in (index::GEOMETRIES + 9 * disk..).zip(bytes) {
            self.set_cmos(at, byte);
        }
        let shift = 2 * disk;
        let others = self.cmos(index::TRANSLATION) & !(3 << shift);
        self.set_cmos(index::TRANSLATION, others | (translation & 3) << shift);
    }

    /// SeaBIOS's boot order. Sets 0x38 (with the floppy signature check on or off) and 0x3d.
    pub fn set_boot_order(&mut self, order: [BootDevice; 3], check_floppy_signature: bool) {
        let [first, second, third] = order.map(|device| device as u8);
        self.set_cmos(index::BOOT_FIRST, second << 4 | first);
        self.set_cmos(index::BOOT_LAST, third << 4 | u8::from(!check_floppy_signature));
    }

    /// Number of CPUs (1 to 256). Sets 0x5f.
    pub fn set_cpus(&mut self, cpus: u16) {
        self.set_cmos(index::CPUS, cpus.saturating_sub(1).min(0xff) as u8);
    }

    fn update_checksum(&mut self) {
        let checked = index::FLOPPIES..=index::CHECKED_END;
        let [low, high] = checked.map(|index| u16::from(self.byte(index))).sum::<u16>().to_le_bytes();
        *self.byte_mut(index::CHECKSUM) = high;
        *self.byte_mut(index::CHECKSUM + 1) = low;
    }
}
