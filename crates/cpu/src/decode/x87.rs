//! The x87 opcodes D8h to DFh (SDM Vol. 2D appendix A.5, tables ), with the aliases that all processors have.

use super::entry::{Args, Entry, Forms, MEM_ONLY, Size, UD};
use super::need::Need;
use crate::fpu::area;
use crate::fpu::x87::arith::{self, Add, Div, DivR, Mul, Sub, SubR};
use crate::fpu::x87::{bcd, compare, control, elementary, load, registers, remainder, scale, store};

/// The instructions of one opcode.
pub(crate) struct Row {
    /// With a memory operand, by ModRM reg.
    mem: [Entry; 8],
    /// With a register, by the low six bits of ModRM.
    reg: [Entry; 64],
}

impl Row {
    /// The instruction that a ModRM byte means.
    pub fn entry(&'static self, modrm: u8) -> &'static Entry {
        if modrm < 0xc0 { &self.mem[usize::from(modrm >> 3 & 7)] } else { &self.reg[usize::from(modrm & 63)] }
    }
}

const fn e(forms: &'static Forms) -> Entry {
    Entry::new(forms, Args::Rm, Size::V)
}

/// A handler that does not care what kind of address there is, or has none.
macro_rules! f {
    ($f:path) => {
        e(one!($f))
    };
}

/// A handler of a memory operand whose last type parameter is the kind of address.
macro_rules! m {
    ($m:ident :: $f:ident $(, $g:ty)* $(; $c:expr)?) => {{
        use crate::operand::{Flat, Segmented};
        const F: Forms = Forms {
            reg: [crate::ops::misc::ud; 4],
            mem: [$m::$f::<$($g,)* Segmented $(, $c)?>; 4],
            flat: [$m::$f::<$($g,)* Flat $(, $c)?>; 4],
        };
        e(&F)
    }};
}

/// The eight arithmetic operations with a memory operand.
macro_rules! memory_arithmetic {
    ($f:ident, $compare:ident, $t:ty) => {
        [
            m!(arith::$f, $t, Add),
            m!(arith::$f, $t, Mul),
            m!(compare::$compare, $t; 0),
            m!(compare::$compare, $t; 1),
            m!(arith::$f, $t, Sub),
            m!(arith::$f, $t, SubR),
            m!(arith::$f, $t, Div),
            m!(arith::$f, $t, DivR),
        ]
    };
}

/// Each entry for all eight registers.
const fn rows(entries: [Entry; 8]) -> [Entry; 64] {
    let mut reg = [UD; 64];
    let mut i = 0;
    while i < 64 {
        reg[i] = entries[i / 8];
        i += 1;
    }
    reg
}

/// Replaces the entries of one row.
const fn patched(mut reg: [Entry; 64], row: usize, entries: [Entry; 8]) -> [Entry; 64] {
    let mut i = 0;
    while i < 8 {
        reg[row * 8 + i] = entries[i];
        i += 1;
    }
    reg
}

static D8: Row = Row {
    mem: memory_arithmetic!(st0_mem, mem, u32),
    reg: rows([
        f!(arith::st0_sti::<Add>),
        f!(arith::st0_sti::<Mul>),
        f!(compare::st::<false, 0>),
        f!(compare::st::<false, 1>),
        f!(arith::st0_sti::<Sub>),
        f!(arith::st0_sti::<SubR>),
        f!(arith::st0_sti::<Div>),
        f!(arith::st0_sti::<DivR>),
    ]),
};

const CONSTANT: Entry = f!(load::constant);

static D9: Row = Row {
    mem: [
        m!(load::fld, u32),
        UD,
        m!(store::fst, u32; false),
        m!(store::fst, u32; true),
        f!(control::fldenv),
        m!(control::fldcw),
        f!(control::fnstenv),
        m!(control::fnstcw),
    ],
    reg: {
        let reg = rows([f!(load::fld_st), f!(registers::fxch), UD, f!(store::fstpnce), UD, UD, UD, UD]);
        let reg = patched(reg, 2, [f!(registers::fnop), UD, UD, UD, UD, UD, UD, UD]);
        let tests =
            [f!(registers::fchs), f!(registers::fabs), UD, UD, f!(compare::ftst), f!(compare::fxam), UD, UD];
        let reg = patched(reg, 4, tests);
        let constants = [CONSTANT, CONSTANT, CONSTANT, CONSTANT, CONSTANT, CONSTANT, CONSTANT, UD];
        let reg = patched(reg, 5, constants);
        let functions = [
            f!(elementary::f2xm1),
            f!(elementary::fyl2x),
            f!(elementary::fptan),
            f!(elementary::fpatan),
            f!(scale::fxtract),
            f!(remainder::fprem1),
            f!(registers::fdecstp),
            f!(registers::fincstp),
        ];
        let reg = patched(reg, 6, functions);
        let functions = [
            f!(remainder::fprem),
            f!(elementary::fyl2xp1),
            f!(arith::fsqrt),
            f!(elementary::fsincos),
            f!(arith::frndint),
            f!(scale::fscale),
            f!(elementary::fsin),
            f!(elementary::fcos),
        ];
        patched(reg, 7, functions)
    },
};

const FCMOV: Entry = f!(registers::fcmov).needs(Need::Cmov);

static DA: Row = Row {
    mem: memory_arithmetic!(st0_int, int, u32),
    reg: {
        let reg = rows([FCMOV, FCMOV, FCMOV, FCMOV, UD, UD, UD, UD]);
        patched(reg, 5, [UD, f!(compare::st::<true, 2>), UD, UD, UD, UD, UD, UD])
    },
};

const OBSOLETE: Entry = f!(registers::obsolete);

static DB: Row = Row {
    mem: [
        m!(load::fild, u32),
        m!(store::fisttp, u32).needs(Need::Sse3),
        m!(store::fist, u32; false),
        m!(store::fist, u32; true),
        UD,
        f!(load::fld80),
        UD,
        f!(store::fstp80),
    ],
    reg: {
        let compare = f!(compare::flags::<false, 0>).needs(Need::Cmov);
        let reg = rows([
            FCMOV,
            FCMOV,
            FCMOV,
            FCMOV,
            UD,
            f!(compare::flags::<true, 0>).needs(Need::Cmov),
            compare,
            UD,
        ]);
        let control = [OBSOLETE, OBSOLETE, f!(control::fnclex), f!(control::fninit), OBSOLETE, UD, UD, UD];
        patched(reg, 4, control)
    },
};

static DC: Row = Row {
    mem: memory_arithmetic!(st0_mem, mem, u64),
    reg: rows([
        f!(arith::sti_st0::<Add, false>),
        f!(arith::sti_st0::<Mul, false>),
        f!(compare::st::<false, 0>),
        f!(compare::st::<false, 1>),
        f!(arith::sti_st0::<SubR, false>),
        f!(arith::sti_st0::<Sub, false>),
        f!(arith::sti_st0::<DivR, false>),
        f!(arith::sti_st0::<Div, false>),
    ]),
};

static DD: Row = Row {
    mem: [
        m!(load::fld, u64),
        m!(store::fisttp, u64).needs(Need::Sse3),
        m!(store::fst, u64; false),
        m!(store::fst, u64; true),
        f!(control::frstor),
        UD,
        f!(control::fnsave),
        m!(control::fnstsw),
    ],
    reg: rows([
        f!(registers::ffree::<false>),
        f!(registers::fxch),
        f!(store::fst_st::<false>),
        f!(store::fst_st::<true>),
        f!(compare::st::<true, 0>),
        f!(compare::st::<true, 1>),
        UD,
        UD,
    ]),
};

static DE: Row = Row {
    mem: memory_arithmetic!(st0_int, int, u16),
    reg: {
        let reg = rows([
            f!(arith::sti_st0::<Add, true>),
            f!(arith::sti_st0::<Mul, true>),
            f!(compare::st::<false, 1>),
            UD,
            f!(arith::sti_st0::<SubR, true>),
            f!(arith::sti_st0::<Sub, true>),
            f!(arith::sti_st0::<DivR, true>),
            f!(arith::sti_st0::<Div, true>),
        ]);
        patched(reg, 3, [UD, f!(compare::st::<false, 2>), UD, UD, UD, UD, UD, UD])
    },
};

static DF: Row = Row {
    mem: [
        m!(load::fild, u16),
        m!(store::fisttp, u16).needs(Need::Sse3),
        m!(store::fist, u16; false),
        m!(store::fist, u16; true),
        f!(bcd::fbld),
        m!(load::fild, u64),
        f!(bcd::fbstp),
        m!(store::fist, u64; true),
    ],
    reg: {
        let reg = rows([
            f!(registers::ffree::<true>),
            f!(registers::fxch),
            f!(store::fst_st::<true>),
            f!(store::fst_st::<true>),
            UD,
            f!(compare::flags::<true, 1>).needs(Need::Cmov),
            f!(compare::flags::<false, 1>).needs(Need::Cmov),
            UD,
        ]);
        patched(reg, 4, [f!(control::fnstsw_ax), UD, UD, UD, UD, UD, UD, UD])
    },
};

const fn area(forms: &'static Forms, need: Need) -> Entry {
    e(forms).with(MEM_ONLY).needs(need)
}

/// A fence with a register operand, another instruction with memory.
macro_rules! or_fence {
    ($f:path, $need:ident) => {{
        const F: Forms = Forms::same([crate::ops::misc::nop; 4], [$f; 4]);
        e(&F).forms_need(Need::Sse2, Need::$need)
    }};
}

/// 0F AE, and 0F 77.
pub(super) const FXSAVE: Entry = area(one!(area::fxsave), Need::Fxsr);
pub(super) const FXRSTOR: Entry = area(one!(area::fxrstor), Need::Fxsr);
pub(super) const LDMXCSR: Entry = area(one!(area::ldmxcsr), Need::Sse);
pub(super) const STMXCSR: Entry = area(one!(area::stmxcsr), Need::Sse);
pub(super) const XSAVE: Entry = area(one!(area::xsave), Need::Xsave);
pub(super) const XRSTOR_LFENCE: Entry = or_fence!(area::xrstor, Xsave);
pub(super) const XSAVEOPT_MFENCE: Entry = or_fence!(area::xsaveopt, Xsaveopt);
pub(super) const EMMS: Entry = Entry::new(one!(registers::emms), Args::None, Size::V).needs(Need::Mmx);
const XGETBV_PLAIN: Entry = Entry::new(one!(area::xgetbv), Args::None, Size::V).needs(Need::Xsave);
const XSETBV_PLAIN: Entry = Entry::new(one!(area::xsetbv), Args::None, Size::V).needs(Need::Xsave);
/// 0F 01 D0 and D1.
pub(super) static XGETBV: Entry = Entry::prefixed(&[XGETBV_PLAIN, UD, UD, UD]);
pub(super) static XSETBV: Entry = Entry::prefixed(&[XSETBV_PLAIN, UD, UD, UD]);

/// The instructions of each opcode.
static ROWS: [&Row; 8] = [&D8, &D9, &DA, &DB, &DC, &DD, &DE, &DF];

/// Fills the opcodes into the one-byte table.
pub(super) const fn fill(t: &mut [Entry; 256]) {
    let mut i = 0;
    while i < 8 {
        t[0xd8 + i] = Entry::new(one!(crate::ops::misc::ud), Args::X87, Size::V);
        i += 1;
    }
}

/// The instruction of an opcode and its ModRM byte.
pub(super) fn entry(opcode: u8, modrm: u8) -> &'static Entry {
    ROWS[usize::from(opcode & 7)].entry(modrm)
}
