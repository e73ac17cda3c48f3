//! Where the beam is: input status 1 from the time and the CRTC's vertical timing.

use hako_engine::Time;

use super::{CRTC, crtc};

/// Horizontal frequency in Hz of all VGA modes.
const LINES_PER_SECOND: u64 = 31_469;
/// Part of a line that is blank, in percent.
const BLANK_PERCENT: u64 = 20;
/// Input status 1: nothing is displayed.
const DISPLAY_OFF: u8 = 1 << 0;
/// Input status 1: vertical retrace.
const RETRACE: u8 = 1 << 3;

/// A vertical counter: eight bits of its own and two in the overflow register.
fn vertical(crtc: &[u8; CRTC], register: usize, bit_8: u8, bit_9: u8) -> u64 {
    let overflow = u64::from(crtc[crtc::OVERFLOW]);
    u64::from(crtc[register]) | (overflow >> bit_8 & 1) << 8 | (overflow >> bit_9 & 1) << 9
}

/// The number of displayed lines.
pub(super) fn displayed_lines(crtc: &[u8; CRTC]) -> u64 {
    vertical(crtc, crtc::VERTICAL_END, 1, 6) + 1
}

/// Input status register 1.
pub(super) fn status(crtc: &[u8; CRTC], now: Time) -> u8 {
    let total = vertical(crtc, crtc::VERTICAL_TOTAL, 0, 5) + 2;
    let start = vertical(crtc, crtc::RETRACE_START, 2, 7);
    let line = now.ticks(LINES_PER_SECOND) % total;
    let within_line = now.ticks(LINES_PER_SECOND * 100) % 100;
    // The end has four bits and is compared with the line's lowest four: at most 16 lines after the start.
    let length = (u64::from(crtc[crtc::RETRACE_END]).wrapping_sub(start) & 0x0f).max(1);
    let retrace = (start..start + length).contains(&line);
    let off = line >= displayed_lines(crtc) || within_line >= 100 - BLANK_PERCENT;
    (u8::from(retrace) * RETRACE) | (u8::from(off) * DISPLAY_OFF)
}
