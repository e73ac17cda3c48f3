//! INVLPG and INVPCID (SDM Vol. 2A; Vol. 3A 4.10.4.1).

use hako_x86::Cr4;

use crate::access::canonical;
use crate::control::PCID;
use crate::cx::{Cx, Step};
use crate::op::{MEM, Op};
use crate::why::Why;

/// INVLPG: of a non-canonical address it does nothing.
pub(crate) fn invlpg(cx: &mut Cx<'_>, op: &Op) -> Step {
    if op.pfx & MEM == 0 {
        return Err(cx.ud(Why::NeedsMemoryOperand));
    }
    cx.level_0()?;
    let base = cx.cpu.fast[usize::from(op.seg & 7)].base;
    let lin = cx.wrap_linear(base.wrapping_add(cx.ea(op)));
    cx.cpu.tlb.drop_page(lin);
    Ok(())
}

/// INVPCID: by a descriptor of 16 bytes, PCID and linear address.
pub(crate) fn invpcid(cx: &mut Cx<'_>, op: &Op) -> Step {
    const ADDRESS: u64 = 0;
    const SINGLE_CONTEXT: u64 = 1;
    const ALL_BUT_GLOBAL: u64 = 3;
    cx.level_0()?;
    let kind = if cx.cpu.long64() { cx.reg::<u64>(op.reg) } else { u64::from(cx.reg::<u32>(op.reg)) };
    let descriptor: u128 = cx.rd(op.seg, cx.ea(op))?;
    let (pcid, lin) = (descriptor as u64, (descriptor >> 64) as u64);
    if kind > ALL_BUT_GLOBAL {
        return Err(cx.gp(0, Why::InvpcidType));
    }
    let pcids = cx.cpu.cr4_has(Cr4::PCIDE);
    if pcid & !PCID != 0 || kind <= SINGLE_CONTEXT && pcid != 0 && !pcids {
        return Err(cx.gp(0, Why::InvpcidDescriptor));
    }
    match kind {
        ADDRESS if !canonical(lin) => return Err(cx.gp(0, Why::NotCanonical)),
        ADDRESS => cx.cpu.tlb.drop_page(lin),
        SINGLE_CONTEXT => cx.cpu.tlb.flush_pcid(pcid as u16),
        // The TLBs tell global translations from others no further: both types drop all of them.
        _ => cx.cpu.flush_tlb(),
    }
    Ok(())
}
