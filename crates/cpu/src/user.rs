//! Instructions that came with later features: CLAC and STAC, RDFSBASE and its kin, RDRAND, RDSEED, RDPID, cache line
//! flushes (SDM Vol. 2).

use hako_x86::{Cr4, RFlags, SegReg};

use crate::access::canonical;
use crate::cx::{Cx, Step};
use crate::flags::Flags;
use crate::op::Op;
use crate::operand::Operand;
use crate::paging::Access;
use crate::why::Why;

/// CLAC and STAC: #UD above level 0.
fn set_ac(cx: &mut Cx<'_>, on: bool) -> Step {
    if cx.cpu.cpl != 0 {
        return Err(cx.ud(Why::NotLevel0));
    }
    let ac = RFlags::AC.bits();
    cx.cpu.rest = cx.cpu.rest & !ac | if on { ac } else { 0 };
    cx.cpu.update_key();
    Ok(())
}

/// CLAC.
pub(crate) fn clac(cx: &mut Cx<'_>, _op: &Op) -> Step {
    set_ac(cx, false)
}

/// STAC.
pub(crate) fn stac(cx: &mut Cx<'_>, _op: &Op) -> Step {
    set_ac(cx, true)
}

fn fs_gs_enabled(cx: &mut Cx<'_>) -> Step {
    if cx.cpu.cr4_has(Cr4::FSGSBASE) { Ok(()) } else { Err(cx.ud(Why::FsGsBaseDisabled)) }
}

fn read_base(cx: &mut Cx<'_>, op: &Op, seg: SegReg) -> Step {
    fs_gs_enabled(cx)?;
    let base = cx.cpu.seg[seg as usize].base;
    if op.osize == 3 {
        cx.set_reg(op.base, base)
    } else {
        cx.set_reg(op.base, base as u32)
    }
    Ok(())
}

fn write_base(cx: &mut Cx<'_>, op: &Op, seg: SegReg) -> Step {
    fs_gs_enabled(cx)?;
    let base = if op.osize == 3 { cx.reg::<u64>(op.base) } else { u64::from(cx.reg::<u32>(op.base)) };
    if !canonical(base) {
        return Err(cx.gp(0, Why::NotCanonical));
    }
    cx.cpu.set_base(seg, base);
    Ok(())
}

/// RDFSBASE.
pub(crate) fn rdfsbase(cx: &mut Cx<'_>, op: &Op) -> Step {
    read_base(cx, op, SegReg::Fs)
}

/// RDGSBASE.
pub(crate) fn rdgsbase(cx: &mut Cx<'_>, op: &Op) -> Step {
    read_base(cx, op, SegReg::Gs)
}

/// WRFSBASE.
pub(crate) fn wrfsbase(cx: &mut Cx<'_>, op: &Op) -> Step {
    write_base(cx, op, SegReg::Fs)
}

/// WRGSBASE.
pub(crate) fn wrgsbase(cx: &mut Cx<'_>, op: &Op) -> Step {
    write_base(cx, op, SegReg::Gs)
}

/// A number that follows from the machine's seed, the CPU, the instruction's count and the time alone, so that a run
/// that is repeated gets it again (SplitMix64's finalizer, twice).
fn random(cx: &mut Cx<'_>) -> u64 {
    fn mix(z: u64) -> u64 {
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let at = cx.at();
    let time = cx.bus.tsc(at);
    let place = cx.cpu.config.seed.wrapping_add(u64::from(at.cpu) << 56 | 1).wrapping_mul(STEP);
    mix(mix(place ^ at.count.wrapping_mul(STEP)).wrapping_add(time).wrapping_add(STEP))
}

/// CF says that there is a number; the other arithmetic flags are clear.
fn give_random<T: Operand>(cx: &mut Cx<'_>, op: &Op) {
    let value = random(cx);
    cx.set_reg(op.base, T::from_u64(value));
    cx.cpu.fl = Flags::from_bits(RFlags::CF.bits());
}

/// RDRAND.
pub(crate) fn rdrand<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    give_random::<T>(cx, op);
    Ok(())
}

/// RDSEED.
pub(crate) fn rdseed<T: Operand>(cx: &mut Cx<'_>, op: &Op) -> Step {
    give_random::<T>(cx, op);
    Ok(())
}

/// RDPID: IA32_TSC_AUX in a register of 64 bits in 64-bit mode, else 32.
pub(crate) fn rdpid(cx: &mut Cx<'_>, op: &Op) -> Step {
    let value = cx.cpu.sys.tsc_aux;
    if cx.cpu.long64() {
        cx.set_reg(op.base, value)
    } else {
        cx.set_reg(op.base, value as u32)
    }
    Ok(())
}

/// A cache line is flushed: the address is checked as for a read of a byte.
fn flush_line(cx: &mut Cx<'_>, op: &Op) -> Step {
    let at = cx.ea(op);
    cx.probe(op.seg, at, 1, Access::Read).map(drop)
}

/// CLFLUSH.
pub(crate) fn clflush(cx: &mut Cx<'_>, op: &Op) -> Step {
    flush_line(cx, op)
}

/// CLFLUSHOPT.
pub(crate) fn clflushopt(cx: &mut Cx<'_>, op: &Op) -> Step {
    flush_line(cx, op)
}

/// CLWB.
pub(crate) fn clwb(cx: &mut Cx<'_>, op: &Op) -> Step {
    flush_line(cx, op)
}
