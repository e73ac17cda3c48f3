//! Descriptor-table registers, selector tests, CLI, STI, HLT (SDM Vol. 2).

use crate::machine::{DATA, Pc, attr, flat, sel};
use hako_cpu::Why;
use hako_x86::{Cr4, DescTable, Descriptor, Gpr, RFlags, SegAttr, SystemType, Vector};

/// Instructions with [DATA] as operand in 32-bit and, by an absolute SIB address, in 64-bit code.
fn at_data(opcode: &[u8], reg: u8, long: bool) -> Vec<u8> {
    let mut code = opcode.to_vec();
    if long {
        code.extend([reg << 3 | 4, 0x25]);
    } else {
        code.push(reg << 3 | 5);
    }
    code.extend((DATA as u32).to_le_bytes());
    code
}

#[test]
fn lgdt_and_lidt_load_24_32_or_64_bits_of_base() {
    for (reg, table) in [(2, 0), (3, 1)] {
        let get = |pc: &Pc| if table == 0 { pc.state.gdtr } else { pc.state.idtr };
        let load = |mut pc: Pc, code: &[u8]| {
            pc.poke(DATA, &[0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 0x01, 0, 0, 0]);
            pc.code(code).ok();
            get(&pc)
        };
        let code = at_data(&[0x0f, 0x01], reg, false);
        assert_eq!(load(Pc::protected(0), &code), DescTable { base: 0x1234_5678, limit: 0x1234 });
        let mut narrow = vec![0x66];
        narrow.extend(&code);
        assert_eq!(load(Pc::protected(0), &narrow), DescTable { base: 0x34_5678, limit: 0x1234 });
        let wide = at_data(&[0x0f, 0x01], reg, true);
        assert_eq!(load(Pc::long(0), &wide), DescTable { base: 0x1_1234_5678, limit: 0x1234 });
    }
}

#[test]
fn lgdt_and_lidt_checks() {
    for reg in [2, 3] {
        Pc::protected(3).code(&at_data(&[0x0f, 0x01], reg, false)).gp(0, Why::NotLevel0);
        let mut pc = Pc::long(0);
        pc.poke64(DATA + 2, 0x8000_0000_0000);
        pc.code(&at_data(&[0x0f, 0x01], reg, true)).gp(0, Why::NotCanonical);
    }
}

#[test]
fn sgdt_and_sidt_store_the_whole_base() {
    let mut pc = Pc::protected(3);
    pc.state.gdtr = DescTable { base: 0x1234_5678, limit: 0xff };
    pc.code(&at_data(&[0x0f, 0x01], 0, false)).ok();
    assert_eq!((pc.peek16(DATA), pc.peek32(DATA + 2), pc.peek16(DATA + 6)), (0xff, 0x1234_5678, 0));
    let mut pc = Pc::long(0);
    pc.state.idtr.base = 0xffff_8000_1234_5678;
    pc.code(&at_data(&[0x0f, 0x01], 1, true)).ok();
    assert_eq!(pc.peek64(DATA + 2), 0xffff_8000_1234_5678);
}

#[test]
fn umip_keeps_level_3_from_looking() {
    // sgdt, sidt, sldt, str, smsw
    let codes = [
        at_data(&[0x0f, 0x01], 0, false),
        at_data(&[0x0f, 0x01], 1, false),
        vec![0x0f, 0x00, 0xc0],
        vec![0x0f, 0x00, 0xc8],
        vec![0x0f, 0x01, 0xe0],
    ];
    for code in codes {
        let mut pc = Pc::protected(3);
        pc.state.cr4 |= Cr4::UMIP.bits();
        pc.code(&code).gp(0, Why::Umip);
        Pc::protected(3).code(&code).ok();
    }
}

#[test]
fn lldt_loads_an_ldt_or_nothing() {
    let lldt = [0x0f, 0x00, 0xd0];
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rax, u64::from(sel::LDT));
    pc.code(&lldt).ok();
    assert_eq!((pc.state.ldtr.selector, pc.state.ldtr.base, pc.state.ldtr.limit), (sel::LDT, 0x4000, 0xff));
    pc.set_reg(Gpr::Rax, 3);
    pc.code(&lldt).ok();
    assert_eq!((pc.state.ldtr.selector, pc.state.ldtr.attr), (3, SegAttr::UNUSABLE));
    let cases = [
        (sel::LDT | 4, 0x3c, Vector::GP, Why::SelectorNotInGdt),
        (sel::BEYOND, 0x100, Vector::GP, Why::SelectorBeyondTable),
        (sel::CODE0, 8, Vector::GP, Why::NotAnLdt),
        (sel::TSS2, 0x90, Vector::GP, Why::NotAnLdt),
        (sel::FREE, 0xa0, Vector::NP, Why::SegmentNotPresent),
    ];
    for (selector, error, vector, why) in cases {
        let mut pc = Pc::protected(0);
        pc.describe(sel::FREE, Descriptor::new(0, 0, attr(0x02)));
        pc.set_reg(Gpr::Rax, u64::from(selector));
        pc.code(&lldt).faults(vector, Some(error), why);
    }
    Pc::protected(3).code(&lldt).gp(0, Why::NotLevel0);
}

