//! One set of methods for both machines.

use alloc::boxed::Box;

use hako_chips::Wish;
use hako_chips::pci::Bdf;
use hako_engine::{Attention, Lines, Time};
use hako_firmware::{Bios, Outcome};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, Width};

use crate::{Bare, Output, Pc};

/// Everything of a machine that is not the CPU.
pub enum Board {
    /// RAM and one port.
    Bare(Bare),
    /// A PC.
    Pc(Box<Pc>),
}

/// The same call on either machine.
macro_rules! either {
    ($board:expr, $b:ident => $call:expr) => {
        match $board {
            Board::Bare($b) => $call,
            Board::Pc($b) => $call,
        }
    };
}

impl Board {
    /// RAM, ROM and the map of the moment.
    #[inline]
    pub fn memory(&self) -> &GuestMemory {
        either!(self, b => b.memory())
    }

    /// The CPU's state at power-on and after a reset.
    pub fn initial_state(&self) -> CpuState {
        match self {
            Board::Bare(_) => Bare::initial_state(),
            Board::Pc(_) => CpuState::reset(),
        }
    }

    /// IN, or INS with `data.len() / width` items.
    pub fn port_in(&mut self, now: Time, port: u16, width: Width, data: &mut [u8]) -> Attention {
        match self {
            Board::Bare(b) => b.port_in(port, data),
            Board::Pc(b) => b.port_in(now, port, width, data),
        }
    }

    /// OUT, or OUTS with `data.len() / width` items.
    pub fn port_out(&mut self, now: Time, port: u16, width: Width, data: &[u8]) -> Attention {
        match self {
            Board::Bare(b) => b.port_out(port, width, data),
            Board::Pc(b) => b.port_out(now, port, width, data),
        }
    }

    /// Reads what is neither RAM nor ROM.
    pub fn mmio_read(&mut self, now: Time, cpu: u8, gpa: Gpa, data: &mut [u8]) -> Attention {
        match self {
            Board::Bare(b) => b.mmio_read(gpa, data),
            Board::Pc(b) => b.mmio_read(now, cpu, gpa, data),
        }
    }

    /// Writes what is not RAM.
    pub fn mmio_write(&mut self, now: Time, cpu: u8, gpa: Gpa, data: &[u8]) -> Attention {
        match self {
            Board::Bare(_) => Attention::empty(),
            Board::Pc(b) => b.mmio_write(now, cpu, gpa, data),
        }
    }

    /// RDMSR of an MSR that chips own; `None` is #GP.
    pub fn msr_read(&mut self, now: Time, cpu: u8, index: u32) -> Option<u64> {
        match self {
            Board::Bare(_) => None,
            Board::Pc(b) => b.msr_read(now, cpu, index),
        }
    }

    /// WRMSR of an MSR that chips own; `None` is #GP.
    pub fn msr_write(&mut self, now: Time, cpu: u8, index: u32, value: u64) -> Option<Attention> {
        match self {
            Board::Bare(_) => None,
            Board::Pc(b) => b.msr_write(now, cpu, index, value),
        }
    }

    /// CR8 of a CPU, where a local APIC of the board's keeps it.
    pub fn task_priority(&mut self, _now: Time, cpu: u8) -> Option<u8> {
        match self {
            Board::Bare(_) => None,
            Board::Pc(b) => b.task_priority(cpu),
        }
    }

    /// Writes CR8 of a CPU, where a local APIC of the board's keeps it.
    pub fn set_task_priority(&mut self, _now: Time, cpu: u8, priority: u8) -> Option<Attention> {
        match self {
            Board::Bare(_) => None,
            Board::Pc(b) => b.set_task_priority(cpu, priority),
        }
    }

    /// FERR# of a CPU: an x87 exception is reported while CR0.NE is clear.
    pub fn ferr(&mut self, cpu: u8, asserted: bool) -> Attention {
        match self {
            Board::Bare(_) => Attention::empty(),
            Board::Pc(b) => b.ferr(cpu, asserted),
        }
    }

    /// IGNNE#: x87 exceptions that FERR# reports are to be ignored; so they are where nothing listens to FERR#.
    pub fn ignne(&self) -> bool {
        match self {
            Board::Bare(_) => true,
            Board::Pc(b) => b.ignne(),
        }
    }

    /// CPUs whose lines have changed and that have not looked at them since, bit n for CPU n, since the last call. A
    /// change of another CPU's lines than that which made the access is announced by [`Attention::EVENTS`].
    pub fn take_signals(&mut self) -> u8 {
        match self {
            Board::Bare(_) => 0,
            Board::Pc(b) => b.take_signals(),
        }
    }

    /// The lines into CPU `cpu` for somebody who is not that CPU: edges stay for it to see.
    pub fn peek_lines(&self, cpu: u8) -> Lines {
        match self {
            Board::Bare(_) => Lines { a20: true, ..Lines::default() },
            Board::Pc(b) => b.peek_lines(cpu),
        }
    }

