//! Control and status words, the environment and the whole state in memory (SDM Vol. 1 8.1.10, 8.1.11, 8.3.11).

use hako_x86::{Cr0, Vector};

use crate::cx::{Cx, Step, Trap};
use crate::fpu::state::{F80, FpuState};
use crate::op::Op;
use crate::operand::{Address, Operand};
use crate::paging::Access;
use crate::why::Why;

/// WAIT.
pub(crate) fn wait(cx: &mut Cx<'_>, _op: &Op) -> Step {
    if cx.cpu.cr0_has(Cr0::MP | Cr0::TS) {
        return Err(cx.fault(Vector::NM, None, Why::FpuUnavailable));
    }
    cx.x87_pending()
}

/// FNINIT.
pub(crate) fn fninit(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.x87_there()?;
    cx.x().init();
    cx.settle_ferr();
    Ok(())
}

/// FNCLEX.
pub(crate) fn fnclex(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.x87_there()?;
    cx.x().clear_exceptions();
    cx.settle_ferr();
    Ok(())
}

/// FLDCW.
pub(crate) fn fldcw<A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87()?;
    let cw = match A::read(cx, op, 2) {
        Some(at) => cx.slab.load(at),
        None => cx.rd_slow(op.seg, cx.ea(op))?,
    };
    cx.x().set_control(cw);
    cx.settle_ferr();
    Ok(())
}

/// FNSTCW.
pub(crate) fn fnstcw<A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87_there()?;
    let cw = cx.x().cw;
    cx.put::<u16, A>(op, cw)
}

/// FNSTSW m16.
pub(crate) fn fnstsw<A: Address>(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87_there()?;
    let sw = cx.x().status();
    cx.put::<u16, A>(op, sw)
}

/// FNSTSW AX.
pub(crate) fn fnstsw_ax(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.x87_there()?;
    let sw = cx.x().status();
    u16::set(cx.cpu, 0, sw);
    Ok(())
}

/// The seven words of an environment, each as wide as the operand size says.
type Environment = [u32; 7];

/// How an environment lies in memory.
#[derive(Clone, Copy)]
struct Layout {
    /// Words of 32 bits, not 16.
    wide: bool,
    /// Pointers are linear addresses: real and virtual-8086 mode.
    linear: bool,
}

impl Layout {
    fn of(cx: &Cx<'_>, op: &Op) -> Layout {
        Layout { wide: op.osize != 1, linear: !cx.cpu.protected() }
    }

    /// Bytes in a word.
    fn unit(self) -> u64 {
        if self.wide { 4 } else { 2 }
    }

    /// Figures 8-9 to 8-12 of the SDM. What is reserved is written as ones.
    fn save(self, fpu: &FpuState) -> Environment {
        const RESERVED: u32 = 0xffff_0000;
        let control = |word: u16| u32::from(word) | RESERVED;
        let [cw, sw, tw] = [fpu.cw, fpu.status(), fpu.tag_word()].map(control);
        let fop = u32::from(fpu.fop);
        let (fip, fdp) = (fpu.fip as u32, fpu.fdp as u32);
        if !self.linear {
            let (fcs, fds) = (u32::from(fpu.fcs), u32::from(fpu.fds));
            return [cw, sw, tw, fip, fcs | fop << 16, fdp, fds | RESERVED];
        }
        let fip = fip.wrapping_add(u32::from(fpu.fcs) << 4);
        let fdp = fdp.wrapping_add(u32::from(fpu.fds) << 4);
        if self.wide {
            let (low_ip, low_dp) = (fip & 0xffff | RESERVED, fdp & 0xffff | RESERVED);
            [cw, sw, tw, low_ip, fip >> 16 << 12 | fop, low_dp, fdp >> 16 << 12]
        } else {
            [cw, sw, tw, fip, fip >> 4 & 0xf000 | fop, fdp, fdp >> 4 & 0xf000]
        }
    }

