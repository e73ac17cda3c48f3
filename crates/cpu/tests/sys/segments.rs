//! Loading segment registers (SDM Vol. 2B, MOV; Vol. 3A 3.4.3, 5.5 to 5.7).

use crate::machine::{DATA, GDT, LDT, Pc, STACK, STACK3, attr, flat, sel};
use hako_cpu::Why;
use hako_x86::{Descriptor, Gpr, SegAttr, SegReg, Segment, Shadow, Vector};

const MOV_DS: [u8; 2] = [0x8e, 0xd8];
const MOV_SS: [u8; 2] = [0x8e, 0xd0];

fn with_ax(mut pc: Pc, selector: u16, code: &[u8]) -> Pc {
    pc.set_reg(Gpr::Rax, u64::from(selector));
    pc.code(code);
    pc
}

#[test]
fn every_mode_executes() {
    let all =
        [Pc::real(), Pc::protected(0), Pc::protected(3), Pc::long(0), Pc::long(3), Pc::compat(3), Pc::v86(0)];
    for mut pc in all {
        pc.code(&[0x90]).ok();
        assert_eq!(pc.state.rip, 0x8001);
    }
}

#[test]
fn a_data_segment_is_loaded_whole_and_marked_accessed() {
    let d = Descriptor::new(0x12_3456, 0x789, attr(0x92));
    for (modrm, reg) in [(0xd8, SegReg::Ds), (0xc0, SegReg::Es), (0xe0, SegReg::Fs), (0xe8, SegReg::Gs)] {
        let mut pc = with_ax(Pc::protected(0), sel::FREE, &[0x8e, modrm]);
        pc.describe(sel::FREE, d);
        pc.ok();
        let want = Segment { selector: sel::FREE, attr: attr(0x93), limit: 0x789, base: 0x12_3456 };
        assert_eq!(*pc.seg(reg), want);
        assert_eq!(pc.descriptor(sel::FREE).0, d.0 | Descriptor::ACCESSED);
    }
}

#[test]
fn data_segment_checks() {
    let cases = [
        (0, sel::BEYOND, Vector::GP, Why::SelectorBeyondTable),
        (0, sel::BEYOND + 7, Vector::GP, Why::SelectorBeyondTable),
        (0, sel::FREE | 4, Vector::GP, Why::SelectorBeyondTable), // the LDT register is not usable
        (0, sel::TSS, Vector::GP, Why::NotDataOrReadableCode),
        (0, sel::EXECUTE_ONLY, Vector::GP, Why::NotDataOrReadableCode),
        (3, sel::DATA0, Vector::GP, Why::DataDplTooLow),
        (0, sel::DATA0 | 3, Vector::GP, Why::DataDplTooLow),
        (3, sel::CODE0 | 3, Vector::GP, Why::DataDplTooLow),
        (0, sel::DATA_ABSENT, Vector::NP, Why::SegmentNotPresent),
        (0, sel::CODE_ABSENT, Vector::NP, Why::SegmentNotPresent),
    ];
    for (cpl, selector, vector, why) in cases {
        let mut pc = Pc::protected(cpl);
        pc.state.ldtr.attr = SegAttr::UNUSABLE;
        let mut pc = with_ax(pc, selector, &MOV_DS);
        pc.faults(vector, Some(u32::from(selector & !3)), why);
    }
}

#[test]
fn what_level_3_may_load() {
    for selector in [sel::DATA3, sel::CODE3, sel::DATA3 & !3, sel::CONFORMING, sel::CONFORMING | 3] {
        let mut pc = with_ax(Pc::protected(3), selector, &MOV_DS);
        assert_eq!(pc.ok().seg(SegReg::Ds).selector, selector);
    }
}

#[test]
fn a_null_selector_makes_the_register_unusable_but_ss_faults() {
    for null in 0..4 {
        let mut pc = with_ax(Pc::protected(0), null, &MOV_DS);
        pc.ok();
        assert_eq!((pc.seg(SegReg::Ds).selector, pc.seg(SegReg::Ds).attr), (null, SegAttr::UNUSABLE));
        // mov al, [0]
        pc.code(&[0xa0, 0, 0, 0, 0]).gp(0, Why::NullSegment);
        with_ax(Pc::protected(0), null, &MOV_SS).gp(0, Why::NullStack);
    }
}

