//! The VGA: CRTC, sequencer, graphics controller, attribute controller, DAC (IBM VGA/XGA Technical Reference).
//!
//! Video memory is ordinary RAM for the CPU; the chip keeps every register for reading back and draws what the
//! registers and that memory show: text modes, the 256-colour mode and the CGA's graphics modes. Planes do not exist,
//! so the 16-colour graphics modes and unchained 256-colour modes draw black.

mod beam;
mod charset;
mod font;
mod modes;
mod palette;
mod render;
#[cfg(test)]
mod tests;
mod text;

pub use charset::to_char;
pub use modes::Mode;
pub use render::Image;
pub use text::{Cell, TextScreen};

use alloc::vec::Vec;

use hako_engine::Time;
use serde::{Deserialize, Serialize};

use crate::saved::{RestoreError, Saved, check};

const VERSION: u32 = 1;
const CRTC: usize = 0x19;
const SEQUENCER: usize = 5;
const GRAPHICS: usize = 9;
const ATTRIBUTE: usize = 0x15;
const DAC: usize = 256;

/// Writable bits of the sequencer's, graphics controller's and attribute controller's registers; others read zero.
const SEQUENCER_MASK: [u8; SEQUENCER] = [0x03, 0x3d, 0x0f, 0x3f, 0x0e];
const GRAPHICS_MASK: [u8; GRAPHICS] = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff];
/// Palette registers have six bits; the rest are mode, overscan, plane enable, panning, colour select.
const ATTRIBUTE_MASK: [u8; 5] = [0xef, 0xff, 0x3f, 0x0f, 0x0f];

/// CRTC registers by name.
mod crtc {
    pub const HORIZONTAL_END: usize = 0x01;
    pub const VERTICAL_TOTAL: usize = 0x06;
    pub const OVERFLOW: usize = 0x07;
    pub const MAX_SCAN_LINE: usize = 0x09;
    pub const CURSOR_START: usize = 0x0a;
    pub const CURSOR_END: usize = 0x0b;
    pub const START_HIGH: usize = 0x0c;
    pub const CURSOR_HIGH: usize = 0x0e;
    pub const RETRACE_START: usize = 0x10;
    pub const RETRACE_END: usize = 0x11;
    pub const VERTICAL_END: usize = 0x12;
    pub const OFFSET: usize = 0x13;
    pub const MODE: usize = 0x17;
}

/// All registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Miscellaneous output; bit 0 puts the CRTC at 3Dx instead of 3Bx.
    pub misc: u8,
    /// Feature control.
    pub feature: u8,
    /// Video subsystem enable.
    pub enable: u8,
    /// CRTC index.
    pub crtc_index: u8,
    /// CRTC.
    pub crtc: [u8; CRTC],
    /// Sequencer index.
    pub sequencer_index: u8,
    /// Sequencer.
    pub sequencer: [u8; SEQUENCER],
    /// Graphics controller index.
    pub graphics_index: u8,
    /// Graphics controller.
    pub graphics: [u8; GRAPHICS],
    /// Attribute controller index, with the palette address source in bit 5.
    pub attribute_index: u8,
    /// The attribute controller takes data next instead of an index.
    pub attribute_data: bool,
    /// Attribute controller.
    pub attribute: [u8; ATTRIBUTE],
    /// Red, green, blue of 6 bits each.
    pub dac: Vec<[u8; 3]>,
    /// DAC mask.
    pub dac_mask: u8,
    /// The colour that is read or written next.
    pub dac_index: u8,
    /// Its component, 0 to 2.
    pub dac_component: u8,
    /// The DAC was last told to read.
    pub dac_reading: bool,
    /// Components of the colour that is being written.
    pub dac_latch: [u8; 2],
}

/// The adapter.
#[derive(Clone, Debug)]
pub struct Vga {
    s: State,
}

impl Default for Vga {
    fn default() -> Vga {
        Vga::new()
    }
}

impl Vga {
    /// An adapter in 80x25 text mode.
    pub fn new() -> Vga {
        let mut chip = Vga {
            s: State {
                misc: 0,
                feature: 0,
                enable: 1,
                crtc_index: 0,
                crtc: [0; CRTC],
                sequencer_index: 0,
                sequencer: [0; SEQUENCER],
                graphics_index: 0,
                graphics: [0; GRAPHICS],
                attribute_index: 0x20,
                attribute_data: false,
                attribute: [0; ATTRIBUTE],
                dac: alloc::vec![[0; 3]; DAC],
                dac_mask: 0xff,
                dac_index: 0,
                dac_component: 0,
                dac_reading: false,
                dac_latch: [0; 2],
            },
        };
        chip.set_mode(Mode::TEXT_80X25);
        chip
    }

    /// Power-on.
    pub fn reset(&mut self) {
        *self = Vga::new();
    }

    /// Programs all registers and the DAC for a BIOS mode, as a video BIOS does. Memory is not touched.
    pub fn set_mode(&mut self, mode: &Mode) {
        self.s.misc = mode.misc;
        self.s.sequencer = mode.sequencer;
        self.s.crtc = mode.crtc;
        self.s.graphics = mode.graphics;
        self.s.attribute = mode.attribute;
        self.s.attribute_index = 0x20;
        self.s.attribute_data = false;
        self.s.dac_mask = 0xff;
        self.s.dac = mode.palette();
    }

    /// The registers, for who draws or reports.
    pub fn registers(&self) -> &State {
        &self.s
    }

    /// Whether an address of the 3B0-3DF range is the CRTC's or status register's now, and not its twin in the other
    /// half.
    fn is_mapped(&self, register: u8) -> bool {
        (register >= 0x20) == (self.s.misc & 1 != 0)
    }

