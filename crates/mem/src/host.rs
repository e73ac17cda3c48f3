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
    _fd: OwnedFd,
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
            Ok(Slab::new(Box::new(Mapping { base, len: bytes, _fd: fd })))
        }
        _ => Err(io::Error::last_os_error()),
    }
}
