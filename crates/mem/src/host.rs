//! Slabs from the Linux host: anonymous shared memory behind a memfd.

use alloc::boxed::Box;
use core::ptr::NonNull;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::{Backing, PAGE_SIZE, Slab};

/// A shared mapping of a memfd; pages appear when first touched.
struct Mapping {
    base: NonNull<u8>,
    len: usize,
    fd: OwnedFd,
}

// SAFETY: the mapping is owned by this value alone and only reached through raw pointers.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}
// SAFETY: `base` is a live mapping of `len` bytes until drop; mmap aligns it to pages.
unsafe impl Backing for Mapping {
    fn base(&self) -> NonNull<u8> {
        self.base
    }
    fn len(&self) -> usize {
        self.len
    }
    fn discard(&self, at: usize, len: usize) -> bool {
        let (Ok(at), Ok(len)) = (libc::off_t::try_from(at), libc::off_t::try_from(len)) else { return false };
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: a plain system call on our own descriptor. The mapping stays: its pages become empty ones.
        unsafe { libc::fallocate(self.fd.as_raw_fd(), mode, at, len) == 0 }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `slab` with this address and length.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// A zeroed slab of `len` bytes (rounded up to pages, at least one) in a memfd.
///
/// # Errors
/// What the host says when it has no memory or no address space for it.
pub fn slab(len: u64) -> io::Result<Slab> {
    let len = len.max(1).next_multiple_of(PAGE_SIZE);
    let bytes = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    // SAFETY: a plain system call with a constant, NUL-terminated name.
    let fd = unsafe { libc::memfd_create(c"hako-ram".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fd was just returned to us and belongs to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let size = libc::off_t::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    // SAFETY: a plain system call on our own descriptor.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), size) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new shared mapping of our own descriptor; the kernel chooses the address.
    let base = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_NORESERVE,
            fd.as_raw_fd(),
            0,
        )
    };
    match NonNull::new(base.cast::<u8>()) {
        Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => {
            Ok(Slab::new(Box::new(Mapping { base, len: bytes, fd })))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::{PageFlags, SlabOffset};

    /// Which pages of the slab have storage on the host.
    fn resident(slab: &Slab) -> Vec<bool> {
        let mut pages = vec![0u8; (slab.len() / PAGE_SIZE) as usize];
        // SAFETY: the slab is mapped for its length, and the vector has a byte for each of its pages.
        let done = unsafe {
            libc::mincore(slab.host_base().as_ptr().cast(), slab.len() as usize, pages.as_mut_ptr())
        };
        assert_eq!(done, 0);
        pages.iter().map(|page| page & 1 != 0).collect()
    }

    #[test]
    fn discarded_pages_have_no_storage_and_read_as_zeros() {
        let slab = slab(4 * PAGE_SIZE).unwrap();
        slab.fill(SlabOffset(0), 4 * PAGE_SIZE, 0x5a);
        slab.clear_flags(SlabOffset(PAGE_SIZE), PageFlags::DIRTY);
        assert!(slab.discard(SlabOffset(1), 3 * PAGE_SIZE));
        assert_eq!(resident(&slab), [true, false, false, true], "whole pages only");
        assert_eq!((slab.load::<u8>(PAGE_SIZE), slab.load::<u8>(3 * PAGE_SIZE - 1)), (0, 0));
        assert_eq!((slab.load::<u8>(PAGE_SIZE - 1), slab.load::<u8>(3 * PAGE_SIZE)), (0x5a, 0x5a));
        assert!(slab.flags(SlabOffset(PAGE_SIZE)).has(PageFlags::DIRTY), "code caches and dirty logs know");
    }

    #[test]
    fn nothing_outside_of_the_slab_is_discarded() {
        let slab = slab(PAGE_SIZE).unwrap();
        for (at, len) in [(0, 2 * PAGE_SIZE), (PAGE_SIZE, PAGE_SIZE), (u64::MAX, 1), (u64::MAX, u64::MAX)] {
            assert!(!slab.discard(SlabOffset(at), len), "{at:#x} {len:#x}");
        }
        assert!(!Slab::heap(PAGE_SIZE).discard(SlabOffset(0), PAGE_SIZE), "the allocator's memory stays");
    }
}
