//! MMX and SSE opcodes by mandatory prefix (SDM Vol. 2D appendix A.3, tables ).
//!
//! A row of four entries, for no prefix, 66h, F3h and F2h, stands where the other opcodes have one. Without prefix most
//! packed integer operations are MMX, with 66h SSE.

use super::entry::{Args, Entry, Forms, MEM_ONLY, REG_ONLY, Size, UD};
use super::need::Need::{self, Aes, Mmx, Pclmulqdq, Sse, Sse2, Sse3, Sse41, Sse42, Ssse3};
use crate::op::Handler;
use crate::simd::approximate::{Approximate, ApproximateSingle, Reciprocal, ReciprocalRoot};
use crate::simd::convert::{
    DqToPd, DqToPs, PdToDq, PdToDqTruncated, PdToPs, PsToDq, PsToDqTruncated, PsToPd, SdToSs, SsToSd,
};
use crate::simd::float::{
    Add, AddSub, Compare, Div, DotProduct, Horizontal, Max, Min, Mul, Packed, Round, Single, Sqrt, Sub,
};
use crate::simd::lanewise::*;
use crate::simd::moves::{
    HighToLow, LowDouble, LowQuad, LowSingle, LowToHigh, Movddup, Movshdup, Movsldup, Whole,
};
use crate::simd::multiply::*;
use crate::simd::shape::{self, M16, M32, M64, M128, U128};
use crate::simd::shift::*;
use crate::simd::shuffle::*;
use crate::simd::{convert, crypto::*, element, float, moves, text};

use Args::{Rm, RmIb};
use Size::{V, Y};

/// The four prefixes.
type Row = [Entry; 4];

/// Each entry with the feature that it belongs to.
const fn needing(row: Row, needs: [Need; 4]) -> Row {
    let [none, p66, f3, f2] = row;
    [none.needs(needs[0]), p66.needs(needs[1]), f3.needs(needs[2]), f2.needs(needs[3])]
}

/// An opcode that is a row. The features that its entries belong to stand in front, the last one for all that follow.
macro_rules! row {
    ($a:ident; $($entries:tt)*) => { row!($a $a $a $a; $($entries)*) };
    ($a:ident $b:ident; $($entries:tt)*) => { row!($a $b $b $b; $($entries)*) };
    ($a:ident $b:ident $c:ident; $($entries:tt)*) => { row!($a $b $c $c; $($entries)*) };
    ($a:ident $b:ident $c:ident $d:ident; $none:expr, $p66:expr, $f3:expr, $f2:expr) => {{
        const ROW: Row = needing([$none, $p66, $f3, $f2], [$a, $b, $c, $d]);
        Entry::prefixed(&ROW)
    }};
}

/// XMM with XMM or memory.
macro_rules! xmm {
    ($op:ty) => { xmm!($op, M128, Rm) };
    ($op:ty, $memory:ty) => { xmm!($op, $memory, Rm) };
    ($op:ty, $memory:ty, $args:expr) => { xmm!($op, $args; $op, $memory) };
    ($op:ty, $args:expr; $with_memory:ty, $memory:ty) => {{
        const F: Forms = Forms::same([shape::reg::<$op>; 4], [shape::mem::<$with_memory, $memory>; 4]);
        Entry::new(&F, $args, V)
    }};
}

/// XMM with XMM or memory: an operation that MXCSR governs.
macro_rules! float {
    ($op:ty, $memory:ty) => {
        float!($op, $memory, Rm)
    };
    ($op:ty, $memory:ty, $args:expr) => {{
        const F: Forms = Forms::same([float::reg::<$op>; 4], [float::mem::<$op, $memory>; 4]);
        Entry::new(&F, $args, V)
    }};
}

/// An operation on packed singles, packed doubles, a single, a double.
macro_rules! four {
    ($op:ty) => { four!($op, Rm) };
    ($op:ty, $args:expr) => {
        row!(
            Sse Sse2 Sse Sse2;
            float!(Packed<$op, u32>, M128, $args),
            float!(Packed<$op, u64>, M128, $args),
            float!(Single<$op, u32>, M32, $args),
            float!(Single<$op, u64>, M64, $args)
        )
    };
}

