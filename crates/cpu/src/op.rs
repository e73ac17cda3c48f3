//! A decoded instruction.

use crate::cx::{Cx, Step};

/// Executes one decoded instruction.
pub(crate) type Handler = fn(&mut Cx<'_>, &Op) -> Step;

/// Register number that always reads zero: "no base", "no index".
pub(crate) const ZERO: u8 = 16;
/// Register number that holds the RIP of the running block's first instruction: the base of RIP-relative operands,
/// whose displacement the decoder has corrected.
pub(crate) const BLOCK_RIP: u8 = 17;
/// Flag in an 8-bit register number: bits 15:8 of registers 0 to 3 (AH, CH, DH, BH).
pub(crate) const HIGH: u8 = 0x20;

/// [`Op::pfx`]: LOCK.
pub(crate) const LOCK: u8 = 1;
/// [`Op::pfx`]: REP or REPE (F3).
pub(crate) const REP: u8 = 2;
/// [`Op::pfx`]: REPNE (F2).
pub(crate) const REPNE: u8 = 4;
/// [`Op::pfx`]: the operand given by ModRM r/m lies in memory.
pub(crate) const MEM: u8 = 8;

/// Where in its block an instruction is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// Offset of its first byte from the block's first byte.
    pub off: u16,
    /// How many instructions of the block stand before it.
    pub idx: u16,
}

/// A decoded instruction: 32 bytes, handler and operands.
#[derive(Clone, Copy)]
pub(crate) struct Op {
    /// What executes it.
    pub run: Handler,
    /// Displacement; without a memory operand a 64-bit immediate or the selector of a far pointer.
    pub disp: i64,
    /// Immediate, sign-extended to 32 bits; the offset of a far pointer or the displacement of a branch.
    pub imm: i32,
    /// Where in its block it is.
    pub at: Place,
    /// Length in bytes.
    pub len: u8,
    /// Base register of the memory operand, or the register that ModRM r/m names.
    pub base: u8,
    /// Index register of the memory operand; in bits 7:6 log2 of its factor.
    pub index: u8,
    /// Segment of the memory operand, prefixes applied.
    pub seg: u8,
    /// Register that ModRM reg (or the opcode) names; a condition code for Jcc, SETcc, CMOVcc.
    pub reg: u8,
    /// Address size: 0 = 16, 1 = 32, 2 = 64 bits.
    pub asize: u8,
    /// Operand size: 0 = 8, 1 = 16, 2 = 32, 3 = 64 bits (log2 of the bytes).
    pub osize: u8,
    /// [`LOCK`], [`REP`], [`REPNE`], [`MEM`].
    pub pfx: u8,
}

const _: () = assert!(size_of::<Op>() == 32);

impl Op {
    /// An undefined instruction without operands.
    pub const EMPTY: Op = Op {
        run: crate::ops::misc::ud,
        disp: 0,
        imm: 0,
        at: Place { off: 0, idx: 0 },
        len: 0,
        base: ZERO,
        index: ZERO,
        seg: 0,
        reg: 0,
        asize: 0,
        osize: 0,
        pfx: 0,
    };
}

/// Address masks by [`Op::asize`].
pub(crate) const ADDRESS_MASK: [u64; 4] = [0xffff, 0xffff_ffff, !0, !0];
