//! An ATA channel with a disk and a CD-ROM drive.

use hako_chips::Block;
use hako_chips::ide::{Channel, DriveKind};

use super::transplant;
use crate::disk::Disk;
use crate::input::Input;

/// Commands that move data or change what the drive is; the rest comes from random bytes.
const COMMANDS: [u8; 26] = [
    0x00, 0x08, 0x10, 0x20, 0x21, 0x24, 0x29, 0x30, 0x34, 0x39, 0x40, 0x42, 0x70, 0x90, 0x91, 0xa0, 0xa1,
    0xc4, 0xc5, 0xc6, 0xe0, 0xe5, 0xe7, 0xec, 0xef, 0xf8,
];
/// Packet commands of a CD-ROM drive.
const PACKETS: [u8; 18] = [
    0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x52, 0x5a, 0xa8,
    0xbe,
];

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let sectors = [1, 63, 64, 1024, 2880][usize::from(input.u8()) % 5];
    let mut disk = Disk::new(sectors, b"disk");
    let mut cd = Disk::new(256, b"cd");
    cd.read_only = true;
    disk.read_only = input.u8() & 1 != 0;
    let mut kinds = [DriveKind::Disk { sectors: sectors as u64 }, DriveKind::CdRom];
    if input.u8() & 1 != 0 {
        kinds.reverse();
    }
    let mut chip = Channel::new(kinds);
    while !input.is_empty() {
        let drives: [Option<&mut dyn Block>; 2] = [Some(&mut disk), Some(&mut cd)];
        let mut media = drives;
        if kinds[0] == DriveKind::CdRom {
            media.reverse();
        }
        let mut data = [0; 4096];
        match input.u8() % 16 {
            0 => {
                let _ = chip.read(input.u8() & 7, &mut media);
            }
            1 => {
                let _ = chip.alternate_status();
            }
            2 | 3 => chip.write(input.u8() & 7, input.u8(), &mut media),
            4 | 5 => {
                // A whole command: count, address, device, command.
                for register in 2..7 {
                    chip.write(register, input.u8(), &mut media);
                }
                chip.write(7, input.pick(&COMMANDS), &mut media);
            }
            6 => chip.write(7, input.u8(), &mut media),
            7 | 8 => {
                let mut packet = [0; 12];
                packet[0] = input.pick(&PACKETS);
                let rest = input.take(11);
                packet[1..=rest.len()].copy_from_slice(rest);
                chip.write(7, 0xa0, &mut media);
                chip.write_data(2, &packet, &mut media);
            }
            9 => chip.write_control(input.u8()),
            10 | 11 => {
                let width = input.pick(&[1, 2, 4]);
                let len = (usize::from(input.u16()) % data.len()).next_multiple_of(width);
                chip.read_data(width, &mut data[..len], &mut media);
            }
            12 => {
                let width = input.pick(&[1, 2, 4]);
                let len = (usize::from(input.u16()) % data.len()).next_multiple_of(width);
                chip.write_data(width, &data[..len], &mut media);
            }
            13 => chip.media_changed(usize::from(input.u8())),
            14 => match input.u8() % 8 {
                0 => disk.broken ^= true,
                1 => cd.broken ^= true,
                2 => chip.reset(),
                _ => {
                    let drive = usize::from(input.u8() & 1);
                    media[drive] = None;
                    chip.write(7, input.pick(&COMMANDS), &mut media);
                    chip.read_data(2, &mut data, &mut media);
                }
            },
            _ => transplant(&mut chip, Channel::new(kinds), Channel::save, Channel::restore),
        }
    }
}