    /// Lets every chip whose time has come act.
    pub fn tick(&mut self, now: Time) -> Attention {
        match self {
            Board::Bare(_) => Attention::empty(),
            Board::Pc(b) => b.tick(now),
        }
    }

    /// Something has come from outside for the PCI device at `at`: lets it look.
    pub fn poke(&mut self, now: Time, at: Bdf) -> Attention {
        match self {
            Board::Bare(_) => Attention::empty(),
            Board::Pc(b) => b.poke(now, at),
        }
    }

    /// Bytes for the PCI device at `at` from outside; how many it took.
    pub fn device_input(&mut self, now: Time, at: Bdf, bytes: &[u8]) -> (usize, Attention) {
        match self {
            Board::Bare(_) => (0, Attention::empty()),
            Board::Pc(b) => b.device_input(now, at, bytes),
        }
    }

    /// How many bytes the PCI device at `at` would take now.
    pub fn device_room(&self, at: Bdf) -> usize {
        match self {
            Board::Bare(_) => 0,
            Board::Pc(b) => b.device_room(at),
        }
    }

    /// Whatever works for devices between accesses stops and comes back: before a save, and where the machine is to
    /// stand still.
    pub fn recall(&mut self, now: Time) -> Attention {
        match self {
            Board::Bare(_) => Attention::empty(),
            Board::Pc(b) => b.recall(now),
        }
    }

    /// When `tick` is wanted next.
    pub fn next_event(&self) -> Time {
        match self {
            Board::Bare(_) => Time::NEVER,
            Board::Pc(b) => b.next_event(),
        }
    }

    /// When an interrupt may come next by itself: `next_event`, but for events that no unmasked interrupt follows.
    pub fn next_wake(&self) -> Time {
        match self {
            Board::Bare(_) => Time::NEVER,
            Board::Pc(b) => b.next_wake(),
        }
    }

    /// Whether anything but the interval timer's tick, by itself, can still change what the guest sees: a byte on its
    /// way, a key, an interrupt that the guest would take if `interrupts` are on.
    pub fn expects_more_than_ticks(&self, interrupts: bool) -> bool {
        match self {
            Board::Bare(_) => false,
            Board::Pc(b) => b.expects_more_than_ticks(interrupts),
        }
    }

    /// A number that changes when the guest reads a port whose value passes with time: a guest that polls such a port
    /// is waiting, not hanging.
    pub fn volatile_reads(&self) -> u64 {
        match self {
            Board::Bare(_) => 0,
            Board::Pc(b) => b.volatile_reads(),
        }
    }

    /// A byte for COM1 from outside; `false` if it has no room for it now.
    pub fn serial_input(&mut self, now: Time, byte: u8) -> bool {
        self.com_input(now, 0, byte)
    }

    /// A byte for a serial port (0 for COM1) from outside; `false` if it has no room for it now.
    pub fn com_input(&mut self, now: Time, n: usize, byte: u8) -> bool {
        match self {
            Board::Bare(_) => false,
            Board::Pc(b) => b.com_input(now, n, byte),
        }
    }

    /// Whether COM1 takes a byte now.
    pub fn serial_has_room(&self) -> bool {
        self.com_has_room(0)
    }

    /// Whether a serial port (0 for COM1) takes a byte now.
    pub fn com_has_room(&self, n: usize) -> bool {
        match self {
            Board::Bare(_) => false,
            Board::Pc(b) => b.com_has_room(n),
        }
    }

    /// Everything as at power-on, but for the contents of memory, disks and the sinks. Nothing is allocated anew.
    pub fn reset(&mut self, now: Time) {
        match self {
            Board::Bare(b) => b.output.clear(),
            Board::Pc(b) => b.reset(now),
        }
    }

    /// Lets the built-in firmware answer a trap.
    pub fn serve(&mut self, now: Time, bios: &mut Bios, state: &mut CpuState) -> Outcome {
        match self {
            Board::Bare(_) => Outcome::Ignored,
            Board::Pc(b) => b.serve(now, bios, state),
        }
    }

    /// The levels of the lines into CPU `cpu`.
    pub fn lines(&mut self, cpu: u8) -> Lines {
        match self {
            Board::Bare(b) => b.lines(),
            Board::Pc(b) => b.lines(cpu),
        }
    }

    /// Interrupt acknowledge. Without a controller the bus floats: all ones.
    pub fn acknowledge(&mut self, _now: Time, cpu: u8) -> u8 {
        match self {
            Board::Bare(_) => 0xff,
            Board::Pc(b) => b.acknowledge(cpu),
        }
    }

    /// What a chip wants of the machine as a whole, once.
    pub fn take_wish(&mut self) -> Option<Wish> {
        match self {
            Board::Bare(_) => None,
            Board::Pc(b) => b.take_wish(),
        }
    }

    /// What the guest said since the last look.
    #[inline]
    pub fn output(&mut self) -> &mut Output {
        either!(self, b => &mut b.output)
    }
}
