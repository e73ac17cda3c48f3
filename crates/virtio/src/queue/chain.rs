//! The buffer of one request: a chain of descriptors, read once, then used as two streams of bytes.

use alloc::vec::Vec;

use hako_mem::{Gpa, GuestMemory};

use super::Fault;

/// A piece of guest memory. Nothing is known of its address until it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte.
    pub gpa: u64,
    /// Bytes, not 0.
    pub len: u32,
}

/// The segments of a chain; kept from request to request, so that requests allocate nothing.
#[derive(Debug, Default)]
pub struct Buffers {
    readable: Vec<Segment>,
    writable: Vec<Segment>,
    total: u64,
}

impl Buffers {
    /// No segment.
    pub fn clear(&mut self) {
        self.readable.clear();
        self.writable.clear();
        self.total = 0;
    }

    /// Appends what a descriptor says. Descriptors without bytes are none.
    pub fn push(&mut self, gpa: u64, len: u32, writable: bool) -> Result<(), Fault> {
        if !writable && !self.writable.is_empty() {
            return Err(Fault::Order);
        }
        self.total += u64::from(len);
        if self.total > 1 << 32 {
            return Err(Fault::Length);
        }
        if len != 0 {
            let list = if writable { &mut self.writable } else { &mut self.readable };
            list.push(Segment { gpa, len });
        }
        Ok(())
    }

    /// The chain, to be served.
    pub fn chain<'a>(&'a self, memory: &'a GuestMemory) -> Chain<'a> {
        let readable = Stream::new(&self.readable);
        let writable = Stream::new(&self.writable);
        Chain { memory, readable, writable, written: 0, gap: false }
    }

    /// Bytes of the whole chain.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Segments, consumed from the front.
#[derive(Clone, Copy)]
struct Stream<'a> {
    rest: &'a [Segment],
    /// Bytes of the first segment that are consumed.
    into: u32,
    left: u64,
}

impl<'a> Stream<'a> {
    fn new(rest: &'a [Segment]) -> Stream<'a> {
        Stream { rest, into: 0, left: rest.iter().map(|s| u64::from(s.len)).sum() }
    }

    /// The next piece, of at most `most` bytes, which lies in one segment.
    fn next(&mut self, most: u64) -> Option<Segment> {
        let (first, rest) = self.rest.split_first()?;
        let most = u32::try_from(most.min(self.left)).unwrap_or(u32::MAX);
        let len = most.min(first.len.saturating_sub(self.into));
        if len == 0 {
            return None;
        }
        let piece = Segment { gpa: first.gpa.checked_add(u64::from(self.into))?, len };
        self.into += len;
        self.left -= u64::from(len);
        if self.into == first.len {
            self.rest = rest;
            self.into = 0;
        }
        Some(piece)
    }

    /// Takes the last byte off.
    fn pop_last(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        // The streams are cut at their end only here and only once, so that this is the chain's last byte.
        self.rest.last().and_then(|s| s.gpa.checked_add(u64::from(s.len - 1)))
    }
}

/// One request, while it is served: what the driver says, and room for what it wants to know.
pub struct Chain<'a> {
    memory: &'a GuestMemory,
    readable: Stream<'a>,
    writable: Stream<'a>,
    written: u64,
    /// Some of the writable part was left out, so that what follows does not count as written (2.7.8.2).
    gap: bool,
}

