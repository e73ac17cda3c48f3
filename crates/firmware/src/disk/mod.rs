//! INT 13h: disks. Functions and status codes as in the IBM AT's BIOS, extensions as in the Enhanced Disk Drive
//! specification (EDD 3.0), CD functions as in the El Torito specification 1.0.

mod extended;
mod geometry;
mod transfer;

use hako_x86::{Gpr, SegReg};

use crate::bda;
use crate::call::Call;
use crate::{Drive, rom};

pub(crate) use geometry::Geometry;
use transfer::{Job, Verb};

/// Status codes in AH.
mod status {
    pub const OK: u8 = 0x00;
    /// Invalid function or parameter.
    pub const INVALID: u8 = 0x01;
    /// Write-protected.
    pub const PROTECTED: u8 = 0x03;
    /// Sector not found.
    pub const NOT_FOUND: u8 = 0x04;
    /// The controller failed: how an error of the host looks to the guest.
    pub const CONTROLLER: u8 = 0x20;
    /// The drive does not answer.
    pub const TIMEOUT: u8 = 0x80;
}

/// The drive that DL names, whether it is there or not.
fn drive(dl: u8) -> Drive {
    match dl {
        0x00..=0x7f => Drive::Floppy(dl),
        0x80..=0xdf => Drive::HardDisk(dl - 0x80),
        _ => Drive::Cdrom(dl - 0xe0),
    }
}

/// What DL says for a drive.
pub(crate) fn number(drive: Drive) -> u8 {
    match drive {
        Drive::Floppy(n) => n & 0x7f,
        Drive::HardDisk(n) => 0x80 + n.min(0x5f),
        Drive::Cdrom(n) => 0xe0 + n.min(0x1f),
    }
}

/// How many floppy drives there are: those with a medium, and those that CMOS knows.
pub(crate) fn floppy_count(call: &mut Call<'_>) -> u8 {
    let types = call.cmos(0x10);
    let here = |call: &mut Call<'_>, n: u8, kind: u8| {
        matches!(kind, 1..=6) || call.platform.disk(Drive::Floppy(n)).is_some()
    };
    if here(call, 1, types & 0xf) { 2 } else { u8::from(here(call, 0, types >> 4)) }
}

/// The number of sectors of 512 bytes in a drive's medium.
fn sectors(call: &mut Call<'_>, drive: Drive) -> Option<u64> {
    call.platform.disk(drive).map(|d| d.sectors())
}

fn geometry(drive: Drive, sectors: u64) -> Geometry {
    match drive {
        Drive::Floppy(_) => Geometry::of_floppy(sectors).0,
        _ => Geometry::of_hard_disk(sectors),
    }
}

/// INT 13h.
pub(crate) fn disk(call: &mut Call<'_>) {
    let drive = drive(call.dl());
    let result = match call.ah() {
        0x00 | 0x0d => {
            recalibrated(call, drive);
            present(call, drive)
        }
        0x01 => return last_status(call, drive),
        0x02 => cylinders_heads_sectors(call, drive, Verb::Read),
        0x03 => cylinders_heads_sectors(call, drive, Verb::Write),
        0x04 => cylinders_heads_sectors(call, drive, Verb::Verify),
        0x05 => format(call, drive),
        0x08 => parameters(call, drive),
        0x09 | 0x0c | 0x10 | 0x11 | 0x14 => match drive {
            Drive::HardDisk(_) => present(call, drive),
            _ => Err(status::INVALID),
        },
        0x15 => return kind(call, drive),
        0x16 => match drive {
            Drive::Floppy(_) if sectors(call, drive).is_some() => Ok(()),
            Drive::Floppy(_) => Err(status::TIMEOUT),
            _ => Err(status::INVALID),
        },
        0x17 | 0x18 => set_type(call, drive),
        0x41 => return extended::installed(call, drive),
        0x42 => extended::transfer(call, drive, Verb::Read),
        0x43 => extended::transfer(call, drive, Verb::Write),
        0x44 | 0x47 => extended::transfer(call, drive, Verb::Verify),
        0x48 => extended::parameters(call, drive),
        0x4b => extended::cd_status(call, drive),
        _ => Err(status::INVALID),
    };
    finish(call, drive, result);
}

/// Reports the result in AH, CF and the data area.
fn finish(call: &mut Call<'_>, drive: Drive, result: Result<(), u8>) {
    let code = result.err().unwrap_or(status::OK);
    call.set_ah(code);
    call.set_carry(code != status::OK);
    match drive {
        Drive::Floppy(_) => bda::FLOPPY_STATUS.set(call, code),
        _ => bda::DISK_STATUS.set(call, code),
    }
}

/// A reset leaves floppy drives to be recalibrated.
fn recalibrated(call: &mut Call<'_>, drive: Drive) {
    if matches!(drive, Drive::Floppy(_)) {
        bda::FLOPPY_SEEK.set(call, 0);
    }
}

/// A reset of a floppy drive needs no medium; a hard disk must be there.
fn present(call: &mut Call<'_>, drive: Drive) -> Result<(), u8> {
    match drive {
        Drive::Floppy(0 | 1) => Ok(()),
        _ if sectors(call, drive).is_some() => Ok(()),
        _ => Err(status::INVALID),
    }
}