#[test]
fn ltr_takes_an_available_tss_and_makes_it_busy() {
    let ltr = [0x0f, 0x00, 0xd8];
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rax, u64::from(sel::TSS2));
    pc.code(&ltr).ok();
    assert_eq!((pc.state.tr.selector, pc.state.tr.attr), (sel::TSS2, attr(0x8b)));
    assert_eq!(pc.descriptor(sel::TSS2).system(), Some(SystemType::Tss32Busy));
    let cases = [
        (0, 0, Vector::GP, Why::NullTss),
        (sel::TSS2 | 4, 0x94, Vector::GP, Why::SelectorNotInGdt),
        (sel::BEYOND, 0x100, Vector::GP, Why::SelectorBeyondTable),
        (sel::TSS, 0x28, Vector::GP, Why::NotAnAvailableTss),
        (sel::LDT, 0x38, Vector::GP, Why::NotAnAvailableTss),
        (sel::FREE, 0xa0, Vector::NP, Why::SegmentNotPresent),
    ];
    for (selector, error, vector, why) in cases {
        let mut pc = Pc::protected(0);
        pc.describe(sel::FREE, Descriptor::new(0, 0xfff, attr(0x09)));
        pc.set_reg(Gpr::Rax, u64::from(selector));
        pc.code(&ltr).faults(vector, Some(error), why);
    }
    Pc::protected(3).code(&ltr).gp(0, Why::NotLevel0);
    // 16 bytes in long mode, and no 16-bit TSS.
    let mut pc = Pc::long(0);
    pc.set_reg(Gpr::Rax, u64::from(sel::TSS2));
    pc.poke64(0x1000 + u64::from(sel::TSS2) + 8, 0xffff_8000);
    pc.code(&ltr).ok();
    assert_eq!(pc.state.tr.base, 0xffff_8000_0000_5000);
    pc.describe(sel::FREE, Descriptor::new(0, 0xfff, attr(0x81)));
    pc.set_reg(Gpr::Rax, u64::from(sel::FREE));
    pc.code(&ltr).gp(0xa0, Why::NotAnAvailableTss);
}

#[test]
fn str_and_sldt_store_selectors() {
    let mut pc = Pc::protected(3);
    pc.state.ldtr.selector = sel::LDT;
    pc.set_reg(Gpr::Rax, !0);
    assert_eq!(pc.code(&[0x0f, 0x00, 0xc8]).ok().reg(Gpr::Rax), u64::from(sel::TSS));
    assert_eq!(pc.code(&[0x0f, 0x00, 0xc0]).ok().reg(Gpr::Rax), u64::from(sel::LDT));
}

#[test]
fn smsw_and_lmsw() {
    let mut pc = Pc::protected(0);
    let cr0 = pc.state.cr0;
    assert_eq!(pc.code(&[0x0f, 0x01, 0xe0]).ok().reg(Gpr::Rax), cr0);
    pc.set_reg(Gpr::Rax, 0xfffe);
    // lmsw ax sets MP, EM, TS and cannot clear PE.
    pc.code(&[0x0f, 0x01, 0xf0]).ok();
    assert_eq!(pc.state.cr0, cr0 | 0xe);
    pc.set_reg(Gpr::Rax, 0);
    pc.code(&[0x0f, 0x01, 0xf0]).ok();
    assert_eq!(pc.state.cr0, cr0 & !0xe);
    let mut pc = Pc::real();
    pc.set_reg(Gpr::Rax, 1);
    pc.code(&[0x0f, 0x01, 0xf0]).ok();
    assert_eq!(pc.state.cr0 & 1, 1);
    Pc::protected(3).code(&[0x0f, 0x01, 0xf0]).gp(0, Why::NotLevel0);
}

#[test]
fn clts_hlt_invd_wbinvd_invlpg_need_level_0() {
    for code in [&[0x0f, 0x06][..], &[0xf4], &[0x0f, 0x08], &[0x0f, 0x09], &[0x0f, 0x01, 0x38]] {
        Pc::protected(3).code(code).gp(0, Why::NotLevel0);
        Pc::protected(0).code(code).ok();
    }
}

#[test]
fn arpl_raises_rpl() {
    for (dst, src, want, zf) in [(0x10, 0x13, 0x13, true), (0x13, 0x11, 0x13, false), (0x10, 0, 0x10, false)]
    {
        let mut pc = Pc::protected(3);
        pc.set_reg(Gpr::Rax, dst);
        pc.set_reg(Gpr::Rcx, src);
        // arpl ax, cx
        pc.code(&[0x63, 0xc8]).ok();
        assert_eq!((pc.reg(Gpr::Rax), pc.flag(RFlags::ZF)), (want, zf));
    }
}

