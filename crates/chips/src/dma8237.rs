//! The PC's two 8237A DMA controllers and their page registers (Intel 8237A data sheet, 231466).
//!
//! Controller 0 has channels 0 to 3 and moves bytes; controller 1 has channels 4 to 7, moves words, and carries
//! controller 0's requests over its own first channel. Transfers are asked for by the device whose request line it
//! is: [`Dma8237::line`].

use hako_mem::{Gpa, GuestMemory};
use serde::{Deserialize, Serialize};

use crate::saved::{RestoreError, Saved, check};

const VERSION: u32 = 1;
/// Command register: the controller is off.
const COMMAND_DISABLE: u8 = 1 << 2;
/// Mode register: reload address and count at the end.
const MODE_AUTO: u8 = 1 << 4;
/// Mode register: count addresses down.
const MODE_DOWN: u8 = 1 << 5;
/// Mode register: bits 7:6 set is cascade.
const MODE_CASCADE: u8 = 0xc0;

/// The page register of each channel, as its distance from port 80.
const PAGE_OF: [usize; 8] = [0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa];

/// One channel's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Channel {
    /// Address to start at, in bytes or words.
    pub base_address: u16,
    /// Transfers to make, minus one.
    pub base_count: u16,
    /// Where the next transfer goes.
    pub address: u16,
    /// Transfers left, minus one.
    pub count: u16,
    /// Bits 7:2 of the mode register.
    pub mode: u8,
}

/// One 8237A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// Its channels.
    pub channels: [Channel; 4],
    /// Command.
    pub command: u8,
    /// Channels that have reached their terminal count.
    pub terminal: u8,
    /// Software requests.
    pub request: u8,
    /// Channels that are masked.
    pub mask: u8,
    /// The next byte of an address or count is the high one.
    pub high_byte: bool,
}

impl Controller {
    fn clear() -> Controller {
        Controller {
            channels: [Channel::default(); 4],
            command: 0,
            terminal: 0,
            request: 0,
            mask: 0x0f,
            high_byte: false,
        }
    }

    fn read(&mut self, register: u8) -> u8 {
        match register & 0x0f {
            r @ 0..=7 => {
                let c = self.channels[usize::from(r / 2)];
                let value = if r % 2 == 0 { c.address } else { c.count };
                self.high_byte = !self.high_byte;
                value.to_le_bytes()[usize::from(!self.high_byte)]
            }
            8 => self.request << 4 | core::mem::take(&mut self.terminal),
            0x0d => 0, // the temporary register; memory-to-memory transfers do not exist on a PC
            0x0f => 0xf0 | self.mask,
            _ => 0xff,
        }
    }

    fn write(&mut self, register: u8, value: u8) {
        let (channel, bit) = (usize::from(value & 3), 1 << (value & 3));
        let set = |bits: &mut u8| if value & 4 != 0 { *bits |= bit } else { *bits &= !bit };
        match register & 0x0f {
            r @ 0..=7 => {
                let c = &mut self.channels[usize::from(r / 2)];
                let (base, now) = if r % 2 == 0 {
                    (&mut c.base_address, &mut c.address)
                } else {
                    (&mut c.base_count, &mut c.count)
                };
                let mut bytes = base.to_le_bytes();
                bytes[usize::from(self.high_byte)] = value;
                *base = u16::from_le_bytes(bytes);
                *now = *base;
                self.high_byte = !self.high_byte;
            }
            0x08 => self.command = value,
            0x09 => set(&mut self.request),
            0x0a => set(&mut self.mask),
            0x0b => self.channels[channel].mode = value & 0xfc,
            0x0c => self.high_byte = false,
            0x0d => *self = Controller { channels: self.channels, ..Controller::clear() },
            0x0e => self.mask = 0,
            _ => self.mask = value & 0x0f,
        }
    }

    fn takes_requests_of(&self, channel: usize) -> bool {
        self.command & COMMAND_DISABLE == 0 && self.mask >> channel & 1 == 0
    }
}

/// Which way bytes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device to memory: a write transfer.
    ToMemory,
    /// From memory to the device: a read transfer.
    FromMemory,
}

/// What a transfer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Transferred {
    /// Bytes moved; 0 if the channel does not take requests.
    pub bytes: usize,
    /// The count has run out with the last of them: TC is pulsed.
    pub terminal_count: bool,
}

/// All registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Both controllers.
    pub controllers: [Controller; 2],
    /// The page registers at 80 to 8F.
    pub pages: [u8; 16],
}

/// The pair of controllers.
#[derive(Clone, Debug)]
pub struct Dma8237 {
    s: State,
}

impl Default for Dma8237 {
    fn default() -> Dma8237 {
        Dma8237::new()
    }
}

