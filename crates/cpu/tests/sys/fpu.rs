//! What surrounds x87 and SSE: availability, pending exceptions, the environment and the save areas (SDM Vol. 1 8.1, 8.6,
//! 10.5, chapter 13).

use crate::machine::{CODE, DATA, HANDLER, Pc, sel};
use hako_cpu::{Config, Cpu, StopKind, Why};
use hako_x86::cpuid::MAX;
use hako_x86::{Activity, Cr0, Cr4, Gpr, RFlags, SystemType, Vector};

/// An XSAVE image after FNINIT.
fn fresh() -> Vec<u8> {
    let mut image = vec![0; 576];
    image[0..2].copy_from_slice(&[0x7f, 3]);
    image[24..26].copy_from_slice(&[0x80, 0x1f]);
    image[28..30].copy_from_slice(&[0xff, 0xff]);
    image[512] = 3;
    image
}

/// RBX points to DATA; x87 is fresh but for what an empty register holds, so that the state is never the initial one.
fn ready(mut pc: Pc) -> Pc {
    pc.set_reg(Gpr::Rbx, DATA);
    pc.state.xsave = fresh();
    pc.state.xsave[32 + 7 * 16] = 1;
    pc.state.cr0 |= Cr0::NE.bits();
    pc
}

/// With the system's consent to SSE and XSAVE.
fn saving(pc: Pc) -> Pc {
    let mut pc = ready(pc);
    pc.cpu = Cpu::new(Config { model: MAX, ..Config::default() });
    pc.state.cr4 |= (Cr4::OSFXSR | Cr4::OSXSAVE).bits();
    pc.state.xcr0 = 3;
    pc
}

fn xsave(pc: &Pc) -> Vec<u8> {
    if pc.state.xsave.is_empty() { fresh() } else { pc.state.xsave.clone() }
}

/// The control, status and (abridged) tag word.
fn words(pc: &Pc) -> (u16, u16, u8) {
    let x = xsave(pc);
    (u16::from_le_bytes([x[0], x[1]]), u16::from_le_bytes([x[2], x[3]]), x[4])
}

const FLD1: [u8; 2] = [0xd9, 0xe8];
const FNOP: [u8; 2] = [0xd9, 0xd0];

#[test]
fn em_and_ts_raise_nm_and_wait_needs_mp_besides() {
    for bit in [Cr0::EM, Cr0::TS] {
        let mut pc = ready(Pc::protected(0));
        pc.state.cr0 |= bit.bits();
        for code in [&FLD1[..], &[0xdb, 0xe3], &[0x0f, 0xae, 0x03]] {
            pc.code(code).faults(Vector::NM, None, Why::FpuUnavailable);
        }
        pc.code(&[0x9b]).ok();
    }
    let mut pc = ready(Pc::protected(0));
    pc.state.cr0 |= (Cr0::MP | Cr0::TS).bits();
    pc.code(&[0x9b]).faults(Vector::NM, None, Why::FpuUnavailable);
}

/// A division by zero, which is not masked, waits.
fn pending() -> Pc {
    let mut pc = ready(Pc::protected(0));
    pc.state.xsave[0] = 0x7b;
    pc.code(&[0xd9, 0xe8, 0xd8, 0x33]).run(2);
    assert_eq!(words(&pc).1, 0xb884);
    pc
}

#[test]
fn an_unmasked_exception_is_delivered_by_the_next_instruction_that_waits() {
    for code in [&FNOP[..], &[0x9b], &[0xd9, 0x2b], &[0xd9, 0x23], &[0xdd, 0x23], &[0x0f, 0x6f, 0xc1]] {
        pending().code(code).faults(Vector::MF, None, Why::FpuException);
    }
    // FNSTSW, FNSTCW, FNSTENV, FNCLEX, FNINIT, FNSAVE, FXSAVE do not wait.
    for code in [
        &[0xdf, 0xe0][..],
        &[0xd9, 0x3b],
        &[0xd9, 0x33],
        &[0xdb, 0xe2],
        &[0xdb, 0xe3],
        &[0xdd, 0x33],
        &[0x0f, 0xae, 0x03],
    ] {
        pending().code(code).ok();
    }
}

