//! What belongs to a feature that the CPU model lacks does not exist: instructions are #UD, bits of CR4 and MSRs #GP (SDM
//! Vol. 2, "#UD If CPUID..."; Vol. 3A 2.5; Vol. 4 2.1).

use crate::machine::{DATA, Pc};
use hako_cpu::{Config, Cpu, Why};
use hako_x86::{Cr4, Efer, Features, Gpr, Vector, msr, parse_cpu};

/// A feature and an instruction of it in 64-bit mode; RAX is the address of data, RCX is 0.
const INSTRUCTIONS: &[(&str, &[u8])] = &[
    ("fpu", &[0xd9, 0xe8]),                               // fld1
    ("fpu", &[0xdd, 0x00]),                               // fld qword [rax]
    ("tsc", &[0x0f, 0x31]),                               // rdtsc
    ("msr", &[0x0f, 0x32]),                               // rdmsr
    ("msr", &[0x0f, 0x30]),                               // wrmsr
    ("cx8", &[0x0f, 0xc7, 0x08]),                         // cmpxchg8b [rax]
    ("cx16", &[0x48, 0x0f, 0xc7, 0x08]),                  // cmpxchg16b [rax]
    ("sep", &[0x0f, 0x34]),                               // sysenter
    ("sep", &[0x0f, 0x35]),                               // sysexit
    ("cmov", &[0x0f, 0x44, 0xc1]),                        // cmovz eax, ecx
    ("cmov", &[0xda, 0xc0]),                              // fcmovb st, st
    ("cmov", &[0xdb, 0xf0]),                              // fcomi st, st
    ("clflush", &[0x0f, 0xae, 0x38]),                     // clflush [rax]
    ("mmx", &[0x0f, 0xef, 0xc0]),                         // pxor mm0, mm0
    ("mmx", &[0x0f, 0x77]),                               // emms
    ("fxsr", &[0x0f, 0xae, 0x00]),                        // fxsave [rax]
    ("fxsr", &[0x0f, 0xae, 0x08]),                        // fxrstor [rax]
    ("sse", &[0x0f, 0x57, 0xc0]),                         // xorps xmm0, xmm0
    ("sse", &[0xf3, 0x0f, 0x58, 0xc0]),                   // addss xmm0, xmm0
    ("sse", &[0x0f, 0xae, 0x18]),                         // stmxcsr [rax]
    ("sse", &[0x0f, 0xae, 0xf8]),                         // sfence
    ("sse", &[0x0f, 0xe0, 0xc0]),                         // pavgb mm0, mm0
    ("sse2", &[0x66, 0x0f, 0xef, 0xc0]),                  // pxor xmm0, xmm0
    ("sse2", &[0xf2, 0x0f, 0x58, 0xc0]),                  // addsd xmm0, xmm0
    ("sse2", &[0x0f, 0xd4, 0xc0]),                        // paddq mm0, mm0
    ("sse2", &[0x0f, 0xc3, 0x08]),                        // movnti [rax], ecx
    ("sse2", &[0x0f, 0xae, 0xe8]),                        // lfence
    ("sse2", &[0x0f, 0xae, 0xf0]),                        // mfence
    ("sse3", &[0xf2, 0x0f, 0x7c, 0xc0]),                  // haddps xmm0, xmm0
    ("sse3", &[0xdd, 0x08]),                              // fisttp qword [rax]
    ("ssse3", &[0x0f, 0x38, 0x00, 0xc0]),                 // pshufb mm0, mm0
    ("sse4.1", &[0x66, 0x0f, 0x38, 0x17, 0xc0]),          // ptest xmm0, xmm0
    ("sse4.2", &[0x66, 0x0f, 0x38, 0x37, 0xc0]),          // pcmpgtq xmm0, xmm0
    ("sse4.2", &[0x66, 0x0f, 0x3a, 0x63, 0xc0, 0x00]),    // pcmpistri xmm0, xmm0, 0
    ("sse4.2", &[0xf2, 0x0f, 0x38, 0xf1, 0xc1]),          // crc32 eax, ecx
    ("movbe", &[0x0f, 0x38, 0xf0, 0x08]),                 // movbe ecx, [rax]
    ("popcnt", &[0xf3, 0x0f, 0xb8, 0xc1]),                // popcnt eax, ecx
    ("aes", &[0x66, 0x0f, 0x38, 0xdc, 0xc0]),             // aesenc xmm0, xmm0
    ("aes", &[0x66, 0x0f, 0x3a, 0xdf, 0xc0, 0x01]),       // aeskeygenassist xmm0, xmm0, 1
    ("pclmulqdq", &[0x66, 0x0f, 0x3a, 0x44, 0xc0, 0x00]), // pclmulqdq xmm0, xmm0, 0
    ("xsave", &[0x0f, 0xae, 0x20]),                       // xsave [rax]
    ("xsave", &[0x0f, 0x01, 0xd0]),                       // xgetbv
    ("xsave", &[0x0f, 0x01, 0xd1]),                       // xsetbv
    ("xsaveopt", &[0x0f, 0xae, 0x30]),                    // xsaveopt [rax]
    ("rdrand", &[0x0f, 0xc7, 0xf1]),                      // rdrand ecx
    ("rdseed", &[0x0f, 0xc7, 0xf9]),                      // rdseed ecx
    ("rdpid", &[0xf3, 0x0f, 0xc7, 0xf9]),                 // rdpid rcx
    ("fsgsbase", &[0xf3, 0x0f, 0xae, 0xc1]),              // rdfsbase ecx
    ("invpcid", &[0x66, 0x0f, 0x38, 0x82, 0x08]),         // invpcid rcx, [rax]
    ("smap", &[0x0f, 0x01, 0xca]),                        // clac
    ("smap", &[0x0f, 0x01, 0xcb]),                        // stac
    ("clflushopt", &[0x66, 0x0f, 0xae, 0x38]),            // clflushopt [rax]
    ("clwb", &[0x66, 0x0f, 0xae, 0x30]),                  // clwb [rax]
    ("pcommit", &[0x66, 0x0f, 0xae, 0xf8]),               // pcommit
    ("pku", &[0x0f, 0x01, 0xee]),                         // rdpkru
    ("pku", &[0x0f, 0x01, 0xef]),                         // wrpkru
    ("syscall", &[0x0f, 0x05]),                           // syscall
    ("syscall", &[0x48, 0x0f, 0x07]),                     // sysretq
    ("rdtscp", &[0x0f, 0x01, 0xf9]),                      // rdtscp
    ("lahf64", &[0x9f]),                                  // lahf
    ("lahf64", &[0x9e]),                                  // sahf
];

