//! The one-byte opcodes (SDM Vol. 2D appendix A.3, table A-2).

use super::entry::{Args, CONDITIONAL, ENDS, Entry, LOCKABLE, MEM_ONLY, NO64, ONLY64, Size, UD};
use super::need::Need;
use super::x87;
use crate::fpu::x87::control;
use crate::op::Handler;
use crate::operand::Segmented;
use crate::ops::alu::{self, Adc, Add, And, Cmp, Dec, Inc, Neg, Not, Or, Sbb, Sub, Test, Xor};
use crate::ops::shift::{self, Rcl, Rcr, Rol, Ror, Sar, Shl, Shr};
use crate::ops::{atomic, bcd, branch, misc, mov, muldiv, stack, string};
use crate::{far, interrupt, io, iret, seg, sys};

use Args::{
    Ap, Iw, IwIb, Iz, Jb, Jz, Moffs, OpReg, OpRegAcc, OpRegIv, Reg, Rm, RmIb, RmIz, RmOne, RmSeg, Source,
};
use Size::{Branch, Byte, Io, Stack, V};

const fn e(forms: &'static super::entry::Forms, args: Args, size: Size) -> Entry {
    Entry::new(forms, args, size)
}

/// Fills the six encodings of an ALU operation.
macro_rules! alu_row {
    ($t:ident, $at:expr, $o:ty, $lock:expr) => {
        $t[$at] = e(sized!(alu::reg_reg, $o; @alu::mem_reg, $o), Rm, Byte).with($lock);
        $t[$at + 1] = e(sized!(alu::reg_reg, $o; @alu::mem_reg, $o), Rm, V).with($lock);
        $t[$at + 2] = e(sized!(alu::reg_reg, $o; @alu::reg_mem, $o), Reg, Byte);
        $t[$at + 3] = e(sized!(alu::reg_reg, $o; @alu::reg_mem, $o), Reg, V);
        $t[$at + 4] = e(sized!(alu::reg_imm, $o), Args::Ib, Byte);
        $t[$at + 5] = e(sized!(alu::reg_imm, $o), Iz, V);
    };
}

/// Group 1: ALU with an immediate.
macro_rules! group1 {
    ($args:expr, $size:expr) => {
        &[
            e(sized!(alu::reg_imm, Add; @alu::mem_imm, Add), $args, $size).with(LOCKABLE),
            e(sized!(alu::reg_imm, Or; @alu::mem_imm, Or), $args, $size).with(LOCKABLE),
            e(sized!(alu::reg_imm, Adc; @alu::mem_imm, Adc), $args, $size).with(LOCKABLE),
            e(sized!(alu::reg_imm, Sbb; @alu::mem_imm, Sbb), $args, $size).with(LOCKABLE),
            e(sized!(alu::reg_imm, And; @alu::mem_imm, And), $args, $size).with(LOCKABLE),
            e(sized!(alu::reg_imm, Sub; @alu::mem_imm, Sub), $args, $size).with(LOCKABLE),
            e(sized!(alu::reg_imm, Xor; @alu::mem_imm, Xor), $args, $size).with(LOCKABLE),
            e(sized!(alu::reg_imm, Cmp; @alu::mem_imm, Cmp), $args, $size),
        ]
    };
}

/// Group 2: shifts and rotates. /6 is the undocumented twin of /4.
macro_rules! group2 {
    ($by:ident, $args:expr, $size:expr) => {
        &[
            e(sized!(shift::$by, Rol), $args, $size),
            e(sized!(shift::$by, Ror), $args, $size),
            e(sized!(shift::$by, Rcl), $args, $size),
            e(sized!(shift::$by, Rcr), $args, $size),
            e(sized!(shift::$by, Shl), $args, $size),
            e(sized!(shift::$by, Shr), $args, $size),
            e(sized!(shift::$by, Shl), $args, $size),
            e(sized!(shift::$by, Sar), $args, $size),
        ]
    };
}

