//! The serial ports: COM1 to COM4, two to an interrupt.

use hako_chips::serial::{Serial, SerialState};
use hako_chips::{RestoreError, Saved};
use hako_engine::Time;

use super::Pc;
use super::events::Touched;
use super::routing::Io;

/// Where a serial port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Com {
    /// The first of its 8 ports.
    pub port: u16,
    /// Its interrupt.
    pub irq: u8,
}

/// COM1 to COM4.
pub(super) const COMS: [Com; 4] = [
    Com { port: 0x3f8, irq: 4 },
    Com { port: 0x2f8, irq: 3 },
    Com { port: 0x3e8, irq: 4 },
    Com { port: 0x2e8, irq: 3 },
];
/// The interrupts that they share.
const IRQS: [u8; 2] = [4, 3];

/// The chips, where there are any.
pub(super) struct Coms([Option<Serial>; 4]);

impl Coms {
    pub fn new(present: [bool; 4]) -> Coms {
        Coms(present.map(|there| there.then(Serial::new)))
    }

    /// All as at power-on.
    pub fn reset(&mut self) {
        *self = Coms::new(self.present());
    }

    pub fn present(&self) -> [bool; 4] {
        self.0.each_ref().map(Option::is_some)
    }

    fn on(&self, irq: u8) -> impl Iterator<Item = &Serial> {
        let chips = self.0.iter().zip(COMS).filter(move |(_, com)| com.irq == irq);
        chips.filter_map(|(chip, _)| chip.as_ref())
    }

    fn irq(&self, irq: u8) -> bool {
        self.on(irq).any(Serial::irq)
    }

    /// The two interrupts, and when something may happen at each.
    pub fn events(&self) -> [(u8, Time); 2] {
        IRQS.map(|irq| (irq, self.on(irq).fold(Time::NEVER, |first, chip| first.min(chip.next_event()))))
    }

    pub fn save(&self) -> [Option<Saved<SerialState>>; 4] {
        self.0.each_ref().map(|chip| chip.as_ref().map(Serial::save))
    }

    /// The chips with these states, if they are as many.
    pub fn restored(&self, saved: &[Option<Saved<SerialState>>; 4]) -> Result<Coms, RestoreError> {
        let mut chips = Coms::new(self.present());
        for (chip, saved) in chips.0.iter_mut().zip(saved) {
            match (chip, saved) {
                (Some(chip), Some(saved)) => chip.restore(saved)?,
                (None, None) => {}
                _ => return Err(RestoreError::Impossible("the serial ports are not those of this machine")),
            }
        }
        Ok(chips)
    }
}

/// The number of the serial port that a port belongs to, 0 for COM1.
fn number(io: Io) -> usize {
    COMS.iter().position(|com| com.port == io.port & !7).unwrap_or(0)
}

pub(super) fn read(pc: &mut Pc, io: Io) -> u8 {
    let n = number(io);
    let Some(chip) = pc.coms.0.get_mut(n).and_then(Option::as_mut) else { return 0xff };
    let value = chip.read(io.reg, io.now);
    pc.settle_com(n);
    value
}

pub(super) fn write(pc: &mut Pc, io: Io, value: u8) {
    let n = number(io);
    let Some(chip) = pc.coms.0.get_mut(n).and_then(Option::as_mut) else { return };
    chip.write(io.reg, value, io.now);
    pc.output.com(n).extend(chip.take_output());
    pc.settle_com(n);
}

impl Pc {
    /// The interrupt wire of a serial port.
    fn settle_com(&mut self, n: usize) {
        if let Some(com) = COMS.get(n) {
            self.wires.set_isa(com.irq, self.coms.irq(com.irq));
        }
    }

    /// Lets the serial ports whose time has come act.
    pub(super) fn tick_coms(&mut self, now: Time) {
        for n in 0..COMS.len() {
            if let Some(chip) = self.coms.0[n].as_mut().filter(|chip| chip.next_event() <= now) {
                chip.tick(now);
                self.settle_com(n);
            }
        }
    }

    /// Whether a serial port (0 for COM1) takes a byte now.
    pub(crate) fn com_has_room(&self, n: usize) -> bool {
        matches!(self.coms.0.get(n), Some(Some(chip)) if chip.can_receive())
    }

    /// A byte for a serial port; `false` if it has no room for it now.
    pub(crate) fn com_input(&mut self, now: Time, n: usize, byte: u8) -> bool {
        let chip = self.coms.0.get_mut(n).and_then(Option::as_mut).filter(|chip| chip.can_receive());
        let Some(chip) = chip else { return false };
        chip.receive(byte, now);
        self.settle_com(n);
        self.touched |= Touched::COM13 | Touched::COM24 | Touched::LINES;
        self.refresh();
        true
    }
}
