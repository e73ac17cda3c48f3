//! From instruction bytes to [`Op`]s.

#[macro_use]
mod forms;
mod entry;
mod need;
mod sse;
mod system;
mod table1;
mod table2;
#[cfg(test)]
mod tests;
mod x87;

use crate::op::{BLOCK_RIP, HIGH, Handler, LOCK, MEM, Op, REP, REPNE, ZERO};
use crate::ops::misc;
use entry::{Args, BYTE_RM, CONDITIONAL, ENDS, Entry, LOCKABLE, MEM_ONLY, NO64, ONLY64, REG_ONLY, Size};
pub(crate) use need::Lacks;
use need::Need;

/// The longest instruction (SDM Vol. 2A 2.3.11).
pub(crate) const MAX_LEN: usize = 15;

/// The bytes end before the instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short;

/// How a block goes on after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// With the next instruction.
    Next,
    /// With the next instruction, unless it branches away.
    Conditional,
    /// Not: the block ends.
    Ends,
}

/// Bytes being read.
struct Bytes<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// One past the last byte that was looked at: an undefined instruction depends on all of them.
    seen: usize,
}

impl Bytes<'_> {
    #[inline(always)]
    fn u8(&mut self) -> Result<u8, Short> {
        let b = *self.bytes.get(self.pos).ok_or(Short)?;
        self.pos += 1;
        Ok(b)
    }

    /// The next byte, which stays the next.
    fn peek(&mut self) -> Result<u8, Short> {
        let b = *self.bytes.get(self.pos).ok_or(Short)?;
        self.seen = self.pos + 1;
        Ok(b)
    }

    /// The bytes that decided what the instruction is.
    fn len(&self) -> u8 {
        self.pos.max(self.seen) as u8
    }

    /// A little-endian number of `n` bytes, zero-extended.
    #[inline]
    fn number(&mut self, n: usize) -> Result<u64, Short> {
        let mut v = 0;
        let bytes = self.bytes.get(self.pos..self.pos + n).ok_or(Short)?;
        for (i, b) in bytes.iter().enumerate() {
            v |= u64::from(*b) << (8 * i);
        }
        self.pos += n;
        Ok(v)
    }

    /// The same, sign-extended.
    #[inline]
    fn signed(&mut self, n: usize) -> Result<i64, Short> {
        let shift = 64 - 8 * n as u32;
        Ok((self.number(n)? << shift) as i64 >> shift)
    }
}

/// Prefixes and what they make of sizes.
struct Prefixes {
    /// 0 = 16-, 1 = 32-, 2 = 64-bit code.
    mode: u8,
    opsize: bool,
    asize: u8,
    seg: Option<u8>,
    rex: u8,
    pfx: u8,
}

impl Prefixes {
    fn rex_bit(&self, bit: u8) -> u8 {
        (self.rex >> bit & 1) << 3
    }

    fn wide(&self) -> bool {
        self.rex & 8 != 0
    }

    /// Which mandatory prefix stands before the opcode, as [`Args::Prefixed`] counts them: F3h and F2h, of which the last
    /// counts, go before 66h.
    fn mandatory(&self) -> usize {
        match self.pfx & (REP | REPNE) {
            0 => usize::from(self.opsize),
            REP => 2,
            _ => 3,
        }
    }

    /// log2 of the operand's bytes.
    fn osize(&self, size: Size) -> u8 {
        let v = if self.wide() {
            3
        } else if self.opsize == (self.mode == 0) {
            2
        } else {
            1
        };
        let long = self.mode == 2;
        match size {
            Size::Byte => 0,
            Size::V => v,
            Size::Stack if long && v == 2 => 3,
            Size::Branch if long => 3,
            Size::Stack | Size::Branch => v,
            Size::Io => v.min(2),
            Size::Native => {
                if long {
                    3
                } else {
                    2
                }
            }
            Size::Y => {
                if self.wide() {
                    3
                } else {
                    2
                }
            }
        }
    }

    /// A byte register's number: without REX 4 to 7 are the high halves.
    fn byte_reg(&self, reg: u8) -> u8 {
        if self.rex == 0 && reg & 0xc == 4 { reg & 3 | HIGH } else { reg }
    }
}

