//! One set of methods for both machines.

use hako_chips::Wish;
use hako_engine::{Attention, Lines, Time};
use hako_firmware::{Bios, Outcome};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, Width};

use crate::{Bare, Output};

/// Everything of a machine that is not the CPU.
pub enum Board {
    /// RAM and one port.
    Bare(Bare),
}

impl Board {
    /// RAM, ROM and the map of the moment.
    pub fn memory(&self) -> &GuestMemory {
        match self {
            Board::Bare(b) => b.memory(),
        }
    }

    /// The CPU's state at power-on and after a reset.
    pub fn initial_state(&self) -> CpuState {
        match self {
            Board::Bare(_) => Bare::initial_state(),
        }
    }

    /// IN, or INS with `data.len() / width` items.
    pub fn port_in(&mut self, _now: Time, port: u16, _width: Width, data: &mut [u8]) -> Attention {
        match self {
            Board::Bare(b) => b.port_in(port, data),
        }
    }

    /// OUT, or OUTS with `data.len() / width` items.
    pub fn port_out(&mut self, _now: Time, port: u16, width: Width, data: &[u8]) -> Attention {
        match self {
            Board::Bare(b) => b.port_out(port, width, data),
        }
    }

    /// Reads what is neither RAM nor ROM.
    pub fn mmio_read(&mut self, _now: Time, gpa: Gpa, data: &mut [u8]) -> Attention {
        match self {
            Board::Bare(b) => b.mmio_read(gpa, data),
        }
    }

    /// Writes what is not RAM.
    pub fn mmio_write(&mut self, _now: Time, _gpa: Gpa, _data: &[u8]) -> Attention {
        match self {
            Board::Bare(_) => Attention::empty(),
        }
    }

    /// RDMSR of an MSR that chips own.
    pub fn msr_read(&mut self, _now: Time, _index: u32) -> Option<u64> {
        None
    }

    /// WRMSR of an MSR that chips own.
    pub fn msr_write(&mut self, _now: Time, _index: u32, _value: u64) -> Option<Attention> {
        None
    }

    /// Lets every chip whose time has come act.
    pub fn tick(&mut self, _now: Time) -> Attention {
        match self {
            Board::Bare(_) => Attention::empty(),
        }
    }

    /// When `tick` is wanted next.
    pub fn next_event(&self) -> Time {
        match self {
            Board::Bare(_) => Time::NEVER,
        }
    }

    /// The levels of the lines into the CPU.
    pub fn lines(&mut self) -> Lines {
        match self {
            Board::Bare(b) => b.lines(),
        }
    }

    /// Interrupt acknowledge. Without a controller the bus floats: all ones.
    pub fn acknowledge(&mut self, _now: Time) -> u8 {
        match self {
            Board::Bare(_) => 0xff,
        }
    }

    /// When an interrupt may come next by itself: `next_event`, but for events that no unmasked interrupt follows.
    pub fn next_wake(&self) -> Time {
        match self {
            Board::Bare(_) => Time::NEVER,
        }
    }

    /// A byte for COM1 from outside; `false` if it has no room for it now.
    pub fn serial_input(&mut self, _now: Time, _byte: u8) -> bool {
        match self {
            Board::Bare(_) => false,
        }
    }

    /// Everything as at power-on, but for the contents of memory, disks and the sinks. Nothing is allocated anew.
    pub fn reset(&mut self, _now: Time) {
        match self {
            Board::Bare(b) => b.output.clear(),
        }
    }

    /// Lets the built-in firmware answer a trap.
    pub fn serve(&mut self, _now: Time, _bios: &mut Bios, _state: &mut CpuState) -> Outcome {
        match self {
            Board::Bare(_) => Outcome::Ignored,
        }
    }

    /// What a chip wants of the machine as a whole, once.
    pub fn take_wish(&mut self) -> Option<Wish> {
        match self {
            Board::Bare(_) => None,
        }
    }

    /// What the guest said since the last look.
    pub fn output(&mut self) -> &mut Output {
        match self {
            Board::Bare(b) => &mut b.output,
        }
    }
}
