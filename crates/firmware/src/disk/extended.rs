//! INT 13h/41h to 48h (Enhanced Disk Drive specification 3.0) and 4Bh (El Torito specification 1.0, chapter 4).

use hako_mem::Gpa;
use hako_x86::{Gpr, SegReg};

use super::transfer::{self, Job, Verb};
use super::{Geometry, finish, medium, sectors, status};
use crate::Drive;
use crate::bda::ebda;
use crate::call::Call;

/// Sectors of 512 bytes in one of a drive's own sectors.
fn ratio(drive: Drive) -> u64 {
    match drive {
        Drive::Cdrom(_) => 4,
        _ => 1,
    }
}

fn extended_medium(call: &mut Call<'_>, drive: Drive) -> Result<u64, u8> {
    match drive {
        Drive::Floppy(_) => Err(status::INVALID),
        _ => medium(call, drive),
    }
}

/// AH=41h: whether 42h to 48h work for a drive.
pub(crate) fn installed(call: &mut Call<'_>, drive: Drive) {
    if call.bx() != 0x55aa || extended_medium(call, drive).is_err() {
        return finish(call, drive, Err(status::INVALID));
    }
    finish(call, drive, Ok(()));
    call.set_bx(0xaa55);
    call.set_ah(0x30); // EDD 3.0
    call.set_cx(0x0005); // disk access, EDD parameters
}

/// AH=42h, 43h, 44h, 47h: the disk address packet at DS:SI.
pub(crate) fn transfer(call: &mut Call<'_>, drive: Drive, verb: Verb) -> Result<(), u8> {
    let size = extended_medium(call, drive)? / ratio(drive);
    let seek = call.ah() == 0x47;
    let si = call.word(Gpr::Rsi);
    let mut packet = [0u8; 0x18];
    call.read_seg(SegReg::Ds, si, &mut packet);
    let [len, _, count_low, count_high, o0, o1, s0, s1, lba @ .., _, _, _, _, _, _, _, _] = packet;
    if len < 0x10 {
        return Err(status::INVALID);
    }
    let count = u64::from(u16::from_le_bytes([count_low, count_high]));
    let lba = u64::from_le_bytes(lba);
    let (offset, segment) = (u16::from_le_bytes([o0, o1]), u16::from_le_bytes([s0, s1]));
    let memory = if (segment, offset) == (0xffff, 0xffff) && len >= 0x18 {
        let [.., a, b, c, d, e, f, g, h] = packet;
        Gpa(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    } else {
        Gpa((u64::from(segment) << 4) + u64::from(offset))
    };
    if lba >= size || (!seek && count > size - lba) {
        set_count(call, si, 0);
        return Err(if seek { status::INVALID } else { status::NOT_FOUND });
    }
    if seek {
        return Ok(());
    }
    let unit = ratio(drive);
    let job = Job { drive, verb, lba: lba * unit, count: count * unit, memory };
    let (done, result) = transfer::run(call, &job);
    if result.is_err() {
        set_count(call, si, (done / unit) as u16);
    }
    result
}

/// Tells in the packet how many blocks were moved.
fn set_count(call: &mut Call<'_>, si: u16, count: u16) {
    call.write_seg(SegReg::Ds, si.wrapping_add(2), &count.to_le_bytes());
}

/// AH=48h: the result buffer at DS:SI, 26 bytes or, with room for it, 30.
pub(crate) fn parameters(call: &mut Call<'_>, drive: Drive) -> Result<(), u8> {
    let total = extended_medium(call, drive)?;
    let si = call.word(Gpr::Rsi);
    let mut room = [0; 2];
    call.read_seg(SegReg::Ds, si, &mut room);
    let room = u16::from_le_bytes(room);
    if room < 26 {
        return Err(status::INVALID);
    }
    let unit = ratio(drive);
    let len = if room >= 30 { 30u16 } else { 26 };
    let mut out = [0u8; 30];
    out[..2].copy_from_slice(&len.to_le_bytes());
    if unit == 1 {
        let g = Geometry::of_hard_disk(total);
        let valid = g.capacity() >= total;
        out[2] = if valid { 2 } else { 0 }; // information flags: the geometry holds
        out[4..8].copy_from_slice(&u32::from(g.cylinders).to_le_bytes());
        out[8..12].copy_from_slice(&u32::from(g.heads).to_le_bytes());
        out[12..16].copy_from_slice(&u32::from(g.sectors).to_le_bytes());
    } else {
        out[2] = 0x74; // removable, change line, lockable, no geometry
        out[4..16].fill(0xff);
    }
    out[16..24].copy_from_slice(&(total / unit).to_le_bytes());
    out[24..26].copy_from_slice(&((512 * unit) as u16).to_le_bytes());
    out[26..30].fill(0xff); // no device parameter table extension
    call.write_seg(SegReg::Ds, si, out.get(..usize::from(len)).unwrap_or(&out));
    Ok(())
}

/// AH=4Bh, AL=00h (end emulation: there is none) and 01h: the specification packet of the CD that was booted.
pub(crate) fn cd_status(call: &mut Call<'_>, drive: Drive) -> Result<(), u8> {
    let mut packet = [0u8; ebda::CD_PACKET_LEN];
    call.read(ebda::gpa(ebda::CD_PACKET), &mut packet);
    let booted = packet[0] != 0 && packet[2] == super::number(drive);
    if call.al() > 1 || !booted || sectors(call, drive).is_none() {
        return Err(status::INVALID);
    }
    let si = call.word(Gpr::Rsi);
    call.write_seg(SegReg::Ds, si, &packet);
    Ok(())
}
