//! MSI-X (PCI 3.0, 6.8.2): the capability, the table of vectors and the pending bits, for any device that has them
//! behind a BAR of its own.

use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{ConfigSpace, Env, Msi};
use crate::saved::{RestoreError, Saved, check};

/// Bytes of a BAR that holds the table and the pending bits of up to [`MAX_VECTORS`] vectors.
pub const BAR_SIZE: u64 = 0x1000;
/// Where in that BAR the pending bits are; the table is at its beginning.
pub const PBA: u64 = 0x800;
/// As many vectors as fit before the pending bits.
pub const MAX_VECTORS: u16 = (PBA / ENTRY) as u16;

const CAPABILITY: u8 = 0x11;
const ENTRY: u64 = 16;
const ENABLE: u16 = 1 << 15;
const FUNCTION_MASK: u16 = 1 << 14;
/// Vector control, the fourth dword of an entry.
const CONTROL: usize = 3;
const MASKED: u32 = 1;
/// The layout of [`State`].
pub const VERSION: u32 = 1;

/// The table and the pending bits of one function.
#[derive(Clone, Debug)]
pub struct Msix {
    capability: u8,
    /// Address low, address high, data, control.
    table: Vec<[u32; 4]>,
    pending: Vec<u64>,
}

/// What a guest can change outside of configuration space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Entries: address low, address high, data, control.
    pub table: Vec<[u32; 4]>,
    /// A bit for each vector.
    pub pending: Vec<u64>,
}

impl Msix {
    /// Adds the capability for `vectors` (1 to [`MAX_VECTORS`]) to `config`: table and pending bits are in BAR `bar`,
    /// of [`BAR_SIZE`] bytes. `None` if configuration space has no room.
    pub fn new(config: &mut ConfigSpace, vectors: u16, bar: u8) -> Option<Msix> {
        let vectors = vectors.clamp(1, MAX_VECTORS);
        let mut body = [0; 10];
        body[..2].copy_from_slice(&(vectors - 1).to_le_bytes());
        body[2..6].copy_from_slice(&u32::from(bar).to_le_bytes());
        body[6..].copy_from_slice(&(PBA as u32 | u32::from(bar)).to_le_bytes());
        let capability = config.add_capability(CAPABILITY, &body, &(ENABLE | FUNCTION_MASK).to_le_bytes())?;
        let words = usize::from(vectors).div_ceil(64);
        let table = vec![[0, 0, 0, MASKED]; usize::from(vectors)];
        Some(Msix { capability, table, pending: vec![0; words] })
    }

    /// How many vectors there are.
    pub fn vectors(&self) -> u16 {
        self.table.len() as u16
    }

    fn control(&self, config: &ConfigSpace) -> u16 {
        config.word(self.capability.wrapping_add(2))
    }

    /// Whether the function sends messages instead of using its interrupt pin.
    pub fn enabled(&self, config: &ConfigSpace) -> bool {
        self.control(config) & ENABLE != 0
    }

    /// The message of `vector` where nothing holds it back, so that whoever raises it may send it without asking.
    pub fn message(&self, env: &Env<'_>, vector: u16) -> Option<Msi> {
        let entry = self.table.get(usize::from(vector)).filter(|entry| entry[CONTROL] & MASKED == 0)?;
        self.open(env).then(|| message(entry))
    }

    /// Whether the function may send messages at all.
    fn open(&self, env: &Env<'_>) -> bool {
        let control = self.control(env.config);
        control & ENABLE != 0 && control & FUNCTION_MASK == 0 && env.bus_master()
    }

    /// Sends the message of `vector`, or remembers that it is due while it is masked. Nothing happens for a vector
    /// that does not exist or while MSI-X is off.
    pub fn raise(&mut self, env: &mut Env<'_>, vector: u16) {
        let v = usize::from(vector);
        if !self.enabled(env.config) || v >= self.table.len() {
            return;
        }
        if let Some(word) = self.pending.get_mut(v / 64) {
            *word |= 1 << (v % 64);
        }
        self.send_due(env, v);
    }

    /// Configuration registers were written: sends what became due by it.
    pub fn config_written(&mut self, env: &mut Env<'_>) {
        if self.pending.iter().any(|w| *w != 0) {
            for v in 0..self.table.len() {
                self.send_due(env, v);
            }
        }
    }

