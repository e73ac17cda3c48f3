//! One 8259A. Section names are those of the Intel data sheet 231468.

use serde::{Deserialize, Serialize};

use crate::saved::{RestoreError, check};

/// One 8259A without its wires. Its state is KVM's `kvm_pic_state`, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pic {
    s: PicState,
}

/// The content of KVM's `kvm_pic_state`. Flags are 0 or 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicState {
    /// Present level of the eight lines, against which edges are found.
    pub last_irr: u8,
    /// Interrupt request register.
    pub irr: u8,
    /// Interrupt mask register.
    pub imr: u8,
    /// In-service register.
    pub isr: u8,
    /// Line of highest priority, 0 to 7.
    pub priority_add: u8,
    /// Vector of line 0, a multiple of 8 (ICW2).
    pub irq_base: u8,
    /// Reads at A0 = 0 give ISR instead of IRR (OCW3).
    pub read_reg_select: u8,
    /// The next read is a poll (OCW3).
    pub poll: u8,
    /// Special mask mode (OCW3).
    pub special_mask: u8,
    /// Which command word is awaited at A0 = 1: 0 OCW1, 1 ICW2, 2 ICW3, 3 ICW4.
    pub init_state: u8,
    /// Automatic end of interrupt (ICW4).
    pub auto_eoi: u8,
    /// Rotate in automatic EOI mode (OCW2).
    pub rotate_on_auto_eoi: u8,
    /// Special fully nested mode (ICW4).
    pub special_fully_nested_mode: u8,
    /// ICW1 announced an ICW4.
    pub init4: u8,
    /// Lines that are level-triggered.
    pub elcr: u8,
    /// Lines that may be made so.
    pub elcr_mask: u8,
}

impl Pic {
    /// A chip after power-on; `elcr_mask` has a bit for each line that may be made level-triggered.
    pub fn new(elcr_mask: u8) -> Self {
        Self { s: PicState { elcr_mask, ..PicState::default() } }
    }

    /// Sets the level of line `line & 7`.
    ///
    /// A request made by an edge stays in IRR until it is acknowledged, even if its line falls: the choice of KVM's
    /// and other PIC models, so that no timer tick is lost to a late observer.
    pub fn set_line(&mut self, line: u8, level: bool) {
        let bit = 1 << (line & 7);
        let rises = level && self.s.last_irr & bit == 0;
        if level {
            self.s.last_irr |= bit;
        } else {
            self.s.last_irr &= !bit;
        }
        if rises {
            self.s.irr |= bit;
        } else if self.s.elcr & bit != 0 {
            self.s.irr = (self.s.irr & !bit) | (self.s.last_irr & bit);
        }
    }

    /// Takes a request back that its line no longer makes.
    pub fn withdraw(&mut self, line: u8) {
        self.s.irr &= !(1 << (line & 7));
    }

    /// The INT output.
    pub fn intr(&self) -> bool {
        self.request().is_some()
    }

    /// Puts the request of highest priority into service; `None` if there is none any more.
    pub fn acknowledge(&mut self) -> Option<u8> {
        let line = self.request()?;
        let bit = 1 << line;
        if self.s.auto_eoi == 0 {
            self.s.isr |= bit;
        } else if self.s.rotate_on_auto_eoi != 0 {
            self.s.priority_add = (line + 1) & 7;
        }
        if self.s.elcr & bit == 0 {
            self.s.irr &= !bit;
        }
        Some(line)
    }

    /// Acknowledges and gives the vector.
    pub fn vector(&mut self) -> u8 {
        let line = self.acknowledge();
        self.vector_of(line)
    }

    /// The vector of a line; that of IR7 if there is none.
    pub fn vector_of(&self, line: Option<u8>) -> u8 {
        self.s.irq_base | line.unwrap_or(7)
    }

    /// Reads at A0 = `reg & 1` (Reading the 8259A Status; Poll Command).
    pub fn read(&mut self, reg: u8) -> u8 {
        if self.s.poll != 0 {
            self.s.poll = 0;
            return self.acknowledge().map_or(0, |line| 0x80 | line);
        }
        match (reg & 1, self.s.read_reg_select) {
            (0, 0) => self.s.irr,
            (0, _) => self.s.isr,
            _ => self.s.imr,
        }
    }

    /// Writes a command word at A0 = `reg & 1`.
    pub fn write(&mut self, reg: u8, value: u8) {
        match (reg & 1, value) {
            (0, v) if v & 0x10 != 0 => self.icw1(v),
            (0, v) if v & 0x08 != 0 => self.ocw3(v),
            (0, v) => self.ocw2(v),
            (_, v) => self.odd(v),
        }
    }

    /// The edge/level control register.
    pub fn elcr(&self) -> u8 {
        self.s.elcr
    }

    /// Sets the edge/level control register; requests of level-triggered lines follow their wires.
    pub fn set_elcr(&mut self, value: u8) {
        self.s.elcr = value & self.s.elcr_mask;
        self.s.irr = (self.s.irr & !self.s.elcr) | (self.s.last_irr & self.s.elcr);
    }