#[test]
fn without_ne_the_exception_goes_to_the_interrupt_controller() {
    let mut pc = pending();
    pc.state.cr0 &= !Cr0::NE.bits();
    pc.code(&FNOP).ok();
    assert_eq!(pc.board.ferr, [true]);
    pc.code(&[0xdb, 0xe2]).ok();
    assert_eq!(pc.board.ferr, [true, false]);
}

#[test]
fn ferr_falls_when_ne_is_set() {
    let mut pc = pending();
    pc.state.cr0 &= !Cr0::NE.bits();
    pc.set_reg(Gpr::Rax, pc.state.cr0 | Cr0::NE.bits());
    // fnop; mov cr0, eax; fnclex
    pc.code(&[0xd9, 0xd0, 0x0f, 0x22, 0xc0, 0xdb, 0xe2]).run(3);
    assert_eq!(pc.board.ferr, [true, false]);
}

#[test]
fn ferr_that_was_asserted_before_a_state_was_loaded_falls_too() {
    let mut pc = pending();
    pc.state.cr0 &= !Cr0::NE.bits();
    pc.code(&FNOP).ok();
    pc.state.cr0 |= Cr0::NE.bits();
    pc.code(&[0xdb, 0xe2]).ok();
    assert_eq!(pc.board.ferr, [true, false]);
}

#[test]
fn without_ignne_the_cpu_waits_in_front_of_the_instruction_for_an_interrupt() {
    let mut pc = pending();
    pc.state.cr0 &= !Cr0::NE.bits();
    pc.board.ignne = false;
    pc.set_flags(RFlags::IF);
    let rip = pc.state.rip;
    pc.gate(0x20, SystemType::InterruptGate32, 0, sel::CODE0, HANDLER);
    let stop = pc.code(&FNOP).run(1);
    assert_eq!((stop.kind, pc.state.rip, pc.state.activity), (StopKind::Halt, rip, Activity::Halted));
    assert_eq!(pc.board.ferr, [true]);
    // The interrupt's frame leads back to the instruction.
    pc.board.lines.intr = true;
    pc.poke(HANDLER, &[0x90]);
    pc.go_on(1);
    assert_eq!((pc.state.rip, u64::from(pc.peek32(pc.reg(Gpr::Rsp)))), (HANDLER + 1, rip));
}

#[test]
fn ferr_falls_when_no_flag_is_unmasked_any_more() {
    // FNSTENV masks all; FLDCW masks all; FRSTOR and FXRSTOR load another status.
    for code in [&[0xd9, 0x33][..], &[0xd9, 0x2b], &[0xdd, 0x23], &[0x0f, 0xae, 0x0b]] {
        let mut pc = pending();
        pc.state.cr0 &= !Cr0::NE.bits();
        pc.poke16(DATA, 0x37f);
        pc.code(code).ok();
        assert_eq!(pc.board.ferr.last(), Some(&false), "{code:x?}");
    }
}

#[test]
fn a_control_word_that_unmasks_a_flag_makes_it_pending() {
    let mut pc = ready(Pc::protected(0));
    pc.state.xsave[2] = 4;
    pc.poke16(DATA, 0x37b);
    pc.code(&[0xd9, 0x2b]).ok();
    assert_eq!(words(&pc), (0x37b, 0x8084, 0));
    pc.code(&FNOP).faults(Vector::MF, None, Why::FpuException);
}

#[test]
fn init_empties_the_stack_and_clears_the_pointers() {
    let mut pc = ready(Pc::protected(0));
    pc.state.xsave[8] = 1;
    pc.code(&[0xd9, 0xe8, 0xdb, 0xe3]).run(2);
    assert_eq!(words(&pc), (0x37f, 0, 0));
    assert_eq!(xsave(&pc)[6..24], [0; 18]);
}

