//! A bit for each of 256 vectors: IRR, ISR and TMR (SDM Vol. 3A 11.8.4).

/// A set of vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Vectors([u32; 8]);

/// Word and bit of a vector.
fn place(vector: u8) -> (usize, u32) {
    (usize::from(vector >> 5), 1 << (vector & 31))
}

impl Vectors {
    /// From the eight registers.
    pub fn from_words(words: [u32; 8]) -> Vectors {
        Vectors(words)
    }

    /// Register 0 to 7; others are 0.
    pub fn word(&self, n: usize) -> u32 {
        self.0.get(n).copied().unwrap_or(0)
    }

    /// Adds or removes a vector.
    pub fn set(&mut self, vector: u8, member: bool) {
        let (word, bit) = place(vector);
        if let Some(w) = self.0.get_mut(word) {
            *w = if member { *w | bit } else { *w & !bit };
        }
    }

    /// Whether a vector is in.
    pub fn has(&self, vector: u8) -> bool {
        let (word, bit) = place(vector);
        self.word(word) & bit != 0
    }

    /// The one of highest priority.
    pub fn highest(&self) -> Option<u8> {
        let (n, word) = self.0.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        u8::try_from(n * 32 + 31 - word.leading_zeros() as usize).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_vector_has_the_highest_priority() {
        let mut v = Vectors::default();
        assert_eq!(v.highest(), None);
        for vector in [0x10, 0x1f, 0x20, 0x9a, 0xff] {
            v.set(vector, true);
            assert_eq!(v.highest(), Some(vector));
        }
        v.set(0xff, false);
        assert_eq!(v.highest(), Some(0x9a));
    }
}