impl Dma8237 {
    /// After reset: all channels masked.
    pub fn new() -> Dma8237 {
        Dma8237 { s: State { controllers: [Controller::clear(); 2], pages: [0; 16] } }
    }

    /// As after RESET.
    pub fn reset(&mut self) {
        *self = Dma8237::new();
    }

    /// Reads register 0 to 15 of controller 0 (ports 00 to 0F) or 1 (every other port from C0 on).
    pub fn read(&mut self, controller: usize, register: u8) -> u8 {
        self.s.controllers[controller & 1].read(register)
    }

    /// Writes register 0 to 15 of controller 0 or 1.
    pub fn write(&mut self, controller: usize, register: u8, value: u8) {
        self.s.controllers[controller & 1].write(register, value);
    }

    /// Reads a page register, 0 to 15 for ports 80 to 8F.
    pub fn read_page(&self, register: u8) -> u8 {
        self.s.pages[usize::from(register & 0x0f)]
    }

    /// Writes a page register.
    pub fn write_page(&mut self, register: u8, value: u8) {
        self.s.pages[usize::from(register & 0x0f)] = value;
    }

    /// The request line of channel 0 to 7, with the memory behind it.
    pub fn line<'a>(&'a mut self, channel: u8, memory: &'a GuestMemory) -> Line<'a> {
        Line { dma: self, channel: usize::from(channel & 7), memory }
    }

    /// All registers.
    pub fn save(&self) -> Saved<State> {
        Saved { version: VERSION, state: self.s }
    }

    /// Takes saved registers back.
    pub fn restore(&mut self, saved: &Saved<State>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        for c in &s.controllers {
            check((c.mask | c.request | c.terminal) & 0xf0 == 0, "a DMA controller has four channels")?;
            check(c.channels.iter().all(|c| c.mode & 3 == 0), "a DMA mode has six bits")?;
        }
        self.s = *s;
        Ok(())
    }
}

/// A device's end of a channel.
pub struct Line<'a> {
    dma: &'a mut Dma8237,
    channel: usize,
    memory: &'a GuestMemory,
}