/// MMX with MMX or memory.
macro_rules! mmx {
    ($op:ty) => {
        mmx!($op, M64, Rm)
    };
    ($op:ty, $memory:ty, $args:expr) => {{
        const F: Forms = Forms::same([shape::mmx::<$op, $memory>; 4], [shape::mmx::<$op, $memory>; 4]);
        Entry::new(&F, $args, V)
    }};
}

/// One handler for a register operand, another for memory.
macro_rules! forms {
    ($reg:expr, $mem:expr) => {
        forms!($reg, $mem, Rm)
    };
    ($reg:expr, $mem:expr, $args:expr) => {{
        const F: Forms = Forms::same([$reg; 4], [$mem; 4]);
        Entry::new(&F, $args, V)
    }};
}

/// One handler for all.
macro_rules! any {
    ($f:expr) => {
        any!($f, Rm)
    };
    ($f:expr, $args:expr) => {
        forms!($f, $f, $args)
    };
}

/// A handler with a general register of 32 or 64 bits.
macro_rules! general {
    ($m:ident :: $f:ident, $args:expr) => {{
        const H: [Handler; 4] = [$m::$f::<u32>, $m::$f::<u32>, $m::$f::<u32>, $m::$f::<u64>];
        const F: Forms = Forms::same(H, H);
        Entry::new(&F, $args, Y)
    }};
}

/// String comparisons: REX.W chooses the width of the lengths.
macro_rules! string {
    ($f:expr) => {
        Entry { size: Y, ..any!($f, RmIb) }
    };
}

/// MMX without prefix, SSE with 66h.
macro_rules! both {
    ($t:ident $mmx:ident $xmm:ident: $($at:literal $op:ident)*) => {
        $($t[$at] = row!($mmx $xmm; mmx!($op), xmm!($op), UD, UD);)*
    };
}

/// 66h alone, memory 16 bytes.
macro_rules! only66 {
    ($t:ident $need:ident: $($at:literal $op:ident)*) => {
        $($t[$at] = row!($need; UD, xmm!($op), UD, UD);)*
    };
}

/// 66h alone, memory as wide as named.
macro_rules! widening {
    ($t:ident $need:ident: $($at:literal $op:ident $memory:ident)*) => {
        $($t[$at] = row!($need; UD, xmm!($op, $memory), UD, UD);)*
    };
}

/// 66h alone, with an immediate.
macro_rules! imm66 {
    ($t:ident $need:ident: $($at:literal $op:ident)*) => {
        $($t[$at] = row!($need; UD, xmm!($op, M128, RmIb), UD, UD);)*
    };
}

/// Shifts by an immediate: groups 12, 13 and 14, `by ModRM reg`.
macro_rules! shifts {
    ($handler:ident: $($reg:literal $op:ident)*) => {{
        const GROUP: [Entry; 8] = {
            let mut g = [UD; 8];
            $(g[$reg] = any!(shape::$handler::<$op>, RmIb).with(REG_ONLY);)*
            g
        };
        Entry::group(&GROUP, V)
    }};
}

