//! Local APICs and I/O APIC: who gets which message, and where their registers are.

use alloc::vec::Vec;

use hako_chips::ioapic::{self, IoApic, IoApicState};
use hako_chips::lapic::{Effects, Lapic, LapicState, Message, Mode, Signals};
use hako_chips::{RestoreError, Saved};
use hako_engine::Time;
use serde::{Deserialize, Serialize};

/// The most CPUs of a PC.
pub const MAX_CPUS: u8 = 8;

/// Bytes that a local APIC answers.
const LAPIC_SIZE: u64 = 0x1000;
/// Bytes that the I/O APIC answers.
const IOAPIC_SIZE: u64 = 0x1000;

/// The APICs of a PC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Apics {
    lapics: Vec<Lapic>,
    ioapic: IoApic,
    /// The level of the 8259A pair's output, which is at all local APICs' LINT0.
    pic: bool,
}

/// What the APICs hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApicsState {
    /// Local APICs, in the order of the CPUs.
    pub lapics: Vec<Saved<LapicState>>,
    /// The I/O APIC.
    pub ioapic: Saved<IoApicState>,
    /// The level of the 8259A pair's output as they know it.
    pub pic: bool,
}

/// Takes a message to all that it is for; `from` is the CPU that sent it. Whether anybody accepted it.
fn deliver(lapics: &mut [Lapic], from: Option<u8>, message: &Message) -> bool {
    let own = |n: usize| from.is_some_and(|from| usize::from(from) == n);
    let addressed =
        lapics.iter_mut().enumerate().filter(|(n, l)| l.is_addressed(message.destination, own(*n)));
    if message.mode == Mode::LowestPriority {
        let candidates = addressed.filter_map(|(_, l)| Some((l.arbitration()?, l)));
        return candidates.min_by_key(|(priority, _)| *priority).is_some_and(|(_, l)| l.accept(message));
    }
    // All of them, also after one has accepted.
    addressed.fold(false, |accepted, (_, l)| l.accept(message) || accepted)
}

/// The part of `data` that a read of a 32-bit register gives, `offset` bytes after its first; 0 behind it.
fn spread(register: u32, offset: u64, data: &mut [u8]) {
    let bytes = register.to_le_bytes().into_iter().skip(offset as usize).chain(core::iter::repeat(0));
    for (to, from) in data.iter_mut().zip(bytes) {
        *to = from;
    }
}

