//! The kernel's own memory, by address fields in the header or by ELF segments.

use alloc::format;

use crate::LoadError;
use crate::bytes::slice;
use crate::plan::Draft;

/// The address fields of a header.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Where the header was found in the file.
    pub found: u64,
    /// Where it belongs in memory.
    pub header: u32,
    /// Where the loaded part of the file begins in memory; all ones in Multiboot 2: with the file.
    pub load: u32,
    /// Where it ends; 0: with the file.
    pub load_end: u32,
    /// Where zeros behind it end; 0: there are none.
    pub bss_end: u32,
}

fn malformed(what: &str, value: u32, why: &'static str) -> LoadError {
    LoadError::Malformed { what: what.into(), value: value.into(), why }
}

impl Addresses {
    /// Gives the kernel its place, `shift` further up than the fields say: its first address.
    pub fn place<'a>(&self, image: &'a [u8], shift: u64, draft: &mut Draft<'a>) -> Result<u64, LoadError> {
        let (start, offset) = self.start()?;
        let len = self.file_len(image, start, offset)?;
        let bytes = slice(image, "the kernel as its Multiboot header describes it", offset, len)?;
        let memory = self.memory_len(image)?;
        let at = start.wrapping_add(shift);
        draft.space.claim("the kernel", at, memory)?;
        draft.put_padded(at, memory, bytes);
        Ok(at)
    }

    /// Address and file offset of the first byte.
    fn start(&self) -> Result<(u64, u64), LoadError> {
        let header = u64::from(self.header);
        if self.load == u32::MAX {
            let start = header.checked_sub(self.found);
            return start.map(|at| (at, 0)).ok_or_else(|| {
                malformed("header_addr", self.header, "it is smaller than the header's file offset")
            });
        }
        let before = header.checked_sub(self.load.into());
        let offset = before.and_then(|before| self.found.checked_sub(before));
        offset.map(|offset| (self.load.into(), offset)).ok_or_else(|| {
            malformed("load_addr", self.load, "it is above header_addr, or before the beginning of the file")
        })
    }

    fn file_len(&self, image: &[u8], start: u64, offset: u64) -> Result<u64, LoadError> {
        match self.load_end {
            0 => Ok((image.len() as u64).saturating_sub(offset)),
            end => u64::from(end)
                .checked_sub(start)
                .ok_or_else(|| malformed("load_end_addr", end, "it is below load_addr")),
        }
    }

    /// How much memory the kernel takes.
    pub fn memory_len(&self, image: &[u8]) -> Result<u64, LoadError> {
        let (start, offset) = self.start()?;
        let len = self.file_len(image, start, offset)?;
        let loaded_end = start + len;
        match u64::from(self.bss_end) {
            0 => Ok(len),
            end if end >= loaded_end => Ok(end - start),
            _ => Err(malformed("bss_end_addr", self.bss_end, "it is below the end of what is loaded")),
        }
    }

    /// The kernel's first address.
    pub fn first(&self) -> Result<u64, LoadError> {
        self.start().map(|(at, _)| at)
    }
}

/// An entry point has to be a 32-bit address.
pub fn entry_below_4_gib(entry: u64) -> Result<u64, LoadError> {
    if entry < 1 << 32 {
        return Ok(entry);
    }
    Err(LoadError::Unsupported {
        what: format!(
            "the entry point {entry:#x} is above 4 GiB, and Multiboot kernels start in 32-bit mode"
        ),
        remedy: "link the kernel with physical load addresses below 4 GiB",
    })
}