    /// Sends the message of `v` if it is pending and nothing holds it back.
    fn send_due(&mut self, env: &mut Env<'_>, v: usize) {
        let open = self.open(env);
        let (Some(entry), Some(word)) = (self.table.get(v), self.pending.get_mut(v / 64)) else { return };
        if open && entry[CONTROL] & MASKED == 0 && *word & 1 << (v % 64) != 0 {
            *word &= !(1 << (v % 64));
            env.msis.push(message(entry));
        }
    }

    /// Reads the BAR at `offset`; ones where there is neither table nor pending bits.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            let dword = match at / 4 {
                n if n < PBA / 4 => self.table.get((n / 4) as usize).map(|e| e[(n % 4) as usize]),
                n => {
                    let n = n - PBA / 4;
                    self.pending.get((n / 2) as usize).map(|w| (w >> (32 * (n % 2))) as u32)
                }
            };
            *byte = dword.map_or(0xff, |d| d.to_le_bytes()[(at % 4) as usize]);
        }
    }

    /// Writes the BAR at `offset`: table entries in whole dwords; the pending bits cannot be written.
    pub fn write(&mut self, env: &mut Env<'_>, offset: u64, data: &[u8]) {
        if !offset.is_multiple_of(4) {
            return;
        }
        for (n, bytes) in (offset / 4..).zip(data.as_chunks().0) {
            let v = (n / 4) as usize;
            let field = (n % 4) as usize;
            let Some(entry) = self.table.get_mut(v) else { return };
            let keep = match field {
                0 => !3,
                CONTROL => MASKED,
                _ => !0,
            };
            entry[field] = u32::from_le_bytes(*bytes) & keep;
            self.send_due(env, v);
        }
    }

    /// As at power-on: everything masked, nothing pending.
    pub fn reset(&mut self) {
        self.table.fill([0, 0, 0, MASKED]);
        self.pending.fill(0);
    }

    /// Table and pending bits.
    pub fn save(&self) -> Saved<State> {
        let state = State { table: self.table.clone(), pending: self.pending.clone() };
        Saved { version: VERSION, state }
    }

    /// Takes them back.
    pub fn restore(&mut self, saved: &Saved<State>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        let same = state.table.len() == self.table.len() && state.pending.len() == self.pending.len();
        check(same, "the MSI-X table has another size")?;
        check(
            state.table.iter().all(|e| e[0] & 3 == 0 && e[CONTROL] & !MASKED == 0),
            "reserved bits of MSI-X",
        )?;
        let none = |v: usize| state.pending.get(v / 64).is_some_and(|w| w >> (v % 64) & 1 == 0);
        check((self.table.len()..64 * self.pending.len()).all(none), "a vector is pending that is none")?;
        self.table.clone_from(&state.table);
        self.pending.clone_from(&state.pending);
        Ok(())
    }
}

/// What an entry of the table says is to be written where.
fn message(entry: &[u32; 4]) -> Msi {
    Msi { address: u64::from(entry[1]) << 32 | u64::from(entry[0]), data: entry[2] }
}

#[cfg(test)]
mod tests {
    use super::super::{Bar, BarKind, Identity};
    use super::*;
    use hako_engine::Time;
    use hako_mem::GuestMemory;

    struct Rig {
        config: ConfigSpace,
        msix: Msix,
        memory: GuestMemory,
        msis: Vec<Msi>,
    }

    impl Rig {
        /// Three vectors; vector 1 goes to fee01000 with data 0x41, unmasked.
        fn new() -> Rig {
            let bar = Bar::new(1, BarKind::Memory32 { prefetchable: false }, BAR_SIZE);
            let mut config = ConfigSpace::new(Identity::default(), &[]).with_bar(bar);
            let msix = Msix::new(&mut config, 3, 1).unwrap();
            let mut rig = Rig { config, msix, memory: GuestMemory::flat(0x1000), msis: Vec::new() };
            rig.config.write(4, &[4]);
            rig.control(0x80);
            rig.write(0x10, &[0xfee0_1003, 0, 0x41, 0]);
            rig
        }

