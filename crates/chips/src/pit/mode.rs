//! The six modes as pure functions of the CLK pulses since the count was loaded (8254 data sheet, Mode Definitions).

/// What makes a counter start, and what its output looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Mode 0, interrupt on terminal count.
    TerminalCount,
    /// Mode 1, hardware retriggerable one-shot.
    OneShot,
    /// Mode 2, rate generator.
    Rate,
    /// Mode 3, square wave.
    Square,
    /// Mode 4, software triggered strobe.
    Strobe,
    /// Mode 5, hardware triggered strobe.
    GateStrobe,
}

impl Mode {
    /// From bits M2-M0 of the control word; M2 of modes 2 and 3 is "don't care". A value above 7 stands for a counter
    /// that was never programmed.
    pub fn from_bits(bits: u8) -> Self {
        match bits {
            1 => Mode::OneShot,
            2 | 6 => Mode::Rate,
            3 | 7 => Mode::Square,
            4 => Mode::Strobe,
            5 => Mode::GateStrobe,
            _ => Mode::TerminalCount,
        }
    }

    /// Counts over and over.
    pub fn periodic(self) -> bool {
        matches!(self, Mode::Rate | Mode::Square)
    }

    /// Waits for GATE to rise before it counts.
    pub fn triggered(self) -> bool {
        matches!(self, Mode::OneShot | Mode::GateStrobe)
    }

    /// OUT from the control word until counting starts.
    pub fn idle_output(self) -> bool {
        self != Mode::TerminalCount
    }

    /// OUT, `pulses` after the load of count `n`. A count of 1, illegal in modes 2 and 3, leaves it high there.
    pub fn output(self, pulses: u64, n: u64) -> bool {
        match self {
            Mode::TerminalCount | Mode::OneShot => pulses >= n,
            Mode::Rate => n == 1 || pulses % n != n - 1,
            Mode::Square => pulses % n < n.div_ceil(2),
            Mode::Strobe | Mode::GateStrobe => pulses != n,
        }
    }

    /// The counting element, `pulses` after the load of count `n`, modulo 2^64.
    pub fn count(self, pulses: u64, n: u64) -> u64 {
        match self {
            Mode::Rate => n - pulses % n,
            // Counts by two; an odd count is loaded as the even number below it.
            Mode::Square => (n & !1).wrapping_sub(2 * (pulses % n % n.div_ceil(2))),
            _ => n.wrapping_sub(pulses),
        }
    }

    /// How often OUT has risen, `pulses` after the load of count `n`.
    pub fn rises(self, pulses: u64, n: u64) -> u64 {
        match self {
            Mode::TerminalCount | Mode::OneShot => u64::from(pulses >= n),
            Mode::Rate | Mode::Square if n == 1 => 0,
            Mode::Rate | Mode::Square => pulses / n,
            Mode::Strobe | Mode::GateStrobe => u64::from(pulses > n),
        }
    }

    /// The pulse at which OUT rises next, later than `pulses`.
    pub fn next_rise(self, pulses: u64, n: u64) -> Option<u64> {
        match self {
            Mode::TerminalCount | Mode::OneShot => (pulses < n).then_some(n),
            Mode::Rate | Mode::Square => (n != 1).then(|| (pulses / n + 1).saturating_mul(n)),
            Mode::Strobe | Mode::GateStrobe => (pulses <= n).then_some(n + 1),
        }
    }

    /// The pulse at which a new count is taken over, counted from the load of the present one, later than `pulses`:
    /// the end of the period in mode 2, of the half-cycle in mode 3.
    pub fn next_load(self, pulses: u64, n: u64) -> u64 {
        let start = pulses / n * n;
        let half = start + n.div_ceil(2);
        if self == Mode::Square && pulses < half && n > 1 { half } else { start.saturating_add(n) }
    }
}
