//! fw_cfg: how the board tells firmware what the machine is (QEMU, docs/specs/fw_cfg), port interface.
//!
//! The guest writes a 16-bit key to the selector and then reads the item's bytes, one after another, from the data
//! port. There is no DMA interface, and the identification item says so.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::saved::{RestoreError, Saved, check};

/// Keys that have been fixed since before there were files.
pub mod key {
    /// "QEMU".
    pub const SIGNATURE: u16 = 0x00;
    /// Interfaces: bit 0 ports, bit 1 DMA.
    pub const ID: u16 = 0x01;
    /// Bytes of RAM, 64 bits.
    pub const RAM_SIZE: u16 = 0x03;
    /// 1 if there is no graphic output.
    pub const NOGRAPHIC: u16 = 0x04;
    /// CPUs that run at power-on, 16 bits.
    pub const NB_CPUS: u16 = 0x05;
    /// Machine type.
    pub const MACHINE_ID: u16 = 0x06;
    /// Boot device letter.
    pub const BOOT_DEVICE: u16 = 0x0c;
    /// 1 to ask for the boot menu, 16 bits.
    pub const BOOT_MENU: u16 = 0x0e;
    /// The highest APIC number plus one, 16 bits.
    pub const MAX_CPUS: u16 = 0x0f;
    /// Directory of the files.
    pub const FILE_DIR: u16 = 0x19;
    /// Key of the first file.
    pub const FILE_FIRST: u16 = 0x20;
}

/// Longest file name; the directory keeps 56 bytes with the NUL.
pub const MAX_NAME: usize = 55;
/// The selector's bit for writing, which this interface has not; items are the same with and without it.
const WRITE_CHANNEL: u16 = 0x4000;
/// The selector's bit for items of the architecture; files live below it.
const FILE_KEYS_END: u16 = 0x4000;
const VERSION: u32 = 1;

/// Why a file was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddFileError {
    /// The name is empty, longer than 55 bytes or contains NUL.
    #[error("a firmware file's name has 1 to {MAX_NAME} bytes without NUL")]
    Name,
    /// No key is left, or the file has 4 GiB or more.
    #[error("the firmware's file directory is full or the file is too large for it")]
    Full,
}

/// One line of the e820 map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct E820Entry {
    /// First address.
    pub address: u64,
    /// Bytes.
    pub length: u64,
    /// 1 RAM, 2 reserved, 3 ACPI tables, 4 ACPI NVS.
    pub kind: u32,
}

/// The contents of the file `etc/e820`: packed little-endian entries of 20 bytes.
pub fn e820_file(entries: &[E820Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 20);
    for e in entries {
        out.extend_from_slice(&e.address.to_le_bytes());
        out.extend_from_slice(&e.length.to_le_bytes());
        out.extend_from_slice(&e.kind.to_le_bytes());
    }
    out
}

/// What the guest has selected; the items are configuration and not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// The selector.
    pub key: u16,
    /// Bytes of the item already read.
    pub offset: u32,
}

/// The device.
#[derive(Clone, Debug)]
pub struct FwCfg {
    items: BTreeMap<u16, Vec<u8>>,
    names: Vec<(Vec<u8>, u16)>,
    state: State,
}

impl Default for FwCfg {
    fn default() -> FwCfg {
        FwCfg::new()
    }
}

impl FwCfg {
    /// A device with signature, identification and an empty file directory.
    pub fn new() -> FwCfg {
        let mut chip = FwCfg { items: BTreeMap::new(), names: Vec::new(), state: State::default() };
        chip.set_item(key::SIGNATURE, b"QEMU".to_vec());
        chip.set_item(key::ID, 1u32.to_le_bytes().to_vec());
        chip.rebuild_directory();
        chip
    }

    /// Sets the item of a legacy key.
    pub fn set_item(&mut self, key: u16, data: Vec<u8>) {
        self.items.insert(key & !WRITE_CHANNEL, data);
    }

    /// Sets a 16-bit item.
    pub fn set_u16(&mut self, key: u16, value: u16) {
        self.set_item(key, value.to_le_bytes().to_vec());
    }