/// AH=01h: the status of the last function, which becomes 0.
fn last_status(call: &mut Call<'_>, drive: Drive) {
    let field = if matches!(drive, Drive::Floppy(_)) { &bda::FLOPPY_STATUS } else { &bda::DISK_STATUS };
    let code = field.get(call);
    field.set(call, 0);
    call.set_ah(code);
    call.set_carry(code != status::OK);
}

/// Sectors in a medium, or the error of a drive that has none.
fn medium(call: &mut Call<'_>, drive: Drive) -> Result<u64, u8> {
    sectors(call, drive).ok_or(match drive {
        Drive::Floppy(0 | 1) => status::TIMEOUT,
        _ => status::INVALID,
    })
}

/// AH=02h, 03h, 04h: AL sectors from CX and DH on, memory at ES:BX. AL returns how many were done.
fn cylinders_heads_sectors(call: &mut Call<'_>, drive: Drive, verb: Verb) -> Result<(), u8> {
    let count = call.al();
    call.set_al(0);
    let sectors = medium(call, drive)?;
    if matches!(drive, Drive::Cdrom(_)) || count == 0 {
        return Err(status::INVALID);
    }
    let cylinder = u16::from(call.ch()) | u16::from(call.cl() & 0xc0) << 2;
    let place = geometry(drive, sectors).lba(cylinder, call.dh(), call.cl() & 0x3f);
    let lba = place.ok_or(match drive {
        Drive::Floppy(_) => status::NOT_FOUND,
        _ => status::INVALID,
    })?;
    let memory = call.linear(SegReg::Es, call.bx());
    let (done, result) = transfer::run(call, &Job { drive, verb, lba, count: count.into(), memory });
    call.set_al(done as u8);
    result
}

/// AH=05h: formats a floppy's track CH, head DH: fills it with F6h. The fields at ES:BX are those of the standard
/// format, for an image can have no others.
fn format(call: &mut Call<'_>, drive: Drive) -> Result<(), u8> {
    let sectors = medium(call, drive)?;
    if !matches!(drive, Drive::Floppy(_)) {
        return Err(status::INVALID);
    }
    let shape = geometry(drive, sectors);
    let first = shape.lba(call.ch().into(), call.dh(), 1).ok_or(status::NOT_FOUND)?;
    let disk = call.platform.disk(drive).ok_or(status::TIMEOUT)?;
    for lba in first..first + u64::from(shape.sectors) {
        disk.write(lba, &[0xf6; 512]).map_err(|e| transfer::code(&e))?;
    }
    Ok(())
}

/// AH=08h: the highest cylinder, head and sector, and how many drives there are.
fn parameters(call: &mut Call<'_>, drive: Drive) -> Result<(), u8> {
    let size = sectors(call, drive);
    let shape = match (drive, size) {
        (Drive::Floppy(n), _) if n < floppy_count(call) => {
            let (shape, kind) = Geometry::of_floppy(size.unwrap_or(2880));
            call.set_bx(kind.into());
            call.set_segment(SegReg::Es, rom::SEGMENT);
            call.set_word(Gpr::Rdi, rom::DISKETTE_TABLE);
            shape
        }
        (Drive::HardDisk(_), Some(size)) => Geometry::of_hard_disk(size),
        _ => return Err(status::INVALID),
    };
    let drives = match drive {
        Drive::Floppy(_) => floppy_count(call),
        _ => bda::DISK_COUNT.get(call),
    };
    let (cx, heads) = shape.highest();
    call.set_al(0);
    call.set_cx(cx);
    call.set_dh(heads);
    call.set_dl(drives);
    Ok(())
}

/// AH=15h: the kind of drive in AH, a hard disk's sectors in CX:DX.
fn kind(call: &mut Call<'_>, drive: Drive) {
    let size = sectors(call, drive);
    let kind = match (drive, size) {
        (Drive::Floppy(n), _) if n < floppy_count(call) => 1, // no change line
        (Drive::HardDisk(_), Some(size)) => {
            let reached = Geometry::of_hard_disk(size).capacity().min(size) as u32;
            call.set_cx((reached >> 16) as u16);
            call.set_dx(reached as u16);
            3
        }
        _ => 0,
    };
    call.set_ah(kind);
    call.set_carry(false);
}

/// AH=17h, 18h: the medium's type for formatting. Anything that the medium is already goes.
fn set_type(call: &mut Call<'_>, drive: Drive) -> Result<(), u8> {
    let sectors = medium(call, drive)?;
    if !matches!(drive, Drive::Floppy(_)) {
        return Err(status::INVALID);
    }
    if call.ah() == 0x18 {
        let highest = Geometry::of_floppy(sectors).0.highest().0;
        if call.cx() != highest {
            return Err(0x0c); // not a supported format
        }
        call.set_segment(SegReg::Es, rom::SEGMENT);
        call.set_word(Gpr::Rdi, rom::DISKETTE_TABLE);
    }
    Ok(())
}
