//! The opcodes after 0Fh, 0F38h and 0F3Ah (SDM Vol. 2D appendix A.3, tables ).

use super::entry::{Args, BYTE_RM, CONDITIONAL, ENDS, Entry, Forms, LOCKABLE, MEM_ONLY, Size, UD};
use super::need::Need;
use super::table1::JCC;
use super::x87::{EMMS, FXRSTOR, FXSAVE, LDMXCSR, STMXCSR, XRSTOR_LFENCE, XSAVE, XSAVEOPT_MFENCE};
use super::{sse, system};
use crate::operand::{Flat, Segmented};
use crate::ops::bit::{self, Bt, Btc, Btr, Bts};
use crate::ops::shift::{self, Shld, Shrd};
use crate::ops::{atomic, misc, mov, muldiv};
use crate::{control, cpuid, flush, msr, seg, sys, syscall};

use Args::{Jz, OpReg, Rm, RmCr, RmIb};
use Size::{Branch, Byte, Native, Stack, V, Y};

const fn e(forms: &'static Forms, args: Args, size: Size) -> Entry {
    Entry::new(forms, args, size)
}

const fn sys_entry(forms: &'static Forms, flags: u8) -> Entry {
    e(forms, Rm, V).with(ENDS | flags)
}

const GROUP6: [Entry; 8] = [
    sys_entry(one!(sys::sldt), 0),
    sys_entry(one!(sys::str), 0),
    sys_entry(one!(sys::lldt), 0),
    sys_entry(one!(sys::ltr), 0),
    sys_entry(one!(sys::verr), 0),
    sys_entry(one!(sys::verw), 0),
    UD,
    UD,
];
const GROUP7: [Entry; 8] = [
    sys_entry(one!(sys::sgdt), MEM_ONLY),
    sys_entry(one!(sys::sidt), MEM_ONLY),
    sys_entry(one!(sys::lgdt), MEM_ONLY),
    sys_entry(one!(sys::lidt), MEM_ONLY),
    sys_entry(one!(sys::smsw), 0),
    UD,
    sys_entry(one!(sys::lmsw), 0),
    sys_entry(one!(flush::invlpg), MEM_ONLY),
];
const GROUP8: [Entry; 8] = [
    UD,
    UD,
    UD,
    UD,
    e(sized!(bit::by_imm, Bt), RmIb, V),
    e(sized!(bit::by_imm, Bts), RmIb, V).with(LOCKABLE),
    e(sized!(bit::by_imm, Btr), RmIb, V).with(LOCKABLE),
    e(sized!(bit::by_imm, Btc), RmIb, V).with(LOCKABLE),
];
const NOP: Entry = e(one!(misc::nop), Rm, V);
/// Group 15 without prefix: FXSAVE and its kin; the fences; CLFLUSH.
const GROUP15: [Entry; 8] =
    [FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, XSAVE, XRSTOR_LFENCE, XSAVEOPT_MFENCE, system::SFENCE_CLFLUSH];
const GROUP15_ROW: [Entry; 4] = [
    Entry::group(&GROUP15, V),
    Entry::group(&system::GROUP15_66, V),
    Entry::group(&system::GROUP15_F3, V),
    UD,
];

/// MOVZX and MOVSX by destination size.
macro_rules! extend {
    ($reg:ident, $mem:ident, $s:ty) => {{
        const F: Forms = Forms {
            reg: [mov::$reg::<$s, u16>, mov::$reg::<$s, u16>, mov::$reg::<$s, u32>, mov::$reg::<$s, u64>],
            mem: [
                mov::$mem::<$s, u16, Segmented>,
                mov::$mem::<$s, u16, Segmented>,
                mov::$mem::<$s, u32, Segmented>,
                mov::$mem::<$s, u64, Segmented>,
            ],
            flat: [
                mov::$mem::<$s, u16, Flat>,
                mov::$mem::<$s, u16, Flat>,
                mov::$mem::<$s, u32, Flat>,
                mov::$mem::<$s, u64, Flat>,
            ],
        };
        &F
    }};
}