#[test]
fn the_32_bit_protected_environment() {
    let mut pc = ready(Pc::protected(0));
    // fld dword [ebx + 64]; fnstenv [ebx]
    pc.code(&[0xd9, 0x43, 64, 0xd9, 0x33]).run(2);
    let env: Vec<u32> = (0..7).map(|i| pc.peek32(DATA + 4 * i)).collect();
    let (code, data) = (u32::from(sel::CODE0), u32::from(sel::DATA0));
    let fop = 0x143 << 16;
    let want = [
        0xffff_037f,
        0xffff_3800,
        0xffff_7fff,
        CODE as u32,
        code | fop,
        DATA as u32 + 64,
        data | 0xffff_0000,
    ];
    assert_eq!(env, want);
    assert_eq!(words(&pc).0, 0x37f, "all exceptions are masked");
}

#[test]
fn the_16_bit_protected_environment_has_no_opcode() {
    let mut pc = ready(Pc::protected(0));
    pc.code(&[0xd9, 0x43, 64, 0x66, 0xd9, 0x33]).run(2);
    let env: Vec<u16> = (0..7).map(|i| pc.peek16(DATA + 2 * i)).collect();
    assert_eq!(env, [0x37f, 0x3800, 0x7fff, CODE as u16, sel::CODE0, DATA as u16 + 64, sel::DATA0]);
}

#[test]
fn real_mode_environments_hold_linear_addresses() {
    for (prefix, unit) in [(None, 2u64), (Some(0x66), 4)] {
        let mut pc = ready(Pc::real());
        pc.state.seg[3].selector = 0x1000;
        pc.state.seg[3].base = 0x10000;
        // fld dword [bx]; fnstenv [bx]
        let mut code = vec![0xd9, 0x07];
        code.extend(prefix);
        code.extend([0xd9, 0x37]);
        pc.code(&code).run(2);
        let at = 0x10000 + DATA;
        let word = |i: u64| pc.peek16(at + i * unit);
        assert_eq!(word(3), CODE as u16);
        assert_eq!(word(4), 0x107, "the opcode; the code lies below 64 KiB");
        assert_eq!(word(5), DATA as u16);
        assert_eq!(word(6), 0x1000, "bits 19:16");
    }
}

#[test]
fn fnsave_and_frstor_are_inverse_and_fnsave_initialises() {
    let mut pc = ready(Pc::protected(0));
    // fldpi; fld1; fnsave [ebx]
    pc.code(&[0xd9, 0xeb, 0xd9, 0xe8, 0xdd, 0x33]).run(3);
    assert_eq!(words(&pc), (0x37f, 0, 0));
    assert_eq!(pc.peek64(DATA + 28), 1 << 63, "ST(0) comes first");
    assert_eq!(pc.peek64(DATA + 38), 0xc90f_daa2_2168_c235);
    pc.code(&[0xdd, 0x23]).ok();
    assert_eq!(words(&pc), (0x37f, 0x3000, 0xc0));
    assert_eq!(xsave(&pc)[48..56], 0xc90f_daa2_2168_c235u64.to_le_bytes());
}

#[test]
fn a_store_beyond_the_limit_changes_nothing() {
    for code in [&[0xdd, 0x33][..], &[0xd9, 0x33], &[0xdb, 0x3b], &[0xdf, 0x33], &[0x0f, 0xae, 0x03]] {
        let mut pc = ready(Pc::protected(0));
        pc.code(&FLD1).ok();
        pc.state.seg[3].limit = DATA as u32 + 8;
        pc.state.rip = CODE;
        pc.code(code).gp(0, Why::BeyondLimit);
        assert_eq!(pc.peek64(DATA), 0);
    }
}

