//! RDFSBASE and its kin, RDRAND, RDSEED, RDPID, cache line flushes, and what is not offered (SDM Vol. 2).

use crate::machine::{DATA, Pc};
use hako_cpu::{Config, Cpu, Why};
use hako_x86::{Cr4, Gpr, RFlags, SegReg, Vector, parse_cpu};

fn with_model(mut pc: Pc, model: &str) -> Pc {
    pc.cpu = Cpu::new(Config { model: parse_cpu(model).unwrap(), ..Config::default() });
    pc
}

fn bases(code: &[u8]) -> Pc {
    let mut pc = Pc::long(3);
    pc.state.cr4 |= Cr4::FSGSBASE.bits();
    pc.state.seg[SegReg::Fs as usize].base = 0xffff_8000_1234_5678;
    pc.state.seg[SegReg::Gs as usize].base = 0x7fff_0000_1111;
    pc.set_reg(Gpr::Rax, 0xffff_9000_8765_4321);
    pc.code(code);
    pc
}

#[test]
fn bases_of_fs_and_gs_are_read_at_any_level() {
    // rdfsbase, rdgsbase: rax, eax
    assert_eq!(bases(&[0xf3, 0x48, 0x0f, 0xae, 0xc0]).ok().reg(Gpr::Rax), 0xffff_8000_1234_5678);
    assert_eq!(bases(&[0xf3, 0x48, 0x0f, 0xae, 0xc8]).ok().reg(Gpr::Rax), 0x7fff_0000_1111);
    assert_eq!(bases(&[0xf3, 0x0f, 0xae, 0xc0]).ok().reg(Gpr::Rax), 0x1234_5678);
}

#[test]
fn bases_of_fs_and_gs_are_written_at_any_level() {
    // wrfsbase, wrgsbase: rax, eax
    let high = 0xffff_9000_8765_4321;
    assert_eq!(bases(&[0xf3, 0x48, 0x0f, 0xae, 0xd0]).ok().seg(SegReg::Fs).base, high);
    assert_eq!(bases(&[0xf3, 0x48, 0x0f, 0xae, 0xd8]).ok().seg(SegReg::Gs).base, high);
    assert_eq!(bases(&[0xf3, 0x0f, 0xae, 0xd8]).ok().seg(SegReg::Gs).base, high & 0xffff_ffff);
    // The next instruction uses it: wrgsbase rax; mov al, gs:[0]
    let mut pc = bases(&[0xf3, 0x48, 0x0f, 0xae, 0xd8, 0x65, 0x8a, 0x04, 0x25, 0, 0, 0, 0]);
    pc.set_reg(Gpr::Rax, DATA);
    pc.poke(DATA, &[0x77]);
    pc.run(2);
    assert_eq!(pc.reg(Gpr::Rax), DATA & !0xff | 0x77);
}

#[test]
fn bases_are_canonical_and_need_cr4() {
    for modrm in [0xc0, 0xc8, 0xd0, 0xd8] {
        let code = [0xf3, 0x48, 0x0f, 0xae, modrm];
        let mut pc = bases(&code);
        pc.state.cr4 &= !Cr4::FSGSBASE.bits();
        pc.faults(Vector::UD, None, Why::FsGsBaseDisabled);
        if modrm >= 0xd0 {
            let mut pc = bases(&code);
            pc.set_reg(Gpr::Rax, 1 << 47);
            pc.gp(0, Why::NotCanonical);
        }
        let mut pc = Pc::compat(0);
        pc.state.cr4 |= Cr4::FSGSBASE.bits();
        pc.code(&[0xf3, 0x0f, 0xae, modrm]).faults(Vector::UD, None, Why::UndefinedOpcode);
    }
}

