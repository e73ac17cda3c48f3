//! The board as the CPU that completes instructions for a guest sees it.

use hako_board::Board;
use hako_engine::{At, Attention, Bus, Lines, Time};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::Width;

/// The board at one moment.
pub struct Moment<'a> {
    /// The board.
    pub board: &'a mut Board,
    /// The processor that makes them.
    pub cpu: u8,
    /// The time of all accesses.
    pub now: Time,
    /// What the accesses changed.
    pub attention: Attention,
}

impl Moment<'_> {
    /// The board at a moment, for one of the processors.
    pub fn new(board: &mut Board, cpu: u8, now: Time) -> Moment<'_> {
        Moment { board, cpu, now, attention: Attention::empty() }
    }

    fn note(&mut self, attention: Attention) -> Attention {
        self.attention |= attention;
        attention
    }
}

impl Bus for Moment<'_> {
    fn port_in(&mut self, _: At, port: u16, width: Width, data: &mut [u8]) -> Attention {
        let attention = self.board.port_in(self.now, port, width, data);
        self.note(attention)
    }

    fn port_out(&mut self, _: At, port: u16, width: Width, data: &[u8]) -> Attention {
        let attention = self.board.port_out(self.now, port, width, data);
        self.note(attention)
    }

    fn mmio_read(&mut self, _: At, gpa: Gpa, data: &mut [u8]) -> Attention {
        let attention = self.board.mmio_read(self.now, self.cpu, gpa, data);
        self.note(attention)
    }

    fn mmio_write(&mut self, _: At, gpa: Gpa, data: &[u8]) -> Attention {
        let attention = self.board.mmio_write(self.now, self.cpu, gpa, data);
        self.note(attention)
    }

    fn msr_read(&mut self, _: At, index: u32) -> Option<u64> {
        self.board.msr_read(self.now, self.cpu, index)
    }

    fn msr_write(&mut self, _: At, index: u32, value: u64) -> Option<Attention> {
        let attention = self.board.msr_write(self.now, self.cpu, index, value)?;
        Some(self.note(attention))
    }

    fn acknowledge(&mut self, _: At) -> u8 {
        self.board.acknowledge(self.now, self.cpu)
    }

    fn task_priority(&mut self, _: At) -> Option<u8> {
        self.board.task_priority(self.now, self.cpu)
    }

    fn set_task_priority(&mut self, _: At, priority: u8) -> Option<Attention> {
        let attention = self.board.set_task_priority(self.now, self.cpu, priority)?;
        Some(self.note(attention))
    }

    /// Interrupts are the kernel's to inject: the CPU here never takes one.
    fn lines(&mut self, _: At) -> Lines {
        Lines { a20: true, ..Lines::default() }
    }

    fn tsc(&mut self, _: At) -> u64 {
        self.now.0
    }

    fn memory(&self) -> &GuestMemory {
        self.board.memory()
    }
}
