//! The boot archive: named files, each beginning on a page, so that they can be mapped where they lie.
//!
//! Little-endian: 8 bytes magic, u32 count, u32 zero; then for each file 32 bytes of name (zero-padded), u64 offset,
//! u64 length.

/// The first bytes.
pub const MAGIC: [u8; 8] = *b"hakoniwa";
/// Bytes before the first entry.
const HEADER: usize = 16;
/// Bytes of an entry.
const ENTRY: usize = 48;
/// The most files.
const FILES: u32 = 64;

/// An archive in memory. Nothing in it is believed before it is checked.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Archive<'a> {
    /// The archive in `bytes`, if it is one.
    pub fn new(bytes: &'a [u8]) -> Option<Archive<'a>> {
        let header = bytes.get(..HEADER)?;
        let count = u32::from_le_bytes(header.get(8..12)?.try_into().ok()?);
        let table = HEADER + count.min(FILES) as usize * ENTRY;
        let good = header.starts_with(&MAGIC) && count <= FILES && table <= bytes.len();
        good.then_some(Archive { bytes, count: count as usize })
    }

    /// The files whose place lies inside the archive: name and contents.
    pub fn files(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        (0..self.count).filter_map(move |index| {
            let entry = bytes.get(HEADER + index * ENTRY..)?.get(..ENTRY)?;
            let (name, place) = entry.split_at(32);
            let name = name.split(|b| *b == 0).next()?;
            let offset = u64::from_le_bytes(place.get(..8)?.try_into().ok()?);
            let length = u64::from_le_bytes(place.get(8..16)?.try_into().ok()?);
            let contents =
                bytes.get(usize::try_from(offset).ok()?..)?.get(..usize::try_from(length).ok()?)?;
            Some((core::str::from_utf8(name).ok()?, contents))
        })
    }

    /// The file of this name.
    pub fn file(&self, name: &str) -> Option<&'a [u8]> {
        self.files().find(|(n, _)| *n == name).map(|(_, contents)| contents)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn archive(offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend(1u32.to_le_bytes());
        bytes.extend([0; 4]);
        let mut name = [0; 32];
        name[..5].copy_from_slice(b"hello");
        bytes.extend(name);
        bytes.extend(offset.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(b"contents");
        bytes
    }

    #[test]
    fn a_file_is_found_by_name() {
        let bytes = archive(64, 8);
        let archive = Archive::new(&bytes).unwrap();
        assert_eq!(archive.file("hello"), Some(&b"contents"[..]));
        assert_eq!(archive.file("hell"), None);
    }

    #[test]
    fn a_file_outside_the_archive_does_not_exist() {
        for (offset, length) in [(64, 9), (u64::MAX, 1), (1, u64::MAX), (73, 0)] {
            assert_eq!(Archive::new(&archive(offset, length)).unwrap().file("hello"), None);
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_no_archive() {
        let mut bytes = archive(64, 8);
        bytes[8] = 2;
        assert!(Archive::new(&bytes).is_none());
        assert!(Archive::new(&bytes[..12]).is_none());
        assert!(Archive::new(b"").is_none());
    }
}
