//! Interrupt wires: ISA lines, PCI's four and the timers', joined as the south bridge joins them, into our own
//! controllers or out of the board.
//!
//! A PC's global system interrupts (GSIs) 0 to 15 are the ISA interrupts: inputs of the 8259A pair, and of the I/O APIC
//! under the same numbers but for the interval timer's, which is at input 2. PIRQA to PIRQD are GSIs 16 to 19, and reach
//! ISA interrupts as the PIRQ route control registers say. The event timers may have 20 to 23.

use alloc::boxed::Box;

use hako_chips::lapic::Signals;
use hako_chips::pci::piix::pirq_irq;
use hako_chips::pic::Pics;
use hako_engine::{IrqSink, Time};
use serde::{Deserialize, Serialize};

use super::apic::Apics;

/// Our own controllers.
pub(super) struct Own {
    /// The pair of 8259A.
    pub pics: Pics,
    /// Local APICs and I/O APIC.
    pub apics: Apics,
}

/// Where the wires end.
pub(super) enum Controller {
    /// Our own controllers.
    Own(Box<Own>),
    /// Controllers in the engine; their registers and the PIT's never reach the board then.
    Engine(Box<dyn IrqSink>),
}

/// The interrupts that the event timers can take over from PIT and RTC.
const LEGACY: u16 = 1 << 0 | 1 << 8;
/// The GSI of PIRQA.
const PIRQ_GSI: u32 = 16;

/// All wires and what they lead to.
pub(super) struct Wires {
    /// The levels that ISA devices drive, bit n for IRQ n.
    isa: u16,
    /// The levels of PIRQA to PIRQD.
    pirq: u8,
    /// The PIRQ route control registers.
    route: [u8; 4],
    /// The levels that the event timers drive, bit n for GSI n.
    hpet: u32,
    /// The event timers stand for PIT and RTC, whose own lines lead nowhere.
    replaced: bool,
    /// The levels last given to the controllers, bit n for GSI n.
    given: u32,
    /// Where they end.
    pub controller: Controller,
}

/// The levels of the wires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WiresState {
    /// The levels that ISA devices drive, bit n for IRQ n.
    pub isa: u16,
    /// The levels of PIRQA to PIRQD.
    pub pirq: u8,
    /// The PIRQ route control registers.
    pub route: [u8; 4],
    /// The levels that the event timers drive, bit n for GSI n.
    pub hpet: u32,
    /// The event timers stand for PIT and RTC.
    pub replaced: bool,
}

/// The I/O APIC's input of a GSI: the interval timer is at 2, where the pair's cascade is, and 0 is free.
fn pin(gsi: u8) -> u8 {
    if gsi == 0 { 2 } else { gsi }
}

impl Wires {
    /// The levels.
    pub fn save(&self) -> WiresState {
        let &Wires { isa, pirq, route, hpet, replaced, .. } = self;
        WiresState { isa, pirq, route, hpet, replaced }
    }

    /// Takes levels over. Our own controllers come with what they knew of them; those of the engine are told.
    pub fn restore(&mut self, state: &WiresState, own: Option<Own>) {
        (self.isa, self.pirq, self.route) = (state.isa, state.pirq, state.route);
        (self.hpet, self.replaced) = (state.hpet, state.replaced);
        match own {
            Some(own) => {
                self.controller = Controller::Own(Box::new(own));
                self.given = self.levels();
            }
            None => self.give(),
        }
    }

    /// All wires low.
    pub fn new(controller: Controller) -> Wires {
        Wires { isa: 0, pirq: 0, route: [0x80; 4], hpet: 0, replaced: false, given: 0, controller }
    }

    /// All wires low again.
    pub fn reset(&mut self) {
        (self.isa, self.pirq, self.route) = (0, 0, [0x80; 4]);
        (self.hpet, self.replaced) = (0, false);
        self.give();
        if let Controller::Own(own) = &mut self.controller {
            own.pics = Pics::new();
            own.apics.reset();
            own.settle();
        }
    }

    /// The level of an ISA line.
    pub fn set_isa(&mut self, irq: u8, level: bool) {
        let bit = 1u16.checked_shl(irq.into()).unwrap_or(0);
        if (self.isa & bit != 0) != level {
            self.isa ^= bit;
            self.give();
        }
    }

    /// A line goes low and high: one more edge.
    pub fn pulse_isa(&mut self, irq: u8, level_after: bool) {
        self.set_isa(irq, false);
        self.set_isa(irq, true);
        self.set_isa(irq, level_after);
    }

