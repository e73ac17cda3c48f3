//! The configuration space of one function, declared as a table of fields.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use super::bar::{Bar, BarRange};
use crate::saved::{RestoreError, Saved, check};

/// Bytes of configuration space.
pub const SIZE: usize = 256;
const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const STATUS_INTERRUPT: u8 = 1 << 3;
const STATUS_CAPABILITIES: u8 = 1 << 4;
const CAPABILITIES: usize = 0x34;
const INTERRUPT_LINE: u8 = 0x3c;
const INTERRUPT_PIN: u8 = 0x3d;
const VERSION: u32 = 1;

/// What identifies a function: the read-only part of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Revision ID.
    pub revision: u8,
    /// Base class, subclass, programming interface: 0xccsspp.
    pub class: u32,
    /// Subsystem vendor ID.
    pub subsystem_vendor: u16,
    /// Subsystem ID.
    pub subsystem: u16,
    /// The device has other functions (bit 7 of the header type).
    pub multifunction: bool,
    /// 0: none, 1 to 4: INTA# to INTD#.
    pub interrupt_pin: u8,
}

impl Identity {
    /// The subsystem by which firmware knows a virtual machine's chip set (1AF4:1100, as QEMU has it): SeaBIOS looks
    /// for fw_cfg's early items only behind a host bridge that carries it.
    pub const fn of_virtual_machine() -> Identity {
        Identity {
            vendor: 0,
            device: 0,
            revision: 0,
            class: 0,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
            multifunction: false,
            interrupt_pin: 0,
        }
    }
}

/// A register of up to 4 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// First byte.
    pub at: u8,
    /// Bytes, 1 to 4.
    pub width: u8,
    /// Value after reset.
    pub reset: u32,
    /// Bits that a write sets and clears.
    pub write: u32,
    /// Bits that writing a one clears.
    pub clear: u32,
}

impl Field {
    /// A register that can only be read.
    pub const fn ro(at: u8, width: u8, value: u32) -> Field {
        Field { at, width, reset: value, write: 0, clear: 0 }
    }

    /// A register with writable bits.
    pub const fn rw(at: u8, width: u8, reset: u32, write: u32) -> Field {
        Field { at, width, reset, write, clear: 0 }
    }

    /// A register with bits that writing a one clears.
    pub const fn w1c(at: u8, width: u8, reset: u32, clear: u32) -> Field {
        Field { at, width, reset, write: 0, clear }
    }
}

/// A bit that, once written as one, makes bits of its register read-only until reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The register.
    pub at: u8,
    /// The locking bit.
    pub bit: u8,
    /// Bits that become zero when it locks.
    pub drop: u8,
    /// Bits that stay writable.
    pub keep: u8,
}

bitflags! {
    /// What a write changed that concerns the board.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Changes: u8 {
        /// Addresses or decoding: look at [`ConfigSpace::bars`] again.
        const BARS = 1 << 0;
        /// Registers from 0x40 on.
        const DEVICE = 1 << 1;
        /// Other writable bits of the header (bus master, interrupt line...).
        const HEADER = 1 << 2;
    }
}

/// The writable state; everything else is configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// All 256 bytes.
    pub bytes: Vec<u8>,
}

/// What each byte is, and what it holds.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: Box<[u8; SIZE]>,
    reset: Box<[u8; SIZE]>,
    write: Box<[u8; SIZE]>,
    clear: Box<[u8; SIZE]>,
    bars: Vec<Bar>,
    lock: Option<Lock>,
    next_capability: usize,
}

impl ConfigSpace {
    /// A type 0 function: the usual header, overlaid with `fields`.
    pub fn new(id: Identity, fields: &[Field]) -> ConfigSpace {
        let zero = || Box::new([0; SIZE]);
        let mut space = ConfigSpace {
            bytes: zero(),
            reset: zero(),
            write: zero(),
            clear: zero(),
            bars: Vec::new(),
            lock: None,
            next_capability: CAPABILITIES + 12,
        };
        let header = [
            Field::ro(0x00, 2, id.vendor.into()),
            Field::ro(0x02, 2, id.device.into()),
            // I/O, memory, bus master, INTx disable
            Field::rw(COMMAND as u8, 2, 0, 0x0407),
            Field::w1c(STATUS as u8, 2, 0, 0xf900),
            Field::ro(0x08, 1, id.revision.into()),
            Field::ro(0x09, 3, id.class),
            Field::rw(0x0c, 1, 0, 0xff),
            Field::ro(0x0e, 1, u32::from(id.multifunction) << 7),
            Field::ro(0x2c, 2, id.subsystem_vendor.into()),
            Field::ro(0x2e, 2, id.subsystem.into()),
            Field::rw(INTERRUPT_LINE, 1, 0, if id.interrupt_pin != 0 { 0xff } else { 0 }),
            Field::ro(INTERRUPT_PIN, 1, id.interrupt_pin.into()),
        ];
        header.iter().chain(fields).for_each(|f| space.declare(*f));
        space.reset();
        space
    }

