//! When MMX and SSE instructions are refused, and what faults leave alone.

use hako_x86::{Cr0, Cr4};

use super::*;

/// ADDPS xmm0, [rbx]; MOVUPS [rbx], xmm0; PADDB mm0, mm1.
const ADDPS: &[u8] = &[0x0f, 0x58, 0x03];
const PADDB_MMX: &[u8] = &[0x0f, 0xfc, 0xc1];
const PAGE: u64 = 0x20_0000;

fn guest() -> (Guest, State) {
    let mut random = Random(7);
    (Guest::new(), random_state(&mut random, true))
}

/// Executes and demands that an exception changes nothing.
fn refused(g: &mut Guest, before: &State, code: &[u8]) -> Option<Vector> {
    g.load(before);
    let fault = g.execute(&decoded(code).unwrap());
    if fault.is_some() {
        assert_eq!(differences(&g.state(), before), Vec::<String>::new());
    }
    fault
}

#[test]
fn em_and_missing_osfxsr_are_ud_and_ts_is_nm() {
    let (mut g, s) = guest();
    let (cr0, cr4) = (g.cpu.cr0, g.cpu.cr4);
    let table = [
        (0, 0, None, None),
        (Cr0::TS.bits(), 0, Some(Vector::NM), Some(Vector::NM)),
        (Cr0::EM.bits(), 0, Some(Vector::UD), Some(Vector::UD)),
        ((Cr0::EM | Cr0::TS).bits(), 0, Some(Vector::UD), Some(Vector::UD)),
        (0, Cr4::OSFXSR.bits(), Some(Vector::UD), None),
        (Cr0::TS.bits(), Cr4::OSFXSR.bits(), Some(Vector::UD), Some(Vector::NM)),
    ];
    for (set, clear, sse, mmx) in table {
        (g.cpu.cr0, g.cpu.cr4) = (cr0 | set, cr4 & !clear);
        assert_eq!(refused(&mut g, &s, ADDPS), sse, "{set:x} {clear:x}");
        assert_eq!(refused(&mut g, &s, PADDB_MMX), mmx, "{set:x} {clear:x}");
    }
}

#[test]
fn a_pending_x87_exception_comes_before_mmx_instructions_only() {
    let (mut g, s) = guest();
    g.cpu.cr0 |= Cr0::NE.bits();
    g.load(&s);
    g.cpu.fpu.sw = 0x81;
    g.cpu.fpu.cw = 0x37e;
    assert_eq!(g.execute(&decoded(PADDB_MMX).unwrap()), Some(Vector::MF));
    assert_eq!(g.execute(&decoded(&[0x0f, 0x58, 0xc1]).unwrap()), None);
}

#[test]
fn an_unmasked_exception_is_xm_or_without_osxmmexcpt_ud() {
    let (mut g, mut s) = guest();
    // DIVPS xmm0, xmm1: 1/0 in lane 0, 1/3 in lane 1.
    s.mxcsr = 0x1f80 & !(1 << 9);
    s.xmm[0] = [1f32; 4].map(f32::to_le_bytes).concat().try_into().unwrap();
    s.xmm[1] = [0f32, 3.0, 1.0, 1.0].map(f32::to_le_bytes).concat().try_into().unwrap();
    let op = decoded(&[0x0f, 0x5e, 0xc1]).unwrap();
    for (cr4, vector) in [(Cr4::OSXMMEXCPT.bits(), Vector::XM), (0, Vector::UD)] {
        g.cpu.cr4 = g.cpu.cr4 & !Cr4::OSXMMEXCPT.bits() | cr4;
        g.load(&s);
        assert_eq!(g.execute(&op), Some(vector));
        // ZE alone: lane 1 was not computed. The destination is untouched.
        assert_eq!(g.cpu.fpu.mxcsr, s.mxcsr | 4);
        assert_eq!(g.cpu.fpu.xmm[0].0, s.xmm[0]);
    }
}