/// A CPU of a model, in 64-bit mode at level 0, where its features are switched on.
fn pc(model: &str) -> Pc {
    let model = parse_cpu(model).unwrap();
    let mut pc = Pc::long(0);
    for (feature, bit) in [
        (Features::FXSR, Cr4::OSFXSR),
        (Features::SSE, Cr4::OSXMMEXCPT),
        (Features::XSAVE, Cr4::OSXSAVE),
        (Features::FSGSBASE, Cr4::FSGSBASE),
        (Features::PKU, Cr4::PKE),
    ] {
        if model.features.has(feature) {
            pc.state.cr4 |= bit.bits();
        }
    }
    pc.cpu = Cpu::new(Config { model, ..Config::default() });
    pc.set_reg(Gpr::Rax, DATA);
    pc.set_reg(Gpr::Rdx, 0);
    pc
}

#[test]
fn instructions_of_a_missing_feature_are_undefined() {
    for (name, code) in INSTRUCTIONS {
        let mut lacking = pc(&format!("max,-{name}"));
        lacking.code(code).faults(Vector::UD, None, Why::NotOffered);
    }
}

#[test]
fn instructions_of_features_that_are_there_are_defined() {
    for (name, code) in INSTRUCTIONS {
        let mut all = pc("max");
        all.code(code).step();
        let why = all.cpu.faults().last().and_then(|f| f.why);
        assert_ne!(why, Some(Why::NotOffered), "{name} {code:x?}");
    }
}

#[test]
fn what_a_missing_feature_shares_with_others_stays() {
    for (model, code) in [
        ("max,-cx16", &[0x0f, 0xc7, 0x08][..]),          // cmpxchg8b [rax]
        ("max,-xsave", &[0x0f, 0xae, 0xe8]),             // lfence
        ("max,-clflush", &[0x0f, 0xae, 0xf8]),           // sfence
        ("max,-movbe", &[0xf2, 0x0f, 0x38, 0xf0, 0xc1]), // crc32 eax, cl
        ("max,-mmx", &[0xd9, 0xe8]),                     // fld1
        ("max,-prefetchw", &[0x0f, 0x0d, 0x08]),         // prefetchw [rax]: a hint, which all processors take
    ] {
        pc(model).code(code).ok();
    }
    // Outside 64-bit mode LAHF has always been there.
    let mut old = Pc::protected(0);
    old.cpu = Cpu::new(Config { model: parse_cpu("max,-lahf64").unwrap(), ..Config::default() });
    old.code(&[0x9f]).ok();
}

/// Features and their bits in CR4.
const CR4: &[(&str, Cr4)] = &[
    ("vme", Cr4::VME),
    ("vme", Cr4::PVI),
    ("tsc", Cr4::TSD),
    ("de", Cr4::DE),
    ("pse", Cr4::PSE),
    ("mce", Cr4::MCE),
    ("pge", Cr4::PGE),
    ("fxsr", Cr4::OSFXSR),
    ("sse", Cr4::OSXMMEXCPT),
    ("umip", Cr4::UMIP),
    ("fsgsbase", Cr4::FSGSBASE),
    ("pcid", Cr4::PCIDE),
    ("xsave", Cr4::OSXSAVE),
    ("smep", Cr4::SMEP),
    ("smap", Cr4::SMAP),
    ("pku", Cr4::PKE),
    ("pks", Cr4::PKS),
];

