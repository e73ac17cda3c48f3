//! INT 19h: from the boot order to the first instruction of a boot sector, and INT 18h: nothing to boot.
//! CDs: El Torito specification 1.0, chapter 2, "no emulation".

use alloc::string::String;
use core::fmt::Write;

use hako_mem::Gpa;
use hako_x86::{CpuState, DescTable, Gpr, RFlags, SegReg};

use crate::bda::ebda;
use crate::call::Call;
use crate::{Drive, disk, rom, video};

/// Where a boot sector is loaded.
const BOOT_SECTOR: u16 = 0x7c00;
/// A CD's sector in sectors of 512 bytes.
const CD_SECTOR: u64 = 4;
/// Boot images from CDs end below the EBDA.
const LOW_MEMORY: u64 = 0x9_fc00;

/// Loads the first bootable drive's sector and goes there, or says why there is none. `error` keeps the message.
pub(crate) fn boot(call: &mut Call<'_>, error: &mut Option<String>) {
    call.write(ebda::gpa(ebda::CD_PACKET), &[0; ebda::CD_PACKET_LEN]);
    let mut why = String::new();
    for n in 0.. {
        let Some(drive) = call.platform.boot_drive(n) else { break };
        match load(call, drive) {
            Ok(entry) => {
                *error = None;
                return enter(call, drive, entry);
            }
            Err(reason) => {
                let comma = if n > 0 { ", " } else { "" };
                // Writing to a string cannot fail.
                let _ = write!(why, "{comma}{}: {reason}", Name(drive));
            }
        }
        if n > 255 {
            break;
        }
    }
    if why.is_empty() {
        why.push_str("no drive in the boot order");
    }
    *error = Some(why);
    no_boot(call, error);
}

/// INT 18h: the message, and the end.
pub(crate) fn no_boot(call: &mut Call<'_>, error: &mut Option<String>) {
    let why = error.get_or_insert_with(|| String::from("the boot sector gave up (INT 18h)"));
    let text = alloc::format!("\r\nNo bootable medium: {why}\r\n");
    for byte in text.bytes() {
        video::print(call, byte);
    }
    call.resume_at(rom::HALT);
}

/// A drive as messages name it.
struct Name(Drive);

impl core::fmt::Display for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Drive::Floppy(n) => write!(f, "floppy {n}"),
            Drive::HardDisk(n) => write!(f, "hard disk {n}"),
            Drive::Cdrom(n) => write!(f, "CD-ROM {n}"),
        }
    }
}

/// Brings a drive's boot code into memory; the segment and offset to start at.
fn load(call: &mut Call<'_>, drive: Drive) -> Result<(u16, u16), &'static str> {
    if matches!(drive, Drive::Cdrom(_)) {
        return load_cd(call, drive);
    }
    let mut sector = [0; 512];
    read(call, drive, 0, &mut sector)?;
    if sector[510..] != [0x55, 0xaa] {
        return Err("no boot signature");
    }
    call.write(Gpa(BOOT_SECTOR.into()), &sector);
    Ok((0, BOOT_SECTOR))
}

fn read(call: &mut Call<'_>, drive: Drive, lba: u64, buf: &mut [u8]) -> Result<(), &'static str> {
    let disk = call.platform.disk(drive).ok_or("no medium")?;
    disk.read(lba, buf).map_err(|_| "read error")
}

fn word(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

fn dword(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) | u32::from(word(bytes, at + 2)) << 16
}

/// Reads the boot record volume descriptor, the boot catalog and the default entry's image.
fn load_cd(call: &mut Call<'_>, drive: Drive) -> Result<(u16, u16), &'static str> {
    let mut sector = [0u8; 2048];
    read(call, drive, 17 * CD_SECTOR, &mut sector)?;
    if sector[..7] != *b"\0CD001\x01" || sector[7..30] != *b"EL TORITO SPECIFICATION" {
        return Err("no boot record");
    }
    let catalog = u64::from(dword(&sector, 0x47));
    read(call, drive, catalog * CD_SECTOR, &mut sector)?;
    let (validation, entry) = (&sector[..32], &sector[32..64]);
    let sum = (0..16).fold(0u16, |sum, i| sum.wrapping_add(word(validation, i * 2)));
    if validation[0] != 1 || word(validation, 30) != 0xaa55 || sum != 0 {
        return Err("damaged boot catalog");
    }
    if entry[0] != 0x88 {
        return Err("not bootable");
    }
    if entry[1] & 0x0f != 0 {
        return Err("its boot image wants disk emulation");
    }
    let segment = match word(entry, 2) {
        0 => 0x7c0,
        segment => segment,
    };
    let count = u64::from(word(entry, 6)).max(1);
    let image = dword(entry, 8);
    let memory = u64::from(segment) << 4;
    if memory < 0x500 || memory + count * 512 > LOW_MEMORY {
        return Err("its boot image does not fit into memory");
    }
    let mut packet = [0u8; ebda::CD_PACKET_LEN];
    packet[0] = ebda::CD_PACKET_LEN as u8;
    packet[2] = disk::number(drive);
    packet[4..8].copy_from_slice(&image.to_le_bytes());
    packet[12..14].copy_from_slice(&segment.to_le_bytes());
    packet[14..16].copy_from_slice(&word(entry, 6).to_le_bytes());
    for i in 0..count {
        let piece = sector.get_mut(..512).ok_or("read error")?;
        read(call, drive, u64::from(image) * CD_SECTOR + i, piece)?;
        call.write(Gpa(memory + i * 512), piece);
    }
    call.write(ebda::gpa(ebda::CD_PACKET), &packet);
    // 07C0:0000 is entered as 0000:7C00, which is what boot code counts on.
    Ok((segment & 0xf000, (segment & 0x0fff) << 4))
}

/// The registers that a boot sector starts with: all segments 0, the stack below it, interrupts on, DL the drive.
fn enter(call: &mut Call<'_>, drive: Drive, (segment, offset): (u16, u16)) {
    call.cpu.gpr = [0; 16];
    call.cpu.gpr[Gpr::Rsp as usize] = BOOT_SECTOR.into();
    call.cpu.gpr[Gpr::Rax as usize] = 0xaa55;
    call.set_dl(disk::number(drive));
    for s in [SegReg::Es, SegReg::Ss, SegReg::Ds, SegReg::Fs, SegReg::Gs] {
        call.set_segment(s, 0);
    }
    let attr = CpuState::reset().seg[SegReg::Cs as usize].attr;
    call.set_segment(SegReg::Cs, segment);
    call.cpu.seg[SegReg::Cs as usize].attr = attr;
    call.cpu.idtr = DescTable { base: 0, limit: 0x3ff };
    call.cpu.rip = offset.into();
    call.cpu.rflags = RFlags::FIXED | RFlags::IF;
}