impl<'a> Chain<'a> {
    /// Guest memory.
    pub fn memory(&self) -> &'a GuestMemory {
        self.memory
    }

    /// Bytes that can still be read.
    pub fn readable(&self) -> u64 {
        self.readable.left
    }

    /// Bytes that can still be written.
    pub fn writable(&self) -> u64 {
        self.writable.left
    }

    /// Fills `buf` from what the driver says; an error if that is shorter or not in memory.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<(), Fault> {
        let mut rest = buf;
        while !rest.is_empty() {
            let piece = self.readable.next(rest.len() as u64).ok_or(Fault::Request("input"))?;
            let (now, later) = rest.split_at_mut(piece.len as usize);
            self.memory.read(Gpa(piece.gpa), now).map_err(|_| Fault::Request("input"))?;
            rest = later;
        }
        Ok(())
    }

    /// Writes `data` to where the driver wants it; an error if there is not that much room or not in memory.
    pub fn write(&mut self, data: &[u8]) -> Result<(), Fault> {
        let mut rest = data;
        while !rest.is_empty() {
            let piece = self.writable.next(rest.len() as u64).ok_or(Fault::Request("room"))?;
            let (now, later) = rest.split_at(piece.len as usize);
            if self.memory.write(Gpa(piece.gpa), now).is_err() {
                self.gap = true;
                return Err(Fault::Request("room"));
            }
            self.count(u64::from(piece.len));
            rest = later;
        }
        Ok(())
    }

    /// Takes the last writable byte away from the stream, as the place for a status.
    pub fn take_status(&mut self) -> Result<Gpa, Fault> {
        self.writable.pop_last().map(Gpa).ok_or(Fault::Request("status"))
    }

    /// Writes the status, as the last act.
    pub fn put_status(&mut self, at: Gpa, status: u8) -> Result<(), Fault> {
        self.memory.store(at, status).map_err(|_| Fault::Request("status"))?;
        self.gap |= self.writable.left != 0;
        self.count(1);
        Ok(())
    }

    /// The next piece of the writable part, of which nothing is written: for pages that are given away as they are.
    pub fn next_writable(&mut self) -> Option<Segment> {
        let piece = self.writable.next(u64::MAX);
        self.gap |= piece.is_some();
        piece
    }

    fn count(&mut self, bytes: u64) {
        if !self.gap {
            self.written += bytes;
        }
    }

    /// Bytes written without a gap from the beginning of the writable part on: the length in the used ring.
    pub fn written(&self) -> u32 {
        u32::try_from(self.written).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(parts: &[(u64, u32, bool)]) -> Result<Buffers, Fault> {
        let mut b = Buffers::default();
        parts.iter().try_for_each(|(gpa, len, w)| b.push(*gpa, *len, *w))?;
        Ok(b)
    }

    #[test]
    fn framing_does_not_matter() {
        let memory = GuestMemory::flat(0x1000);
        memory.write(Gpa(0x10), b"ab").unwrap();
        memory.write(Gpa(0x20), b"cde").unwrap();
        let b = chain(&[(0x10, 2, false), (0x30, 0, false), (0x20, 3, false)]).unwrap();
        let mut c = b.chain(&memory);
        let mut buf = [0; 4];
        c.read(&mut buf).unwrap();
        assert_eq!((&buf, c.readable()), (b"abcd", 1));
    }

    #[test]
    fn a_short_chain_is_an_error() {
        let memory = GuestMemory::flat(0x1000);
        let b = chain(&[(0x10, 2, false), (0x20, 2, true)]).unwrap();
        assert_eq!(b.chain(&memory).read(&mut [0; 3]), Err(Fault::Request("input")));
        assert_eq!(b.chain(&memory).write(&[0; 3]), Err(Fault::Request("room")));
    }

    #[test]
    fn the_status_is_the_last_writable_byte() {
        let memory = GuestMemory::flat(0x1000);
        let b = chain(&[(0x10, 4, true), (0x20, 1, true)]).unwrap();
        let mut c = b.chain(&memory);
        let at = c.take_status().unwrap();
        assert_eq!((at, c.writable()), (Gpa(0x20), 4));
        c.write(&[7; 4]).unwrap();
        c.put_status(at, 1).unwrap();
        assert_eq!((c.written(), memory.load::<u8>(at)), (5, Ok(1)));
    }

    #[test]
    fn the_status_may_share_a_descriptor_with_data() {
        let memory = GuestMemory::flat(0x1000);
        let b = chain(&[(0x10, 5, true)]).unwrap();
        let mut c = b.chain(&memory);
        assert_eq!(c.take_status(), Ok(Gpa(0x14)));
        assert_eq!(c.write(&[7; 5]), Err(Fault::Request("room")));
    }

    #[test]
    fn the_used_length_counts_no_byte_behind_a_gap() {
        let memory = GuestMemory::flat(0x1000);
        let b = chain(&[(0x10, 4, true), (0x20, 1, true)]).unwrap();
        let mut c = b.chain(&memory);
        let at = c.take_status().unwrap();
        c.put_status(at, 1).unwrap();
        assert_eq!(c.written(), 0);
    }

    #[test]
    fn readable_descriptors_come_first() {
        assert_eq!(chain(&[(0, 1, true), (0, 1, false)]).err(), Some(Fault::Order));
    }

    #[test]
    fn a_chain_has_at_most_4_gib() {
        assert!(chain(&[(0, 1 << 31, false), (0, 1 << 31, false)]).is_ok());
        assert_eq!(chain(&[(0, u32::MAX, false), (0, 2, false)]).err(), Some(Fault::Length));
    }

    #[test]
    fn addresses_that_wrap_are_errors() {
        let memory = GuestMemory::flat(0x1000);
        let b = chain(&[(u64::MAX, 16, false), (u64::MAX - 1, 16, true)]).unwrap();
        let mut c = b.chain(&memory);
        assert_eq!(c.read(&mut [0; 16]), Err(Fault::Request("input")));
        assert_eq!(c.write(&[0; 16]), Err(Fault::Request("room")));
        assert_eq!(c.take_status(), Err(Fault::Request("status")));
    }
}
