//! The FXSAVE and XSAVE images (SDM Vol. 1 10.5.1, 13.4).

use alloc::vec::Vec;

use hako_x86::StateError;
use hako_x86::cpuid::xsave::{HEADER_END, PKRU, PKRU_OFFSET, PKRU_SIZE, SSE, X87};

use super::state::{F80, FpuState, Xmm};

/// Bytes of the legacy region.
pub(crate) const LEGACY: usize = 512;
/// Bits of MXCSR that can be set; what the image calls MXCSR_MASK.
pub(crate) const MXCSR_MASK: u32 = 0xffff;
/// The state components that this CPU has.
const OURS: u64 = X87 | SSE | PKRU;
/// Where MXCSR lies.
pub(crate) const MXCSR_AT: usize = 24;
/// Where ST(0) lies, and every 16 bytes the next.
pub(crate) const ST_AT: usize = 32;
/// Where XMM0 lies.
pub(crate) const XMM_AT: usize = 160;

/// A legacy region.
pub(crate) type Legacy = [u8; LEGACY];

/// A little-endian number in an image; zero beyond its end.
pub(crate) fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut v = [0; 8];
    let field = bytes.get(at..at + N).unwrap_or_default();
    v.iter_mut().zip(field).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(v)
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

impl FpuState {
    /// The components that are not in their initial configuration (XINUSE).
    pub fn in_use(&self) -> u64 {
        let x87 = self.cw != FpuState::INITIAL.cw
            || self.status() != 0
            || self.valid != 0
            || (self.fop, self.fip, self.fcs, self.fdp, self.fds) != (0, 0, 0, 0, 0)
            || self.st != FpuState::INITIAL.st;
        let sse = self.xmm != FpuState::INITIAL.xmm;
        (u64::from(x87) * X87) | (u64::from(sse) * SSE) | (u64::from(self.pkru != 0) * PKRU)
    }

    /// The legacy region; with `wide` pointers of 64 bits, else of 32 and their selectors.
    pub fn legacy(&self, wide: bool) -> Legacy {
        let mut image = [0; LEGACY];
        put(&mut image, 0, &self.cw.to_le_bytes());
        put(&mut image, 2, &self.status().to_le_bytes());
        put(&mut image, 4, &[self.valid]);
        put(&mut image, 6, &self.fop.to_le_bytes());
        for (at, pointer, selector) in [(8, self.fip, self.fcs), (16, self.fdp, self.fds)] {
            let narrow = pointer & 0xffff_ffff | u64::from(selector) << 32;
            put(&mut image, at, &if wide { pointer } else { narrow }.to_le_bytes());
        }
        put(&mut image, MXCSR_AT, &self.mxcsr.to_le_bytes());
        put(&mut image, MXCSR_AT + 4, &MXCSR_MASK.to_le_bytes());
        for i in 0..8 {
            put(&mut image, ST_AT + 16 * i, &self.st(i as u8).bits().to_le_bytes());
        }
        for (i, x) in self.xmm.iter().enumerate() {
            put(&mut image, XMM_AT + 16 * i, &x.bits().to_le_bytes());
        }
        image
    }

    /// Takes over the x87 part of a legacy region.
    pub fn load_x87(&mut self, image: &[u8], wide: bool) {
        self.set_control(number::<2>(image, 0) as u16);
        self.set_status(number::<2>(image, 2) as u16);
        self.valid = number::<1>(image, 4) as u8;
        self.fop = number::<2>(image, 6) as u16 & 0x7ff;
        let pointer = |at| {
            let v = number::<8>(image, at);
            if wide { (v, 0) } else { (v & 0xffff_ffff, (v >> 32) as u16) }
        };
        ((self.fip, self.fcs), (self.fdp, self.fds)) = (pointer(8), pointer(16));
        for i in 0..8 {
            let at = ST_AT + 16 * i;
            let value = F80::new(number::<2>(image, at + 8) as u16, number::<8>(image, at));
            self.st[(usize::from(self.top) + i) & 7] = value;
        }
    }

    /// Gives x87 its initial configuration.
    pub fn init_x87(&mut self) {
        self.init();
        self.st = FpuState::INITIAL.st;
    }

    /// Takes over the first registers of the SSE part.
    pub fn load_xmm(&mut self, image: &[u8], registers: usize) {
        for (i, x) in self.xmm.iter_mut().enumerate().take(registers) {
            let at = XMM_AT + 16 * i;
            let (low, high) = (number::<8>(image, at), number::<8>(image, at + 8));
            *x = Xmm::from_bits(u128::from(low) | u128::from(high) << 64);
        }
    }

    /// The image of the engine-neutral state: standard format, x87 and SSE, 64-bit pointers, and PKRU where it is not zero;
    /// none for the initial configuration.
    pub fn to_image(&self) -> Vec<u8> {
        if self.in_use() == 0 && self.mxcsr == FpuState::INITIAL.mxcsr {
            return Vec::new();
        }
        let pkru = self.in_use() & PKRU;
        let mut image = Vec::with_capacity(HEADER_END);
        image.extend_from_slice(&self.legacy(true));
        image.extend_from_slice(&(X87 | SSE | pkru).to_le_bytes());
        image.resize(HEADER_END, 0);
        if pkru != 0 {
            image.resize(PKRU_OFFSET + PKRU_SIZE, 0);
            put(&mut image, PKRU_OFFSET, &self.pkru.to_le_bytes());
        }
        image
    }

