//! A seeded stream of inputs: random ones, and mutations of those before.

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for each seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`, which must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next_u64() % n as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next_u64() as u8).collect()
    }
}

/// Inputs kept to mutate.
const POOL: usize = 64;
/// The longest input.
const LONGEST: usize = 1024;

/// An endless stream of inputs.
#[derive(Clone, Debug)]
pub struct Stream {
    random: Random,
    pool: Vec<Vec<u8>>,
}

impl Stream {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Stream {
        Stream { random: Random::new(seed), pool: Vec::new() }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let r = &mut self.random;
        let input = if self.pool.is_empty() || r.below(4) == 0 {
            let len = 1 + r.below(LONGEST);
            r.bytes(len)
        } else {
            let parent = r.below(self.pool.len());
            let mut input = self.pool[parent].clone();
            for _ in 0..=r.below(8) {
                mutate(r, &mut input, &self.pool);
            }
            input.truncate(LONGEST);
            input
        };
        if self.pool.len() < POOL {
            self.pool.push(input.clone());
        } else {
            let n = self.random.below(POOL);
            self.pool[n].clone_from(&input);
        }
        input
    }
}

/// One small change.
fn mutate(r: &mut Random, input: &mut Vec<u8>, pool: &[Vec<u8>]) {
    if input.is_empty() {
        input.push(r.next_u64() as u8);
    }
    let at = r.below(input.len());
    match r.below(7) {
        0 => input[at] ^= 1 << r.below(8),
        1 => input[at] = r.next_u64() as u8,
        2 => input[at] = [0, 1, 0x7f, 0x80, 0xff][r.below(5)],
        3 => {
            let len = 1 + r.below(16);
            let new = r.bytes(len);
            input.splice(at..at, new);
        }
        4 => {
            let end = (at + 1 + r.below(16)).min(input.len());
            input.drain(at..end);
        }
        5 => {
            // A piece again: the same access twice.
            let end = (at + 1 + r.below(32)).min(input.len());
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        _ => {
            let other = &pool[r.below(pool.len())];
            let from = r.below(other.len().max(1)).min(other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