/// The table.
pub(crate) static TWO_BYTE: [Entry; 256] = {
    let mut t = [UD; 256];
    t[0x00] = Entry::group(&GROUP6, V);
    t[0x01] = Entry::group(&GROUP7, V);
    t[0x02] = e(one!(sys::lar), Rm, V);
    t[0x03] = e(one!(sys::lsl), Rm, V);
    t[0x05] = e(one!(syscall::syscall), Args::None, V).with(ENDS).needs(Need::Syscall);
    t[0x06] = e(one!(sys::clts), Args::None, V);
    t[0x07] = e(one!(syscall::sysret), Args::None, V).with(ENDS).needs(Need::Syscall);
    t[0x08] = e(one!(sys::invd), Args::None, V).with(ENDS);
    t[0x09] = e(one!(sys::wbinvd), Args::None, V).with(ENDS);
    t[0x0d] = NOP;
    // Prefetches and reserved NOPs.
    let mut i = 0x18;
    while i < 0x20 {
        t[i] = NOP;
        i += 1;
    }
    t[0x20] = e(one!(control::mov_from_cr), RmCr, Native).with(ENDS);
    t[0x21] = e(one!(control::mov_from_dr), RmCr, Native).with(ENDS);
    t[0x22] = e(one!(control::mov_to_cr), RmCr, Native).with(ENDS);
    t[0x23] = e(one!(control::mov_to_dr), RmCr, Native).with(ENDS);
    t[0x30] = e(one!(msr::wrmsr), Args::None, V).with(ENDS).needs(Need::Msr);
    t[0x31] = e(one!(msr::rdtsc), Args::None, V).needs(Need::Tsc);
    t[0x32] = e(one!(msr::rdmsr), Args::None, V).with(ENDS).needs(Need::Msr);
    t[0x33] = e(one!(msr::rdpmc), Args::None, V).with(ENDS);
    t[0x34] = e(one!(syscall::sysenter), Args::None, V).with(ENDS).needs(Need::Sep);
    t[0x35] = e(one!(syscall::sysexit), Args::None, V).with(ENDS).needs(Need::Sep);
    i = 0;
    while i < 16 {
        t[0x40 + i] = e(sized!(mov::cmov), Rm, V).extra(i as u8).needs(Need::Cmov);
        t[0x80 + i] = e(&JCC[i], Jz, Branch).with(CONDITIONAL);
        t[0x90 + i] = e(one!(mov::setcc), Rm, Byte).extra(i as u8);
        i += 1;
    }
    t[0x77] = Entry::prefixed(&[EMMS, UD, UD, UD]);
    t[0xa0] = e(one!(seg::push_sreg), Args::None, Stack).extra(4);
    t[0xa1] = e(one!(seg::pop_sreg), Args::None, Stack).extra(4);
    t[0xa2] = e(one!(cpuid::cpuid), Args::None, V);
    t[0xa3] = e(sized!(bit::by_reg, Bt), Rm, V);
    t[0xa4] = e(sized!(shift::double_imm, Shld), RmIb, V);
    t[0xa5] = e(sized!(shift::double_cl, Shld), Rm, V);
    t[0xa8] = e(one!(seg::push_sreg), Args::None, Stack).extra(5);
    t[0xa9] = e(one!(seg::pop_sreg), Args::None, Stack).extra(5);
    t[0xab] = e(sized!(bit::by_reg, Bts), Rm, V).with(LOCKABLE);
    t[0xac] = e(sized!(shift::double_imm, Shrd), RmIb, V);
    t[0xad] = e(sized!(shift::double_cl, Shrd), Rm, V);
    t[0xae] = Entry::prefixed(&GROUP15_ROW);
    t[0xaf] = e(sized!(muldiv::imul_reg), Rm, V);
    t[0xb0] = e(sized!(atomic::cmpxchg), Rm, Byte).with(LOCKABLE);
    t[0xb1] = e(sized!(atomic::cmpxchg), Rm, V).with(LOCKABLE);
    t[0xb2] = e(one!(seg::load_far_pointer), Rm, V).with(MEM_ONLY).extra(2);
    t[0xb3] = e(sized!(bit::by_reg, Btr), Rm, V).with(LOCKABLE);
    t[0xb4] = e(one!(seg::load_far_pointer), Rm, V).with(MEM_ONLY).extra(4);
    t[0xb5] = e(one!(seg::load_far_pointer), Rm, V).with(MEM_ONLY).extra(5);
    t[0xb6] = e(extend!(movzx, movzx_mem, u8), Rm, V).with(BYTE_RM);
    t[0xb7] = e(extend!(movzx, movzx_mem, u16), Rm, V);
    t[0xb9] = e(one!(misc::ud), Rm, V).with(ENDS);
    t[0xba] = Entry::group(&GROUP8, V);
    t[0xbb] = e(sized!(bit::by_reg, Btc), Rm, V).with(LOCKABLE);
    t[0xbc] = e(sized!(bit::bsf), Rm, V);
    t[0xbd] = e(sized!(bit::bsr), Rm, V);
    t[0xbe] = e(extend!(movsx, movsx_mem, u8), Rm, V).with(BYTE_RM);
    t[0xbf] = e(extend!(movsx, movsx_mem, u16), Rm, V);
    t[0xc0] = e(sized!(atomic::xadd), Rm, Byte).with(LOCKABLE);
    t[0xc1] = e(sized!(atomic::xadd), Rm, V).with(LOCKABLE);
    t[0xc3] = e(sized!(mov::reg_reg; @mov::mem_reg), Rm, Y).with(MEM_ONLY).needs(Need::Sse2);
    t[0xc7] = system::GROUP9;
    i = 0;
    while i < 8 {
        t[0xc8 + i] = e(sized!(bit::bswap), OpReg, V);
        i += 1;
    }
    t[0xff] = e(one!(misc::ud), Rm, V).with(ENDS);
    sse::fill(&mut t);
    t
};

/// F3 0F B8.
pub(super) static POPCNT: Entry = e(sized!(bit::popcnt), Rm, V).needs(Need::Popcnt);

const MOVBE_LOAD: Entry = e(sized!(bit::movbe_load), Rm, V).with(MEM_ONLY).needs(Need::Movbe);
const MOVBE_STORE: Entry = e(sized!(bit::movbe_store), Rm, V).with(MEM_ONLY).needs(Need::Movbe);
const CRC32_BYTE: Entry = e(one!(bit::crc32_byte), Rm, V).with(BYTE_RM).needs(Need::Sse42);
const CRC32: Entry = e(sized!(bit::crc32), Rm, V).needs(Need::Sse42);
pub(super) static UNDEFINED: Entry = UD;

/// 0F 38. 66h before MOVBE and CRC32 is their operand size.
pub(super) static THREE_BYTE_38: [Entry; 256] = {
    let mut t = [UD; 256];
    sse::fill_38(&mut t);
    t[0x82] = Entry::prefixed(&[UD, system::INVPCID, UD, UD]);
    t[0xf0] = Entry::prefixed(&[MOVBE_LOAD, MOVBE_LOAD, UD, CRC32_BYTE]);
    t[0xf1] = Entry::prefixed(&[MOVBE_STORE, MOVBE_STORE, UD, CRC32]);
    t
};

/// 0F 3A: SSE only.
pub(super) static THREE_BYTE_3A: [Entry; 256] = {
    let mut t = [UD; 256];
    sse::fill_3a(&mut t);
    t
};