    /// Sets a 64-bit item.
    pub fn set_u64(&mut self, key: u16, value: u64) {
        self.set_item(key, value.to_le_bytes().to_vec());
    }

    /// Adds a file, or replaces the contents of the file of that name, and returns its key.
    pub fn add_file(&mut self, name: &str, data: Vec<u8>) -> Result<u16, AddFileError> {
        let name = name.as_bytes();
        if name.is_empty() || name.len() > MAX_NAME || name.contains(&0) {
            return Err(AddFileError::Name);
        }
        u32::try_from(data.len()).map_err(|_| AddFileError::Full)?;
        let key = match self.names.iter().find(|(n, _)| n == name) {
            Some((_, key)) => *key,
            None => {
                let key = u16::try_from(self.names.len())
                    .ok()
                    .and_then(|n| n.checked_add(key::FILE_FIRST))
                    .filter(|key| *key < FILE_KEYS_END)
                    .ok_or(AddFileError::Full)?;
                self.names.push((name.to_vec(), key));
                key
            }
        };
        self.items.insert(key, data);
        self.rebuild_directory();
        Ok(key)
    }

    /// The contents of a file.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        let (_, key) = self.names.iter().find(|(n, _)| n == name.as_bytes())?;
        self.items.get(key).map(Vec::as_slice)
    }

    /// The directory: a big-endian count, then per file size, key, two zero bytes and the name in 56 bytes.
    fn rebuild_directory(&mut self) {
        let mut dir = Vec::with_capacity(4 + self.names.len() * 64);
        dir.extend_from_slice(&(self.names.len() as u32).to_be_bytes());
        for (name, key) in &self.names {
            let size = self.items.get(key).map_or(0, Vec::len);
            dir.extend_from_slice(&(size as u32).to_be_bytes());
            dir.extend_from_slice(&key.to_be_bytes());
            dir.extend_from_slice(&[0, 0]);
            let mut field = [0; MAX_NAME + 1];
            field[..name.len()].copy_from_slice(name);
            dir.extend_from_slice(&field);
        }
        self.items.insert(key::FILE_DIR, dir);
    }

    /// A write of the selector: the item is read from its start again.
    pub fn select(&mut self, key: u16) {
        self.state = State { key, offset: 0 };
    }

    /// Reads of the data port, of any width and number: the item's next bytes, zeros after its end and for a key
    /// that has no item.
    pub fn read_data(&mut self, data: &mut [u8]) {
        let rest = self
            .items
            .get(&(self.state.key & !WRITE_CHANNEL))
            .and_then(|item| item.get(self.state.offset as usize..))
            .unwrap_or(&[]);
        let n = rest.len().min(data.len());
        data[..n].copy_from_slice(&rest[..n]);
        data[n..].fill(0);
        self.state.offset = self.state.offset.saturating_add(n as u32);
    }

    /// Power-on or reset: nothing is selected, the items stay.
    pub fn reset(&mut self) {
        self.state = State::default();
    }

    /// What the guest has selected.
    pub fn save(&self) -> Saved<State> {
        Saved { version: VERSION, state: self.state }
    }

    /// Takes a saved selection back.
    pub fn restore(&mut self, saved: &Saved<State>) -> Result<(), RestoreError> {
        let state = *saved.open(VERSION)?;
        let len = self.items.get(&(state.key & !WRITE_CHANNEL)).map_or(0, Vec::len);
        check(state.offset as usize <= len, "fw_cfg has read past the end of the selected item")?;
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<const N: usize>(chip: &mut FwCfg, key: u16) -> [u8; N] {
        let mut data = [0xaa; N];
        chip.select(key);
        chip.read_data(&mut data);
        data
    }

    #[test]
    fn the_signature_is_qemu() {
        assert_eq!(&read(&mut FwCfg::new(), key::SIGNATURE), b"QEMU");
    }

    #[test]
    fn the_id_has_the_port_interface_and_no_dma() {
        assert_eq!(read(&mut FwCfg::new(), key::ID), [1, 0, 0, 0]);
    }

    #[test]
    fn numbers_are_little_endian() {
        let mut chip = FwCfg::new();
        chip.set_u64(key::RAM_SIZE, 0x1234_5678);
        assert_eq!(read(&mut chip, key::RAM_SIZE), [0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0]);
    }

    #[test]
    fn the_directory_is_big_endian() {
        let mut chip = FwCfg::new();
        chip.add_file("etc/a", alloc::vec![1, 2, 3]).unwrap();
        let dir: [u8; 68] = read(&mut chip, key::FILE_DIR);
        assert_eq!(dir[..4], [0, 0, 0, 1]);
        assert_eq!(dir[4..12], [0, 0, 0, 3, 0, 0x20, 0, 0]);
        assert_eq!(&dir[12..18], b"etc/a\0");
    }

    #[test]
    fn files_have_keys_from_0x20() {
        let mut chip = FwCfg::new();
        assert_eq!(chip.add_file("a", Vec::new()), Ok(0x20));
        assert_eq!(chip.add_file("b", alloc::vec![7]), Ok(0x21));
        assert_eq!(read(&mut chip, 0x21), [7]);
    }

    #[test]
    fn a_file_of_the_same_name_is_replaced() {
        let mut chip = FwCfg::new();
        chip.add_file("a", alloc::vec![1]).unwrap();
        assert_eq!(chip.add_file("a", alloc::vec![2]), Ok(0x20));
        assert_eq!(chip.file("a"), Some(&[2][..]));
    }

    #[test]
    fn names_have_at_most_55_bytes() {
        let mut chip = FwCfg::new();
        let name = "x".repeat(55);
        assert!(chip.add_file(&name, Vec::new()).is_ok());
        assert_eq!(chip.add_file(&(name + "x"), Vec::new()), Err(AddFileError::Name));
        assert_eq!(chip.add_file("", Vec::new()), Err(AddFileError::Name));
    }

    #[test]
    fn reads_beyond_the_end_give_zero() {
        assert_eq!(&read(&mut FwCfg::new(), key::SIGNATURE), b"QEMU\0\0");
    }

    #[test]
    fn an_unknown_key_reads_zero() {
        assert_eq!(read(&mut FwCfg::new(), 0x3fff), [0, 0]);
    }

    #[test]
    fn reads_continue_and_selecting_starts_over() {
        let mut chip = FwCfg::new();
        assert_eq!(&read(&mut chip, key::SIGNATURE), b"QE");
        let mut two = [0; 2];
        chip.read_data(&mut two);
        assert_eq!(&two, b"MU");
        assert_eq!(&read(&mut chip, key::SIGNATURE), b"QE");
    }

    #[test]
    fn an_e820_entry_has_20_bytes() {
        let high = E820Entry { address: 1 << 32, length: 1 << 30, kind: 1 };
        let file = e820_file(&[high]);
        assert_eq!(file, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn a_saved_position_beyond_the_item_is_refused() {
        let mut chip = FwCfg::new();
        let saved = Saved { version: 1, state: State { key: key::SIGNATURE, offset: 5 } };
        assert!(chip.restore(&saved).is_err());
        assert!(chip.restore(&Saved { version: 9, ..saved }).is_err());
    }

    proptest! {
        #[test]
        fn storms_and_save_restore(accesses in proptest::collection::vec((any::<u16>(), 0usize..70), 0..50)) {
            let mut chip = FwCfg::new();
            chip.add_file("etc/file", alloc::vec![9; 100]).unwrap();
            for (key, n) in accesses {
                chip.select(key & 0x3f);
                let mut data = alloc::vec![0; n];
                chip.read_data(&mut data);
                let mut copy = chip.clone();
                copy.reset();
                copy.restore(&chip.save()).unwrap();
                let (mut a, mut b) = ([0; 8], [0; 8]);
                chip.read_data(&mut a);
                copy.read_data(&mut b);
                prop_assert_eq!(a, b);
            }
        }
    }
}