macro_rules! group3 {
    ($size:expr, $imm:expr) => {
        &[
            e(sized!(alu::reg_imm, Test; @alu::mem_imm, Test), $imm, $size),
            e(sized!(alu::reg_imm, Test; @alu::mem_imm, Test), $imm, $size),
            e(sized!(alu::unary_reg, Not; @alu::unary_mem, Not), Rm, $size).with(LOCKABLE),
            e(sized!(alu::unary_reg, Neg; @alu::unary_mem, Neg), Rm, $size).with(LOCKABLE),
            e(sized!(muldiv::mul), Rm, $size),
            e(sized!(muldiv::imul), Rm, $size),
            e(sized!(muldiv::div), Rm, $size),
            e(sized!(muldiv::idiv), Rm, $size),
        ]
    };
}

const fn inc(size: Size) -> Entry {
    e(sized!(alu::unary_reg, Inc; @alu::unary_mem, Inc), Rm, size).with(LOCKABLE)
}

const fn dec(size: Size) -> Entry {
    e(sized!(alu::unary_reg, Dec; @alu::unary_mem, Dec), Rm, size).with(LOCKABLE)
}

const GROUP1_IB8: [Entry; 8] = *group1!(RmIb, Byte);
const GROUP1_IZ: [Entry; 8] = *group1!(RmIz, V);
const GROUP1_IB: [Entry; 8] = *group1!(RmIb, V);
const GROUP2_IMM8: [Entry; 8] = *group2!(by_imm, RmIb, Byte);
const GROUP2_IMM: [Entry; 8] = *group2!(by_imm, RmIb, V);
const GROUP2_ONE8: [Entry; 8] = *group2!(by_imm, RmOne, Byte);
const GROUP2_ONE: [Entry; 8] = *group2!(by_imm, RmOne, V);
const GROUP2_CL8: [Entry; 8] = *group2!(by_cl, Rm, Byte);
const GROUP2_CL: [Entry; 8] = *group2!(by_cl, Rm, V);
const GROUP3_8: [Entry; 8] = *group3!(Byte, RmIb);
const GROUP3: [Entry; 8] = *group3!(V, RmIz);
const GROUP4: [Entry; 8] = [inc(Byte), dec(Byte), UD, UD, UD, UD, UD, UD];
const GROUP5: [Entry; 8] = [
    inc(V),
    dec(V),
    e(sized!(branch::call_rm), Rm, Branch).with(ENDS),
    e(one!(far::call_far_mem), Rm, V).with(ENDS | MEM_ONLY),
    e(sized!(branch::jmp_rm), Rm, Branch).with(ENDS),
    e(one!(far::jmp_far_mem), Rm, V).with(ENDS | MEM_ONLY),
    e(sized!(stack::push_rm), Rm, Stack),
    UD,
];
const GROUP1A: [Entry; 8] = [e(sized!(stack::pop_rm), Rm, Stack), UD, UD, UD, UD, UD, UD, UD];
const GROUP11_8: [Entry; 8] =
    [e(sized!(mov::reg_imm; @mov::mem_imm), RmIb, Byte), UD, UD, UD, UD, UD, UD, UD];
const GROUP11: [Entry; 8] = [e(sized!(mov::reg_imm; @mov::mem_imm), RmIz, V), UD, UD, UD, UD, UD, UD, UD];

