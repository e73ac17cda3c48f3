//! What a CPU talks to outside its RAM.

use bitflags::bitflags;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::Width;

/// Who accesses the bus, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct At {
    /// The virtual CPU's number.
    pub cpu: u8,
    /// Instructions that this CPU has completed before the one that makes the access (each REP iteration counts one).
    /// 0 on engines that do not count.
    pub count: u64,
}

bitflags! {
    /// What an access changed that the CPU has to look at, at the next instruction boundary.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Attention: u8 {
        /// A chip has a wish (reset, power-off, exit code, firmware service): leave `run` with `ExitKind::Wish`.
        const WISH = 1 << 0;
        /// The memory map changed: look at `Bus::memory` again.
        const MAP = 1 << 1;
        /// An interrupt line may have changed: look at `Bus::lines`.
        const LINES = 1 << 2;
        /// The next chip event may have moved: leave `run` with `ExitKind::Deadline`.
        const EVENTS = 1 << 3;
    }
}

/// The levels of the lines into one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Lines {
    /// The interrupt controller has a vector to be acknowledged.
    pub intr: bool,
    /// An NMI edge happened since the last call.
    pub nmi: bool,
    /// A20 gate: false masks address bit 20.
    pub a20: bool,
    /// An INIT happened since the last call: the CPU takes its INIT state and, unless it is the bootstrap processor,
    /// waits for a SIPI (SDM Vol. 3A 9.4).
    pub init: bool,
    /// The vector of a SIPI since the last call, after the INIT if both happened.
    pub sipi: Option<u8>,
}

/// Ports, MMIO, MSRs that chips own, interrupt acknowledge, and the time, as a CPU sees them.
///
/// String instructions may pass many items in one call; `data.len()` is a multiple of the width. Reads of nothing fill
/// `data` with ones; writes to nothing are dropped. Accesses never fail and never panic, whatever the guest asks.
///
/// What is not overridden is not there: the least of a bus is RAM alone.
pub trait Bus {
    /// IN, or INS with `data.len() / width` items.
    fn port_in(&mut self, _at: At, _port: u16, _width: Width, data: &mut [u8]) -> Attention {
        data.fill(0xff);
        Attention::empty()
    }
    /// OUT, or OUTS with `data.len() / width` items.
    fn port_out(&mut self, _at: At, _port: u16, _width: Width, _data: &[u8]) -> Attention {
        Attention::empty()
    }
    /// Reads 1 to 8 bytes, within one page, from an address that is not RAM or ROM.
    fn mmio_read(&mut self, _at: At, _gpa: Gpa, data: &mut [u8]) -> Attention {
        data.fill(0xff);
        Attention::empty()
    }
    /// Writes 1 to 8 bytes, within one page, to an address that is not RAM.
    fn mmio_write(&mut self, _at: At, _gpa: Gpa, _data: &[u8]) -> Attention {
        Attention::empty()
    }
    /// RDMSR of an index that the CPU does not own; `None` is #GP.
    fn msr_read(&mut self, _at: At, _index: u32) -> Option<u64> {
        None
    }
    /// WRMSR of an index that the CPU does not own; `None` is #GP. IA32_TSC_DEADLINE comes as a value of [`Bus::tsc`],
    /// whatever the guest has made of its own counter.
    fn msr_write(&mut self, _at: At, _index: u32, _value: u64) -> Option<Attention> {
        None
    }
    /// Interrupt acknowledge: the vector of the interrupt that `lines().intr` announced.
    fn acknowledge(&mut self, _at: At) -> u8 {
        0xff
    }
    /// The task priority (CR8), where a local APIC keeps it; `None` leaves it to the CPU.
    fn task_priority(&mut self, _at: At) -> Option<u8> {
        None
    }
    /// Replaces the task priority (0 to 15), where a local APIC keeps it; `None` leaves it to the CPU.
    fn set_task_priority(&mut self, _at: At, _priority: u8) -> Option<Attention> {
        None
    }
    /// FERR#, which reports x87 exceptions while CR0.NE is clear; PCs make IRQ 13 of it.
    fn ferr(&mut self, _at: At, _level: bool) -> Attention {
        Attention::empty()
    }
    /// IGNNE#: whether the CPU is to go on in spite of the exception that it reports by [`Bus::ferr`]. While it is not,
    /// the CPU waits for an interrupt.
    fn ignne(&mut self, _at: At) -> bool {
        true
    }
    /// The levels of the lines into this CPU.
    fn lines(&mut self, _at: At) -> Lines {
        Lines { a20: true, ..Lines::default() }
    }
    /// The time-stamp counter, without the CPU's own offset.
    fn tsc(&mut self, at: At) -> u64 {
        at.count
    }
    /// RAM, ROM and the map of the moment.
    fn memory(&self) -> &GuestMemory;
}
