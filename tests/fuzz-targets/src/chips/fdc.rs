//! The 82077AA, its 8237A pair, and memory that is not always where the DMA points.

use hako_chips::Block;
use hako_chips::dma8237::{Direction, Dma8237};
use hako_chips::fdc::Fdc;
use hako_mem::GuestMemory;

use super::transplant;
use crate::disk::Disk;
use crate::input::Input;

/// Commands that exist, without their modifier bits.
const COMMANDS: [u8; 18] = [
    0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x0a, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x12, 0x13, 0x14, 0x18, 0x34,
    0x8f,
];
/// The DMA channel of the floppy.
const CHANNEL: u8 = 2;
/// Guest memory ends here, far below what the page registers can name.
const RAM: u64 = 0x4_0000;

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut disk = Disk::new(input.pick(&[320, 720, 1440, 2400, 2880, 5760]), b"floppy");
    disk.read_only = input.u8() & 1 != 0;
    let present = [true, input.u8() & 1 != 0];
    let mut fdc = Fdc::new(present);
    let mut dma = Dma8237::new();
    let memory = GuestMemory::flat(RAM);
    let mut inserted = true;
    while !input.is_empty() {
        let medium = inserted.then_some(&mut disk as &mut dyn Block);
        let mut media = [medium, None];
        match input.u8() % 14 {
            0 => {
                let _ = fdc.read(input.u8(), &mut media);
            }
            1 => fdc.write(input.u8(), input.u8(), &mut media),
            2 | 3 => fdc.write(5, input.u8(), &mut media),
            4 => {
                let _ = fdc.read(5, &mut media);
            }
            5 | 6 => {
                fdc.write(5, input.pick(&COMMANDS) | input.u8() & 0xc0, &mut media);
                for _ in 0..8 {
                    fdc.write(5, input.u8() & 0x1f, &mut media);
                }
            }
            7 => fdc.write(2, input.pick(&[0x00, 0x04, 0x08, 0x0c, 0x1c, 0x2d, 0xff]), &mut media),
            8 => dma.write(usize::from(input.u8() & 1), input.u8() & 15, input.u8()),
            9 => dma.write_page(input.u8(), input.u8()),
            10 => open(&mut dma, &mut input),
            11 => {
                inserted ^= true;
                fdc.media_changed(usize::from(input.u8()));
            }
            12 => {
                let mut data = vec![0; usize::from(input.u16())];
                let direction = input.pick(&[Direction::ToMemory, Direction::FromMemory]);
                let mut line = dma.line(input.u8(), &memory);
                let moved = line.transfer(direction, &mut data);
                assert!(moved.bytes <= data.len(), "a channel moved more than it was given");
            }
            _ => {
                transplant(&mut fdc, Fdc::new(present), Fdc::save, Fdc::restore);
                transplant(&mut dma, Dma8237::new(), Dma8237::save, Dma8237::restore);
            }
        }
        let medium = inserted.then_some(&mut disk as &mut dyn Block);
        if fdc.dma_request() {
            fdc.dma(&mut dma.line(CHANNEL, &memory), &mut [medium, None]);
        }
    }
}

/// Programs channel 2 as a driver does, with any address, count and direction.
fn open(dma: &mut Dma8237, input: &mut Input<'_>) {
    dma.write(0, 12, 0);
    for register in [4, 4, 5, 5] {
        dma.write(0, register, input.u8());
    }
    dma.write_page(1, input.u8());
    dma.write(0, 11, input.u8() & 0xfc | CHANNEL);
    dma.write(0, 10, CHANNEL);
    dma.write(1, 10, 0);
}
