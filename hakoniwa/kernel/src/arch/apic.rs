//! The local interrupt controller: its timer, and the wire by which the 8259s reach the processor.

use super::cpu::{cpuid, msr, set_msr};
use super::memory::{self, Setup};

/// The timer's vector.
pub const TIMER: u64 = 0xf0;
/// The vector of spurious interrupts.
pub const SPURIOUS: u64 = 0xff;

const TASK_PRIORITY: u32 = 0x80;
const END: u32 = 0xb0;
const SPURIOUS_VECTOR: u32 = 0xf0;
const LVT_TIMER: u32 = 0x320;
const LVT_LINT0: u32 = 0x350;
const INITIAL: u32 = 0x380;
const CURRENT: u32 = 0x390;
const DIVIDE: u32 = 0x3e0;

/// How its registers are reached.
#[derive(Clone, Copy)]
enum Registers {
    /// x2APIC: as MSRs.
    Msr,
    /// xAPIC: as memory at this address.
    Memory(u64),
}

/// The local APIC of this processor.
pub struct Apic {
    registers: Registers,
    /// Timer ticks a second; set by the calibration.
    pub hz: u64,
}

impl Apic {
    /// Enables it, in x2APIC mode where there is one.
    pub fn new(root: u64, setup: &mut Setup) -> Apic {
        const BASE: u32 = 0x1b;
        const ENABLE: u64 = 1 << 11;
        const X2: u64 = 1 << 10;
        let base = msr(BASE);
        let registers = if cpuid(1).ecx >> 21 & 1 == 1 {
            // SAFETY: both transitions are allowed, and nobody uses the registers in memory.
            unsafe {
                set_msr(BASE, base | ENABLE);
                set_msr(BASE, base | ENABLE | X2);
            }
            Registers::Msr
        } else {
            // SAFETY: the base stays where the firmware put it.
            unsafe { set_msr(BASE, base | ENABLE) };
            Registers::Memory(setup.map_device(root, base & 0x000f_ffff_ffff_f000))
        };
        let apic = Apic { registers, hz: 0 };
        apic.write(SPURIOUS_VECTOR, 0x100 | SPURIOUS as u32);
        apic.write(TASK_PRIORITY, 0);
        apic.write(LVT_LINT0, 0x700);
        apic.write(LVT_TIMER, 1 << 16 | TIMER as u32);
        apic.write(DIVIDE, 3);
        apic
    }

    /// For the log.
    pub fn kind(&self) -> &'static str {
        match self.registers {
            Registers::Msr => "x2APIC",
            Registers::Memory(_) => "xAPIC",
        }
    }

    fn read(&self, register: u32) -> u32 {
        match self.registers {
            Registers::Msr => msr(0x800 + (register >> 4)) as u32,
            Registers::Memory(base) => memory::device_read(base + u64::from(register)),
        }
    }

    fn write(&self, register: u32, value: u32) {
        match self.registers {
            // SAFETY: an APIC register moves none of the kernel's memory.
            Registers::Msr => unsafe { set_msr(0x800 + (register >> 4), value.into()) },
            Registers::Memory(base) => memory::device_write(base + u64::from(register), value),
        }
    }

    /// Ends the interrupt in service.
    pub fn end_of_interrupt(&self) {
        self.write(END, 0);
    }

    /// Starts the timer from its highest count, masked: for calibration.
    pub fn start_counting(&self) {
        self.write(INITIAL, u32::MAX);
    }

    /// Ticks since then.
    pub fn counted(&self) -> u32 {
        u32::MAX - self.read(CURRENT)
    }

    /// Sets the timer to interrupt at `deadline`; `u64::MAX` is never. A deadline too far for the counter interrupts
    /// early, and the kernel sets it again.
    pub fn arm(&self, deadline: u64, now: u64) {
        if deadline == u64::MAX {
            self.write(LVT_TIMER, 1 << 16 | TIMER as u32);
            self.write(INITIAL, 0);
            return;
        }
        let ticks = u128::from(deadline.saturating_sub(now)) * u128::from(self.hz) / 1_000_000_000;
        self.write(LVT_TIMER, TIMER as u32);
        self.write(INITIAL, u32::try_from(ticks).unwrap_or(u32::MAX).max(1));
    }
}