#[test]
fn save_areas_are_aligned() {
    let mut pc = saving(Pc::long(0));
    pc.set_reg(Gpr::Rbx, DATA + 8);
    pc.code(&[0x0f, 0xae, 0x03]).gp(0, Why::AreaMisaligned);
    pc.code(&[0x0f, 0xae, 0x0b]).gp(0, Why::AreaMisaligned);
    pc.set_reg(Gpr::Rbx, DATA + 16);
    for reg in [4, 5, 6] {
        pc.code(&[0x0f, 0xae, reg << 3 | 3]).gp(0, Why::AreaMisaligned);
    }
}

#[test]
fn fxsave_knows_two_kinds_of_pointers_and_two_numbers_of_registers() {
    let run = |mut pc: Pc, code: &[u8]| {
        pc.poke64(DATA + 416 - 16, 0x1234);
        pc.state.xsave[160 + 15 * 16] = 9;
        // fld dword [rbx + 64]
        let mut bytes = vec![0xd9, 0x43, 64];
        bytes.extend(code);
        pc.code(&bytes).run(2);
        (pc.peek64(DATA + 8), pc.peek64(DATA + 16), pc.peek64(DATA + 400))
    };
    let (cs, ds) = (u64::from(sel::LONG0) << 32, u64::from(sel::DATA0) << 32);
    assert_eq!(run(saving(Pc::long(0)), &[0x0f, 0xae, 0x03]), (CODE | cs, (DATA + 64) | ds, 9));
    assert_eq!(run(saving(Pc::long(0)), &[0x48, 0x0f, 0xae, 0x03]), (CODE, DATA + 64, 9));
    let kept = run(saving(Pc::protected(0)), &[0x0f, 0xae, 0x03]);
    assert_eq!(kept.2, 0x1234, "XMM15 is not there");
}

#[test]
fn fxrstor_takes_what_fxsave_wrote() {
    let mut pc = saving(Pc::long(0));
    pc.state.xsave[24] = 0xc0;
    pc.state.xsave[160..168].copy_from_slice(&77u64.to_le_bytes());
    // fldpi; fxsave64 [rbx]; then from a fresh state fxrstor64 [rbx]
    pc.code(&[0xd9, 0xeb, 0x48, 0x0f, 0xae, 0x03]).run(2);
    let saved = xsave(&pc);
    pc.state.xsave = fresh();
    pc.code(&[0x48, 0x0f, 0xae, 0x0b]).ok();
    assert_eq!(xsave(&pc), saved);
}

#[test]
fn reserved_bits_of_mxcsr_are_gp() {
    let mut pc = saving(Pc::long(0));
    pc.poke32(DATA, 0x1_0000);
    pc.code(&[0x0f, 0xae, 0x13]).gp(0, Why::MxcsrReservedBit);
    pc.poke32(DATA, 0xffff);
    pc.code(&[0x0f, 0xae, 0x13, 0x0f, 0xae, 0x5b, 4]).run(2);
    assert_eq!(pc.peek32(DATA + 4), 0xffff);
    let mut pc = saving(Pc::long(0));
    pc.poke32(DATA + 24, 0x1_0000);
    pc.code(&[0x0f, 0xae, 0x0b]).gp(0, Why::MxcsrReservedBit);
    pc.state.gpr[0] = 3;
    pc.poke64(DATA + 512, 1);
    pc.code(&[0x0f, 0xae, 0x2b]).gp(0, Why::MxcsrReservedBit);
}

#[test]
fn xsave_instructions_need_osxsave() {
    let mut pc = saving(Pc::long(0));
    pc.state.cr4 &= !Cr4::OSXSAVE.bits();
    for code in [[0x0f, 0xae, 0x23], [0x0f, 0xae, 0x2b], [0x0f, 0xae, 0x33], [0x0f, 1, 0xd0], [0x0f, 1, 0xd1]]
    {
        pc.code(&code).faults(Vector::UD, None, Why::XsaveDisabled);
    }
}