    fn load(self, env: &Environment, fpu: &mut FpuState) {
        let [cw, sw, tw, fip, fcs, fdp, fds] = *env;
        fpu.set_control(cw as u16);
        fpu.set_status(sw as u16);
        fpu.set_tag_word(tw as u16);
        if self.linear {
            let high = |word: u32| if self.wide { word >> 12 << 16 } else { (word & 0xf000) << 4 };
            fpu.fip = u64::from(fip & 0xffff | high(fcs));
            fpu.fdp = u64::from(fdp & 0xffff | high(fds));
            (fpu.fcs, fpu.fds) = (0, 0);
            fpu.fop = fcs as u16 & 0x7ff;
        } else {
            (fpu.fip, fpu.fdp) = (u64::from(fip), u64::from(fdp));
            (fpu.fcs, fpu.fds) = (fcs as u16, fds as u16);
            // Without room for the opcode in 16 bits it is lost.
            fpu.fop = (fcs >> 16) as u16 & 0x7ff;
        }
    }
}

/// Writes an environment, after all of the `len` bytes from it on have been found writable.
fn put_environment(cx: &mut Cx<'_>, op: &Op, layout: Layout, len: u64) -> Step {
    let unit = layout.unit();
    for at in (0..len).step_by(2) {
        cx.probe(op.seg, cx.ea_plus(op, at), 2, Access::Write)?;
    }
    let env = layout.save(&cx.cpu.fpu);
    for (i, word) in env.into_iter().enumerate() {
        let off = cx.ea_plus(op, i as u64 * unit);
        if layout.wide { cx.wr(op.seg, off, word)? } else { cx.wr(op.seg, off, word as u16)? }
    }
    Ok(())
}

fn get_environment(cx: &mut Cx<'_>, op: &Op, layout: Layout) -> Result<Environment, Trap> {
    let mut env = [0; 7];
    for (i, word) in env.iter_mut().enumerate() {
        let off = cx.ea_plus(op, i as u64 * layout.unit());
        *word = if layout.wide { cx.rd(op.seg, off)? } else { u32::from(cx.rd::<u16>(op.seg, off)?) };
    }
    Ok(env)
}

/// FNSTENV: masks all exceptions afterwards.
pub(crate) fn fnstenv(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87_there()?;
    let layout = Layout::of(cx, op);
    put_environment(cx, op, layout, 7 * layout.unit())?;
    let fpu = cx.x();
    fpu.set_control(fpu.cw | 0x3f);
    cx.settle_ferr();
    Ok(())
}

/// FLDENV.
pub(crate) fn fldenv(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87()?;
    let layout = Layout::of(cx, op);
    let env = get_environment(cx, op, layout)?;
    layout.load(&env, cx.x());
    cx.settle_ferr();
    Ok(())
}

/// FNSAVE: the environment and ST(0) to ST(7), then FNINIT.
pub(crate) fn fnsave(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87_there()?;
    let layout = Layout::of(cx, op);
    let start = 7 * layout.unit();
    put_environment(cx, op, layout, start + 80)?;
    for i in 0..8 {
        let value = cx.x().st(i);
        cx.write_f80(op, start + 10 * u64::from(i), value)?;
    }
    cx.x().init();
    cx.settle_ferr();
    Ok(())
}

/// FRSTOR.
pub(crate) fn frstor(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.x87()?;
    let layout = Layout::of(cx, op);
    let env = get_environment(cx, op, layout)?;
    let start = 7 * layout.unit();
    let mut values = [F80::default(); 8];
    for (i, value) in values.iter_mut().enumerate() {
        *value = cx.read_f80(op, start + 10 * i as u64)?;
    }
    let fpu = cx.x();
    layout.load(&env, fpu);
    let top = usize::from(fpu.top);
    for (i, value) in values.into_iter().enumerate() {
        fpu.st[(top + i) & 7] = value;
    }
    cx.settle_ferr();
    Ok(())
}
