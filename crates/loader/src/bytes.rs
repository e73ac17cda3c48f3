//! Reading files whose headers may lie: every access is checked.

use alloc::string::String;

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::LoadError;

/// `len` bytes at `offset`; `what` names them in the error.
pub fn slice(image: &[u8], what: impl Into<String>, offset: u64, len: u64) -> Result<&[u8], LoadError> {
    let range = offset
        .checked_add(len)
        .and_then(|end| Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?));
    range.and_then(|r| image.get(r)).ok_or_else(|| LoadError::Truncated {
        what: what.into(),
        offset,
        len,
        size: image.len() as u64,
    })
}

/// The structure at `offset`.
pub fn read<T: FromBytes + KnownLayout + Immutable>(
    image: &[u8],
    what: impl Into<String>,
    offset: u64,
) -> Result<T, LoadError> {
    let what = what.into();
    let len = size_of::<T>() as u64;
    let bytes = slice(image, what.clone(), offset, len)?;
    T::read_from_bytes(bytes).map_err(|_| LoadError::Truncated {
        what,
        offset,
        len,
        size: image.len() as u64,
    })
}

/// The structure at `offset`, if the file has so many bytes.
pub fn peek<T: FromBytes + KnownLayout + Immutable>(image: &[u8], offset: usize) -> Option<T> {
    T::read_from_prefix(image.get(offset..)?).ok().map(|(value, _)| value)
}