    /// The PIRQ route control registers.
    pub fn set_route(&mut self, route: [u8; 4]) {
        self.route = route;
        self.give();
    }

    /// Whether the event timers stand for PIT and RTC.
    pub fn replace_legacy(&mut self, replaced: bool) {
        if self.replaced != replaced {
            self.replaced = replaced;
            self.give();
        }
    }

    /// The levels that the event timers drive, bit n for GSI n.
    pub fn set_hpet(&mut self, levels: u32) {
        if self.hpet != levels {
            self.hpet = levels;
            self.give();
        }
    }

    /// An edge of the event timers.
    pub fn pulse_gsi(&mut self, gsi: u8) {
        let (level, bit) = (self.hpet, 1u32.checked_shl(gsi.into()).unwrap_or(0));
        self.set_hpet(level & !bit);
        self.set_hpet(level | bit);
        self.set_hpet(level & !bit);
    }

    /// The levels of the GSIs.
    fn levels(&self) -> u32 {
        let isa = if self.replaced { self.isa & !LEGACY } else { self.isa };
        let mut levels = u32::from(isa) | u32::from(self.pirq & 0xf) << PIRQ_GSI | self.hpet;
        for (i, route) in self.route.iter().enumerate() {
            if let (true, Some(irq)) = (self.pirq >> i & 1 != 0, pirq_irq(*route)) {
                levels |= 1u32.checked_shl(irq.into()).unwrap_or(0);
            }
        }
        levels
    }

    /// Gives changed levels to the controllers.
    fn give(&mut self) {
        let levels = self.levels();
        let mut changed = levels ^ self.given;
        self.given = levels;
        while changed != 0 {
            let gsi = changed.trailing_zeros() as u8;
            changed &= changed - 1;
            let level = levels >> gsi & 1 != 0;
            match &mut self.controller {
                Controller::Own(own) => own.set_gsi(gsi, level),
                Controller::Engine(sink) => sink.set_gsi(gsi, level),
            }
        }
    }

    /// A message-signalled interrupt.
    pub fn msi(&mut self, address: u64, data: u32) {
        match &mut self.controller {
            Controller::Own(own) => own.apics.msi(address, data),
            Controller::Engine(sink) => sink.msi(address, data),
        }
    }

    /// Whether the controllers are the engine's.
    pub fn in_engine(&self) -> bool {
        matches!(self.controller, Controller::Engine(_))
    }

    fn own(&self) -> Option<&Own> {
        match &self.controller {
            Controller::Own(own) => Some(own),
            Controller::Engine(_) => None,
        }
    }

    /// Our own controllers, if the wires end there. After a change of the pair's registers they have to be settled.
    pub fn own_mut(&mut self) -> Option<&mut Own> {
        match &mut self.controller {
            Controller::Own(own) => Some(own),
            Controller::Engine(_) => None,
        }
    }

    /// The level into a CPU, and what else it has not seen.
    #[inline]
    pub fn lines(&self, cpu: u8) -> (bool, Signals) {
        self.own().map_or((false, Signals::default()), |own| (own.intr(cpu), own.apics.signals(cpu)))
    }

    /// Interrupt acknowledge by a CPU.
    pub fn acknowledge(&mut self, cpu: u8) -> u8 {
        self.own_mut().map_or(0xff, |own| own.acknowledge(cpu))
    }

    /// Whether an interrupt of this number could reach a CPU: our own controllers do not mask it. Of controllers in the
    /// engine nothing is known here.
    pub fn open(&self, irq: u8) -> bool {
        self.own().is_none_or(|own| own.is_open(irq))
    }

    /// The level of one of PCI's four lines, 0 to 3 for PIRQA to PIRQD.
    pub fn set_pirq(&mut self, line: u8, level: bool) {
        let bit = 1u8.checked_shl(line.into()).unwrap_or(0);
        if (self.pirq & bit != 0) != level {
            self.pirq ^= bit;
            self.give();
        }
    }

    /// When a local APIC's timer interrupts next.
    pub fn next_event(&self) -> Time {
        self.own().map_or(Time::NEVER, |own| own.apics.next_event())
    }

    /// Lets the local APICs' timers act.
    pub fn tick(&mut self, now: Time) {
        if let Some(own) = self.own_mut() {
            own.apics.tick(now);
        }
    }
}