/// Every instruction with a 16-byte memory operand; `true` for those that take it anywhere.
fn unaligned_allowed(prefix: Option<u8>, map: usize, opcode: u8) -> bool {
    match (map, opcode) {
        (0, 0x10 | 0x11) => true,
        (0, 0x6f | 0x7f) => prefix == Some(0xf3),
        (0, 0xf0) => true,
        (2, 0x60..=0x63) => true,
        _ => false,
    }
}

#[test]
fn sixteen_byte_operands_must_be_aligned_but_for_few() {
    let (mut g, mut s) = guest();
    let mut random = Random(3);
    let (mut aligned, mut free) = (0, 0);
    every(|prefix, map, opcode, mem, group, imm| {
        let code = encode(&mut random, prefix, map, opcode, mem, group, imm);
        let Some(op) = decoded(&code) else { return };
        if op.pfx & MEM == 0 {
            return;
        }
        // How much it reads: 8 bytes from the end of what is mapped fault only if there are more.
        let mut fault_at = |g: &mut Guest, rbx: u64| {
            s.gpr[3] = rbx;
            g.load(&s);
            g.execute(&op)
        };
        let wide = fault_at(&mut g, END.next_multiple_of(1 << 30) - 8) == Some(Vector::PF);
        let misaligned = fault_at(&mut g, DATA + 8);
        match misaligned {
            Some(Vector::GP) => {
                assert!(!unaligned_allowed(prefix, map, opcode), "{code:02x?}");
                aligned += 1;
            }
            None => {
                assert!(!wide || unaligned_allowed(prefix, map, opcode), "{code:02x?}");
                free += 1;
            }
            other => panic!("{code:02x?}: {other:?}"),
        }
    });
    assert!(aligned > 150 && free > 50, "{aligned} {free}");
}

#[test]
fn a_store_across_a_page_that_is_not_there_changes_nothing() {
    let (mut g, mut s) = guest();
    // The first GiB is mapped; RBX has 8 bytes left of it.
    let last = (1 << 30) - 8;
    s.gpr[3] = last;
    s.gpr[7] = last;
    // MOVUPS, MOVDQU, MASKMOVDQU xmm0, xmm1 with all bytes chosen.
    s.xmm[1] = [0xff; 16];
    for code in [&[0x0f, 0x11, 0x03][..], &[0xf3, 0x0f, 0x7f, 0x03], &[0x66, 0x0f, 0xf7, 0xc1]] {
        assert_eq!(refused(&mut g, &s, code), Some(Vector::PF), "{code:02x?}");
        assert_eq!(g.cpu.cr2, 1 << 30);
    }
    // MASKMOVDQU checks only what it writes.
    s.xmm[1] = [0; 16];
    s.xmm[1][7] = 0x80;
    assert_eq!(refused(&mut g, &s, &[0x66, 0x0f, 0xf7, 0xc1]), None);
}

#[test]
fn an_access_across_pages_is_whole() {
    let (mut g, mut s) = guest();
    s.gpr[3] = PAGE - 5;
    g.load(&s);
    assert_eq!(g.execute(&decoded(&[0x0f, 0x11, 0x03]).unwrap()), None); // movups [rbx], xmm0
    assert_eq!(g.execute(&decoded(&[0x0f, 0x10, 0x0b]).unwrap()), None); // movups xmm1, [rbx]
    assert_eq!(g.cpu.fpu.xmm[1].0, s.xmm[0]);
}

#[test]
fn lock_is_never_allowed() {
    let mut op = Op::EMPTY;
    for code in [&[0xf0, 0x0f, 0x58, 0x03][..], &[0xf0, 0x66, 0x0f, 0xfc, 0x03], &[0xf0, 0x0f, 0x6f, 0xc1]] {
        decode(code, 2, Lacks::default(), 0, &mut op).unwrap();
        let lock: crate::op::Handler = misc::ud_lock;
        assert!(core::ptr::fn_addr_eq(op.run, lock), "{code:02x?}");
    }
}