const SS: u8 = 2;
const DS: u8 = 3;
const FS: u8 = 4;

/// Decodes the instruction at the start of `bytes`, which is at `off` from its block's first byte, for code of `mode`
/// (0 = 16, 1 = 32, 2 = 64 bits) on a CPU that `lacks` something, into `op`, which is [`Op::EMPTY`]. Undefined
/// instructions, and those of features that the CPU lacks, decode to a handler that raises #UD.
///
/// # Errors
/// When more bytes are needed; with [`MAX_LEN`] bytes given that means the instruction is too long.
pub(crate) fn decode(bytes: &[u8], mode: u8, lacks: Lacks, off: u16, op: &mut Op) -> Result<Flow, Short> {
    let bytes = bytes.get(..MAX_LEN).unwrap_or(bytes);
    let mut b = Bytes { bytes, pos: 0, seen: 0 };
    let mut p = Prefixes { mode, opsize: false, asize: mode, seg: None, rex: 0, pfx: 0 };
    let mut opcode = b.u8()?;
    loop {
        match opcode {
            0x66 => p.opsize = true,
            // 64-bit code can choose 32 bits, 16 and 32 each other.
            0x67 => p.asize = if mode == 1 { 0 } else { 1 },
            0xf0 => p.pfx |= LOCK,
            0xf2 => p.pfx = p.pfx & !REP | REPNE,
            0xf3 => p.pfx = p.pfx & !REPNE | REP,
            0x26 | 0x2e | 0x36 | 0x3e if mode == 2 => {}
            0x26 | 0x2e | 0x36 | 0x3e => p.seg = Some(opcode >> 3 & 3),
            0x64 | 0x65 => p.seg = Some(opcode - 0x60),
            0x40..=0x4f if mode == 2 => {
                p.rex = opcode;
                opcode = b.u8()?;
                // REX counts only directly before the opcode.
                if !matches!(
                    opcode,
                    0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x40..=0x4f
                ) {
                    break;
                }
                p.rex = 0;
                continue;
            }
            _ => break,
        }
        opcode = b.u8()?;
    }
    let (entry, opcode) = lookup(&mut b, opcode, mode, &p)?;
    op.at.off = off;
    operands(&mut b, &p, entry, opcode, lacks, op)
}

/// Finds the opcode's entry, reading further opcode bytes.
fn lookup(b: &mut Bytes<'_>, opcode: u8, mode: u8, p: &Prefixes) -> Result<(&'static Entry, u8), Short> {
    let (rep, repne) = (p.pfx & REP != 0, p.pfx & REPNE != 0);
    Ok(match opcode {
        0x0f => {
            let opcode = b.u8()?;
            let entry = match opcode {
                0x38 => {
                    let third = b.u8()?;
                    return Ok((&table2::THREE_BYTE_38[usize::from(third)], third));
                }
                0x3a => {
                    let third = b.u8()?;
                    return Ok((&table2::THREE_BYTE_3A[usize::from(third)], third));
                }
                0x01 => match system::group7_register(b.peek()?) {
                    Some(entry) => {
                        b.pos += 1;
                        entry
                    }
                    None => &table2::TWO_BYTE[0x01],
                },
                0xae if p.mandatory() == 1 && b.peek()? == system::PCOMMIT_LAST => {
                    b.pos += 1;
                    &system::PCOMMIT
                }
                0xb8 if rep => &table2::POPCNT,
                // MOVNTI takes no mandatory prefix.
                0xc3 if p.opsize || rep || repne => &table2::UNDEFINED,
                _ => &table2::TWO_BYTE[usize::from(opcode)],
            };
            (entry, opcode)
        }
        0x63 if mode == 2 => (&table1::MOVSXD, opcode),
        0x90 if p.rex & 1 == 0 => (&table1::NOP, opcode),
        _ => (&table1::ONE_BYTE[usize::from(opcode)], opcode),
    })
}

