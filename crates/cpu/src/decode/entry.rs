//! What the opcode tables hold.

use super::need::Need;
use crate::op::Handler;
use crate::ops::misc;

/// Handlers by operand size (8, 16, 32, 64 bits).
pub(crate) struct Forms {
    /// For a register operand.
    pub reg: [Handler; 4],
    /// For a memory operand.
    pub mem: [Handler; 4],
    /// For a memory operand whose address is [`crate::operand::Flat`].
    pub flat: [Handler; 4],
}

impl Forms {
    /// Handlers that do not care what kind of address there is.
    pub const fn same(reg: [Handler; 4], mem: [Handler; 4]) -> Forms {
        Forms { reg, mem, flat: mem }
    }
}

/// How operands are encoded (SDM Vol. 2A 2.1, appendix A.2).
#[derive(Clone, Copy)]
pub(crate) enum Args {
    /// None.
    None,
    /// ModRM; a register operand is `base`, the other is `reg`.
    Rm,
    /// ModRM with the destination in reg: for two registers they are exchanged, so that `base` is written.
    Reg,
    /// ModRM, then a sign-extended byte.
    RmIb,
    /// ModRM, then an immediate of operand size (32 bits, sign-extended, for 64).
    RmIz,
    /// ModRM, with the immediate 1.
    RmOne,
    /// ModRM whose reg field is a segment register.
    RmSeg,
    /// ModRM that always names registers: control and debug registers.
    RmCr,
    /// A register in the opcode's low bits.
    OpReg,
    /// A register in the opcode's low bits is `reg`, the accumulator is `base`.
    OpRegAcc,
    /// A register in the opcode's low bits, then an immediate of full operand size.
    OpRegIv,
    /// The accumulator, then a byte.
    Ib,
    /// The accumulator, then an immediate of operand size.
    Iz,
    /// A word.
    Iw,
    /// A word and a byte (ENTER).
    IwIb,
    /// A relative byte.
    Jb,
    /// A relative offset of operand size.
    Jz,
    /// A far pointer.
    Ap,
    /// The accumulator and an absolute address.
    Moffs,
    /// What a string instruction or XLAT reads: DS unless overridden.
    Source,
    /// A sub-table by ModRM reg.
    Group(&'static [Entry; 8]),
    /// The x87 instructions of an opcode, by ModRM; the opcode and ModRM are `imm`.
    X87,
    /// A sub-table by mandatory prefix: none, 66h, F3h, F2h.
    Prefixed(&'static [Entry; 4]),
}

/// How the operand size comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// 8 bits, register numbers 4 to 7 without REX being AH to BH.
    Byte,
    /// By mode, 66h and REX.W.
    V,
    /// As `V`, but 64 bits instead of 32 in 64-bit mode.
    Stack,
    /// As `V`, but always 64 bits in 64-bit mode.
    Branch,
    /// As `V`, never 64 bits.
    Io,
    /// 64 bits in 64-bit mode, else 32, whatever the prefixes.
    Native,
    /// 32 bits, 64 with REX.W.
    Y,
}

/// The instruction has a form that may be locked, when the destination is memory.
pub(crate) const LOCKABLE: u8 = 1;
/// The block ends after it.
pub(crate) const ENDS: u8 = 2;
/// #UD in 64-bit mode.
pub(crate) const NO64: u8 = 4;
/// #UD outside 64-bit mode.
pub(crate) const ONLY64: u8 = 8;
/// #UD with a register operand.
pub(crate) const MEM_ONLY: u8 = 16;
/// #UD with a memory operand.
pub(crate) const REG_ONLY: u8 = 32;
/// The register that ModRM r/m names is a byte register.
pub(crate) const BYTE_RM: u8 = 64;

/// A conditional branch: a block may go on after it.
pub(crate) const CONDITIONAL: u8 = 128;

/// One opcode.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub forms: &'static Forms,
    pub args: Args,
    pub size: Size,
    pub flags: u8,
    /// What `imm` holds where no immediate is encoded: a condition code, a variant.
    pub extra: u8,
    /// The feature it belongs to, with a register operand and with a memory operand.
    pub needs: [Need; 2],
}

impl Entry {
    pub const fn new(forms: &'static Forms, args: Args, size: Size) -> Entry {
        Entry { forms, args, size, flags: 0, extra: 0, needs: [Need::Nothing; 2] }
    }

    pub const fn with(mut self, flags: u8) -> Entry {
        self.flags |= flags;
        self
    }

    pub const fn extra(mut self, extra: u8) -> Entry {
        self.extra = extra;
        self
    }

    pub const fn needs(mut self, need: Need) -> Entry {
        self.needs = [need; 2];
        self
    }

    /// The two forms are instructions of different features.
    pub const fn forms_need(mut self, reg: Need, mem: Need) -> Entry {
        self.needs = [reg, mem];
        self
    }

    pub const fn prefixed(row: &'static [Entry; 4]) -> Entry {
        Entry::new(one!(misc::ud), Args::Prefixed(row), Size::V)
    }

    pub const fn group(table: &'static [Entry; 8], size: Size) -> Entry {
        Entry::new(one!(misc::ud), Args::Group(table), size)
    }
}

/// An undefined opcode.
pub(crate) const UD: Entry = Entry::new(one!(misc::ud), Args::None, Size::V).with(ENDS);