#[test]
fn xsave_writes_the_components_asked_for() {
    let mut pc = saving(Pc::long(0));
    pc.state.xsave[160] = 5;
    pc.set_reg(Gpr::Rax, 2);
    pc.poke64(DATA + 512, 1);
    pc.poke64(DATA, 0x55);
    pc.code(&[0x0f, 0xae, 0x23]).ok();
    assert_eq!((pc.peek64(DATA), pc.peek64(DATA + 160)), (0x55, 5));
    assert_eq!(pc.peek32(DATA + 24), 0x1f80);
    assert_eq!(pc.peek64(DATA + 512), 3, "the bit of what was not asked for stays");
}

#[test]
fn xsaveopt_leaves_initial_components_out() {
    let mut pc = saving(Pc::long(0));
    pc.state.xsave = fresh();
    pc.set_reg(Gpr::Rax, 3);
    pc.poke64(DATA, 0x55);
    pc.poke64(DATA + 512, 3);
    pc.code(&[0x0f, 0xae, 0x33]).ok();
    assert_eq!((pc.peek64(DATA), pc.peek64(DATA + 512)), (0x55, 0));
    assert_eq!(pc.peek32(DATA + 24), 0x1f80);
}

#[test]
fn xrstor_initialises_what_the_area_has_not() {
    let mut pc = saving(Pc::long(0));
    pc.state.xsave[160] = 5;
    pc.state.xsave[4] = 0xff;
    pc.state.xsave[32] = 7;
    pc.poke32(DATA + 24, 0x1fc0);
    pc.set_reg(Gpr::Rax, 3);
    pc.code(&[0x0f, 0xae, 0x2b]).ok();
    let mut want = fresh();
    want[24] = 0xc0;
    assert_eq!(xsave(&pc), want);
}

#[test]
fn xrstor_wants_a_standard_header() {
    for (at, value) in [(512, 4u64), (520, 1 << 63), (520, 1), (528, 1)] {
        let mut pc = saving(Pc::long(0));
        pc.set_reg(Gpr::Rax, 3);
        pc.poke64(DATA + at, value);
        pc.code(&[0x0f, 0xae, 0x2b]).gp(0, Why::XsaveHeader);
    }
    // SSE is not there while XCR0 does not have it.
    let mut pc = saving(Pc::long(0));
    pc.state.xcr0 = 1;
    pc.poke64(DATA + 512, 2);
    pc.code(&[0x0f, 0xae, 0x2b]).gp(0, Why::XsaveHeader);
}

#[test]
fn xcr0_takes_x87_with_or_without_sse() {
    let set = |cpl, ecx: u64, eax: u64, edx: u64| {
        let mut pc = saving(Pc::long(cpl));
        for (r, v) in [(Gpr::Rcx, ecx), (Gpr::Rax, eax), (Gpr::Rdx, edx)] {
            pc.set_reg(r, v);
        }
        pc.code(&[0x0f, 1, 0xd1]);
        pc
    };
    assert_eq!(set(0, 0, 1, 0).ok().state.xcr0, 1);
    assert_eq!(set(0, 0, 3, 0).ok().state.xcr0, 3);
    for (eax, edx) in [(0, 0), (2, 0), (7, 0), (3, 1)] {
        set(0, 0, eax, edx).gp(0, Why::Xcr0Value);
    }
    set(0, 1, 3, 0).gp(0, Why::NoSuchXcr);
    set(3, 0, 3, 0).gp(0, Why::NotLevel0);
    let mut pc = saving(Pc::long(3));
    pc.set_reg(Gpr::Rdx, !0);
    pc.code(&[0x0f, 1, 0xd0]).ok();
    assert_eq!((pc.reg(Gpr::Rax), pc.reg(Gpr::Rdx)), (3, 0));
    pc.state.rip = CODE;
    pc.set_reg(Gpr::Rcx, 1);
    pc.code(&[0x0f, 1, 0xd0]).gp(0, Why::NoSuchXcr);
}

#[test]
fn emms_empties_the_stack() {
    let mut pc = ready(Pc::protected(0));
    pc.code(&[0xd9, 0xe8, 0x0f, 0x77]).run(2);
    assert_eq!(words(&pc).2, 0);
}