/// Reads ModRM, displacement and immediate as the entry says.
fn operands(
    b: &mut Bytes<'_>,
    p: &Prefixes,
    entry: &'static Entry,
    opcode: u8,
    lacks: Lacks,
    op: &mut Op,
) -> Result<Flow, Short> {
    op.imm = i32::from(entry.extra);
    op.seg = p.seg.unwrap_or(DS);
    op.asize = p.asize;
    op.pfx = p.pfx;
    let mut entry = entry;
    let mut relative = false;
    if let Args::Prefixed(row) = entry.args {
        entry = &row[p.mandatory()];
    }
    // All of a sub-table may belong to a feature, and some of it to a further one.
    let mut refused = false;
    if let Args::X87 = entry.args {
        let modrm = b.peek()?;
        entry = x87::entry(opcode, modrm);
        op.imm = i32::from(opcode & 7) << 8 | i32::from(modrm);
        refused = lacks.contains(Need::Fpu);
    }
    if let Args::Group(table) = entry.args {
        let modrm = b.peek()?;
        let outer = entry.flags;
        refused = lacks.contains(entry.needs[0]);
        entry = &table[usize::from(modrm >> 3 & 7)];
        if outer & NO64 != 0 && p.mode == 2 {
            return Ok(undefined(b, op, misc::ud_in_64bit));
        }
    }
    let osize = p.osize(entry.size);
    op.osize = osize;
    let iz = if osize == 1 { 2 } else { 4 };
    match entry.args {
        Args::None | Args::Source | Args::Group(_) | Args::Prefixed(_) | Args::X87 => {}
        Args::Rm | Args::RmOne | Args::Reg | Args::RmIb | Args::RmIz | Args::RmSeg | Args::RmCr => {
            let modrm = b.u8()?;
            op.reg = modrm >> 3 & 7 | p.rex_bit(2);
            relative = rm(b, p, op, modrm, matches!(entry.args, Args::RmCr))?;
            let is_reg = op.pfx & MEM == 0;
            match entry.args {
                Args::RmOne => op.imm = 1,
                Args::RmIb => op.imm = b.signed(1)? as i32,
                Args::RmIz => op.imm = b.signed(iz)? as i32,
                Args::RmSeg => op.reg &= 7,
                Args::Reg if is_reg => (op.base, op.reg) = (op.reg, op.base),
                _ => {}
            }
            if entry.size == Size::Byte {
                op.reg = p.byte_reg(op.reg);
            }
            if is_reg && (entry.size == Size::Byte || entry.flags & BYTE_RM != 0) {
                op.base = p.byte_reg(op.base);
            }
        }
        Args::OpReg => op.base = opcode & 7 | p.rex_bit(0),
        Args::OpRegAcc => (op.base, op.reg) = (0, opcode & 7 | p.rex_bit(0)),
        Args::OpRegIv => {
            op.base = opcode & 7 | p.rex_bit(0);
            match osize {
                0 => {
                    op.base = p.byte_reg(op.base);
                    op.imm = b.signed(1)? as i32;
                }
                3 => op.disp = b.signed(8)?,
                _ => op.imm = b.signed(iz)? as i32,
            }
        }
        Args::Ib => (op.base, op.imm) = (0, b.signed(1)? as i32),
        Args::Iz => (op.base, op.imm) = (0, b.signed(iz)? as i32),
        Args::Iw => op.imm = b.number(2)? as i32,
        Args::IwIb => op.imm = b.number(3)? as i32,
        Args::Jb => {
            op.disp = b.signed(1)?;
            relative = true;
        }
        Args::Jz => {
            op.disp = b.signed(if osize == 1 { 2 } else { 4 })?;
            relative = true;
        }
        Args::Ap => {
            op.imm = b.number(if osize == 1 { 2 } else { 4 })? as i32;
            op.disp = b.number(2)? as i64;
        }
        Args::Moffs => {
            op.disp = b.number(2 << p.asize)? as i64;
            op.pfx |= MEM;
        }
    }
    if matches!(entry.args, Args::Iw | Args::IwIb | Args::Ib | Args::Iz) {
        op.reg = 0;
    }
    if relative {
        op.disp = op.disp.wrapping_add(i64::from(op.at.off) + b.pos as i64);
    }
    let mem = op.pfx & MEM != 0;
    let refusal: Option<Handler> = if p.mode == 2 && entry.flags & NO64 != 0 {
        Some(misc::ud_in_64bit)
    } else if p.mode != 2 && entry.flags & ONLY64 != 0 {
        Some(misc::ud)
    } else if mem && entry.flags & REG_ONLY != 0 {
        Some(misc::ud_needs_register)
    } else if !mem && entry.flags & MEM_ONLY != 0 {
        Some(misc::ud_needs_memory)
    } else if op.pfx & LOCK != 0 && !(mem && entry.flags & LOCKABLE != 0) {
        Some(misc::ud_lock)
    } else if refused || lacks.contains(entry.needs[usize::from(mem)].refined(p.mode == 2, p.wide())) {
        Some(misc::ud_not_offered)
    } else {
        None
    };
    if let Some(handler) = refusal {
        return Ok(undefined(b, op, handler));
    }
    let forms = match mem {
        false => &entry.forms.reg,
        true if p.mode == 2 && p.asize == 2 && op.seg < FS => &entry.forms.flat,
        true => &entry.forms.mem,
    };
    op.run = forms[usize::from(osize & 3)];
    op.len = b.len();
    // A string instruction without REP goes on to the next; with REP it may stay where it is.
    let once = matches!(entry.args, Args::Source) && op.pfx & (REP | REPNE) == 0;
    Ok(if entry.flags & CONDITIONAL != 0 {
        Flow::Conditional
    } else if entry.flags & ENDS != 0 && !once {
        Flow::Ends
    } else {
        Flow::Next
    })
}

