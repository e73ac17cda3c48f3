//! Interrupt wires: ISA lines and PCI's four, joined as the south bridge joins them, into our own controllers or out
//! of the board.

use alloc::boxed::Box;

use hako_chips::pci::piix::pirq_irq;
use hako_chips::pic::Pics;
use hako_engine::IrqSink;
use serde::{Deserialize, Serialize};

/// Where the wires end.
pub enum Controller {
    /// Our own pair of 8259A.
    Own(Pics),
    /// Controllers in the engine; the pair's ports and the PIT's never reach the board then.
    Engine(Box<dyn IrqSink>),
}

/// All wires and what they lead to.
pub struct Wires {
    /// The levels that ISA devices drive, bit n for IRQ n.
    isa: u16,
    /// The levels of PIRQA to PIRQD.
    pirq: u8,
    /// The PIRQ route control registers.
    route: [u8; 4],
    /// The levels last given to the controller.
    given: u16,
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
}

impl Wires {
    /// The levels.
    pub fn save(&self) -> WiresState {
        WiresState { isa: self.isa, pirq: self.pirq, route: self.route }
    }

    /// Takes levels over. Our own controllers come with what they knew of them; those of the engine are told.
    pub fn restore(&mut self, state: &WiresState, pics: Option<Pics>) {
        (self.isa, self.pirq, self.route) = (state.isa, state.pirq, state.route);
        match pics {
            Some(pics) => {
                self.controller = Controller::Own(pics);
                self.given = self.levels();
            }
            None => self.give(),
        }
    }

    /// All wires low.
    pub fn new(controller: Controller) -> Wires {
        Wires { isa: 0, pirq: 0, route: [0x80; 4], given: 0, controller }
    }

    /// All wires low again.
    pub fn reset(&mut self) {
        (self.isa, self.pirq, self.route) = (0, 0, [0x80; 4]);
        self.give();
        if let Controller::Own(pics) = &mut self.controller {
            *pics = Pics::new();
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

    /// The levels of the controller's inputs.
    fn levels(&self) -> u16 {
        let mut levels = self.isa;
        for (i, route) in self.route.iter().enumerate() {
            if let (true, Some(irq)) = (self.pirq >> i & 1 != 0, pirq_irq(*route)) {
                levels |= 1u16.checked_shl(irq.into()).unwrap_or(0);
            }
        }
        levels
    }

    /// Gives changed levels to the controller.
    fn give(&mut self) {
        let levels = self.levels();
        let mut changed = levels ^ self.given;
        self.given = levels;
        while changed != 0 {
            let irq = changed.trailing_zeros() as u8;
            changed &= changed - 1;
            let level = levels >> irq & 1 != 0;
            match &mut self.controller {
                Controller::Own(pics) => pics.set_irq(irq, level),
                Controller::Engine(sink) => sink.set_gsi(irq, level),
            }
        }
    }

    /// Whether the controllers are the engine's.
    pub fn in_engine(&self) -> bool {
        matches!(self.controller, Controller::Engine(_))
    }

    /// The level into the CPU.
    pub fn intr(&self) -> bool {
        match &self.controller {
            Controller::Own(pics) => pics.intr(),
            Controller::Engine(_) => false,
        }
    }

    /// Interrupt acknowledge.
    pub fn acknowledge(&mut self) -> u8 {
        match &mut self.controller {
            Controller::Own(pics) => pics.acknowledge(),
            Controller::Engine(_) => 0xff,
        }
    }

    /// Whether an interrupt of this number could reach the CPU: our own controllers do not mask it. Of controllers in
    /// the engine nothing is known here.
    pub fn open(&self, irq: u8) -> bool {
        match &self.controller {
            Controller::Own(pics) => {
                let s = pics.save().state;
                let (chip, line) = if irq < 8 { (s.master, irq) } else { (s.slave, irq - 8) };
                let cascade = irq < 8 || s.master.imr & 1 << 2 == 0;
                cascade && 1u8.checked_shl(line.into()).is_some_and(|bit| chip.imr & bit == 0)
            }
            Controller::Engine(_) => true,
        }
    }

    /// A message-signalled interrupt.
    pub fn msi(&mut self, address: u64, data: u32) {
        if let Controller::Engine(sink) = &mut self.controller {
            sink.msi(address, data);
        }
    }

    /// The level of one of PCI's four lines, 0 to 3 for PIRQA to PIRQD.
    pub fn set_pirq(&mut self, line: u8, level: bool) {
        let bit = 1u8.checked_shl(line.into()).unwrap_or(0);
        if (self.pirq & bit != 0) != level {
            self.pirq ^= bit;
            self.give();
        }
    }

    /// Our own controllers, if the wires end there.
    pub fn pics(&mut self) -> Option<&mut Pics> {
        match &mut self.controller {
            Controller::Own(pics) => Some(pics),
            Controller::Engine(_) => None,
        }
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
    fn an_initialised_controller_gets_the_edge_of_a_pulse() {
        let mut w = Wires::new(Controller::Own(Pics::new()));
        let setup: Vec<(u8, u8)> = [(0, 0x11), (1, 8), (1, 4), (1, 1), (1, 0xfe)].into();
        for (reg, value) in setup {
            w.pics().unwrap().write(reg, value);
        }
        assert!(!w.intr());
        w.pulse_isa(0, true);
        assert!(w.intr());
        assert_eq!(w.acknowledge(), 8);
        assert!(!w.intr());
    }
}
