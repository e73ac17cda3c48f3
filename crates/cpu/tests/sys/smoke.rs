use crate::machine::{Pc, sel};
use hako_cpu::Why;
use hako_x86::{Gpr, SegReg};

#[test]
fn nop_runs_in_every_mode() {
    for mut pc in
        [Pc::real(), Pc::protected(0), Pc::protected(3), Pc::long(0), Pc::long(3), Pc::compat(3), Pc::v86(0)]
    {
        let rip = pc.state.rip;
        pc.code(&[0x90]).ok();
        assert_eq!(pc.state.rip, rip + 1);
    }
}

#[test]
fn mov_ds() {
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rax, u64::from(sel::DATA16));
    pc.code(&[0x8e, 0xd8]).ok();
    assert_eq!(pc.seg(SegReg::Ds).limit, 0xffff);
    let mut pc = Pc::protected(0);
    pc.set_reg(Gpr::Rax, u64::from(sel::BEYOND));
    pc.code(&[0x8e, 0xd8]).gp(0x100, Why::SelectorBeyondTable);
}