/// Enters the opcodes after 0Fh.
pub(super) const fn fill(t: &mut [Entry; 256]) {
    both! { t Mmx Sse2:
        0x63 Packsswb 0x64 Pcmpgtb 0x65 Pcmpgtw 0x66 Pcmpgtd 0x67 Packuswb 0x68 Punpckhbw 0x69 Punpckhwd
        0x6a Punpckhdq 0x6b Packssdw 0x74 Pcmpeqb 0x75 Pcmpeqw 0x76 Pcmpeqd
        0xd1 Psrlw 0xd2 Psrld 0xd3 Psrlq 0xd5 Pmullw 0xd8 Psubusb 0xd9 Psubusw 0xdb And
        0xdc Paddusb 0xdd Paddusw 0xdf AndNot 0xe1 Psraw 0xe2 Psrad
        0xe5 Pmulhw 0xe8 Psubsb 0xe9 Psubsw 0xeb Or 0xec Paddsb 0xed Paddsw 0xef Xor
        0xf1 Psllw 0xf2 Pslld 0xf3 Psllq 0xf5 Pmaddwd 0xf8 Psubb 0xf9 Psubw 0xfa Psubd
        0xfc Paddb 0xfd Paddw 0xfe Paddd
    }
    // What SSE and SSE2 brought for MMX registers.
    both! { t Sse Sse2:
        0xda Pminub 0xde Pmaxub 0xe0 Pavgb 0xe3 Pavgw 0xe4 Pmulhuw 0xea Pminsw 0xee Pmaxsw 0xf6 Psadbw
    }
    both! { t Sse2 Sse2: 0xd4 Paddq 0xf4 Pmuludq 0xfb Psubq }
    // MMX reads only what it needs of memory.
    t[0x60] = row!(Mmx Sse2; mmx!(Punpcklbw, M32, Rm), xmm!(Punpcklbw), UD, UD);
    t[0x61] = row!(Mmx Sse2; mmx!(Punpcklwd, M32, Rm), xmm!(Punpcklwd), UD, UD);
    t[0x62] = row!(Mmx Sse2; mmx!(Punpckldq, M32, Rm), xmm!(Punpckldq), UD, UD);
    only66! { t Sse2: 0x6c Punpcklqdq 0x6d Punpckhqdq }
    t[0x70] = row!(
        Sse Sse2;
        mmx!(Pshuflw, M64, RmIb),
        xmm!(Pshufd, M128, RmIb),
        xmm!(Pshufhw, M128, RmIb),
        xmm!(Pshuflw, M128, RmIb)
    );
    t[0x71] = row!(Mmx Sse2; shifts!(mmx_by_imm: 2 Psrlw 4 Psraw 6 Psllw), shifts!(by_imm: 2 Psrlw 4 Psraw 6 Psllw), UD, UD);
    t[0x72] = row!(Mmx Sse2; shifts!(mmx_by_imm: 2 Psrld 4 Psrad 6 Pslld), shifts!(by_imm: 2 Psrld 4 Psrad 6 Pslld), UD, UD);
    t[0x73] = row!(
        Mmx Sse2;
        shifts!(mmx_by_imm: 2 Psrlq 6 Psllq),
        shifts!(by_imm: 2 Psrlq 3 Psrldq 6 Psllq 7 Pslldq),
        UD,
        UD
    );
    t[0xc4] =
        row!(Sse Sse2; any!(element::mmx_insert_word, RmIb), any!(element::insert::<u16>, RmIb), UD, UD);
    t[0xc5] = row!(
        Sse Sse2;
        any!(element::mmx_extract_word, RmIb).with(REG_ONLY),
        any!(element::extract_word, RmIb).with(REG_ONLY),
        UD,
        UD
    );
    t[0xc6] = row!(Sse Sse2; xmm!(Shufps, M128, RmIb), xmm!(Shufpd, M128, RmIb), UD, UD);
    t[0xd7] = row!(Sse Sse2; any!(element::mmx_byte_mask).with(REG_ONLY), any!(element::byte_mask).with(REG_ONLY), UD, UD);
    fill_moves(t);
    fill_logic(t);
    fill_float(t);
    fill_conversions(t);
}

