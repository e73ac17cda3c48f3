//! Whether MMX and SSE may be used at all (SDM Vol. 3A 13.1, Vol. 2A table 2-18 and following).

use hako_x86::{Cr0, Cr4, Vector};

use crate::cx::{Cx, Step, Trap};
use crate::why::Why;

const EM: u64 = Cr0::EM.bits();
const TS: u64 = Cr0::TS.bits();
const OSFXSR: u64 = Cr4::OSFXSR.bits();
/// The x87 status word says that an unmasked exception is pending (ES).
const PENDING: u16 = 0x80;

/// Before every SSE instruction.
#[inline(always)]
pub(crate) fn sse(cx: &mut Cx<'_>) -> Step {
    if cx.cpu.cr0 & (EM | TS) | !cx.cpu.cr4 & OSFXSR != 0 { Err(sse_refused(cx)) } else { Ok(()) }
}

#[cold]
fn sse_refused(cx: &mut Cx<'_>) -> Trap {
    if cx.cpu.cr0 & EM != 0 || cx.cpu.cr4 & OSFXSR == 0 {
        return cx.ud(Why::SseDisabled);
    }
    cx.fault(Vector::NM, None, Why::FpuUnavailable)
}

/// Before every MMX instruction.
#[inline(always)]
pub(crate) fn mmx(cx: &mut Cx<'_>) -> Step {
    if cx.cpu.cr0 & (EM | TS) != 0 || cx.cpu.fpu.sw & PENDING != 0 { mmx_refused(cx) } else { Ok(()) }
}

#[cold]
fn mmx_refused(cx: &mut Cx<'_>) -> Step {
    if cx.cpu.cr0 & EM != 0 {
        return Err(cx.ud(Why::MmxDisabled));
    }
    if cx.cpu.cr0 & TS != 0 {
        return Err(cx.fault(Vector::NM, None, Why::FpuUnavailable));
    }
    cx.x87_pending()
}