    fn declare(&mut self, f: Field) {
        self.declare_bytes(f.at, f.width.min(4), f.reset.into(), f.write.into(), f.clear.into());
    }

    fn declare_bytes(&mut self, at: u8, width: u8, reset: u64, write: u64, clear: u64) {
        for i in 0..usize::from(width) {
            let Some(at) = Some(usize::from(at) + i).filter(|at| *at < SIZE) else { return };
            self.reset[at] = reset.to_le_bytes()[i];
            self.write[at] = write.to_le_bytes()[i];
            self.clear[at] = clear.to_le_bytes()[i];
        }
    }

    /// Adds a base address register.
    pub fn with_bar(mut self, bar: Bar) -> ConfigSpace {
        self.declare_bytes(bar.offset(), bar.width(), bar.fixed_bits(), bar.write_mask(), 0);
        self.bars.push(bar);
        self.reset();
        self
    }

    /// Adds a locking bit.
    pub fn with_lock(mut self, lock: Lock) -> ConfigSpace {
        self.lock = Some(lock);
        self
    }

    /// Appends a capability: `id`, the link, then `body`, of whose bits those in `write` can be written. Returns where
    /// it begins, or `None` if there is no room.
    pub fn add_capability(&mut self, id: u8, body: &[u8], write: &[u8]) -> Option<u8> {
        let at = self.next_capability;
        let end = at.checked_add(2 + body.len())?;
        if end > SIZE {
            return None;
        }
        let mut link = CAPABILITIES;
        while self.reset[link] != 0 {
            link = usize::from(self.reset[link]) + 1;
        }
        self.reset[link] = at as u8;
        self.reset[STATUS] |= STATUS_CAPABILITIES;
        self.reset[at] = id;
        self.reset[at + 2..end].copy_from_slice(body);
        for (mask, byte) in self.write[at + 2..end].iter_mut().zip(write) {
            *mask = *byte;
        }
        self.next_capability = end.next_multiple_of(4);
        self.reset();
        Some(at as u8)
    }

    /// All registers as after RST#.
    pub fn reset(&mut self) {
        *self.bytes = *self.reset;
    }

    /// Reads `data.len()` bytes from `at` on; ones past the end.
    pub fn read(&self, at: u8, data: &mut [u8]) {
        let have = &self.bytes[usize::from(at)..];
        let n = have.len().min(data.len());
        data[..n].copy_from_slice(&have[..n]);
        data[n..].fill(0xff);
    }

    /// The byte at `at`.
    pub fn byte(&self, at: u8) -> u8 {
        self.bytes[usize::from(at)]
    }

    /// The little-endian word at `at`.
    pub fn word(&self, at: u8) -> u16 {
        u16::from_le_bytes([self.byte(at), self.byte(at.wrapping_add(1))])
    }

    /// The little-endian dword at `at`.
    pub fn dword(&self, at: u8) -> u32 {
        u32::from(self.word(at)) | u32::from(self.word(at.wrapping_add(2))) << 16
    }

    /// The command register.
    pub fn command(&self) -> u16 {
        self.word(COMMAND as u8)
    }

    /// Bytes are written as their masks say; bytes past the end are dropped.
    pub fn write(&mut self, at: u8, data: &[u8]) -> Changes {
        let mut changes = Changes::empty();
        for (at, value) in (usize::from(at)..SIZE).zip(data) {
            let (old, mut write) = (self.bytes[at], self.write[at]);
            let lock = self.lock.filter(|l| usize::from(l.at) == at);
            if let Some(l) = lock
                && old & l.bit != 0
            {
                write &= l.keep;
            }
            let mut new = (old & !write | value & write) & !(value & self.clear[at]);
            if let Some(l) = lock
                && new & l.bit != 0
            {
                new &= !l.drop;
            }
            self.bytes[at] = new;
            if new != old {
                changes |= self.kind_of_change(at, old ^ new);
            }
        }
        changes
    }

