//! The registers of x87, MMX and SSE (SDM Vol. 1 8.1, 9.2, 10.2).

/// A number in double extended precision, as its bits: 1 sign, 15 exponent, 64 significand with explicit integer bit
/// (SDM Vol. 1 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct F80 {
    /// The significand; bit 63 is the integer bit.
    pub mant: u64,
    /// Bit 15 is the sign, bits 14:0 are the biased exponent.
    pub se: u16,
}

impl F80 {
    /// From its sign and exponent, and its significand.
    pub const fn new(se: u16, mant: u64) -> F80 {
        F80 { mant, se }
    }

    /// As they lie in memory, zero-extended.
    pub const fn bits(self) -> u128 {
        self.mant as u128 | (self.se as u128) << 64
    }
}

/// An XMM register, as its bytes lie in memory: stores to bytes are what compilers make vector instructions of, as they do
/// not of shifts within a `u128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(align(16))]
pub(crate) struct Xmm(pub [u8; 16]);

impl Xmm {
    /// From its 128 bits.
    pub const fn from_bits(bits: u128) -> Xmm {
        Xmm(bits.to_le_bytes())
    }

    /// Its 128 bits.
    pub const fn bits(self) -> u128 {
        u128::from_le_bytes(self.0)
    }
}

/// The state that FXSAVE and XSAVE save, and XCR0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FpuState {
    /// The physical registers R0 to R7; MM0 to MM7 are their significands.
    pub st: [F80; 8],
    /// Which physical register is ST(0), 0 to 7.
    pub top: u8,
    /// Which physical registers are not empty; what else the tag word says follows from their values.
    pub valid: u8,
    /// Control word.
    pub cw: u16,
    /// Status word without TOP.
    pub sw: u16,
    /// Opcode of the last instruction that was no control instruction, 11 bits.
    pub fop: u16,
    /// Its RIP.
    pub fip: u64,
    /// Its CS.
    pub fcs: u16,
    /// The offset of its memory operand, if it had one; else of the last before it that had.
    pub fdp: u64,
    /// The segment selector of that.
    pub fds: u16,
    /// XMM0 to XMM15.
    pub xmm: [Xmm; 16],
    /// The control and status register of SSE.
    pub mxcsr: u32,
    /// Extended control register 0: the state components that are enabled.
    pub xcr0: u64,
    /// Rights to user pages by their protection keys.
    pub pkru: u32,
}

/// FNINIT's control word: all exceptions masked, 64 bits, to nearest.
pub(crate) const CW_INIT: u16 = 0x37f;
/// MXCSR's initial value: all exceptions masked, to nearest.
pub(crate) const MXCSR_INIT: u32 = 0x1f80;

impl FpuState {
    /// After FNINIT with all registers zero: what XRSTOR calls the initial configuration (SDM Vol. 1 13.6).
    pub const INITIAL: FpuState = FpuState {
        st: [F80::new(0, 0); 8],
        top: 0,
        valid: 0,
        cw: CW_INIT,
        sw: 0,
        fop: 0,
        fip: 0,
        fcs: 0,
        fdp: 0,
        fds: 0,
        xmm: [Xmm([0; 16]); 16],
        mxcsr: MXCSR_INIT,
        xcr0: 1,
        pkru: 0,
    };

    /// An MMX register.
    #[inline(always)]
    pub fn mmx(&self, reg: u8) -> u64 {
        self.st[usize::from(reg & 7)].mant
    }

    /// Writes an MMX register: the exponent and sign of its x87 register become ones.
    #[inline(always)]
    pub fn set_mmx(&mut self, reg: u8, v: u64) {
        self.st[usize::from(reg & 7)] = F80::new(0xffff, v);
    }

    /// What every MMX instruction but EMMS does besides: TOP is 0, and no register is empty (SDM Vol. 3A 12.2).
    #[inline(always)]
    pub fn mmx_enter(&mut self) {
        self.top = 0;
        self.valid = 0xff;
    }
}