/// MOVxx.
const fn fill_moves(t: &mut [Entry; 256]) {
    const LOAD: Entry = xmm!(Whole, U128);
    const ALIGNED_LOAD: Entry = xmm!(Whole, M128);
    const STORE: Entry = forms!(moves::to_reg::<Whole>, moves::to_mem::<U128>);
    const ALIGNED_STORE: Entry = forms!(moves::to_reg::<Whole>, moves::to_mem::<M128>);
    const STREAM: Entry = ALIGNED_STORE.with(MEM_ONLY);
    const STORE_HALF: Entry = forms!(moves::to_reg::<LowQuad>, moves::to_mem::<M64>);
    const LOAD_LOW: Entry = xmm!(LowDouble, M64).with(MEM_ONLY);
    const LOAD_HIGH: Entry = xmm!(LowToHigh, M64).with(MEM_ONLY);
    const STORE_LOW: Entry = STORE_HALF.with(MEM_ONLY);
    const STORE_HIGH: Entry = any!(moves::high_to_mem::<M64>).with(MEM_ONLY);
    t[0x10] =
        row!(Sse Sse2 Sse Sse2; LOAD, LOAD, xmm!(LowSingle, Rm; Whole, M32), xmm!(LowDouble, Rm; Whole, M64));
    t[0x11] = row!(
        Sse Sse2 Sse Sse2;
        STORE,
        STORE,
        forms!(moves::to_reg::<LowSingle>, moves::to_mem::<M32>),
        forms!(moves::to_reg::<LowDouble>, moves::to_mem::<M64>)
    );
    t[0x12] = row!(Sse Sse2 Sse3; xmm!(HighToLow, Rm; LowDouble, M64), LOAD_LOW, xmm!(Movsldup), xmm!(Movddup, M64));
    t[0x13] = row!(Sse Sse2; STORE_LOW, STORE_LOW, UD, UD);
    t[0x16] = row!(Sse Sse2 Sse3; xmm!(LowToHigh, M64), LOAD_HIGH, xmm!(Movshdup), UD);
    t[0x17] = row!(Sse Sse2; STORE_HIGH, STORE_HIGH, UD, UD);
    t[0x28] = row!(Sse Sse2; ALIGNED_LOAD, ALIGNED_LOAD, UD, UD);
    t[0x29] = row!(Sse Sse2; ALIGNED_STORE, ALIGNED_STORE, UD, UD);
    t[0x2b] = row!(Sse Sse2; STREAM, STREAM, UD, UD);
    t[0x50] = row!(Sse Sse2; any!(element::single_mask).with(REG_ONLY), any!(element::double_mask).with(REG_ONLY), UD, UD);
    t[0x6e] =
        row!(Mmx Sse2; general!(moves::mmx_from_general, Rm), general!(moves::from_general, Rm), UD, UD);
    t[0x6f] = row!(Mmx Sse2; mmx!(Whole), ALIGNED_LOAD, LOAD, UD);
    t[0x7e] = row!(Mmx Sse2; general!(moves::mmx_to_general, Rm), general!(moves::to_general, Rm), xmm!(LowQuad, M64), UD);
    t[0x7f] = row!(Mmx Sse2; any!(moves::mmx_to_rm), ALIGNED_STORE, STORE, UD);
    t[0xd6] =
        row!(Sse2; UD, STORE_HALF, any!(moves::movq2dq).with(REG_ONLY), any!(moves::movdq2q).with(REG_ONLY));
    t[0xe7] = row!(Sse Sse2; any!(moves::mmx_to_rm).with(MEM_ONLY), STREAM, UD, UD);
    t[0xf0] = row!(Sse3; UD, UD, UD, LOAD.with(MEM_ONLY));
    t[0xf7] =
        row!(Sse Sse2; any!(moves::maskmovq).with(REG_ONLY), any!(moves::maskmovdqu).with(REG_ONLY), UD, UD);
}

/// Operations on floating-point vectors that do no arithmetic.
const fn fill_logic(t: &mut [Entry; 256]) {
    t[0x14] = row!(Sse Sse2; xmm!(Punpckldq), xmm!(Punpcklqdq), UD, UD);
    t[0x15] = row!(Sse Sse2; xmm!(Punpckhdq), xmm!(Punpckhqdq), UD, UD);
    t[0x54] = row!(Sse Sse2; xmm!(And), xmm!(And), UD, UD);
    t[0x55] = row!(Sse Sse2; xmm!(AndNot), xmm!(AndNot), UD, UD);
    t[0x56] = row!(Sse Sse2; xmm!(Or), xmm!(Or), UD, UD);
    t[0x57] = row!(Sse Sse2; xmm!(Xor), xmm!(Xor), UD, UD);
}