    fn kind_of_change(&self, at: usize, bits: u8) -> Changes {
        let in_bar = self.bars.iter().any(|b| {
            let first = usize::from(b.offset());
            (first..first + usize::from(b.width())).contains(&at)
        });
        if in_bar || at == COMMAND && bits & 3 != 0 {
            Changes::BARS
        } else if at >= 0x40 {
            Changes::DEVICE
        } else {
            Changes::HEADER
        }
    }

    /// All base address registers with their addresses of the moment.
    pub fn bars(&self) -> impl Iterator<Item = BarRange> + '_ {
        self.bars.iter().map(|bar| {
            let at = bar.offset();
            let high = if bar.width() == 8 { self.dword(at.wrapping_add(4)) } else { 0 };
            bar.range(u64::from(high) << 32 | u64::from(self.dword(at)), self.command())
        })
    }

    /// The interrupt pin: 0 none, 1 to 4 INTA# to INTD#.
    pub fn interrupt_pin(&self) -> u8 {
        self.byte(INTERRUPT_PIN)
    }

    /// The device asserts its interrupt pin or not (status bit 3). Returns the level that leaves the device, which
    /// the command register's INTx-disable bit holds low.
    pub fn set_interrupt(&mut self, level: bool) -> bool {
        if level {
            self.bytes[STATUS] |= STATUS_INTERRUPT;
        } else {
            self.bytes[STATUS] &= !STATUS_INTERRUPT;
        }
        self.interrupt()
    }

    /// The level that leaves the device.
    pub fn interrupt(&self) -> bool {
        self.bytes[STATUS] & STATUS_INTERRUPT != 0 && self.command() & 0x400 == 0
    }

    /// The registers.
    pub fn save(&self) -> Saved<State> {
        Saved { version: VERSION, state: State { bytes: self.bytes.to_vec() } }
    }

    /// Takes saved registers back; bits that cannot change must be what they are here.
    pub fn restore(&mut self, saved: &Saved<State>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        check(state.bytes.len() == SIZE, "a configuration space has 256 bytes")?;
        let same = state.bytes.iter().enumerate().all(|(at, byte)| {
            let lock = self.lock.filter(|l| usize::from(l.at) == at).map_or(0, |l| l.drop);
            let own = if at == STATUS { STATUS_INTERRUPT } else { 0 };
            (byte ^ self.reset[at]) & !(self.write[at] | self.clear[at] | own | lock) == 0
        });
        check(same, "a read-only bit of configuration space differs")?;
        self.bytes.copy_from_slice(&state.bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::BarKind;
    use super::*;
    use proptest::prelude::*;

    const ID: Identity = Identity {
        vendor: 0x1af4,
        device: 0x1001,
        revision: 2,
        class: 0x01_80_00,
        subsystem_vendor: 0x1af4,
        subsystem: 2,
        multifunction: false,
        interrupt_pin: 1,
    };

    fn disk() -> ConfigSpace {
        ConfigSpace::new(ID, &[])
            .with_bar(Bar::new(0, BarKind::Io, 0x40))
            .with_bar(Bar::new(1, BarKind::Memory32 { prefetchable: false }, 0x1000))
            .with_bar(Bar::new(4, BarKind::Memory64 { prefetchable: true }, 0x4000))
            .with_bar(Bar::rom(0x800))
    }

    #[test]
    fn the_header_identifies_the_function() {
        let d = disk();
        assert_eq!(d.dword(0), 0x1001_1af4);
        assert_eq!(d.dword(8), 0x0180_0002);
        assert_eq!(d.dword(0x2c), 0x0002_1af4);
        assert_eq!(d.byte(0x3d), 1);
    }

    #[test]
    fn identity_cannot_be_written() {
        let mut d = disk();
        assert_eq!(d.write(0, &[0; 4]), Changes::empty());
        assert_eq!(d.dword(0), 0x1001_1af4);
    }

    #[test]
    fn an_io_bar_is_sized_by_writing_ones() {
        let mut d = disk();
        d.write(0x10, &[0xff; 4]);
        assert_eq!(d.dword(0x10), 0xffff_ffc1);
    }

    #[test]
    fn a_64_bit_bar_is_sized_by_writing_ones_to_both_halves() {
        let mut d = disk();
        d.write(0x20, &[0xff; 8]);
        assert_eq!((d.dword(0x20), d.dword(0x24)), (0xffff_c00c, 0xffff_ffff));
    }

    #[test]
    fn a_rom_bar_has_an_enable_bit() {
        let mut d = disk();
        d.write(0x30, &[0xff; 4]);
        assert_eq!(d.dword(0x30), 0xffff_f801);
    }

    #[test]
    fn an_absent_bar_reads_zero() {
        let mut d = disk();
        d.write(0x18, &[0xff; 4]);
        assert_eq!(d.dword(0x18), 0);
    }

    #[test]
    fn programming_a_bar_is_reported() {
        let mut d = disk();
        assert_eq!(d.write(0x10, &0xc001u32.to_le_bytes()), Changes::BARS);
        assert!(!d.bars().next().unwrap().enabled);
        assert_eq!(d.write(4, &[1]), Changes::BARS);
        let range = BarRange { index: 0, kind: BarKind::Io, address: 0xc000, size: 0x40, enabled: true };
        assert_eq!(d.bars().next(), Some(range));
    }

    #[test]
    fn a_bar_being_sized_decodes_nothing() {
        let mut d = disk();
        d.write(4, &[3]);
        d.write(0x10, &[0xff; 8]);
        assert!(d.bars().all(|b| !b.enabled));
    }

    #[test]
    fn the_rom_needs_its_own_bit_and_memory_decoding() {
        let mut d = disk();
        d.write(0x30, &0xfeb0_0000u32.to_le_bytes());
        d.write(4, &[2]);
        assert!(!d.bars().last().unwrap().enabled);
        d.write(0x30, &[1]);
        assert!(d.bars().last().unwrap().enabled);
    }

    #[test]
    fn capabilities_form_a_list() {
        let mut d = disk();
        assert_eq!(d.add_capability(9, &[4, 0, 0], &[]), Some(0x40));
        assert_eq!(d.add_capability(0x11, &[0; 10], &[0, 0xc0]), Some(0x48));
        assert_eq!((d.byte(0x34), d.word(0x40), d.word(0x48)), (0x40, 0x4809, 0x0011));
        assert_eq!(d.word(6) & 0x10, 0x10);
        d.write(0x4a, &[0xff, 0xff]);
        assert_eq!(d.word(0x4a), 0xc000);
    }

    #[test]
    fn a_capability_without_room_is_refused() {
        assert_eq!(disk().add_capability(9, &[0; 0xc0], &[]), None);
    }

    #[test]
    fn error_bits_of_the_status_are_cleared_by_ones() {
        let mut d = ConfigSpace::new(ID, &[Field::w1c(6, 2, 0xf900, 0xf900)]);
        d.write(6, &[0, 0x81]);
        assert_eq!(d.word(6), 0x7800);
    }

    #[test]
    fn intx_disable_holds_the_pin_low() {
        let mut d = disk();
        assert!(d.set_interrupt(true));
        assert_eq!(d.word(6) & 8, 8);
        d.write(5, &[4]);
        assert!(!d.interrupt());
        assert_eq!(d.word(6) & 8, 8);
    }

    #[test]
    fn reads_past_the_end_are_ones() {
        let mut data = [0; 4];
        disk().read(0xfe, &mut data);
        assert_eq!(data, [0, 0, 0xff, 0xff]);
    }

    #[test]
    fn a_state_of_another_device_is_refused() {
        let mut saved = disk().save();
        saved.state.bytes[0] ^= 1;
        assert!(disk().restore(&saved).is_err());
        saved.state.bytes.pop();
        assert!(disk().restore(&saved).is_err());
    }

    proptest! {
        #[test]
        fn writes_change_only_writable_bits_and_states_return(
            writes in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..6)), 0..40),
        ) {
            let mut d = disk();
            for (at, data) in writes {
                d.write(at, &data);
                d.bars().for_each(drop);
            }
            prop_assert_eq!(d.dword(0), 0x1001_1af4);
            let mut copy = disk();
            copy.restore(&d.save()).unwrap();
            prop_assert_eq!(copy.save(), d.save());
        }
    }
}
