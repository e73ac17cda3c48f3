//! What the memory fast path needs of a segment: a base and how many bytes from offset 0 may be read or written.

use hako_x86::{SegAttr, SegReg, Segment};

/// A segment's fast path. Offsets it does not cover go the slow way, which knows every rule.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SegFast {
    /// Linear base.
    pub base: u64,
    /// Reads of `[off, off + n)` are in order if `off + n <= readable`.
    pub readable: u64,
    /// The same for writes.
    pub writable: u64,
}

impl SegFast {
    /// For 64-bit mode: no limits; only FS and GS have a base (SDM Vol. 3A 3.4.4).
    pub fn long(reg: SegReg, seg: &Segment) -> SegFast {
        let base = if matches!(reg, SegReg::Fs | SegReg::Gs) { seg.base } else { 0 };
        SegFast { base, readable: u64::MAX, writable: u64::MAX }
    }

    /// For all other modes. Expand-down segments and those that wrap at 4 GiB are left to the slow path in part.
    pub fn legacy(seg: &Segment, real: bool) -> SegFast {
        let base = seg.base & 0xffff_ffff;
        let bytes = (u64::from(seg.limit) + 1).min((1 << 32) - base);
        let (read, write) = if real { (true, true) } else { rights(seg) };
        let expand_down = !seg.attr.contains(SegAttr::CODE) && seg.attr.contains(SegAttr::DC);
        let count = |may: bool| if may && !expand_down { bytes } else { 0 };
        SegFast { base, readable: count(read), writable: count(write) }
    }
}

/// Whether a segment can be read and written (SDM Vol. 3A 3.4.5.1, 5.5).
pub(crate) fn rights(seg: &Segment) -> (bool, bool) {
    let a = seg.attr;
    if a.contains(SegAttr::UNUSABLE) || !a.contains(SegAttr::P) {
        return (false, false);
    }
    let (code, rw) = (a.contains(SegAttr::CODE), a.contains(SegAttr::RW));
    (!code || rw, !code && rw)
}