fn undefined(b: &Bytes<'_>, op: &mut Op, run: Handler) -> Flow {
    op.run = run;
    op.len = b.len();
    Flow::Ends
}

/// Decodes ModRM's r/m (SDM Vol. 2A 2.1.5, 2.2.1): a register, or a memory operand with SIB and displacement. Returns
/// whether the displacement is relative to RIP.
fn rm(b: &mut Bytes<'_>, p: &Prefixes, op: &mut Op, modrm: u8, always_reg: bool) -> Result<bool, Short> {
    let (md, field) = (modrm >> 6, modrm & 7);
    if md == 3 || always_reg {
        op.base = field | p.rex_bit(0);
        return Ok(false);
    }
    op.pfx |= MEM;
    if p.asize == 0 {
        // BX, BP, SI, DI in pairs (table 2-1).
        const BASES: [(u8, u8); 8] =
            [(3, 6), (3, 7), (5, 6), (5, 7), (ZERO, 6), (ZERO, 7), (5, ZERO), (3, ZERO)];
        (op.base, op.index) = BASES[usize::from(field)];
        match md {
            0 if field == 6 => {
                op.base = ZERO;
                op.disp = b.signed(2)?;
            }
            0 => {}
            1 => op.disp = b.signed(1)?,
            _ => op.disp = b.signed(2)?,
        }
        if op.base == 5 && p.seg.is_none() {
            op.seg = SS;
        }
        return Ok(false);
    }
    let mut relative = false;
    if field == 4 {
        let sib = b.u8()?;
        let index = sib >> 3 & 7 | p.rex_bit(1);
        op.index = if index == 4 { ZERO } else { index | sib & 0xc0 };
        op.base = sib & 7 | p.rex_bit(0);
        if sib & 7 == 5 && md == 0 {
            op.base = ZERO;
            op.disp = b.signed(4)?;
        }
    } else if field == 5 && md == 0 {
        op.disp = b.signed(4)?;
        if p.mode == 2 {
            op.base = BLOCK_RIP;
            relative = true;
        }
    } else {
        op.base = field | p.rex_bit(0);
    }
    match md {
        1 => op.disp = b.signed(1)?,
        2 => op.disp = b.signed(4)?,
        _ => {}
    }
    if matches!(op.base, 4 | 5) && p.seg.is_none() {
        op.seg = SS;
    }
    Ok(relative)
}