    /// Reads a register: its distance from port 3B0, 0x00 to 0x2f. Registers that are not there read ones.
    pub fn read(&mut self, register: u8, now: Time) -> u8 {
        let s = &mut self.s;
        match register {
            0x10 => s.attribute_index,
            0x11 => s.attribute.get(usize::from(s.attribute_index & 0x1f)).copied().unwrap_or(0),
            0x12 => 0x10, // input status 0: the monitor's sense line
            0x13 => s.enable,
            0x14 => s.sequencer_index,
            0x15 => s.sequencer.get(usize::from(s.sequencer_index)).copied().unwrap_or(0),
            0x16 => s.dac_mask,
            0x17 => u8::from(s.dac_reading) * 3,
            0x18 => s.dac_index,
            0x19 => self.read_dac(),
            0x1a => s.feature,
            0x1c => s.misc,
            0x1e => s.graphics_index,
            0x1f => s.graphics.get(usize::from(s.graphics_index)).copied().unwrap_or(0),
            0x04 | 0x24 if self.is_mapped(register) => self.s.crtc_index,
            0x05 | 0x25 if self.is_mapped(register) => {
                self.s.crtc.get(usize::from(self.s.crtc_index)).copied().unwrap_or(0)
            }
            0x0a | 0x2a if self.is_mapped(register) => {
                self.s.attribute_data = false;
                beam::status(&self.s.crtc, now)
            }
            _ => 0xff,
        }
    }

    /// Writes a register: its distance from port 3B0, 0x00 to 0x2f.
    pub fn write(&mut self, register: u8, value: u8) {
        let s = &mut self.s;
        match register {
            0x10 => self.write_attribute(value),
            0x12 => s.misc = value & 0xef,
            0x13 => s.enable = value & 1,
            0x14 => s.sequencer_index = value & 0x07,
            0x15 => store(&mut s.sequencer, &SEQUENCER_MASK, s.sequencer_index, value),
            0x16 => s.dac_mask = value,
            0x17 => (s.dac_index, s.dac_component, s.dac_reading) = (value, 0, true),
            0x18 => (s.dac_index, s.dac_component, s.dac_reading) = (value, 0, false),
            0x19 => self.write_dac(value),
            0x1e => s.graphics_index = value & 0x0f,
            0x1f => store(&mut s.graphics, &GRAPHICS_MASK, s.graphics_index, value),
            0x04 | 0x24 if self.is_mapped(register) => self.s.crtc_index = value & 0x3f,
            0x05 | 0x25 if self.is_mapped(register) => self.write_crtc(value),
            0x0a | 0x2a if self.is_mapped(register) => self.s.feature = value & 0x0b,
            _ => {}
        }
    }

    /// Bit 7 of the retrace end register protects registers 0 to 7, but for the line compare bit in the overflow.
    fn write_crtc(&mut self, value: u8) {
        const LINE_COMPARE: u8 = 0x10;
        let index = usize::from(self.s.crtc_index);
        let protected = index < 8 && self.s.crtc[crtc::RETRACE_END] & 0x80 != 0;
        match self.s.crtc.get_mut(index) {
            Some(r) if protected && index == crtc::OVERFLOW => *r = *r & !LINE_COMPARE | value & LINE_COMPARE,
            Some(_) if protected => {}
            Some(r) => *r = value,
            None => {}
        }
    }

    /// One port for index and data in turn; palette registers can only be written while the palette is off the
    /// screen (index bit 5 clear).
    fn write_attribute(&mut self, value: u8) {
        let s = &mut self.s;
        let index = usize::from(s.attribute_index & 0x1f);
        if !s.attribute_data {
            s.attribute_index = value & 0x3f;
        } else if index < 0x10 {
            if s.attribute_index & 0x20 == 0 {
                s.attribute[index] = value & 0x3f;
            }
        } else if let Some(mask) = ATTRIBUTE_MASK.get(index - 0x10) {
            s.attribute[index] = value & mask;
        }
        s.attribute_data = !s.attribute_data;
    }

    fn next_component(&mut self) {
        self.s.dac_component += 1;
        if self.s.dac_component > 2 {
            self.s.dac_component = 0;
            self.s.dac_index = self.s.dac_index.wrapping_add(1);
        }
    }

    fn read_dac(&mut self) -> u8 {
        let s = &self.s;
        // A read index names the colour that comes next, as it is; the chip has no prefetch to be seen.
        let value = s.dac[usize::from(s.dac_index)][usize::from(s.dac_component)];
        self.next_component();
        value
    }

    /// The colour changes when its third component has come.
    fn write_dac(&mut self, value: u8) {
        let (s, value) = (&mut self.s, value & 0x3f);
        match s.dac_component {
            2 => s.dac[usize::from(s.dac_index)] = [s.dac_latch[0], s.dac_latch[1], value],
            n => s.dac_latch[usize::from(n & 1)] = value,
        }
        self.next_component();
    }

    /// All registers.
    pub fn save(&self) -> Saved<State> {
        Saved { version: VERSION, state: self.s.clone() }
    }

    /// Takes saved registers back.
    pub fn restore(&mut self, saved: &Saved<State>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        check(s.dac.len() == DAC, "a DAC has 256 colours")?;
        check(s.dac.iter().flatten().all(|c| *c < 0x40), "a DAC component has 6 bits")?;
        check(s.dac_component < 3, "a colour has 3 components")?;
        self.s = s.clone();
        Ok(())
    }
}

fn store(registers: &mut [u8], masks: &[u8], index: u8, value: u8) {
    if let (Some(register), Some(mask)) =
        (registers.get_mut(usize::from(index)), masks.get(usize::from(index)))
    {
        *register = value & mask;
    }
}
