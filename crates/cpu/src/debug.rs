//! Debug exceptions, and debugging by the host.

use hako_engine::DebugHit;

use crate::cx::{Cx, Step};

/// A data access while breakpoints on data are armed.
pub(crate) fn watch(cx: &mut Cx<'_>, lin: u64, len: u64, write: bool) {
    let _ = (cx, lin, len, write);
}

/// Before the instruction at `cpu.rip`, while `cpu.careful`: the host's breakpoints stop the CPU; the guest's raise #DB.
pub(crate) fn before(cx: &mut Cx<'_>) -> Result<Option<DebugHit>, crate::cx::Trap> {
    let _ = cx;
    Ok(None)
}

/// After a completed instruction, while `cpu.careful`: single step and data breakpoints raise #DB; the host's stop the
/// CPU.
pub(crate) fn after(cx: &mut Cx<'_>) -> Result<Option<DebugHit>, crate::cx::Trap> {
    let _: Step = Ok(());
    let _ = cx;
    Ok(None)
}