impl Line<'_> {
    /// Whether a request would be taken.
    pub fn is_open(&self) -> bool {
        let [first, second] = &self.dma.s.controllers;
        let open = match self.channel {
            // Controller 0 asks the CPU through channel 4.
            c @ 0..=3 => first.takes_requests_of(c) && second.takes_requests_of(0),
            c => second.takes_requests_of(c - 4),
        };
        open && self.registers().mode & MODE_CASCADE != MODE_CASCADE
    }

    fn registers(&self) -> &Channel {
        &self.dma.s.controllers[self.channel / 4].channels[self.channel % 4]
    }

    /// Moves bytes until `data` or the count runs out. A channel in the other direction moves nothing; one that
    /// verifies counts, and gives zeros.
    pub fn transfer(&mut self, direction: Direction, data: &mut [u8]) -> Transferred {
        let verify = match (self.registers().mode >> 2 & 3, direction) {
            (0, _) => true,
            (1, Direction::ToMemory) | (2, Direction::FromMemory) => false,
            _ => return Transferred::default(),
        };
        if !self.is_open() {
            return Transferred::default();
        }
        let unit = if self.channel < 4 { 1 } else { 2 };
        let before = *self.registers();
        let items = (data.len() / unit).min(usize::from(before.count) + 1);
        let down = before.mode & MODE_DOWN != 0;
        let mut done = 0;
        while done < items {
            // As far as the address counts up without wrapping; single items downwards.
            let address = self.registers().address;
            let run = if down { 1 } else { (items - done).min(0x1_0000 - usize::from(address)) };
            let piece = &mut data[done * unit..(done + run) * unit];
            if verify {
                piece.fill(0);
            } else {
                self.access(address, direction, piece);
            }
            let step = if down { (run as u16).wrapping_neg() } else { run as u16 };
            self.registers_mut().address = address.wrapping_add(step);
            done += run;
        }
        self.registers_mut().count = before.count.wrapping_sub(items as u16);
        let terminal_count = items == usize::from(before.count) + 1;
        if terminal_count {
            self.terminate();
        }
        Transferred { bytes: items * unit, terminal_count }
    }

    fn registers_mut(&mut self) -> &mut Channel {
        &mut self.dma.s.controllers[self.channel / 4].channels[self.channel % 4]
    }

    fn terminate(&mut self) {
        let bit = 1 << (self.channel % 4);
        let controller = &mut self.dma.s.controllers[self.channel / 4];
        controller.terminal |= bit;
        controller.request &= !bit;
        let c = &mut controller.channels[self.channel % 4];
        if c.mode & MODE_AUTO != 0 {
            (c.address, c.count) = (c.base_address, c.base_count);
        } else {
            controller.mask |= bit;
        }
    }

    /// Reads or writes memory at an address of the channel; what is not RAM reads as ones and is not written.
    fn access(&self, address: u16, direction: Direction, piece: &mut [u8]) {
        let page = u64::from(self.dma.s.pages[PAGE_OF[self.channel]]);
        let at = match self.channel {
            0..=3 => page << 16 | u64::from(address),
            _ => (page & 0xfe) << 16 | u64::from(address) << 1,
        };
        let whole = match direction {
            Direction::ToMemory => self.memory.write(Gpa(at), piece),
            Direction::FromMemory => self.memory.read(Gpa(at), piece),
        };
        if whole.is_err() {
            for (i, byte) in piece.iter_mut().enumerate() {
                let at = Gpa(at + i as u64);
                match direction {
                    Direction::ToMemory => drop(self.memory.store(at, *byte)),
                    Direction::FromMemory => *byte = self.memory.load(at).unwrap_or(0xff),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(d: &mut Dma8237, register: u8, value: u16) {
        d.write(0, register, value as u8);
        d.write(0, register, (value >> 8) as u8);
    }

    /// Channel 2 with a mode, an address in page 1 and a count, everything unmasked.
    fn channel_2(mode: u8, address: u16, count: u16) -> Dma8237 {
        let mut d = Dma8237::new();
        d.write(1, 0x0b, 0xc0);
        d.write(1, 0x0a, 0x00);
        d.write(0, 0x0b, mode | 2);
        put(&mut d, 4, address);
        put(&mut d, 5, count);
        d.write_page(1, 1);
        d.write(0, 0x0a, 2);
        d
    }

    fn count(d: &mut Dma8237) -> u16 {
        d.write(0, 0x0c, 0);
        u16::from_le_bytes([d.read(0, 5), d.read(0, 5)])
    }

    const WRITE: u8 = 0x44;
    const READ: u8 = 0x48;

    #[test]
    fn a_write_transfer_goes_to_page_and_address() {
        let (mut d, mem) = (channel_2(WRITE, 0x2000, 3), GuestMemory::flat(0x2_0000));
        let done = d.line(2, &mem).transfer(Direction::ToMemory, &mut [1, 2, 3, 4]);
        assert_eq!(done, Transferred { bytes: 4, terminal_count: true });
        assert_eq!(mem.load::<u32>(Gpa(0x1_2000)), Ok(0x0403_0201));
    }

    #[test]
    fn a_read_transfer_comes_from_memory() {
        let (mut d, mem) = (channel_2(READ, 0, 9), GuestMemory::flat(0x2_0000));
        mem.store(Gpa(0x1_0000), 0x1234u16).unwrap();
        let mut data = [0; 2];
        let done = d.line(2, &mem).transfer(Direction::FromMemory, &mut data);
        assert_eq!((done, data), (Transferred { bytes: 2, terminal_count: false }, [0x34, 0x12]));
        assert_eq!(count(&mut d), 7);
    }

    #[test]
    fn terminal_count_masks_the_channel_and_shows_in_the_status_once() {
        let (mut d, mem) = (channel_2(WRITE, 0, 0), GuestMemory::flat(0x2_0000));
        d.line(2, &mem).transfer(Direction::ToMemory, &mut [1]);
        assert_eq!((count(&mut d), d.read(0, 8), d.read(0, 8)), (0xffff, 4, 0));
        assert!(!d.line(2, &mem).is_open());
    }

    #[test]
    fn auto_initialisation_starts_over() {
        let (mut d, mem) = (channel_2(WRITE | 0x10, 0x10, 1), GuestMemory::flat(0x2_0000));
        d.line(2, &mem).transfer(Direction::ToMemory, &mut [1, 2]);
        let done = d.line(2, &mem).transfer(Direction::ToMemory, &mut [3, 4, 5]);
        assert_eq!(done, Transferred { bytes: 2, terminal_count: true });
        assert_eq!(mem.load::<u16>(Gpa(0x1_0010)), Ok(0x0403));
    }

    #[test]
    fn addresses_can_count_down() {
        let (mut d, mem) = (channel_2(WRITE | 0x20, 1, 2), GuestMemory::flat(0x2_0000));
        d.line(2, &mem).transfer(Direction::ToMemory, &mut [1, 2, 3]);
        assert_eq!(mem.load::<u16>(Gpa(0x1_0000)), Ok(0x0102));
        assert_eq!(mem.load::<u8>(Gpa(0x1_ffff)), Ok(3));
    }

    #[test]
    fn addresses_wrap_in_64_kib() {
        let (mut d, mem) = (channel_2(WRITE, 0xffff, 1), GuestMemory::flat(0x3_0000));
        d.line(2, &mem).transfer(Direction::ToMemory, &mut [1, 2]);
        assert_eq!((mem.load::<u8>(Gpa(0x1_ffff)), mem.load::<u8>(Gpa(0x1_0000))), (Ok(1), Ok(2)));
    }

    #[test]
    fn verify_counts_without_memory() {
        let (mut d, mem) = (channel_2(0x40, 0, 1), GuestMemory::flat(0x2_0000));
        let done = d.line(2, &mem).transfer(Direction::ToMemory, &mut [1, 2]);
        assert_eq!((done.bytes, done.terminal_count, mem.load::<u16>(Gpa(0x1_0000))), (2, true, Ok(0)));
    }

    #[test]
    fn the_wrong_direction_moves_nothing() {
        let (mut d, mem) = (channel_2(READ, 0, 1), GuestMemory::flat(0x2_0000));
        assert_eq!(d.line(2, &mem).transfer(Direction::ToMemory, &mut [1]), Transferred::default());
    }

    #[test]
    fn mask_disable_and_the_cascade_channel_stop_transfers() {
        let mem = GuestMemory::flat(0x1000);
        for (controller, register, value) in [(0, 0x0a, 6), (0, 0x08, 4), (1, 0x0a, 4), (0, 0x0f, 0x0f)] {
            let mut d = channel_2(WRITE, 0, 1);
            assert!(d.line(2, &mem).is_open());
            d.write(controller, register, value);
            assert!(!d.line(2, &mem).is_open());
        }
    }

    #[test]
    fn the_flip_flop_alternates_and_is_cleared_by_0c() {
        let mut d = Dma8237::new();
        d.write(0, 0, 0x34);
        d.write(0, 0x0c, 0);
        d.write(0, 0, 0x56);
        d.write(0, 0, 0x12);
        assert_eq!([d.read(0, 0), d.read(0, 0), d.read(0, 0)], [0x56, 0x12, 0x56]);
    }

    #[test]
    fn master_clear_masks_everything() {
        let mut d = channel_2(WRITE, 0, 0);
        d.write(0, 0x0d, 0);
        assert_eq!(d.read(0, 0x0f), 0xff);
        d.write(0, 0x0e, 0);
        assert_eq!(d.read(0, 0x0f), 0xf0);
    }

    #[test]
    fn channels_5_to_7_move_words() {
        let (mut d, mem) = (Dma8237::new(), GuestMemory::flat(0x8_0000));
        d.write(1, 0x0b, WRITE | 1);
        d.write(1, 2, 0x00);
        d.write(1, 2, 0x80);
        d.write(1, 3, 1);
        d.write(1, 3, 0);
        d.write_page(0x0b, 0x03);
        d.write(1, 0x0a, 1);
        let done = d.line(5, &mem).transfer(Direction::ToMemory, &mut [1, 2, 3, 4]);
        assert_eq!(done, Transferred { bytes: 4, terminal_count: true });
        assert_eq!(mem.load::<u32>(Gpa(0x3_0000)), Ok(0x0403_0201));
    }

    #[test]
    fn memory_that_is_not_there_reads_ones() {
        let (mut d, mem) = (channel_2(READ, 0xfff, 1), GuestMemory::flat(0x1_1000));
        let mut data = [0; 2];
        d.line(2, &mem).transfer(Direction::FromMemory, &mut data);
        assert_eq!(data, [0, 0xff]);
    }

    #[test]
    fn page_registers_read_back() {
        let mut d = Dma8237::new();
        d.write_page(4, 0xa5);
        assert_eq!(d.read_page(4), 0xa5);
    }

    proptest! {
        #[test]
        fn storms_and_save_restore(
            accesses in proptest::collection::vec((0u8..4, any::<u8>(), any::<u8>(), 0usize..600), 0..200),
        ) {
            let (mut d, mem) = (Dma8237::new(), GuestMemory::flat(0x2000));
            for (action, register, value, n) in accesses {
                match action {
                    0 => d.write(usize::from(register >> 4), register, value),
                    1 => { d.read(usize::from(register >> 4), register); }
                    2 => d.write_page(register, value & 1),
                    _ => {
                        let way = if register & 1 != 0 { Direction::ToMemory } else { Direction::FromMemory };
                        let mut data = alloc::vec![value; n];
                        prop_assert!(d.line(register, &mem).transfer(way, &mut data).bytes <= n);
                    }
                }
            }
            let mut copy = Dma8237::new();
            copy.restore(&d.save()).unwrap();
            prop_assert_eq!(copy.save(), d.save());
        }
    }
}