/// Up to four bytes, zero-extended.
fn gather(data: &[u8]) -> u32 {
    data.iter().take(4).rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

impl Apics {
    /// For so many CPUs, the first of which is the bootstrap processor.
    pub fn new(cpus: u8) -> Apics {
        let lapics = (0..cpus).map(|n| Lapic::new(n, n == 0)).collect();
        Apics { lapics, ioapic: IoApic::new(), pic: false }
    }

    /// All as at power-on.
    pub fn reset(&mut self) {
        for lapic in &mut self.lapics {
            lapic.reset();
        }
        self.ioapic = IoApic::new();
    }

    fn lapic(&self, cpu: u8) -> Option<&Lapic> {
        self.lapics.get(usize::from(cpu))
    }

    fn lapic_mut(&mut self, cpu: u8) -> Option<&mut Lapic> {
        self.lapics.get_mut(usize::from(cpu))
    }

    /// The level of the 8259A pair's output.
    pub fn set_pic(&mut self, level: bool) {
        if level != self.pic {
            self.pic = level;
            for lapic in &mut self.lapics {
                lapic.set_lint(0, level);
            }
        }
    }

    /// The level of one of the I/O APIC's inputs.
    pub fn set_pin(&mut self, pin: u8, level: bool) {
        let Apics { lapics, ioapic, .. } = self;
        ioapic.set_pin(pin, level, &mut |m| deliver(lapics, None, m));
    }

    /// Whether interrupts of one of the I/O APIC's inputs are let through.
    pub fn is_open(&self, pin: u8) -> bool {
        self.ioapic.is_open(pin)
    }

    /// A message-signalled interrupt.
    pub fn msi(&mut self, address: u64, data: u32) {
        if let Some(message) = Message::of_msi(address, data) {
            deliver(&mut self.lapics, None, &message);
        }
    }

    /// What a write to a CPU's local APIC does to the others.
    fn apply(&mut self, cpu: u8, effects: Effects) {
        let Apics { lapics, ioapic, .. } = self;
        if let Some(message) = effects.ipi {
            deliver(lapics, Some(cpu), &message);
        }
        if let Some(vector) = effects.eoi {
            ioapic.eoi(vector, &mut |m| deliver(lapics, None, m));
        }
    }

    /// The distance of an address from the registers of a CPU's own APIC.
    fn in_lapic(&self, cpu: u8, address: u64) -> Option<u64> {
        let base = self.lapic(cpu)?.address()?;
        address.checked_sub(base).filter(|offset| *offset < LAPIC_SIZE)
    }

    /// A read of memory by a CPU; whether it was an APIC's.
    pub fn read(&mut self, now: Time, cpu: u8, address: u64, data: &mut [u8]) -> bool {
        if let Some(offset) = self.in_lapic(cpu, address) {
            if let Some(lapic) = self.lapic_mut(cpu) {
                spread(lapic.read((offset & !15) as u16, now), offset & 15, data);
            }
            return true;
        }
        let offset = address.wrapping_sub(ioapic::BASE);
        let found = offset < IOAPIC_SIZE;
        if found {
            spread(self.ioapic.read((offset & !3) as u16), offset & 3, data);
        }
        found
    }

    /// A write to memory by a CPU; whether it was an APIC's. The local APIC's registers are written as a whole (11.4.1);
    /// what the SDM leaves undefined does nothing.
    pub fn write(&mut self, now: Time, cpu: u8, address: u64, data: &[u8]) -> bool {
        if let Some(offset) = self.in_lapic(cpu, address) {
            if data.len() >= 4
                && offset & 15 == 0
                && let Some(lapic) = self.lapic_mut(cpu)
            {
                let effects = lapic.write(offset as u16, gather(data), now);
                self.apply(cpu, effects);
            }
            return true;
        }
        let offset = address.wrapping_sub(ioapic::BASE);
        let found = offset < IOAPIC_SIZE;
        if found {
            let Apics { lapics, ioapic, .. } = self;
            ioapic.write(offset as u16, gather(data), &mut |m| deliver(lapics, None, m));
        }
        found
    }

    /// RDMSR of an MSR of a CPU's APIC; `None` is #GP.
    pub fn read_msr(&mut self, now: Time, cpu: u8, index: u32) -> Option<u64> {
        self.lapic_mut(cpu)?.read_msr(index, now)
    }

    /// WRMSR of an MSR of a CPU's APIC; `None` is #GP.
    pub fn write_msr(&mut self, now: Time, cpu: u8, index: u32, value: u64) -> Option<()> {
        let effects = self.lapic_mut(cpu)?.write_msr(index, value, now)?;
        self.apply(cpu, effects);
        Some(())
    }

    /// A CPU's CR8.
    pub fn task_priority(&self, cpu: u8) -> Option<u8> {
        Some(self.lapic(cpu)?.task_priority())
    }

    /// Writes a CPU's CR8.
    pub fn set_task_priority(&mut self, cpu: u8, class: u8) -> Option<()> {
        self.lapic_mut(cpu)?.set_task_priority(class);
        Some(())
    }

    /// Whether a vector waits in a CPU's APIC.
    #[inline]
    pub fn intr(&self, cpu: u8) -> bool {
        self.lapic(cpu).is_some_and(Lapic::intr)
    }

    /// Whether the 8259A pair's output reaches a CPU.
    #[inline]
    pub fn takes_extint(&self, cpu: u8) -> bool {
        self.lapic(cpu).is_some_and(Lapic::takes_extint)
    }

    /// The vector for a CPU; the spurious one if none waits any more.
    pub fn acknowledge(&mut self, cpu: u8) -> u8 {
        self.lapic_mut(cpu).map_or(0xff, Lapic::acknowledge)
    }

    /// NMI, INIT and SIPI that a CPU has not seen.
    #[inline]
    pub fn signals(&self, cpu: u8) -> Signals {
        self.lapic(cpu).map_or(Signals::default(), Lapic::signals)
    }

    /// Takes them.
    pub fn take_signals(&mut self, cpu: u8) {
        if let Some(lapic) = self.lapic_mut(cpu) {
            lapic.take_signals();
        }
    }

    /// Lets the timers act.
    pub fn tick(&mut self, now: Time) {
        for lapic in &mut self.lapics {
            lapic.tick(now);
        }
    }

    /// When a timer's interrupt comes next.
    pub fn next_event(&self) -> Time {
        self.lapics.iter().fold(Time::NEVER, |first, lapic| first.min(lapic.next_event()))
    }

    /// The state at `now`.
    pub fn save(&self, now: Time) -> ApicsState {
        let lapics = self.lapics.iter().map(|lapic| lapic.save(now)).collect();
        ApicsState { lapics, ioapic: self.ioapic.save(), pic: self.pic }
    }

    /// These APICs with a saved state.
    pub fn restored(&self, state: &ApicsState) -> Result<Apics, RestoreError> {
        if state.lapics.len() != self.lapics.len() {
            return Err(RestoreError::Impossible("it had another number of CPUs"));
        }
        let mut new = self.clone();
        for (lapic, saved) in new.lapics.iter_mut().zip(&state.lapics) {
            lapic.restore(saved)?;
        }
        new.ioapic.restore(&state.ioapic)?;
        new.pic = state.pic;
        Ok(new)
    }
}