/// Floating-point arithmetic.
const fn fill_float(t: &mut [Entry; 256]) {
    t[0x2e] =
        row!(Sse Sse2; any!(float::comi::<u32, M32, true>), any!(float::comi::<u64, M64, true>), UD, UD);
    t[0x2f] =
        row!(Sse Sse2; any!(float::comi::<u32, M32, false>), any!(float::comi::<u64, M64, false>), UD, UD);
    t[0x51] = four!(Sqrt);
    t[0x52] =
        row!(Sse; xmm!(Approximate<ReciprocalRoot>), UD, xmm!(ApproximateSingle<ReciprocalRoot>, M32), UD);
    t[0x53] = row!(Sse; xmm!(Approximate<Reciprocal>), UD, xmm!(ApproximateSingle<Reciprocal>, M32), UD);
    t[0x58] = four!(Add);
    t[0x59] = four!(Mul);
    t[0x5c] = four!(Sub);
    t[0x5d] = four!(Min);
    t[0x5e] = four!(Div);
    t[0x5f] = four!(Max);
    t[0x7c] = row!(Sse3; UD, float!(Horizontal<Add, u64>, M128), UD, float!(Horizontal<Add, u32>, M128));
    t[0x7d] = row!(Sse3; UD, float!(Horizontal<Sub, u64>, M128), UD, float!(Horizontal<Sub, u32>, M128));
    t[0xc2] = four!(Compare, RmIb);
    t[0xd0] = row!(Sse3; UD, float!(AddSub<u64>, M128), UD, float!(AddSub<u32>, M128));
}

/// CVTxx2yy.
const fn fill_conversions(t: &mut [Entry; 256]) {
    t[0x2a] = row!(
        Sse Sse2 Sse Sse2;
        any!(convert::pi_to_ps),
        any!(convert::pi_to_pd),
        general!(convert::si_to_ss, Rm),
        general!(convert::si_to_sd, Rm)
    );
    t[0x2c] = row!(
        Sse Sse2 Sse Sse2;
        any!(convert::ps_to_pi_truncated),
        any!(convert::pd_to_pi_truncated),
        general!(convert::ss_to_si_truncated, Rm),
        general!(convert::sd_to_si_truncated, Rm)
    );
    t[0x2d] = row!(
        Sse Sse2 Sse Sse2;
        any!(convert::ps_to_pi),
        any!(convert::pd_to_pi),
        general!(convert::ss_to_si, Rm),
        general!(convert::sd_to_si, Rm)
    );
    t[0x5a] = row!(Sse2; float!(PsToPd, M64), float!(PdToPs, M128), float!(SsToSd, M32), float!(SdToSs, M64));
    t[0x5b] = row!(Sse2; float!(DqToPs, M128), float!(PsToDq, M128), float!(PsToDqTruncated, M128), UD);
    t[0xe6] = row!(Sse2; UD, float!(PdToDqTruncated, M128), float!(DqToPd, M64), float!(PdToDq, M128));
}