        fn with<R>(&mut self, f: impl FnOnce(&mut Msix, &mut Env<'_>) -> R) -> R {
            let mut env =
                Env { config: &mut self.config, memory: &self.memory, now: Time::ZERO, msis: &mut self.msis };
            f(&mut self.msix, &mut env)
        }

        fn control(&mut self, high: u8) {
            self.config.write(0x43, &[high]);
            self.with(|m, env| m.config_written(env));
        }

        fn write(&mut self, offset: u64, dwords: &[u32]) {
            for (n, d) in dwords.iter().enumerate() {
                self.with(|m, env| m.write(env, offset + 4 * n as u64, &d.to_le_bytes()));
            }
        }

        fn read(&self, offset: u64) -> u32 {
            let mut data = [0; 4];
            self.msix.read(offset, &mut data);
            u32::from_le_bytes(data)
        }

        fn raise(&mut self, vector: u16) -> usize {
            self.with(|m, env| m.raise(env, vector));
            self.msis.len()
        }
    }

    #[test]
    fn the_capability_says_where_table_and_pending_bits_are() {
        let rig = Rig::new();
        assert_eq!(rig.config.dword(0x40), 0x8002_0011);
        assert_eq!((rig.config.dword(0x44), rig.config.dword(0x48)), (0x0000_0001, 0x0000_0801));
    }

    #[test]
    fn a_vector_is_a_write_of_its_data_to_its_address() {
        let mut rig = Rig::new();
        rig.raise(1);
        assert_eq!(rig.msis, [Msi { address: 0xfee0_1000, data: 0x41 }]);
    }

    #[test]
    fn vectors_are_masked_after_reset() {
        let mut rig = Rig::new();
        assert_eq!((rig.read(0x0c), rig.raise(0)), (1, 0));
    }

    #[test]
    fn a_masked_vector_is_pending_until_unmasked() {
        let mut rig = Rig::new();
        rig.write(0x1c, &[1]);
        assert_eq!((rig.raise(1), rig.read(PBA)), (0, 2));
        rig.write(0x1c, &[0]);
        assert_eq!((rig.msis.len(), rig.read(PBA)), (1, 0));
    }

    #[test]
    fn the_function_mask_holds_all_vectors() {
        let mut rig = Rig::new();
        rig.control(0xc0);
        assert_eq!((rig.raise(1), rig.read(PBA)), (0, 2));
        rig.control(0x80);
        assert_eq!((rig.msis.len(), rig.read(PBA)), (1, 0));
    }

    #[test]
    fn while_disabled_nothing_is_sent_or_pending() {
        let mut rig = Rig::new();
        rig.control(0);
        assert_eq!((rig.raise(1), rig.read(PBA)), (0, 0));
    }

    #[test]
    fn messages_need_bus_mastering() {
        let mut rig = Rig::new();
        rig.config.write(4, &[0]);
        assert_eq!(rig.raise(1), 0);
        rig.config.write(4, &[4]);
        rig.control(0x80);
        assert_eq!(rig.msis.len(), 1);
    }

    #[test]
    fn the_pending_bits_cannot_be_written_and_the_rest_is_ones() {
        let mut rig = Rig::new();
        rig.write(PBA, &[7, 7]);
        assert_eq!((rig.read(PBA), rig.read(0x30), rig.read(PBA + 8)), (0, u32::MAX, u32::MAX));
    }

    #[test]
    fn an_entry_can_be_written_in_two_qwords() {
        let mut rig = Rig::new();
        rig.with(|m, env| m.write(env, 0x20, &0x1_fee0_2000u64.to_le_bytes()));
        rig.with(|m, env| m.write(env, 0x28, &0x55u64.to_le_bytes()));
        rig.raise(2);
        assert_eq!(rig.msis, [Msi { address: 0x1_fee0_2000, data: 0x55 }]);
    }

    #[test]
    fn vectors_beyond_the_table_do_nothing() {
        let mut rig = Rig::new();
        assert_eq!((rig.raise(3), rig.raise(u16::MAX)), (0, 0));
    }

    #[test]
    fn a_saved_table_comes_back() {
        let mut rig = Rig::new();
        rig.write(0x1c, &[1]);
        rig.raise(1);
        let saved = rig.msix.save();
        rig.msix.reset();
        rig.msix.restore(&saved).unwrap();
        rig.write(0x1c, &[0]);
        assert_eq!(rig.msis.len(), 1);
        let mut other = saved.clone();
        other.state.pending[0] = 1 << 40;
        assert!(rig.msix.restore(&other).is_err());
    }
}