/// rdrand rax, twice
fn numbers(seed: u64, code: &[u8]) -> [u64; 2] {
    let mut pc = Pc::long(3);
    pc.cpu = Cpu::new(Config { model: parse_cpu("max").unwrap(), seed, ..Config::default() });
    pc.set_flags(RFlags::OF | RFlags::SF | RFlags::ZF | RFlags::AF | RFlags::PF);
    let mut get = || {
        pc.code(code).ok();
        assert!(pc.flag(RFlags::CF));
        let others = RFlags::OF | RFlags::SF | RFlags::ZF | RFlags::AF | RFlags::PF;
        assert!(!pc.state.rflags.intersects(others));
        pc.reg(Gpr::Rax)
    };
    [get(), get()]
}

#[test]
fn random_numbers_repeat_with_their_seed() {
    for modrm in [0xf0, 0xf8] {
        let code = [0x48, 0x0f, 0xc7, modrm];
        let [a, b] = numbers(1, &code);
        assert_ne!(a, b);
        assert_eq!(numbers(1, &code), [a, b]);
        assert_ne!(numbers(2, &code)[0], a);
    }
}

#[test]
fn random_numbers_have_the_operands_size() {
    assert_eq!(numbers(1, &[0x0f, 0xc7, 0xf0])[0] >> 32, 0);
    let mut pc = with_model(Pc::long(3), "max");
    pc.set_reg(Gpr::Rax, !0);
    pc.code(&[0x66, 0x0f, 0xc7, 0xf0]).ok();
    assert_eq!(pc.reg(Gpr::Rax) >> 16, 0xffff_ffff_ffff);
    // Half of the bits are set, more or less.
    let code = [0x48, 0x0f, 0xc7, 0xf0];
    let ones: u32 = (0..100).map(|seed| numbers(seed, &code)[0].count_ones()).sum();
    assert!((2900..3500).contains(&ones), "{ones} of 6400");
}

#[test]
fn rdpid_gives_tsc_aux() {
    let mut pc = with_model(Pc::long(3), "max");
    pc.state.msrs.push((hako_x86::msr::TSC_AUX, 7));
    assert_eq!(pc.code(&[0xf3, 0x0f, 0xc7, 0xf8]).ok().reg(Gpr::Rax), 7);
}

#[test]
fn what_the_model_has_not_is_undefined() {
    for code in [
        &[0x0f, 0xc7, 0xf0][..],         // rdrand eax
        &[0x0f, 0xc7, 0xf8],             // rdseed eax
        &[0xf3, 0x0f, 0xc7, 0xf8],       // rdpid rax
        &[0x66, 0x0f, 0xae, 0x38],       // clflushopt [rax]
        &[0x66, 0x0f, 0xae, 0x30],       // clwb [rax]
        &[0x66, 0x0f, 0x38, 0x82, 0x00], // invpcid rax, [rax]
    ] {
        Pc::long(0).code(code).faults(Vector::UD, None, Why::NotOffered);
        let mut pc = with_model(Pc::long(0), "max");
        pc.set_reg(Gpr::Rax, 0);
        pc.code(code).ok();
    }
}

#[test]
fn monitor_and_mwait_do_not_exist() {
    for modrm in [0xc8, 0xc9] {
        with_model(Pc::long(0), "max").code(&[0x0f, 0x01, modrm]).faults(
            Vector::UD,
            None,
            Why::NeedsMemoryOperand,
        );
    }
}

#[test]
fn a_line_that_is_flushed_is_checked_as_if_read() {
    for code in [&[0x0f, 0xae, 0x38][..], &[0x66, 0x0f, 0xae, 0x38], &[0x66, 0x0f, 0xae, 0x30]] {
        let mut pc = with_model(Pc::long(3), "max");
        pc.set_reg(Gpr::Rax, 1 << 47);
        pc.code(code).gp(0, Why::NotCanonical);
        pc.set_reg(Gpr::Rax, 0x4000_0000);
        pc.code(code).faults(Vector::PF, Some(4), Why::PageNotPresent);
        pc.set_reg(Gpr::Rax, DATA);
        pc.code(code).ok();
    }
}
