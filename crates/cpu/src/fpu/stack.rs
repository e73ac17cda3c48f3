//! The register stack, the status word and how an instruction ends (SDM Vol. 1 8.1.2, 8.1.3, 8.5.1).

use super::soft::{Env, Float, IE};
use super::state::{CW_INIT, F80, FpuState};

/// Status word: stack fault.
pub(crate) const SF: u16 = 0x40;
/// Error summary: an unmasked exception waits.
pub(crate) const ES: u16 = 0x80;
/// Condition code bits.
pub(crate) const C0: u16 = 0x100;
pub(crate) const C1: u16 = 0x200;
pub(crate) const C2: u16 = 0x400;
pub(crate) const C3: u16 = 0x4000;
/// All four.
pub(crate) const CC: u16 = C0 | C1 | C2 | C3;
/// Busy: the same as [`ES`].
const BUSY: u16 = 0x8000;
/// Bits of a control word that can be written; bit 6 reads as one (bit 12 once chose how infinities compare).
const CW_WRITABLE: u16 = 0x1f3f;
const CW_FIXED: u16 = 0x40;

impl FpuState {
    /// The physical register that ST(i) is.
    #[inline(always)]
    fn physical(&self, i: u8) -> usize {
        usize::from(self.top.wrapping_add(i) & 7)
    }

    /// ST(i), whatever its tag says.
    #[inline(always)]
    pub fn st(&self, i: u8) -> F80 {
        self.st[self.physical(i)]
    }

    /// Whether ST(i) is empty.
    #[inline(always)]
    pub fn empty(&self, i: u8) -> bool {
        self.valid >> self.physical(i) & 1 == 0
    }

    /// Replaces ST(i), which is not empty then.
    #[inline(always)]
    pub fn set_st(&mut self, i: u8, value: F80) {
        let at = self.physical(i);
        self.st[at] = value;
        self.valid |= 1 << at;
    }

    /// Makes ST(i) empty.
    #[inline(always)]
    pub fn free(&mut self, i: u8) {
        self.valid &= !(1 << self.physical(i));
    }

    /// Pushes onto the stack, whatever is there.
    #[inline(always)]
    pub fn push(&mut self, value: F80) {
        self.top = self.top.wrapping_sub(1) & 7;
        self.set_st(0, value);
    }

    /// Pops.
    #[inline(always)]
    pub fn pop(&mut self) {
        self.free(0);
        self.top = self.top.wrapping_add(1) & 7;
    }

    /// The environment of an operation.
    #[inline(always)]
    pub fn env(&self) -> Env {
        Env::x87(self.cw)
    }

    /// The environment of an operation that heeds no precision control.
    #[inline(always)]
    pub fn full_env(&self) -> Env {
        Env { precision: 64, ..Env::x87(self.cw) }
    }

    /// Takes over what an operation did: its flags, and C1 as it rounded.
    #[inline(always)]
    pub fn finish(&mut self, env: &Env) {
        self.sw &= !C1;
        if env.up {
            self.sw |= C1;
        }
        if env.flags != 0 {
            self.raise(env.flags as u16);
        }
    }

    /// Sets exception flags (and the stack fault flag).
    #[inline]
    pub fn raise(&mut self, flags: u16) {
        self.sw |= flags;
        if flags & 0x3f & !self.cw != 0 {
            self.sw |= ES | BUSY;
        }
    }

    /// A register that must not be empty is. True if that is masked.
    #[cold]
    pub fn underflow(&mut self) -> bool {
        self.sw &= !C1;
        self.raise(IE as u16 | SF);
        self.cw & IE as u16 != 0
    }

    /// The register that a push would use is not empty. True if that is masked.
    #[cold]
    pub fn overflow(&mut self) -> bool {
        self.raise(IE as u16 | SF | C1);
        self.cw & IE as u16 != 0
    }

    /// Whether all of `regs` hold something. If not, and if that is masked, ST(i) becomes the indefinite NaN.
    #[inline(always)]
    pub fn filled(&mut self, regs: [u8; 2], i: u8) -> Filled {
        if !self.empty(regs[0]) && !self.empty(regs[1]) {
            return Filled::Yes;
        }
        if self.underflow() {
            self.set_st(i, F80::indefinite());
            return Filled::Indefinite;
        }
        Filled::No
    }

    /// Makes room for a push: C1 is cleared. False if the register is in use; then, if that is masked, the indefinite
    /// NaN has been pushed.
    #[inline(always)]
    pub fn room(&mut self) -> bool {
        self.sw &= !C1;
        if self.empty(7) {
            return true;
        }
        if self.overflow() {
            self.push(F80::indefinite());
        }
        false
    }

    /// Replaces the condition code.
    #[inline(always)]
    pub fn set_cc(&mut self, cc: u16) {
        self.sw = self.sw & !CC | cc;
    }

    /// Status word with TOP.
    #[inline(always)]
    pub fn status(&self) -> u16 {
        self.sw | u16::from(self.top) << 11
    }

    /// Replaces the status word, TOP included. Whether an exception waits follows from the flags and the masks.
    pub fn set_status(&mut self, sw: u16) {
        self.top = (sw >> 11 & 7) as u8;
        self.sw = sw & !(7 << 11);
        self.resummarise();
    }

    /// Replaces the control word.
    pub fn set_control(&mut self, cw: u16) {
        self.cw = cw & CW_WRITABLE | CW_FIXED;
        self.resummarise();
    }

    /// Makes [`ES`] what flags and masks say.
    fn resummarise(&mut self) {
        let waits = self.sw & 0x3f & !self.cw != 0;
        self.sw = self.sw & !(ES | BUSY) | if waits { ES | BUSY } else { 0 };
    }

    /// FNCLEX.
    pub fn clear_exceptions(&mut self) {
        self.sw &= CC;
    }

    /// FNINIT: the registers' contents stay, but all are empty.
    pub fn init(&mut self) {
        (self.cw, self.sw, self.top, self.valid) = (CW_INIT, 0, 0, 0);
        (self.fop, self.fip, self.fcs, self.fdp, self.fds) = (0, 0, 0, 0, 0);
    }

    /// The tag word: two bits for each physical register (SDM Vol. 1 8.1.7).
    pub fn tag_word(&self) -> u16 {
        let tag = |i: usize| {
            let r = &self.st[i];
            let exp = r.se & 0x7fff;
            match (self.valid >> i & 1, exp) {
                (0, _) => 3,
                (_, 0) if r.mant == 0 => 1,
                (_, 0 | 0x7fff) => 2,
                _ if r.mant >> 63 == 0 => 2,
                _ => 0u16,
            }
        };
        (0..8).fold(0, |word, i| word | tag(i) << (2 * i))
    }

    /// Takes over which registers a tag word calls empty; the rest of it follows from their contents.
    pub fn set_tag_word(&mut self, word: u16) {
        self.valid = (0..8).fold(0, |valid, i| valid | u8::from(word >> (2 * i) & 3 != 3) << i);
    }
}

/// What [`FpuState::filled`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Both registers hold something.
    Yes,
    /// One is empty, which is masked: the result is the indefinite NaN.
    Indefinite,
    /// One is empty, which is not masked: nothing happens.
    No,
}
