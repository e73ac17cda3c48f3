//! As much of ELF64 as loading a static program takes.

use crate::{Access, PAGE, layout};

/// A piece of a program: `contents` at `address`, followed by zeros up to `size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// Where it goes.
    pub address: u64,
    /// Its size in memory.
    pub size: u64,
    /// What of it is in the file.
    pub contents: &'a [u8],
    /// Rights.
    pub access: Access,
}

impl<'a> Segment<'a> {
    /// Its pages: the first address and one past the last.
    pub fn pages(&self) -> (u64, u64) {
        (self.address & !(PAGE - 1), (self.address + self.size).next_multiple_of(PAGE))
    }

    /// What the file has for the page at `page`: where in the page it begins, and the bytes.
    pub fn page(&self, page: u64) -> (usize, &'a [u8]) {
        let start = page.max(self.address);
        let end = page.saturating_add(PAGE).min(self.address + self.contents.len() as u64);
        let contents = start
            .checked_sub(self.address)
            .zip(end.checked_sub(self.address))
            .and_then(|(from, to)| self.contents.get(from as usize..to as usize));
        (start.saturating_sub(page) as usize, contents.unwrap_or_default())
    }
}

/// A program whose headers were checked.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    file: &'a [u8],
    /// The first instruction.
    pub entry: u64,
    table: usize,
    count: usize,
}

const LOAD: u32 = 1;
const HEADER: usize = 56;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..)?.get(..2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.get(..8)?.try_into().ok()?))
}

impl<'a> Program<'a> {
    /// The program in `file`, if it is a static x86-64 one whose segments all lie in a task's part of the address
    /// space and are not both writable and executable.
    pub fn new(file: &'a [u8]) -> Option<Program<'a>> {
        let good = file.starts_with(b"\x7fELF\x02\x01") && u16_at(file, 16)? == 2 && u16_at(file, 18)? == 62;
        let program = Program {
            file,
            entry: u64_at(file, 24)?,
            table: usize::try_from(u64_at(file, 32)?).ok()?,
            count: u16_at(file, 56)?.into(),
        };
        let whole =
            (0..program.count).all(|i| program.header(i).is_some_and(|h| h.is_none_or(|s| sound(&s))));
        (good && u16_at(file, 54)? as usize == HEADER && whole).then_some(program)
    }

    /// The outer option: the header can be read; the inner: it is a segment to load.
    fn header(&self, index: usize) -> Option<Option<Segment<'a>>> {
        let start = self.table.checked_add(index * HEADER)?;
        let header = self.file.get(start..)?.get(..HEADER)?;
        if u32_at(header, 0)? != LOAD {
            return Some(None);
        }
        let offset = usize::try_from(u64_at(header, 8)?).ok()?;
        let length = usize::try_from(u64_at(header, 32)?).ok()?;
        let flags = u32_at(header, 4)?;
        Some(Some(Segment {
            address: u64_at(header, 16)?,
            size: u64_at(header, 40)?,
            contents: self.file.get(offset..)?.get(..length)?,
            access: Access(1 | u64::from(flags & 2) | u64::from(flags & 1) << 2),
        }))
    }

    /// What to load.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let program = *self;
        (0..self.count).filter_map(move |index| program.header(index).flatten()).filter(|s| s.size > 0)
    }
}

fn sound(segment: &Segment) -> bool {
    let end = segment.address.checked_add(segment.size);
    segment.contents.len() as u64 <= segment.size
        && segment.address >= layout::LOWEST
        && end.is_some_and(|end| end <= layout::END)
        && segment.access != Access::GUEST
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn program(flags: u32, address: u64, file: u64, memory: u64) -> Vec<u8> {
        let mut bytes = Vec::from(*b"\x7fELF\x02\x01\x01");
        bytes.resize(16, 0);
        bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        bytes.extend(0x40_0000u64.to_le_bytes());
        bytes.extend(64u64.to_le_bytes());
        bytes.extend([0; 14]);
        bytes.extend([56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(LOAD.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        for value in [120, address, address, file, memory, 4096] {
            bytes.extend(u64::to_le_bytes(value));
        }
        bytes.extend(b"0123456789");
        bytes
    }

    #[test]
    fn a_page_of_a_segment_is_its_part_of_the_file() {
        let file = program(5, 0x40_0ffc, 10, 0x2000);
        let segment = Program::new(&file).unwrap().segments().next().unwrap();
        assert_eq!(segment.access, Access::EXECUTE);
        assert_eq!(segment.pages(), (0x40_0000, 0x40_3000));
        assert_eq!(segment.page(0x40_0000), (0xffc, &b"0123"[..]));
        assert_eq!(segment.page(0x40_1000), (0, &b"456789"[..]));
        assert_eq!(segment.page(0x40_2000), (0, &b""[..]));
    }

    #[test]
    fn programs_that_reach_outside_are_refused() {
        assert!(Program::new(&program(7, 0x40_0000, 10, 10)).is_none(), "writable and executable");
        assert!(Program::new(&program(5, 0x40_0000, 11, 11)).is_none(), "beyond the file");
        assert!(Program::new(&program(5, 0x40_0000, 10, 9)).is_none(), "more file than memory");
        assert!(Program::new(&program(5, layout::END - 5, 10, 10)).is_none(), "in the kernel's half");
        assert!(Program::new(&program(5, u64::MAX - 5, 10, 10)).is_none(), "wraps");
        assert!(Program::new(&program(5, 0, 10, 10)).is_none(), "null");
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_or_sound() {
        let file = program(6, 0x40_0000, 10, 10);
        for length in 0..file.len() {
            assert!(Program::new(&file[..length]).is_none());
        }
    }
}