    /// The state that an image of the engine-neutral state and XCR0 mean; an empty image is the initial configuration.
    ///
    /// # Errors
    /// When it is cut short, or holds what this CPU cannot.
    pub fn from_image(image: &[u8], xcr0: u64) -> Result<FpuState, StateError> {
        let mut fpu = FpuState { xcr0, ..FpuState::INITIAL };
        if xcr0 & !OURS != 0 {
            return Err(StateError::Unsupported { field: "XCR0", value: xcr0 });
        }
        if xcr0 & X87 == 0 {
            return Err(StateError::Impossible { field: "XCR0", value: xcr0 });
        }
        if image.is_empty() {
            return Ok(fpu);
        }
        if image.len() < HEADER_END {
            return Err(StateError::Impossible { field: "XSAVE size", value: image.len() as u64 });
        }
        let present = number::<8>(image, LEGACY);
        if present & !OURS != 0 {
            return Err(StateError::Unsupported { field: "XSTATE_BV", value: present });
        }
        if present & PKRU != 0 && image.len() < PKRU_OFFSET + PKRU_SIZE {
            return Err(StateError::Impossible { field: "XSAVE size", value: image.len() as u64 });
        }
        let compacted = number::<8>(image, LEGACY + 8);
        if compacted != 0 {
            return Err(StateError::Unsupported { field: "XCOMP_BV", value: compacted });
        }
        let mxcsr = number::<4>(image, MXCSR_AT) as u32;
        if mxcsr & !MXCSR_MASK != 0 {
            return Err(StateError::Impossible { field: "MXCSR", value: u64::from(mxcsr) });
        }
        fpu.mxcsr = mxcsr;
        if present & X87 != 0 {
            fpu.load_x87(image, true);
        }
        if present & SSE != 0 {
            fpu.load_xmm(image, 16);
        }
        if present & PKRU != 0 {
            fpu.pkru = number::<4>(image, PKRU_OFFSET) as u32;
        }
        Ok(fpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hako_x86::CpuState;

    fn some() -> FpuState {
        let mut fpu = FpuState { xcr0: 3, mxcsr: 0x9fc0, fip: 0xffff_8000_1234_5678, ..FpuState::INITIAL };
        fpu.set_control(0x27f);
        fpu.set_status(0x3c21);
        fpu.set_st(0, F80::new(0x4000, 0xc000_0000_0000_0000));
        fpu.set_st(3, F80::new(0xbfff, 1 << 63));
        fpu.xmm[9] = Xmm::from_bits(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        fpu
    }

    #[test]
    fn an_image_means_the_state_it_was_made_of() {
        assert_eq!(FpuState::from_image(&some().to_image(), 3), Ok(some()));
    }

    #[test]
    fn reset_leaves_zeros_that_are_not_empty() {
        let reset = CpuState::reset();
        let expected = FpuState { cw: 0x40, valid: 0xff, ..FpuState::INITIAL };
        assert_eq!(FpuState::from_image(&reset.xsave, reset.xcr0), Ok(expected.clone()));
        assert_eq!(expected.to_image(), reset.xsave);
    }

    #[test]
    fn registers_lie_in_stack_order_and_tags_in_physical_order() {
        let image = some().to_image();
        assert_eq!(number::<2>(&image, ST_AT + 8), 0x4000);
        assert_eq!(number::<2>(&image, ST_AT + 3 * 16 + 8), 0xbfff);
        // TOP is 7.
        assert_eq!(image[4], 1 << 7 | 1 << 2);
    }

    #[test]
    fn what_no_cpu_or_not_this_one_can_hold_is_refused() {
        let image = some().to_image();
        let with = |at: usize, byte: u8| {
            let mut image = image.clone();
            image[at] = byte;
            FpuState::from_image(&image, 3)
        };
        assert!(matches!(with(LEGACY, 7), Err(StateError::Unsupported { field: "XSTATE_BV", value: 7 })));
        assert!(matches!(with(LEGACY + 15, 0x80), Err(StateError::Unsupported { field: "XCOMP_BV", .. })));
        assert!(matches!(with(MXCSR_AT + 2, 1), Err(StateError::Impossible { field: "MXCSR", .. })));
        assert!(FpuState::from_image(&image[..575], 3).is_err());
        assert!(FpuState::from_image(&image, 2).is_err());
        assert!(FpuState::from_image(&image, 7).is_err());
    }

    #[test]
    fn a_component_that_is_not_in_the_image_is_initial() {
        let mut image = some().to_image();
        image[LEGACY] = 0;
        let expected = FpuState { xcr0: 3, mxcsr: 0x9fc0, ..FpuState::INITIAL };
        assert_eq!(FpuState::from_image(&image, 3), Ok(expected));
    }

    #[test]
    fn an_empty_image_is_the_initial_configuration() {
        assert_eq!(FpuState::from_image(&[], 1), Ok(FpuState::INITIAL));
    }
}
