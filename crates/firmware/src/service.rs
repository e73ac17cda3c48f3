//! The services by number, and how the trap tells which one is meant.

use hako_x86::{CpuState, Cr0, RFlags, SegReg};

use crate::rom::{SLOT_SIZE, SLOTS};

/// A service that a stub asks for. The number is the stub's slot in the ROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Service {
    /// Power-on: lay out the tables, then boot.
    Post = 0,
    /// INT 10h.
    Video,
    /// INT 11h.
    Equipment,
    /// INT 12h.
    MemorySize,
    /// INT 13h and INT 40h.
    Disk,
    /// INT 14h.
    Serial,
    /// INT 15h.
    System,
    /// INT 16h.
    Keyboard,
    /// INT 17h.
    Printer,
    /// INT 18h.
    NoBoot,
    /// INT 19h.
    Boot,
    /// INT 1Ah.
    Clock,
    /// INT 05h.
    PrintScreen,
    /// INT 08h: count the tick.
    Tick,
    /// INT 09h: the scan code in AL passed the hook of INT 15h/4Fh.
    Key,
    /// INT 09h after the Pause key: ask whether another key has come.
    Paused,
    /// INT 70h: look why the RTC interrupts.
    RtcInterrupt,
    /// INT 15h/86h: ask whether the time is over.
    Waiting,
}

impl Service {
    /// All services, in the order of their numbers.
    pub const ALL: [Service; 18] = [
        Service::Post,
        Service::Video,
        Service::Equipment,
        Service::MemorySize,
        Service::Disk,
        Service::Serial,
        Service::System,
        Service::Keyboard,
        Service::Printer,
        Service::NoBoot,
        Service::Boot,
        Service::Clock,
        Service::PrintScreen,
        Service::Tick,
        Service::Key,
        Service::Paused,
        Service::RtcInterrupt,
        Service::Waiting,
    ];

    /// The offset in segment F000h of the stub's OUT.
    pub const fn slot(self) -> u16 {
        SLOTS + self as u16 * SLOT_SIZE
    }

    /// The service whose stub has just executed its OUT: `None` if rip is anywhere else, or if the CPU is in protected
    /// mode, where the stubs have no business.
    ///
    /// The value written carries nothing (AL belongs to the caller); the place of the OUT says it all. So a guest that
    /// writes to the port by itself changes nothing.
    pub fn at(state: &CpuState) -> Option<Service> {
        let protected = state.cr0 & Cr0::PE.bits() != 0;
        let virtual_8086 = state.rflags.contains(RFlags::VM) && state.cr0 & Cr0::PG.bits() == 0;
        if (protected && !virtual_8086) || state.segment(SegReg::Cs).base != 0xf0000 {
            return None;
        }
        let into = state.rip.checked_sub(u64::from(SLOTS) + 2)?; // the OUT is two bytes long
        if !into.is_multiple_of(u64::from(SLOT_SIZE)) {
            return None;
        }
        let number = usize::try_from(into / u64::from(SLOT_SIZE)).ok()?;
        Service::ALL.get(number).copied()
    }
}
