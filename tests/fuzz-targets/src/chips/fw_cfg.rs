//! The firmware configuration device.

use hako_chips::fw_cfg::{FwCfg, key};

use super::transplant;
use crate::input::Input;

/// Bytes in the one file.
const FILE: usize = 5000;

fn filled() -> FwCfg {
    let mut chip = FwCfg::new();
    chip.set_u64(key::RAM_SIZE, 1 << 26);
    assert!(chip.add_file("etc/file", vec![0x5a; FILE]).is_ok());
    chip
}

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut chip = filled();
    while !input.is_empty() {
        match input.u8() % 8 {
            0 => chip.select(input.u16()),
            1 => chip.select(input.pick(&[0, 1, 3, 0x19, 0x20, 0x8020, 0x4020, 0xffff])),
            2..=4 => {
                let mut data = vec![0xa5; usize::from(input.u16()) % 8192];
                chip.read_data(&mut data);
            }
            5 => {
                // However it was read before: the file is its bytes, then zeros.
                chip.select(0x20);
                let mut data = vec![0xa5; FILE + 16];
                chip.read_data(&mut data);
                assert!(data[..FILE].iter().all(|b| *b == 0x5a) && data[FILE..] == [0; 16]);
            }
            6 => {
                let name = String::from_utf8_lossy(input.take(70)).into_owned();
                if chip.add_file(&name, vec![1; 3]).is_ok() {
                    assert_eq!(chip.file(&name), Some(&[1; 3][..]));
                    // A transplant needs a device with the same files.
                    chip = filled();
                }
            }
            _ => transplant(&mut chip, filled(), FwCfg::save, FwCfg::restore),
        }
    }
}
