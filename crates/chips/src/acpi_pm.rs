//! The ACPI registers of PIIX4's power management function (82371AB data sheet, section 7.2; ACPI 1.0, section 4.7):
//! PM1a event block at offset 0, PM1a control block at 4, PM timer at 8.
//!
//! SLP_TYP 0 is S5 (soft off) on PIIX4; the board's \_S5 object has to say the same. Other sleep types do nothing.

use hako_engine::Time;
use serde::{Deserialize, Serialize};

use crate::Wish;
use crate::saved::{RestoreError, Saved, check};

const VERSION: u32 = 1;

/// Frequency of the PM timer.
pub const HZ: u64 = 3_579_545;

/// Bytes of I/O space that the chip takes.
pub const SIZE: u16 = 64;

/// PM1_STS and PM1_EN: the timer's top bit has changed.
const TIMER: u16 = 1 << 0;
/// PM1_STS and PM1_EN: the power button.
const POWER_BUTTON: u16 = 1 << 8;
/// PM1_EN bits that exist: TMROF, GBL, PWRBTN, RTC.
const EN_MASK: u16 = 0x0521;
/// PM1_STS bits that exist: TMROF, BM, GBL, PWRBTN, RTC, PWRBTNOR, RSM.
const STS_MASK: u16 = 0x8d31;
/// PM1_CNT: ACPI mode is on.
const SCI_EN: u16 = 1 << 0;
/// PM1_CNT: sleep now; reads 0.
const SLP_EN: u16 = 1 << 13;
/// PM1_CNT bits that can be read: SCI_EN, BM_RLD, SLP_TYP. (GBL_RLS reads 0.)
const CNT_MASK: u16 = 0x1c03;

/// The chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcpiPm {
    s: AcpiPmState,
}

/// What the chip holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcpiPmState {
    /// PM1_STS; TMROF_STS as of `overflows`.
    pub status: u16,
    /// PM1_EN.
    pub enable: u16,
    /// PM1_CNT.
    pub control: u16,
    /// The timer counts 32 bits instead of 24.
    pub wide: bool,
    /// How often the timer's top bit had changed when that was last looked at.
    pub overflows: u64,
    /// Power-off was asked for and not taken yet.
    pub power_off: bool,
}

impl AcpiPm {
    /// The chip after power-on; a `wide` timer counts 32 bits (TMR_VAL_EXT in the FADT), else 24.
    pub fn new(wide: bool) -> Self {
        Self { s: AcpiPmState { status: 0, enable: 0, control: 0, wide, overflows: 0, power_off: false } }
    }

    /// RESET: as after power-on, but the timer goes on.
    pub fn reset(&mut self, now: Time) {
        *self = Self::new(self.s.wide);
        self.s.overflows = self.overflows(now);
    }

    /// Reads the byte at `offset`; bytes of one wider access are read at the same time. What does not exist reads 0.
    pub fn read(&mut self, offset: u16, now: Time) -> u8 {
        self.tick(now);
        let byte = |word: u16| word.to_le_bytes()[usize::from(offset & 1)];
        match offset {
            0 | 1 => byte(self.s.status),
            2 | 3 => byte(self.s.enable),
            4 | 5 => byte(self.s.control),
            8..=11 => self.timer(now).to_le_bytes()[usize::from(offset - 8)],
            _ => 0,
        }
    }

    /// Writes the byte at `offset`.
    pub fn write(&mut self, offset: u16, value: u8, now: Time) {
        self.tick(now);
        let shift = 8 * u32::from(offset & 1);
        let (bits, keep) = (u16::from(value) << shift, !(0xff << shift));
        match offset {
            0 | 1 => self.s.status &= !bits,
            2 | 3 => self.s.enable = (self.s.enable & keep | bits) & EN_MASK,
            4 | 5 => {
                self.s.control = (self.s.control & keep | bits) & CNT_MASK;
                self.s.power_off |= bits & SLP_EN != 0 && self.s.control >> 10 & 7 == 0;
            }
            _ => {}
        }
    }

    /// The PM timer's value.
    pub fn timer(&self, now: Time) -> u32 {
        now.ticks(HZ) as u32 & if self.s.wide { u32::MAX } else { 0xff_ffff }
    }

    /// Level of the SCI.
    pub fn irq(&self, now: Time) -> bool {
        self.s.control & SCI_EN != 0 && self.status(now) & self.s.enable != 0
    }

    /// When the SCI may rise: the timer's top bit changes.
    pub fn next_event(&self) -> Time {
        let wanted = self.s.control & SCI_EN != 0 && self.s.enable & TIMER != 0;
        if !wanted || self.s.status & TIMER != 0 {
            return Time::NEVER;
        }
        Time::at_tick(self.s.overflows.saturating_add(1).saturating_mul(self.half()), HZ)
    }

    /// Notes that the timer's top bit has changed, if it has.
    pub fn tick(&mut self, now: Time) {
        let overflows = self.overflows(now);
        if overflows != self.s.overflows {
            self.s.overflows = overflows;
            self.s.status |= TIMER;
        }
    }

    /// Switches ACPI mode on or off: the board's answer to ACPI_ENABLE and ACPI_DISABLE at the SMI command port.
    pub fn set_acpi_mode(&mut self, on: bool) {
        self.s.control = (self.s.control & !SCI_EN) | if on { SCI_EN } else { 0 };
    }

    /// The power button is pressed.
    pub fn press_power_button(&mut self) {
        self.s.status |= POWER_BUTTON;
    }

