//! The device-specific configuration (2.5): bytes that the driver, the worker and the machine share.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// One device's configuration fields. Shared by `Arc`: the worker may be on another thread than the transport.
#[derive(Debug)]
pub struct Registers {
    bytes: Box<[AtomicU8]>,
    /// What the fields hold after a reset.
    initial: Box<[u8]>,
    /// Which bits the driver can change.
    writable: Box<[u8]>,
    generation: AtomicU8,
    changed: AtomicBool,
}

impl Registers {
    /// Fields that hold `initial`; the driver can change the bytes in `writable`.
    pub fn new(initial: &[u8], writable: core::ops::Range<usize>) -> Arc<Registers> {
        let mask: Vec<u8> =
            (0..initial.len()).map(|at| if writable.contains(&at) { 0xff } else { 0 }).collect();
        Arc::new(Registers {
            bytes: initial.iter().map(|b| AtomicU8::new(*b)).collect(),
            initial: initial.into(),
            writable: mask.into(),
            generation: AtomicU8::new(0),
            changed: AtomicBool::new(false),
        })
    }

    /// Bytes of all fields.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the device has no field.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The byte at `at`, or 0.
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).map_or(0, |b| b.load(Ordering::Acquire))
    }

    /// The little-endian dword at `at`.
    pub fn dword(&self, at: usize) -> u32 {
        u32::from_le_bytes([0, 1, 2, 3].map(|n| self.byte(at + n)))
    }

    /// The driver reads; ones past the end.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (byte, field) in data.iter_mut().zip(self.bytes.iter().skip(skip)) {
            *byte = field.load(Ordering::Acquire);
        }
    }

    /// The driver writes; what it cannot change stays.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) {
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for ((byte, mask), value) in self.bytes.iter().zip(&self.writable).skip(skip).zip(data) {
            byte.store(byte.load(Ordering::Acquire) & !mask | value & mask, Ordering::Release);
        }
    }

    /// The device changes fields by itself: the driver hears of it when the function is next called.
    pub fn change(&self, at: usize, data: &[u8]) {
        self.put(at, data);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.changed.store(true, Ordering::Release);
    }

    /// The device sets fields of which the driver need not be told.
    pub(crate) fn put(&self, at: usize, data: &[u8]) {
        for (byte, value) in self.bytes.iter().skip(at).zip(data) {
            byte.store(*value, Ordering::Release);
        }
    }

    /// Whether the driver is still to be told of a change.
    pub(crate) fn changed(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }

    /// Whether the device changed something since the last call.
    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }

    /// Differs from what it was if the device changed a field since (4.1.4.3.1).
    pub(crate) fn generation(&self) -> u8 {
        self.generation.load(Ordering::Acquire)
    }

    /// What the driver wrote is forgotten.
    pub(crate) fn reset(&self) {
        for (at, (value, mask)) in self.initial.iter().zip(&self.writable).enumerate() {
            if *mask != 0 {
                self.put(at, &[*value]);
            }
        }
    }

    /// All bytes, to be saved.
    pub(crate) fn save(&self) -> Vec<u8> {
        (0..self.len()).map(|at| self.byte(at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_change_only_what_is_theirs() {
        let r = Registers::new(&[1, 2, 3, 4], 1..2);
        r.write(0, &[9, 9, 9, 9, 9]);
        let mut now = [0; 6];
        r.read(0, &mut now);
        assert_eq!(now, [1, 9, 3, 4, 0xff, 0xff]);
        r.reset();
        assert_eq!(r.byte(1), 2);
    }

    #[test]
    fn a_change_by_the_device_moves_the_generation_once() {
        let r = Registers::new(&[0; 4], 0..0);
        let before = r.generation();
        r.change(0, &[1, 2]);
        assert_ne!(r.generation(), before);
        assert_eq!((r.take_changed(), r.take_changed()), (true, false));
        assert_eq!(r.dword(0), 0x201);
    }

    #[test]
    fn wild_offsets_are_harmless() {
        let r = Registers::new(&[0; 4], 0..4);
        r.write(u64::MAX - 1, &[1; 2]);
        r.read(u64::MAX - 1, &mut [0; 2]);
        r.change(usize::MAX, &[1]);
    }
}
