//! The host's SSE and x87, one instruction at a time.
#![allow(unsafe_code)]

use core::arch::asm;

use crate::fpu::state::F80;

macro_rules! sse {
    ($($name:ident $t:ty: $ins:literal;)*) => {$(
        pub(in super::super) fn $name(a: $t, b: $t, mxcsr: u32) -> ($t, u32) {
            let (mut result, mut saved, mut csr) = (u128::from(a), 0u32, mxcsr);
            let b = u128::from(b);
            // SAFETY: touches what is named only; the host's MXCSR is put back.
            unsafe {
                asm!(
                    "stmxcsr [{s}]",
                    "ldmxcsr [{c}]",
                    "movdqu xmm0, [{r}]",
                    "movdqu xmm1, [{b}]",
                    $ins,
                    "movdqu [{r}], xmm0",
                    "stmxcsr [{c}]",
                    "ldmxcsr [{s}]",
                    s = in(reg) &mut saved, c = in(reg) &mut csr, r = in(reg) &mut result, b = in(reg) &b,
                    out("xmm0") _, out("xmm1") _, out("rax") _,
                );
            }
            (result as $t, csr & 0x3f)
        }
    )*};
}
sse! {
    addss u32: "addss xmm0, xmm1";
    subss u32: "subss xmm0, xmm1";
    mulss u32: "mulss xmm0, xmm1";
    divss u32: "divss xmm0, xmm1";
    minss u32: "minss xmm0, xmm1";
    maxss u32: "maxss xmm0, xmm1";
    sqrtss u32: "sqrtss xmm0, xmm0";
    addsd u64: "addsd xmm0, xmm1";
    subsd u64: "subsd xmm0, xmm1";
    mulsd u64: "mulsd xmm0, xmm1";
    divsd u64: "divsd xmm0, xmm1";
    minsd u64: "minsd xmm0, xmm1";
    maxsd u64: "maxsd xmm0, xmm1";
    sqrtsd u64: "sqrtsd xmm0, xmm0";
    cvtss2sd64 u64: "cvtss2sd xmm0, xmm0";
    cvtsd2ss u64: "cvtsd2ss xmm0, xmm0";
    cvtsi2ss u64: "cvtsi2ss xmm0, qword ptr [{b}]";
    cvtsi2sd u64: "cvtsi2sd xmm0, qword ptr [{b}]";
    cvtsd2dq u64: "cvtpd2dq xmm0, xmm0";
    cvttsd2dq u64: "cvttpd2dq xmm0, xmm0";
    cvtps2dq u32: "cvtps2dq xmm0, xmm0";
    roundsd u64: "roundsd xmm0, xmm0, 4";
    roundss u32: "roundss xmm0, xmm0, 4";
    // The carry, parity and zero flags of the comparison in bits 0, 2 and 6 of the result.
    ucomisd u64: "ucomisd xmm0, xmm1\npushfq\npop rax\nand eax, 69\nmovq xmm0, rax";
    comisd u64: "comisd xmm0, xmm1\npushfq\npop rax\nand eax, 69\nmovq xmm0, rax";
}

macro_rules! x87 {
    ($($name:ident: $ins:literal;)*) => {$(
        /// Pushes `b`, pushes `a`, executes; returns ST(0) and the status word.
        pub(in super::super) fn $name(a: F80, b: F80, cw: u16) -> (F80, u16) {
            let (a, b, mut sw) = (a.bits(), b.bits(), 0u16);
            let mut r = 0u128;
            // SAFETY: touches what is named only; leaves the FPU as after FNINIT.
            unsafe {
                asm!(
                    "fninit",
                    "fld tbyte ptr [{b}]",
                    "fld tbyte ptr [{a}]",
                    "fldcw word ptr [{c}]",
                    $ins,
                    "fnstsw word ptr [{s}]",
                    "fnclex",
                    "fstp tbyte ptr [{r}]",
                    "fninit",
                    a = in(reg) &a, b = in(reg) &b, c = in(reg) &cw, s = in(reg) &mut sw, r = in(reg) &mut r,
                    out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                    out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                );
            }
            (F80::new((r >> 64) as u16, r as u64), sw)
        }
    )*};
}
x87! {
    fadd: ".byte 0xd8, 0xc1";
    fsub: ".byte 0xd8, 0xe1";
    fmul: ".byte 0xd8, 0xc9";
    fdiv: ".byte 0xd8, 0xf1";
    fsqrt: "fsqrt";
    frndint: "frndint";
}
