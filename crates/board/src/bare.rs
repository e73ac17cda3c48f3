//! The bare machine: RAM at 0, port 0x01 writes characters, everything else is not there.

use hako_engine::{Attention, Lines};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{Activity, CpuState, SegReg, Segment, Width};

use crate::Output;

/// The port whose writes are output.
pub const OUTPUT_PORT: u16 = 0x01;

/// RAM at 0 and one port.
pub struct Bare {
    memory: GuestMemory,
    pub(crate) output: Output,
}

impl Bare {
    /// A bare machine with this memory.
    pub fn new(memory: GuestMemory) -> Bare {
        Bare { memory, output: Output::default() }
    }

    /// RAM.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// The CPU at power-on: real mode with CS base and selector 0, RIP 0, RFLAGS 2.
    pub fn initial_state() -> CpuState {
        let mut state = CpuState::reset();
        state.seg[SegReg::Cs as usize] = Segment { attr: state.segment(SegReg::Cs).attr, ..Segment::real(0) };
        state.rip = 0;
        state.activity = Activity::Running;
        state
    }

    pub(crate) fn port_in(&mut self, _port: u16, data: &mut [u8]) -> Attention {
        data.fill(0xff);
        Attention::empty()
    }

    pub(crate) fn port_out(&mut self, port: u16, width: Width, data: &[u8]) -> Attention {
        // A wider write reaches the following ports too, of which there are none: only the byte at 0x01 counts.
        let into = usize::from(OUTPUT_PORT.wrapping_sub(port));
        if into < width.bytes() {
            self.output.serial.extend(data.iter().skip(into).step_by(width.bytes()));
        }
        Attention::empty()
    }

    pub(crate) fn mmio_read(&mut self, _gpa: Gpa, data: &mut [u8]) -> Attention {
        data.fill(0xff);
        Attention::empty()
    }

    pub(crate) fn lines(&mut self) -> Lines {
        Lines { a20: true, ..Lines::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Bare {
        Bare::new(GuestMemory::flat(0x1000))
    }

    #[test]
    fn bytes_written_to_port_1_are_output() {
        let mut b = bare();
        let _ = b.port_out(1, Width::B1, b"H");
        let _ = b.port_out(1, Width::B1, b"ey");
        assert_eq!(b.output.serial, b"Hey");
    }

    #[test]
    fn of_a_wider_write_only_the_byte_at_port_1_is_output() {
        let mut b = bare();
        let _ = b.port_out(1, Width::B2, b"AxBy");
        let _ = b.port_out(0, Width::B2, b"xC");
        let _ = b.port_out(2, Width::B4, b"none");
        assert_eq!(b.output.serial, b"ABC");
    }

    #[test]
    fn every_port_reads_all_ones() {
        let mut buf = [0; 4];
        let _ = bare().port_in(1, &mut buf);
        assert_eq!(buf, [0xff; 4]);
    }

    #[test]
    fn the_cpu_starts_in_real_mode_at_0() {
        let s = Bare::initial_state();
        assert_eq!((s.linear_rip(), s.segment(SegReg::Cs).selector, s.rflags.bits()), (0, 0, 2));
        assert_eq!(s.cr0 & 1, 0);
    }
}