#[test]
fn stack_segment_checks() {
    let absent = flat(0xc013);
    let cases = [
        (0, sel::BEYOND, Vector::GP, Why::SelectorBeyondTable),
        (0, sel::DATA0 | 3, Vector::GP, Why::StackRplWrong),
        (3, sel::DATA3 & !3, Vector::GP, Why::StackRplWrong),
        (0, sel::READ_ONLY, Vector::GP, Why::StackNotWritable),
        (0, sel::CODE0, Vector::GP, Why::StackNotWritable),
        (0, sel::TSS, Vector::GP, Why::StackNotWritable),
        (0, sel::DATA3 & !3, Vector::GP, Why::StackDplWrong),
        (3, sel::DATA0 | 3, Vector::GP, Why::StackDplWrong),
        (0, sel::FREE, Vector::SS, Why::StackNotPresent),
    ];
    for (cpl, selector, vector, why) in cases {
        let mut pc = with_ax(Pc::protected(cpl), selector, &MOV_SS);
        pc.describe(sel::FREE, absent);
        pc.faults(vector, Some(u32::from(selector & !3)), why);
    }
}

#[test]
fn mov_ss_and_pop_ss_hold_events_off_but_lss_does_not() {
    let mut pc = with_ax(Pc::protected(0), sel::DATA0, &MOV_SS);
    assert_eq!(pc.ok().state.events.shadow, Shadow::MovSs);
    let mut pc = Pc::protected(0);
    pc.poke32(STACK, u32::from(sel::DATA0));
    assert_eq!(pc.code(&[0x17]).ok().state.events.shadow, Shadow::MovSs);
    assert_eq!(pc.reg(Gpr::Rsp), STACK + 4);
    let mut pc = Pc::protected(0);
    pc.poke32(DATA, 0x6000);
    pc.poke16(DATA + 4, sel::DATA0);
    // lss esp, [DATA]
    pc.code(&[0x0f, 0xb2, 0x25, 0, 0xa0, 0, 0]).ok();
    assert_eq!((pc.reg(Gpr::Rsp), pc.state.events.shadow), (0x6000, Shadow::None));
}

#[test]
fn mov_cs_and_segment_registers_6_and_7_are_undefined() {
    let mut pc = with_ax(Pc::protected(0), sel::CODE0, &[0x8e, 0xc8]);
    pc.faults(Vector::UD, None, Why::BadRegister);
    for modrm in [0xf0, 0xf8] {
        Pc::protected(0).code(&[0x8e, modrm]).faults(Vector::UD, None, Why::BadRegister);
        Pc::protected(0).code(&[0x8c, modrm]).faults(Vector::UD, None, Why::BadRegister);
    }
}

#[test]
fn selectors_with_ti_come_from_the_ldt() {
    let mut pc = with_ax(Pc::protected(0), 0xc, &MOV_DS);
    pc.state.ldtr = Segment { selector: sel::LDT, attr: attr(0x82), limit: 0xf, base: LDT };
    pc.poke64(LDT + 8, Descriptor::new(0x777, 1, attr(0x93)).0);
    assert_eq!(pc.ok().seg(SegReg::Ds).base, 0x777);
    pc.set_reg(Gpr::Rax, 0x14);
    pc.code(&MOV_DS).gp(0x14, Why::SelectorBeyondTable);
}

#[test]
fn real_mode_loads_the_base_and_keeps_the_limit() {
    let mut pc = with_ax(Pc::real(), 0x1234, &MOV_DS);
    pc.state.seg[SegReg::Ds as usize].limit = 0xffff_ffff;
    pc.ok();
    let ds = pc.seg(SegReg::Ds);
    assert_eq!((ds.selector, ds.base, ds.limit), (0x1234, 0x12340, 0xffff_ffff));
}