impl Own {
    /// As at power-on, for so many CPUs.
    pub fn new(cpus: u8) -> Own {
        let mut own = Own { pics: Pics::new(), apics: Apics::new(cpus) };
        own.settle();
        own
    }

    /// The pair's output is the local APICs' LINT0.
    pub fn settle(&mut self) {
        self.apics.set_pic(self.pics.intr());
    }

    fn set_gsi(&mut self, gsi: u8, level: bool) {
        if gsi < 16 {
            self.pics.set_irq(gsi, level);
            self.settle();
        }
        self.apics.set_pin(pin(gsi), level);
    }

    /// The level into a CPU: its APIC has a vector, or the pair has one and the APIC lets it through (virtual wire).
    fn intr(&self, cpu: u8) -> bool {
        self.apics.intr(cpu) || (self.pics.intr() && self.apics.takes_extint(cpu))
    }

    /// The pair comes first, as on KVM. If nothing waits any more, the vector is a spurious one: the pair's if the APIC
    /// is off, else the APIC's.
    fn acknowledge(&mut self, cpu: u8) -> u8 {
        let extint = self.apics.takes_extint(cpu) && (self.pics.intr() || !self.apics.intr(cpu));
        if !extint {
            return self.apics.acknowledge(cpu);
        }
        let vector = self.pics.acknowledge();
        self.settle();
        vector
    }

    /// Whether an interrupt of this number could reach a CPU.
    fn is_open(&self, irq: u8) -> bool {
        let s = self.pics.save().state;
        let (chip, line) = if irq < 8 { (s.master, irq) } else { (s.slave, irq - 8) };
        let cascade = irq < 8 || s.master.imr & 1 << 2 == 0;
        let pair = cascade && 1u8.checked_shl(line.into()).is_some_and(|bit| chip.imr & bit == 0);
        pair || self.apics.is_open(pin(irq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use core::sync::atomic::{AtomicU32, Ordering};

    struct Levels(Arc<AtomicU32>);

    impl IrqSink for Levels {
        fn set_gsi(&mut self, gsi: u8, level: bool) {
            let bit = 1 << gsi;
            if level {
                self.0.fetch_or(bit, Ordering::Relaxed)
            } else {
                self.0.fetch_and(!bit, Ordering::Relaxed)
            };
        }

        fn msi(&mut self, _: u64, _: u32) {}
    }

    #[test]
    fn isa_lines_become_the_gsis_of_their_numbers() {
        let seen = Arc::new(AtomicU32::new(0));
        let mut w = Wires::new(Controller::Engine(Box::new(Levels(seen.clone()))));
        w.set_isa(4, true);
        w.set_isa(14, true);
        assert_eq!(seen.load(Ordering::Relaxed), 1 << 4 | 1 << 14);
        w.reset();
        assert_eq!(seen.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn pirqs_are_gsis_16_to_19_and_their_routed_isa_interrupts() {
        let seen = Arc::new(AtomicU32::new(0));
        let mut w = Wires::new(Controller::Engine(Box::new(Levels(seen.clone()))));
        w.set_route([10, 11, 0x80, 0x80]);
        w.set_pirq(1, true);
        w.set_pirq(3, true);
        assert_eq!(seen.load(Ordering::Relaxed), 1 << 17 | 1 << 19 | 1 << 11);
    }

    #[test]
    fn replaced_lines_of_pit_and_rtc_lead_nowhere() {
        let seen = Arc::new(AtomicU32::new(0));
        let mut w = Wires::new(Controller::Engine(Box::new(Levels(seen.clone()))));
        w.set_isa(0, true);
        w.set_isa(8, true);
        w.set_isa(4, true);
        w.replace_legacy(true);
        assert_eq!(seen.load(Ordering::Relaxed), 1 << 4);
        w.set_hpet(1);
        assert_eq!(seen.load(Ordering::Relaxed), 1 << 4 | 1);
    }

    #[test]
    fn an_initialised_controller_gets_the_edge_of_a_pulse() {
        let mut w = Wires::new(Controller::Own(Box::new(Own::new(1))));
        let setup: Vec<(u8, u8)> = [(0, 0x11), (1, 8), (1, 4), (1, 1), (1, 0xfe)].into();
        for (reg, value) in setup {
            w.own_mut().unwrap().pics.write(reg, value);
        }
        assert!(!w.lines(0).0);
        w.pulse_isa(0, true);
        assert!(w.lines(0).0);
        assert_eq!(w.acknowledge(0), 8);
        assert!(!w.lines(0).0);
    }
}