/// Enters the opcodes after 0F38h.
pub(super) const fn fill_38(t: &mut [Entry; 256]) {
    both! { t Ssse3 Ssse3:
        0x00 Pshufb 0x01 Phaddw 0x02 Phaddd 0x03 Phaddsw 0x04 Pmaddubsw 0x05 Phsubw 0x06 Phsubd 0x07 Phsubsw
        0x08 Psignb 0x09 Psignw 0x0a Psignd 0x0b Pmulhrsw 0x1c Pabsb 0x1d Pabsw 0x1e Pabsd
    }
    only66! { t Sse41:
        0x28 Pmuldq 0x29 Pcmpeqq 0x2b Packusdw 0x38 Pminsb 0x39 Pminsd 0x3a Pminuw 0x3b Pminud
        0x3c Pmaxsb 0x3d Pmaxsd 0x3e Pmaxuw 0x3f Pmaxud 0x40 Pmulld 0x41 Phminposuw
    }
    only66! { t Sse42: 0x37 Pcmpgtq }
    only66! { t Aes: 0xdb Aesimc 0xdc Aesenc 0xdd Aesenclast 0xde Aesdec 0xdf Aesdeclast }
    widening! { t Sse41:
        0x20 Pmovsxbw M64 0x21 Pmovsxbd M32 0x22 Pmovsxbq M16 0x23 Pmovsxwd M64 0x24 Pmovsxwq M32 0x25 Pmovsxdq M64
        0x30 Pmovzxbw M64 0x31 Pmovzxbd M32 0x32 Pmovzxbq M16 0x33 Pmovzxwd M64 0x34 Pmovzxwq M32 0x35 Pmovzxdq M64
    }
    t[0x10] = row!(Sse41; UD, any!(element::blend_by_xmm0::<i8, M128>), UD, UD);
    t[0x14] = row!(Sse41; UD, any!(element::blend_by_xmm0::<i32, M128>), UD, UD);
    t[0x15] = row!(Sse41; UD, any!(element::blend_by_xmm0::<i64, M128>), UD, UD);
    t[0x17] = row!(Sse41; UD, any!(element::ptest::<M128>), UD, UD);
    t[0x2a] = row!(Sse41; UD, xmm!(Whole).with(MEM_ONLY), UD, UD);
}

/// Enters the opcodes after 0F3Ah.
pub(super) const fn fill_3a(t: &mut [Entry; 256]) {
    imm66! { t Sse41: 0x0c Blendps 0x0d Blendpd 0x0e Pblendw 0x42 Mpsadbw }
    imm66! { t Aes: 0xdf Aeskeygenassist }
    t[0x44] = row!(Pclmulqdq; UD, xmm!(crate::simd::multiply::Pclmulqdq, M128, RmIb), UD, UD);
    t[0x08] = row!(Sse41; UD, float!(Packed<Round, u32>, M128, RmIb), UD, UD);
    t[0x09] = row!(Sse41; UD, float!(Packed<Round, u64>, M128, RmIb), UD, UD);
    t[0x0a] = row!(Sse41; UD, float!(Single<Round, u32>, M32, RmIb), UD, UD);
    t[0x0b] = row!(Sse41; UD, float!(Single<Round, u64>, M64, RmIb), UD, UD);
    t[0x40] = row!(Sse41; UD, float!(DotProduct<u32>, M128, RmIb), UD, UD);
    t[0x41] = row!(Sse41; UD, float!(DotProduct<u64>, M128, RmIb), UD, UD);
    t[0x0f] = row!(Ssse3; mmx!(Palignr, M64, RmIb), xmm!(Palignr, M128, RmIb), UD, UD);
    t[0x14] = row!(Sse41; UD, any!(element::extract::<u8>, RmIb), UD, UD);
    t[0x15] = row!(Sse41; UD, any!(element::extract::<u16>, RmIb), UD, UD);
    t[0x16] = row!(Sse41; UD, general!(element::extract, RmIb), UD, UD);
    t[0x17] = row!(Sse41; UD, any!(element::extract::<u32>, RmIb), UD, UD);
    t[0x20] = row!(Sse41; UD, any!(element::insert::<u8>, RmIb), UD, UD);
    t[0x21] = row!(Sse41; UD, xmm!(Insertps, RmIb; InsertpsMem, M32), UD, UD);
    t[0x22] = row!(Sse41; UD, general!(element::insert, RmIb), UD, UD);
    t[0x60] = row!(Sse42; UD, string!(text::pcmpestrm), UD, UD);
    t[0x61] = row!(Sse42; UD, string!(text::pcmpestri), UD, UD);
    t[0x62] = row!(Sse42; UD, string!(text::pcmpistrm), UD, UD);
    t[0x63] = row!(Sse42; UD, string!(text::pcmpistri), UD, UD);
}
