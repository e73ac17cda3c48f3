//! Zeroing guest memory without touching it.

use hako_mem::{PAGE_SIZE, Slab, SlabOffset};

/// Makes the first `len` bytes of a slab read zero, whoever wrote to them, and gives their pages back to the host.
pub(crate) fn zero(slab: &Slab, len: u64) {
    let len = len.min(slab.len()) / PAGE_SIZE * PAGE_SIZE;
    let Ok(bytes) = usize::try_from(len) else { return };
    // SAFETY: the range lies in the slab's own mapping, which lives as long as `slab`. MADV_REMOVE replaces its pages by
    // zeros, which is a write like a guest's; nobody holds Rust references into a slab.
    let done = unsafe { libc::madvise(slab.host_base().as_ptr().cast(), bytes, libc::MADV_REMOVE) } == 0;
    if !done {
        slab.fill(SlabOffset(0), len, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_zeroed_reads_zero_and_the_rest_stays() {
        for slab in [hako_mem::host::slab(0x4000).unwrap(), Slab::heap(0x4000)] {
            slab.fill(SlabOffset(0), 0x4000, 7);
            zero(&slab, 0x3000);
            assert_eq!(slab.load::<u64>(0), 0);
            assert_eq!(slab.load::<u8>(0x2fff), 0);
            assert_eq!(slab.load::<u8>(0x3000), 7);
        }
    }
}