    /// Takes the wish that a write made.
    pub fn take_wish(&mut self) -> Option<Wish> {
        core::mem::take(&mut self.s.power_off).then_some(Wish::PowerOff)
    }

    fn status(&self, now: Time) -> u16 {
        self.s.status | if self.overflows(now) == self.s.overflows { 0 } else { TIMER }
    }

    /// Ticks between two changes of the timer's top bit.
    fn half(&self) -> u64 {
        if self.s.wide { 1 << 31 } else { 1 << 23 }
    }

    fn overflows(&self, now: Time) -> u64 {
        now.ticks(HZ) / self.half()
    }

    /// The state.
    pub fn save(&self) -> Saved<AcpiPmState> {
        Saved { version: VERSION, state: self.s }
    }

    /// Takes a saved state over.
    pub fn restore(&mut self, saved: &Saved<AcpiPmState>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        check(state.status & !STS_MASK == 0, "a status bit that does not exist is set")?;
        check(state.enable & !EN_MASK == 0, "an enable bit that does not exist is set")?;
        check(state.control & !CNT_MASK == 0, "a control bit that does not exist is set")?;
        self.s = *state;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write16(pm: &mut AcpiPm, offset: u16, value: u16, now: Time) {
        for (n, byte) in (0..).zip(value.to_le_bytes()) {
            pm.write(offset + n, byte, now);
        }
    }

    #[test]
    fn slp_en_with_type_0_is_power_off() {
        let mut pm = AcpiPm::new(false);
        write16(&mut pm, 4, 0x2000, Time::ZERO);
        assert_eq!(pm.take_wish(), Some(Wish::PowerOff));
        assert_eq!(pm.take_wish(), None);
    }

    #[test]
    fn other_sleep_types_and_types_without_slp_en_do_nothing() {
        let mut pm = AcpiPm::new(false);
        for value in [0x2400, 0x3c00, 0x0000, 0x1400] {
            write16(&mut pm, 4, value, Time::ZERO);
            assert_eq!(pm.take_wish(), None);
        }
        assert_eq!(pm.read(5, Time::ZERO), 0x14, "SLP_EN reads 0");
    }

    #[test]
    fn the_timer_runs_at_3_579545_mhz() {
        let pm = AcpiPm::new(false);
        assert_eq!(pm.timer(Time(1_000_000_000)), 3_579_545);
    }

    #[test]
    fn the_timer_has_24_or_32_bits() {
        let t = Time::at_tick(0x1_2345_6789, HZ);
        assert_eq!(AcpiPm::new(false).timer(t), 0x45_6789);
        assert_eq!(AcpiPm::new(true).timer(t), 0x2345_6789);
    }

    #[test]
    fn the_timer_is_read_byte_by_byte() {
        let t = Time::at_tick(0x0012_3456, HZ);
        let mut pm = AcpiPm::new(false);
        assert_eq!([8, 9, 10, 11].map(|offset| pm.read(offset, t)), [0x56, 0x34, 0x12, 0]);
    }

    #[test]
    fn tmrof_is_set_when_the_top_bit_changes_and_cleared_by_writing_1() {
        let mut pm = AcpiPm::new(false);
        let t = Time::at_tick(1 << 23, HZ);
        assert_eq!(pm.read(0, Time(t.0 - 1)) & 1, 0);
        assert_eq!(pm.read(0, t) & 1, 1);
        pm.write(0, 1, t);
        assert_eq!(pm.read(0, t) & 1, 0);
    }

    #[test]
    fn the_enabled_timer_announces_and_raises_the_sci() {
        let mut pm = AcpiPm::new(false);
        assert_eq!(pm.next_event(), Time::NEVER);
        write16(&mut pm, 2, 0x0001, Time::ZERO);
        pm.set_acpi_mode(true);
        let t = pm.next_event();
        assert_eq!(t, Time::at_tick(1 << 23, HZ));
        assert!(!pm.irq(Time(t.0 - 1)));
        assert!(pm.irq(t));
        pm.tick(t);
        assert_eq!(pm.next_event(), Time::NEVER);
    }

    #[test]
    fn a_reset_forgets_that_the_top_bit_has_changed() {
        let mut pm = AcpiPm::new(false);
        let t = Time::at_tick(1 << 23, HZ);
        pm.reset(t);
        assert_eq!((pm.read(0, t), pm.timer(t)), (0, 1 << 23));
    }

    #[test]
    fn the_power_button_raises_the_sci_if_enabled() {
        let mut pm = AcpiPm::new(false);
        pm.set_acpi_mode(true);
        pm.press_power_button();
        assert!(!pm.irq(Time::ZERO));
        write16(&mut pm, 2, 0x0100, Time::ZERO);
        assert!(pm.irq(Time::ZERO));
        write16(&mut pm, 0, 0x0100, Time::ZERO);
        assert!(!pm.irq(Time::ZERO));
    }

    proptest! {
        #[test]
        fn any_sequence_is_survived_and_can_be_saved(
            ops in prop::collection::vec((any::<bool>(), 0u16..70, any::<u8>(), any::<u64>()), 0..100),
        ) {
            let mut pm = AcpiPm::new(false);
            for (write, offset, value, at) in ops {
                if write {
                    pm.write(offset, value, Time(at));
                } else {
                    pm.read(offset, Time(at));
                }
                pm.next_event();
                let mut other = AcpiPm::new(true);
                other.restore(&pm.save()).unwrap();
                prop_assert_eq!(&other, &pm);
            }
        }
    }
}
