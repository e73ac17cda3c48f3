//! What each CPU sees of the interrupt controllers: its lines, its registers, and who is told of a change.

use hako_chips::lapic::{APIC_BASE, TSC_DEADLINE, X2APIC_MSRS};
use hako_engine::{Attention, Lines, Time};

use super::Pc;
use super::events::Touched;

/// Whether an MSR is a local APIC's.
fn is_apic(index: u32) -> bool {
    index == APIC_BASE || index == TSC_DEADLINE || X2APIC_MSRS.contains(&index)
}

impl Pc {
    /// The levels into a CPU and the edges that it has not seen; it stays that way.
    pub(crate) fn peek_lines(&self, cpu: u8) -> Lines {
        let (intr, signals) = self.wires.lines(cpu);
        Lines { intr, nmi: signals.nmi, a20: self.keyboard.a20(), init: signals.init, sipi: signals.sipi }
    }

    /// The lines into a CPU, which knows them from now on. (After an acknowledge the CPU asks by itself: an interrupt
    /// that the next access raises is news then, though the line was high when it was last told.)
    pub(crate) fn lines(&mut self, cpu: u8) -> Lines {
        let lines = self.peek_lines(cpu);
        if let Some(own) = self.wires.own_mut() {
            own.apics.take_signals(cpu);
        }
        if let Some(seen) = self.seen.get_mut(usize::from(cpu)) {
            *seen = Lines { intr: lines.intr, a20: lines.a20, ..Lines::default() };
        }
        self.signals &= !1u8.checked_shl(cpu.into()).unwrap_or(0);
        lines
    }

    /// What of an access by `cpu` (`None` if it is not known which) the CPUs have to be told: that its own lines have
    /// changed, or those of others.
    pub(super) fn tell(&mut self, cpu: Option<u8>) -> Attention {
        let mut changed = 0;
        for n in 0..self.seen.len() {
            let lines = self.peek_lines(n as u8);
            if lines != self.seen[n] {
                self.seen[n] = lines;
                changed |= 1 << n;
            }
        }
        if changed == 0 {
            return Attention::empty();
        }
        self.signals |= changed;
        let own = 1u8.checked_shl(cpu.unwrap_or(0).into()).unwrap_or(0);
        let (to_own, to_others) = match cpu {
            _ if self.seen.len() == 1 => (true, false),
            Some(_) => (changed & own != 0, changed & !own != 0),
            None => (true, true),
        };
        let mut attention = Attention::empty();
        attention.set(Attention::LINES, to_own);
        attention.set(Attention::EVENTS, to_others);
        attention
    }

    /// CPUs whose lines have changed since they looked and since the last call.
    pub(crate) fn take_signals(&mut self) -> u8 {
        core::mem::take(&mut self.signals)
    }

    /// Interrupt acknowledge.
    pub(crate) fn acknowledge(&mut self, cpu: u8) -> u8 {
        self.wires.acknowledge(cpu)
    }

    /// A read of memory; whether it was an APIC's.
    pub(super) fn apic_read(&mut self, now: Time, cpu: u8, address: u64, data: &mut [u8]) -> bool {
        let found = self.wires.own_mut().is_some_and(|own| own.apics.read(now, cpu, address, data));
        if found {
            self.touched |= Touched::APIC | Touched::LINES;
            self.volatile_reads += 1;
        }
        found
    }

    /// A write to memory; whether it was to an APIC.
    pub(super) fn apic_write(&mut self, now: Time, cpu: u8, address: u64, data: &[u8]) -> bool {
        let found = self.wires.own_mut().is_some_and(|own| own.apics.write(now, cpu, address, data));
        if found {
            self.touched |= Touched::APIC | Touched::LINES;
        }
        found
    }

    /// RDMSR; `None` is #GP.
    pub(crate) fn msr_read(&mut self, now: Time, cpu: u8, index: u32) -> Option<u64> {
        if !is_apic(index) {
            return None;
        }
        let value = self.wires.own_mut()?.apics.read_msr(now, cpu, index);
        self.touched |= Touched::APIC | Touched::LINES;
        self.volatile_reads += 1;
        value
    }

    /// WRMSR; `None` is #GP.
    pub(crate) fn msr_write(&mut self, now: Time, cpu: u8, index: u32, value: u64) -> Option<Attention> {
        if !is_apic(index) {
            return None;
        }
        let done = self.wires.own_mut()?.apics.write_msr(now, cpu, index, value);
        self.touched |= Touched::APIC | Touched::LINES;
        done.map(|()| self.attention(Some(cpu)))
    }

    /// CR8 of a CPU, where the board keeps it.
    pub(crate) fn task_priority(&mut self, cpu: u8) -> Option<u8> {
        self.wires.own_mut()?.apics.task_priority(cpu)
    }

    /// Writes CR8 of a CPU, where the board keeps it.
    pub(crate) fn set_task_priority(&mut self, cpu: u8, class: u8) -> Option<Attention> {
        self.wires.own_mut()?.apics.set_task_priority(cpu, class)?;
        self.touched |= Touched::LINES;
        Some(self.attention(Some(cpu)))
    }
}