/// Conditional jumps by condition code; the sizes are those of the instruction pointer.
macro_rules! jcc_forms {
    ($($cc:literal)*) => {
        [$({
            const J: [Handler; 4] =
                [branch::jcc::<$cc, u16>, branch::jcc::<$cc, u16>, branch::jcc::<$cc, u32>, branch::jcc::<$cc, u64>];
            super::entry::Forms::same(J, J)
        }),*]
    };
}
pub(super) static JCC: [super::entry::Forms; 16] = jcc_forms!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// The table.
pub(crate) static ONE_BYTE: [Entry; 256] = {
    let mut t = [UD; 256];
    alu_row!(t, 0x00, Add, LOCKABLE);
    alu_row!(t, 0x08, Or, LOCKABLE);
    alu_row!(t, 0x10, Adc, LOCKABLE);
    alu_row!(t, 0x18, Sbb, LOCKABLE);
    alu_row!(t, 0x20, And, LOCKABLE);
    alu_row!(t, 0x28, Sub, LOCKABLE);
    alu_row!(t, 0x30, Xor, LOCKABLE);
    alu_row!(t, 0x38, Cmp, 0);
    // PUSH and POP of ES, CS, SS, DS; there is no POP CS.
    let mut s = 0;
    while s < 4 {
        t[0x06 + s * 8] = e(one!(seg::push_sreg), Args::None, Stack).with(NO64).extra(s as u8);
        if s != 1 {
            t[0x07 + s * 8] = e(one!(seg::pop_sreg), Args::None, Stack).with(NO64).extra(s as u8);
        }
        s += 1;
    }
    t[0x27] = e(one!(bcd::daa), Args::None, Byte).with(NO64);
    t[0x2f] = e(one!(bcd::das), Args::None, Byte).with(NO64);
    t[0x37] = e(one!(bcd::aaa), Args::None, Byte).with(NO64);
    t[0x3f] = e(one!(bcd::aas), Args::None, Byte).with(NO64);
    let mut r = 0;
    while r < 8 {
        t[0x40 + r] = e(sized!(alu::unary_reg, Inc), OpReg, V).with(NO64);
        t[0x48 + r] = e(sized!(alu::unary_reg, Dec), OpReg, V).with(NO64);
        t[0x50 + r] = e(sized!(stack::push_reg), OpReg, Stack);
        t[0x58 + r] = e(sized!(stack::pop_reg), OpReg, Stack);
        t[0x90 + r] = e(sized!(atomic::xchg_reg), OpRegAcc, V);
        t[0xb0 + r] = e(sized!(mov::reg_imm), OpRegIv, Byte);
        t[0xb8 + r] = e(
            {
                const W: [Handler; 4] =
                    [mov::reg_imm::<u8>, mov::reg_imm::<u16>, mov::reg_imm::<u32>, mov::reg_imm64];
                const F: super::entry::Forms = super::entry::Forms::same(W, W);
                &F
            },
            OpRegIv,
            V,
        );
        r += 1;
    }
    t[0x60] = e(sized!(stack::pusha), Args::None, V).with(NO64);
    t[0x61] = e(sized!(stack::popa), Args::None, V).with(NO64);
    t[0x62] = e(sized!(misc::bound), Rm, V).with(NO64 | MEM_ONLY);
    t[0x63] = e(one!(sys::arpl), Rm, V).with(NO64 | ENDS);
    t[0x68] = e(sized!(stack::push_imm), Iz, Stack);
    t[0x69] = e(sized!(muldiv::imul_imm), RmIz, V);
    t[0x6a] = e(sized!(stack::push_imm), Args::Ib, Stack);
    t[0x6b] = e(sized!(muldiv::imul_imm), RmIb, V);
    t[0x6c] = e(one!(io::ins), Source, Byte).with(ENDS);
    t[0x6d] = e(one!(io::ins), Source, Io).with(ENDS);
    t[0x6e] = e(one!(io::outs), Source, Byte).with(ENDS);
    t[0x6f] = e(one!(io::outs), Source, Io).with(ENDS);
    let mut cc = 0;
    while cc < 16 {
        t[0x70 + cc] = e(&JCC[cc], Jb, Branch).with(CONDITIONAL);
        cc += 1;
    }
    t[0x80] = Entry::group(&GROUP1_IB8, Byte);
    t[0x81] = Entry::group(&GROUP1_IZ, V);
    t[0x82] = Entry::group(&GROUP1_IB8, Byte).with(NO64);
    t[0x83] = Entry::group(&GROUP1_IB, V);
    t[0x84] = e(sized!(alu::reg_reg, Test; @alu::mem_reg, Test), Rm, Byte);
    t[0x85] = e(sized!(alu::reg_reg, Test; @alu::mem_reg, Test), Rm, V);
    t[0x86] = e(sized!(atomic::xchg_reg; atomic::xchg_mem), Rm, Byte).with(LOCKABLE);
    t[0x87] = e(sized!(atomic::xchg_reg; atomic::xchg_mem), Rm, V).with(LOCKABLE);
    t[0x88] = e(sized!(mov::reg_reg; @mov::mem_reg), Rm, Byte);
    t[0x89] = e(sized!(mov::reg_reg; @mov::mem_reg), Rm, V);
    t[0x8a] = e(sized!(mov::reg_reg; @mov::reg_mem), Reg, Byte);
    t[0x8b] = e(sized!(mov::reg_reg; @mov::reg_mem), Reg, V);
    t[0x8c] = e(one!(seg::mov_from_sreg), RmSeg, V);
    t[0x8d] = e(sized!(mov::reg_reg; @mov::lea), Rm, V).with(MEM_ONLY);
    t[0x8e] = e(one!(seg::mov_to_sreg), RmSeg, V);
    t[0x8f] = Entry::group(&GROUP1A, Stack);
    t[0x98] = e(one!(mov::cbw), Args::None, V);
    t[0x99] = e(sized!(mov::cwd), Args::None, V);
    t[0x9a] = e(one!(far::call_far_imm), Ap, V).with(NO64 | ENDS);
    t[0x9b] = e(one!(control::wait), Args::None, V);
    t[0x9c] = e(sized!(stack::pushf), Args::None, Stack);
    t[0x9d] = e(sized!(stack::popf), Args::None, Stack);
    t[0x9e] = e(one!(mov::sahf), Args::None, Byte).needs(Need::Lahf64);
    t[0x9f] = e(one!(mov::lahf), Args::None, Byte).needs(Need::Lahf64);
    t[0xa0] = e(sized!(mov::reg_reg; @mov::reg_mem), Moffs, Byte);
    t[0xa1] = e(sized!(mov::reg_reg; @mov::reg_mem), Moffs, V);
    t[0xa2] = e(sized!(mov::reg_reg; @mov::mem_reg), Moffs, Byte);
    t[0xa3] = e(sized!(mov::reg_reg; @mov::mem_reg), Moffs, V);
    t[0xa4] = e(sized!(string::movs), Source, Byte).with(ENDS);
    t[0xa5] = e(sized!(string::movs), Source, V).with(ENDS);
    t[0xa6] = e(sized!(string::cmps), Source, Byte).with(ENDS);
    t[0xa7] = e(sized!(string::cmps), Source, V).with(ENDS);
    t[0xa8] = e(sized!(alu::reg_imm, Test), Args::Ib, Byte);
    t[0xa9] = e(sized!(alu::reg_imm, Test), Iz, V);
    t[0xaa] = e(sized!(string::stos), Source, Byte).with(ENDS);
    t[0xab] = e(sized!(string::stos), Source, V).with(ENDS);
    t[0xac] = e(sized!(string::lods), Source, Byte).with(ENDS);
    t[0xad] = e(sized!(string::lods), Source, V).with(ENDS);
    t[0xae] = e(sized!(string::scas), Source, Byte).with(ENDS);
    t[0xaf] = e(sized!(string::scas), Source, V).with(ENDS);
    t[0xc0] = Entry::group(&GROUP2_IMM8, Byte);
    t[0xc1] = Entry::group(&GROUP2_IMM, V);
    t[0xc2] = e(sized!(branch::ret), Iw, Branch).with(ENDS);
    t[0xc3] = e(sized!(branch::ret), Args::None, Branch).with(ENDS);
    t[0xc4] = e(one!(seg::load_far_pointer), Rm, V).with(NO64 | MEM_ONLY).extra(0);
    t[0xc5] = e(one!(seg::load_far_pointer), Rm, V).with(NO64 | MEM_ONLY).extra(3);
    t[0xc6] = Entry::group(&GROUP11_8, Byte);
    t[0xc7] = Entry::group(&GROUP11, V);
    t[0xc8] = e(sized!(stack::enter), IwIb, Stack);
    t[0xc9] = e(sized!(stack::leave), Args::None, Stack);
    t[0xca] = e(one!(far::ret_far), Iw, V).with(ENDS);
    t[0xcb] = e(one!(far::ret_far), Args::None, V).with(ENDS);
    t[0xcc] = e(one!(interrupt::int3), Args::None, V).with(ENDS);
    t[0xcd] = e(one!(interrupt::int_n), Args::Ib, V).with(ENDS);
    t[0xce] = e(one!(interrupt::into), Args::None, V).with(NO64 | ENDS);
    t[0xcf] = e(one!(iret::iret), Args::None, V).with(ENDS);
    t[0xd0] = Entry::group(&GROUP2_ONE8, Byte);
    t[0xd1] = Entry::group(&GROUP2_ONE, V);
    t[0xd2] = Entry::group(&GROUP2_CL8, Byte);
    t[0xd3] = Entry::group(&GROUP2_CL, V);
    t[0xd4] = e(one!(bcd::aam), Args::Ib, Byte).with(NO64);
    t[0xd5] = e(one!(bcd::aad), Args::Ib, Byte).with(NO64);
    t[0xd6] = e(one!(misc::salc), Args::None, Byte).with(NO64);
    t[0xd7] = e(one!(mov::xlat), Source, Byte);
    x87::fill(&mut t);
    t[0xe0] = e(sized!(branch::loop_cc), Jb, Branch).with(ENDS).extra(0);
    t[0xe1] = e(sized!(branch::loop_cc), Jb, Branch).with(ENDS).extra(1);
    t[0xe2] = e(sized!(branch::loop_cc), Jb, Branch).with(ENDS).extra(2);
    t[0xe3] = e(sized!(branch::jcxz), Jb, Branch).with(ENDS);
    t[0xe4] = e(one!(io::in_imm), Args::Ib, Byte);
    t[0xe5] = e(one!(io::in_imm), Args::Ib, Io);
    t[0xe6] = e(one!(io::out_imm), Args::Ib, Byte);
    t[0xe7] = e(one!(io::out_imm), Args::Ib, Io);
    t[0xe8] = e(sized!(branch::call), Jz, Branch).with(ENDS);
    t[0xe9] = e(sized!(branch::jmp), Jz, Branch).with(ENDS);
    t[0xea] = e(one!(far::jmp_far_imm), Ap, V).with(NO64 | ENDS);
    t[0xeb] = e(sized!(branch::jmp), Jb, Branch).with(ENDS);
    t[0xec] = e(one!(io::in_dx), Args::None, Byte);
    t[0xed] = e(one!(io::in_dx), Args::None, Io);
    t[0xee] = e(one!(io::out_dx), Args::None, Byte);
    t[0xef] = e(one!(io::out_dx), Args::None, Io);
    t[0xf1] = e(one!(interrupt::int1), Args::None, V).with(ENDS);
    t[0xf4] = e(one!(sys::hlt), Args::None, V).with(ENDS);
    t[0xf5] = e(one!(misc::cmc), Args::None, Byte);
    t[0xf6] = Entry::group(&GROUP3_8, Byte);
    t[0xf7] = Entry::group(&GROUP3, V);
    t[0xf8] = e(one!(misc::clc), Args::None, Byte);
    t[0xf9] = e(one!(misc::stc), Args::None, Byte);
    t[0xfa] = e(one!(sys::cli), Args::None, V);
    t[0xfb] = e(one!(sys::sti), Args::None, V);
    t[0xfc] = e(one!(misc::cld), Args::None, Byte);
    t[0xfd] = e(one!(misc::std), Args::None, Byte);
    t[0xfe] = Entry::group(&GROUP4, Byte);
    t[0xff] = Entry::group(&GROUP5, V);
    t
};

/// 63h in 64-bit mode.
pub(super) static MOVSXD: Entry = e(
    {
        const R: [Handler; 4] =
            [mov::movsx::<u32, u32>, mov::movsx::<u16, u16>, mov::movsx::<u32, u32>, mov::movsx::<u32, u64>];
        const M: [Handler; 4] = [
            mov::movsx_mem::<u32, u32, Segmented>,
            mov::movsx_mem::<u16, u16, Segmented>,
            mov::movsx_mem::<u32, u32, Segmented>,
            mov::movsx_mem::<u32, u64, Segmented>,
        ];
        const F: super::entry::Forms = super::entry::Forms::same(R, M);
        &F
    },
    Rm,
    V,
)
.with(ONLY64);

/// 90h without REX.B: NOP, and PAUSE with F3h.
pub(super) static NOP: Entry = e(one!(misc::nop), Args::None, V);