#[test]
fn lar_tells_access_rights_of_what_is_visible() {
    let cases = [
        (0, sel::CODE0, Some(0xcf_9b00 & 0xff_ff00)),
        (3, sel::CODE0, None),
        (3, sel::CONFORMING, Some(0xcf_9f00)),
        (3, sel::DATA3, Some(0xcf_f300)),
        (0, sel::DATA0 | 3, None),
        (0, sel::TSS, Some(0x00_8b00)),
        (0, 0, None),
        (0, sel::BEYOND, None),
        (0, sel::FREE, None), // type 0
    ];
    for (cpl, selector, want) in cases {
        let mut pc = Pc::protected(cpl);
        pc.set_reg(Gpr::Rcx, u64::from(selector));
        pc.set_reg(Gpr::Rax, 0x5555);
        pc.code(&[0x0f, 0x02, 0xc1]).ok();
        assert_eq!(pc.flag(RFlags::ZF), want.is_some(), "{selector:#x}");
        assert_eq!(pc.reg(Gpr::Rax), want.unwrap_or(0x5555), "{selector:#x}");
    }
}

#[test]
fn lar_and_lsl_know_fewer_system_types_in_long_mode() {
    let table = [
        // type, LAR legacy, LAR long, LSL legacy, LSL long
        (1, true, false, true, false),
        (2, true, true, true, true),
        (3, true, false, true, false),
        (4, true, false, false, false),
        (5, true, false, false, false),
        (6, false, false, false, false),
        (9, true, true, true, true),
        (0xb, true, true, true, true),
        (0xc, true, true, false, false),
        (0xe, false, false, false, false),
    ];
    for (ty, lar, lar64, lsl, lsl64) in table {
        for (opcode, long, want) in [(2, false, lar), (2, true, lar64), (3, false, lsl), (3, true, lsl64)] {
            let mut pc = if long { Pc::long(0) } else { Pc::protected(0) };
            pc.describe(sel::FREE, Descriptor::new(0, 0x123, attr(0x80 | ty)));
            pc.set_reg(Gpr::Rcx, u64::from(sel::FREE));
            pc.code(&[0x0f, opcode, 0xc1]).ok();
            assert_eq!(pc.flag(RFlags::ZF), want, "type {ty:#x} opcode {opcode} long {long}");
        }
    }
}

#[test]
fn the_upper_half_of_a_system_descriptor_must_have_type_zero() {
    for (opcode, ty) in [(2, 2), (2, 9), (2, 0xc), (3, 2), (3, 9)] {
        for (upper, want) in [(0, true), (0x0000_0100_0000_0000, false), (0xffff_e0ff_ffff_ffff, true)] {
            let mut pc = Pc::long(0);
            pc.describe(sel::FREE, Descriptor::new(0, 0x123, attr(0x80 | ty)));
            pc.describe(sel::FREE + 8, Descriptor(upper));
            pc.set_reg(Gpr::Rcx, u64::from(sel::FREE));
            pc.code(&[0x0f, opcode, 0xc1]).ok();
            assert_eq!(pc.flag(RFlags::ZF), want, "{ty:#x} {upper:#x}");
        }
    }
}

#[test]
fn lsl_tells_the_limit_in_bytes() {
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rcx, u64::from(sel::CODE0));
    assert_eq!(pc.code(&[0x0f, 0x03, 0xc1]).ok().reg(Gpr::Rax), 0xffff_ffff);
    pc.set_reg(Gpr::Rcx, u64::from(sel::TSS));
    assert_eq!(pc.code(&[0x0f, 0x03, 0xc1]).ok().reg(Gpr::Rax), 0xfff);
}

#[test]
fn verr_and_verw() {
    let cases = [
        (0, sel::CODE0, true, false),
        (0, sel::DATA0, true, true),
        (0, sel::READ_ONLY, true, false),
        (0, sel::EXECUTE_ONLY, false, false),
        (3, sel::DATA0, false, false),
        (3, sel::CONFORMING, true, false),
        (0, sel::TSS, false, false),
        (0, 0, false, false),
    ];
    for (cpl, selector, read, write) in cases {
        for (modrm, want) in [(0xe0, read), (0xe8, write)] {
            let mut pc = Pc::protected(cpl);
            pc.set_reg(Gpr::Rax, u64::from(selector));
            pc.code(&[0x0f, 0x00, modrm]).ok();
            assert_eq!(pc.flag(RFlags::ZF), want, "{selector:#x} {modrm:#x}");
        }
    }
}

#[test]
fn cli_and_sti_follow_iopl() {
    for (cpl, iopl, may) in [(0, 0, true), (3, 0, false), (3, 3, true)] {
        let mut pc = Pc::protected(cpl);
        pc.set_flags(RFlags::from_bits_retain(iopl << 12));
        if may {
            assert!(pc.code(&[0xfb]).ok().flag(RFlags::IF));
            assert!(!pc.code(&[0xfa]).ok().flag(RFlags::IF));
        } else {
            pc.code(&[0xfb]).gp(0, Why::IoplTooLow);
            pc.code(&[0xfa]).gp(0, Why::IoplTooLow);
        }
    }
}

#[test]
fn a_page_granular_limit_is_in_bytes() {
    assert_eq!(flat(0xc093).limit(), 0xffff_ffff);
}