    /// Initialization Command Word 1: the edge sense circuit is reset, so that a line has to rise anew; IMR is
    /// cleared; line 7 gets priority 7; special mask mode ends; reads give IRR; without ICW4 its functions are zero.
    fn icw1(&mut self, value: u8) {
        let old = self.s;
        self.s = PicState {
            last_irr: old.last_irr,
            irr: old.last_irr & old.elcr,
            irq_base: old.irq_base,
            init_state: 1,
            init4: value & 1,
            elcr: old.elcr,
            elcr_mask: old.elcr_mask,
            ..PicState::default()
        };
    }

    /// ICW2 to ICW4 in their turn, else OCW1.
    fn odd(&mut self, value: u8) {
        let s = &mut self.s;
        match s.init_state {
            0 => s.imr = value,
            1 => {
                s.irq_base = value & 0xf8;
                s.init_state = 2;
            }
            2 => s.init_state = if s.init4 != 0 { 3 } else { 0 },
            _ => {
                s.special_fully_nested_mode = value >> 4 & 1;
                s.auto_eoi = value >> 1 & 1;
                s.init_state = 0;
            }
        }
    }

    /// Operation Command Word 2: R, SL, EOI and the level.
    fn ocw2(&mut self, value: u8) {
        let level = value & 7;
        match value >> 5 {
            0b000 => self.s.rotate_on_auto_eoi = 0,
            0b100 => self.s.rotate_on_auto_eoi = 1,
            0b001 | 0b101 => {
                // In special mask mode a masked level is not cleared by a non-specific EOI.
                let masked = if self.s.special_mask != 0 { self.s.imr } else { 0 };
                if let Some(line) = self.highest(self.s.isr & !masked) {
                    self.s.isr &= !(1 << line);
                    if value & 0x80 != 0 {
                        self.s.priority_add = (line + 1) & 7;
                    }
                }
            }
            0b011 => self.s.isr &= !(1 << level),
            0b110 => self.s.priority_add = (level + 1) & 7,
            0b111 => {
                self.s.isr &= !(1 << level);
                self.s.priority_add = (level + 1) & 7;
            }
            _ => {}
        }
    }

    /// Operation Command Word 3: ESMM/SMM, P, RR/RIS.
    fn ocw3(&mut self, value: u8) {
        if value & 0x04 != 0 {
            self.s.poll = 1;
        } else if value & 0x02 != 0 {
            self.s.read_reg_select = value & 1;
        }
        if value & 0x40 != 0 {
            self.s.special_mask = value >> 5 & 1;
        }
    }

    /// The line of highest priority among `lines`.
    fn highest(&self, lines: u8) -> Option<u8> {
        let rotated = lines.rotate_right(u32::from(self.s.priority_add));
        (rotated != 0).then(|| (rotated.trailing_zeros() as u8 + self.s.priority_add) & 7)
    }

    /// A line's rank, 0 being the highest.
    fn rank(&self, line: u8) -> u8 {
        line.wrapping_sub(self.s.priority_add) & 7
    }

    /// The line that the CPU would be given: unmasked, and of higher priority than all in service. Special mask mode
    /// ignores what is in service and masked; special fully nested mode lets the slave interrupt itself.
    fn request(&self) -> Option<u8> {
        let line = self.highest(self.s.irr & !self.s.imr)?;
        let mut serving = self.s.isr;
        if self.s.special_mask != 0 {
            serving &= !self.s.imr;
        }
        if self.s.special_fully_nested_mode != 0 && self.is_master() {
            serving &= !(1 << super::CASCADE);
        }
        match self.highest(serving) {
            Some(busy) if self.rank(line) >= self.rank(busy) => None,
            _ => Some(line),
        }
    }

    /// The master is the one whose IR2 is the cascade and cannot be level-triggered.
    fn is_master(&self) -> bool {
        self.s.elcr_mask & 1 << super::CASCADE == 0
    }

    /// The state, as KVM has it.
    pub fn save(&self) -> PicState {
        self.s
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, state: &PicState) -> Result<(), RestoreError> {
        let flags = [
            state.read_reg_select,
            state.poll,
            state.special_mask,
            state.auto_eoi,
            state.rotate_on_auto_eoi,
            state.special_fully_nested_mode,
            state.init4,
        ];
        check(flags.iter().all(|&flag| flag <= 1), "a flag is neither 0 nor 1")?;
        check(state.priority_add < 8, "the highest priority belongs to no line")?;
        check(state.irq_base & 7 == 0, "the vector base is no multiple of 8")?;
        check(state.init_state < 4, "no such step of the initialisation")?;
        check(state.elcr_mask == self.s.elcr_mask, "its fixed lines are another chip's")?;
        check(state.elcr & !state.elcr_mask == 0, "a fixed line is level-triggered")?;
        self.s = *state;
        Ok(())
    }
}