#[test]
fn virtual_8086_mode_loads_everything() {
    let mut pc = with_ax(Pc::v86(0), 0x1234, &MOV_DS);
    pc.state.seg[SegReg::Ds as usize].limit = 0xffff_ffff;
    pc.ok();
    let want = Segment { selector: 0x1234, attr: attr(0xf3), limit: 0xffff, base: 0x12340 };
    assert_eq!(*pc.seg(SegReg::Ds), want);
}

#[test]
fn long_mode_takes_a_null_ss_below_level_3() {
    let mut pc = with_ax(Pc::long(0), 0, &MOV_SS);
    assert_eq!(pc.ok().seg(SegReg::Ss).attr, SegAttr::UNUSABLE);
    with_ax(Pc::long(0), 1, &MOV_SS).gp(0, Why::NullStack);
    with_ax(Pc::long(3), 3, &MOV_SS).gp(0, Why::NullStack);
    with_ax(Pc::compat(0), 0, &MOV_SS).gp(0, Why::NullStack);
}

#[test]
fn a_null_selector_clears_the_base_of_fs() {
    let mut pc = with_ax(Pc::long(0), 0, &[0x8e, 0xe0]);
    pc.state.seg[SegReg::Fs as usize].base = 0xffff_8000_0000_0000;
    assert_eq!(pc.ok().seg(SegReg::Fs).base, 0);
}

#[test]
fn push_of_a_selector_is_as_wide_as_the_stack_wants() {
    // push ds with 16, 32 bits; push fs with 64
    let mut pc = Pc::protected(0);
    pc.poke32(STACK - 4, 0xaaaa_aaaa);
    pc.code(&[0x1e]).ok();
    assert_eq!((pc.reg(Gpr::Rsp), pc.peek32(STACK - 4)), (STACK - 4, 0xaaaa_0010));
    let mut pc = Pc::protected(0);
    pc.code(&[0x66, 0x1e]).ok();
    assert_eq!((pc.reg(Gpr::Rsp), pc.peek16(STACK - 2)), (STACK - 2, sel::DATA0));
    let mut pc = Pc::long(3);
    pc.code(&[0x0f, 0xa0]).ok();
    assert_eq!((pc.reg(Gpr::Rsp), pc.peek64(STACK3 - 8)), (STACK3 - 8, u64::from(sel::DATA3)));
}

#[test]
fn mov_from_a_segment_register_zero_extends_to_registers_and_stores_16_bits() {
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rax, 0xffff_ffff_ffff_ffff);
    assert_eq!(pc.code(&[0x8c, 0xd8]).ok().reg(Gpr::Rax), u64::from(sel::DATA0));
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rax, 0x1122_3344);
    assert_eq!(pc.code(&[0x66, 0x8c, 0xd8]).ok().reg(Gpr::Rax), 0x1122_0010);
    let mut pc = Pc::protected(0);
    pc.poke32(DATA, 0xffff_ffff);
    pc.code(&[0x8c, 0x1d, 0, 0xa0, 0, 0]).ok();
    assert_eq!(pc.peek32(DATA), 0xffff_0010);
}

#[test]
fn a_failed_lds_leaves_the_register_alone() {
    let mut pc = Pc::protected(0);
    pc.poke32(DATA, 0x1234);
    pc.poke16(DATA + 4, sel::DATA_ABSENT);
    // lds eax, [DATA]
    let lds = [0xc5, 0x05, 0, 0xa0, 0, 0];
    pc.code(&lds).faults(Vector::NP, Some(u32::from(sel::DATA_ABSENT)), Why::SegmentNotPresent);
    pc.poke16(DATA + 4, sel::DATA3);
    pc.code(&lds).ok();
    assert_eq!((pc.reg(Gpr::Rax), pc.seg(SegReg::Ds).selector), (0x1234, sel::DATA3));
}

#[test]
fn the_gdt_may_wrap_at_4_gib_outside_long_mode() {
    let mut pc = with_ax(Pc::protected(0), sel::DATA0, &MOV_DS);
    pc.state.gdtr.base = GDT + (1 << 32);
    assert_eq!(pc.ok().seg(SegReg::Ds).limit, 0xffff_ffff);
}