#[test]
fn cr4_has_no_bits_of_missing_features() {
    const MOV_CR4_RAX: [u8; 3] = [0x0f, 0x22, 0xe0];
    for (name, bit) in CR4 {
        let value = Cr4::PAE.bits() | bit.bits();
        let mut lacking = pc(&format!("max,-{name}"));
        lacking.state.cr4 = Cr4::PAE.bits();
        lacking.set_reg(Gpr::Rax, value);
        lacking.code(&MOV_CR4_RAX).gp(0, Why::CrReservedBit);
        let mut all = pc("max");
        all.set_reg(Gpr::Rax, value);
        assert_eq!(all.code(&MOV_CR4_RAX).ok().state.cr4, value, "{name}");
    }
    // PAE, with all that needs it gone.
    let mut old = Pc::protected(0);
    old.cpu = Cpu::new(Config { model: parse_cpu("max,-pae").unwrap(), ..Config::default() });
    old.set_reg(Gpr::Rax, Cr4::PAE.bits());
    old.code(&MOV_CR4_RAX).gp(0, Why::CrReservedBit);
}

/// Features and their MSRs, of which some are the local APIC's: the board answers any.
const MSRS: &[(&str, u32)] = &[
    ("tsc", msr::TSC),
    ("apic", msr::APIC_BASE),
    ("x2apic", 0x800),
    ("x2apic", 0x8ff),
    ("tsc-deadline", msr::TSC_DEADLINE),
    ("tsc-adjust", msr::TSC_ADJUST),
    ("spec-ctrl", msr::SPEC_CTRL),
    ("mtrr", msr::MTRR_CAP),
    ("mtrr", 0x200),
    ("mtrr", 0x2ff),
    ("sep", msr::SYSENTER_CS),
    ("sep", msr::SYSENTER_ESP),
    ("sep", msr::SYSENTER_EIP),
    ("mca", msr::MCG_CAP),
    ("mca", msr::MCG_STATUS),
    ("pat", msr::PAT),
    ("arch-capabilities", msr::ARCH_CAPABILITIES),
    ("syscall", msr::STAR),
    ("syscall", msr::LSTAR),
    ("syscall", msr::FMASK),
    ("rdtscp", msr::TSC_AUX),
    ("pks", msr::PKRS),
];

#[test]
fn msrs_of_missing_features_do_not_exist() {
    for (name, index) in MSRS {
        for code in [[0x0f, 0x32], [0x0f, 0x30]] {
            let mut lacking = pc(&format!("max,-{name}"));
            lacking.board.msr = Some((*index, 0));
            lacking.set_reg(Gpr::Rcx, u64::from(*index));
            lacking.set_reg(Gpr::Rax, 0);
            lacking.code(&code).gp(0, Why::UnknownMsr);
        }
        let mut all = pc("max");
        all.board.msr = Some((*index, 0));
        all.set_reg(Gpr::Rcx, u64::from(*index));
        all.code(&[0x0f, 0x32]).ok();
    }
    // What long mode brings cannot be asked for in it.
    for (name, index) in [
        ("lm", msr::CSTAR),
        ("lm", msr::KERNEL_GS_BASE),
        ("lm", msr::FS_BASE),
        ("lm", msr::GS_BASE),
        ("nx", msr::EFER),
    ] {
        let mut old = Pc::protected(0);
        let model = parse_cpu(&format!("max,-{name}")).unwrap();
        old.cpu = Cpu::new(Config { model, ..Config::default() });
        old.set_reg(Gpr::Rcx, u64::from(index));
        old.code(&[0x0f, 0x32]).gp(0, Why::UnknownMsr);
    }
}

#[test]
fn bits_of_msrs_that_belong_to_missing_features_are_reserved() {
    const X2APIC: u64 = 3 << 10;
    for (model, index, value) in [
        ("max,-syscall", msr::EFER, (Efer::LME | Efer::SCE).bits()),
        ("max,-x2apic", msr::APIC_BASE, 0xfee0_0000 | X2APIC),
        ("max,-ssbd", msr::SPEC_CTRL, 1 << 2),
    ] {
        let mut lacking = pc(model);
        lacking.state.efer = (Efer::LME | Efer::LMA).bits();
        lacking.board.msr = Some((index, 0));
        lacking.set_reg(Gpr::Rcx, u64::from(index));
        lacking.set_reg(Gpr::Rax, value);
        lacking.code(&[0x0f, 0x30]).gp(0, Why::MsrReservedBit);
    }
    let mut lacking = pc("max,-stibp");
    lacking.set_reg(Gpr::Rcx, u64::from(msr::SPEC_CTRL));
    lacking.set_reg(Gpr::Rax, 3);
    lacking.code(&[0x0f, 0x30, 0x0f, 0x32]).run(2);
    assert_eq!(lacking.reg(Gpr::Rax), 1, "IBRS alone is kept");
}
