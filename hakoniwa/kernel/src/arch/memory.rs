//! Physical memory as the kernel reaches it, and the kernel's own page tables.

use super::cpu;
use super::hardware::Hardware;
use hakoniwa_abi::{Access, PAGE, TASKS};
use hakoniwa_kernel::boot::{Boot, Range, Ranges};
use hakoniwa_kernel::frames::{Frame, Frames};
use hakoniwa_kernel::paging::{self, Format, Leaf};
use hakoniwa_kernel::task::Task;

/// Where all physical memory is mapped.
const PHYSICAL: u64 = 0xffff_8000_0000_0000;
/// Where the image is linked, minus where it is loaded.
const IMAGE: u64 = 0xffff_ffff_8000_0000;
/// Where device registers are mapped.
const DEVICES: u64 = 0xffff_ffff_c000_0000;
/// What the tables of the entry code map.
const FIRST: u64 = 4 << 30;
/// Memory above this is not used.
const MOST: u64 = 64 << 30;
/// Bytes of a large page.
const LARGE: u64 = 2 << 20;

/// The kernel's address of a physical one.
pub fn address(physical: u64) -> u64 {
    PHYSICAL.wrapping_add(physical)
}

/// Reads eight bytes.
pub fn load(at: u64) -> u64 {
    // SAFETY: physical memory is mapped; the kernel's logic reads only tables and pages that it owns, and what the
    // boot loader left. Aligned by contract of `Platform`.
    unsafe { (address(at) as *const u64).read_volatile() }
}

/// Writes eight bytes.
pub fn store(at: u64, value: u64) {
    // SAFETY: as above; no Rust object lies in memory that `Frames` gives out.
    unsafe { (address(at) as *mut u64).write_volatile(value) }
}

/// Copies words of eight bytes.
pub fn copy(from: u64, to: u64, words: u64) {
    // SAFETY: as above. The direction flag is clear in the kernel.
    unsafe {
        core::arch::asm!(
            "rep movsq",
            inout("rsi") address(from) => _,
            inout("rdi") address(to) => _,
            inout("rcx") words => _,
            options(nostack, preserves_flags)
        );
    }
}

/// Zeroes a page.
pub fn clear_page(at: u64) {
    // SAFETY: as above, a whole page. By quadwords, which emulators count one by one.
    unsafe {
        core::arch::asm!(
            "rep stosq",
            inout("rdi") address(at) => _,
            inout("rcx") PAGE / 8 => _,
            in("rax") 0,
            options(nostack, preserves_flags)
        );
    }
}

/// A boot module's bytes. Nobody writes them any more.
pub fn bytes((start, end): Range) -> &'static [u8] {
    // SAFETY: the range was reserved before anything was allocated, and is mapped.
    unsafe { core::slice::from_raw_parts(address(start) as *const u8, (end - start) as usize) }
}

/// Reads a device register at a kernel address.
pub fn device_read(at: u64) -> u32 {
    // SAFETY: the address comes from `map_device`.
    unsafe { (at as *const u32).read_volatile() }
}

/// Writes a device register at a kernel address.
pub fn device_write(at: u64, value: u32) {
    // SAFETY: the address comes from `map_device`.
    unsafe { (at as *mut u32).write_volatile(value) }
}

/// The kernel's own pages: supervisor, global, write-back or (for devices) uncached.
struct Own<const UNCACHED: bool>;

impl<const UNCACHED: bool> Format for Own<UNCACHED> {
    const TABLE: u64 = 3;
    const TOP: u64 = 512;

    fn leaf(access: Access) -> u64 {
        let cache = if UNCACHED { 0x18 } else { 0 };
        let no_execute = if access.executable() { 0 } else { 1 << 63 };
        1 | 0x100 | cache | access.0 & 2 | no_execute
    }

    fn present(entry: u64) -> bool {
        entry & 1 != 0
    }

    fn access(entry: u64) -> Access {
        Access(1 | entry & 2 | if entry >> 63 == 0 { 4 } else { 0 })
    }
}

unsafe extern "C" {
    static image_start: u8;
    static text_start: u8;
    static rodata_start: u8;
    static data_start: u8;
    static image_end: u8;
    static stack_guard: u8;
    static fatal_guard: u8;
    static nmi_guard: u8;
}

/// Memory while the kernel comes up: ranges that shrink.
pub struct Setup {
    free: Ranges,
    memory: Ranges,
}

impl Setup {
    /// What the boot loader reports, without the first MiB, the image and the modules.
    pub fn new(boot: &Boot) -> Setup {
        let mut free = boot.memory;
        let image = (&raw const image_start as u64 - IMAGE, &raw const image_end as u64 - IMAGE);
        for hole in [(0, 1 << 20), image, (MOST, u64::MAX)] {
            free.subtract(hole);
        }
        for (start, end) in boot.modules.iter() {
            free.subtract((start - start % PAGE, end.next_multiple_of(PAGE)));
        }
        free.align(PAGE);
        Setup { free, memory: boot.memory }
    }

    /// Bytes of RAM.
    pub fn total(&self) -> u64 {
        self.memory.iter().map(|(start, end)| end - start).sum()
    }

    /// Zeroed memory for good, page-aligned.
    fn take(&mut self, size: u64) -> u64 {
        let Some(start) = self.free.take(size.next_multiple_of(PAGE), FIRST) else {
            panic!("{size} bytes for the kernel's tables are not there");
        };
        for page in (start..start + size).step_by(PAGE as usize) {
            clear_page(page);
        }
        start
    }

    /// Puts an object into memory for good.
    pub fn object<T>(&mut self, value: T) -> &'static mut T {
        let place = address(self.take(size_of::<T>() as u64)) as *mut T;
        // SAFETY: fresh memory of its own, mapped, aligned to a page.
        unsafe {
            place.write(value);
            &mut *place
        }
    }

    /// Zeroed bytes for good.
    pub fn room(&mut self, bytes: usize) -> &'static mut [u8] {
        let place = address(self.take(bytes as u64)) as *mut u8;
        // SAFETY: fresh memory of its own, mapped and zeroed.
        unsafe { core::slice::from_raw_parts_mut(place, bytes) }
    }

    /// A zeroed page for good, by its physical address.
    pub fn page(&mut self) -> u64 {
        self.take(PAGE)
    }

    /// A page for the idle loop's vector registers, in their initial state.
    pub fn vectors(&mut self) -> u64 {
        let page = self.take(PAGE);
        store(page, hakoniwa_kernel::context::X87_CONTROL);
        store(page + 24, hakoniwa_kernel::context::MXCSR);
        page
    }

    /// One past the last byte of RAM in use.
    fn end(&self) -> u64 {
        self.memory.iter().map(|(_, end)| end.min(MOST)).max().unwrap_or(0)
    }

    /// Builds and loads the kernel's tables: physical memory, readable and writable; the image with the rights of its
    /// sections; nothing under the stacks.
    pub fn kernel_tables(&mut self) -> u64 {
        let root = self.take(PAGE);
        let map = self.take(PAGE);
        store(root + 256 * 8, map | 3);
        let end = self.end().max(FIRST);
        for gigabyte in 0..end.div_ceil(1 << 30) {
            let directory = self.take(PAGE);
            store(map + gigabyte * 8, directory | 3);
            for index in 0..512 {
                // Present, writable, large, global, no execution.
                store(directory + index * 8, ((gigabyte << 30) + index * LARGE) | 0x183 | 1 << 63);
            }
        }
        let [start, text, rodata, data, end] = [
            &raw const image_start,
            &raw const text_start,
            &raw const rodata_start,
            &raw const data_start,
            &raw const image_end,
        ]
        .map(|symbol| symbol as u64);
        let guards = [&raw const stack_guard, &raw const fatal_guard, &raw const nmi_guard].map(|s| s as u64);
        for (from, to, access) in [
            (start, text, Access::READ),
            (text, rodata, Access::EXECUTE),
            (rodata, data, Access::READ),
            (data, end, Access::WRITE),
        ] {
            for page in (from..to).step_by(PAGE as usize).filter(|page| !guards.contains(page)) {
                self.map::<Own<false>>(root, page, Leaf { physical: page - IMAGE, access });
            }
        }
        // Every task's tables copy these entries when they are made: all that will be needed has to exist.
        self.map_device(root, 0);
        // SAFETY: the code, the stack and all data stay where they are.
        unsafe { cpu::set_root(root) };
        root
    }

    fn map<F: Format>(&mut self, root: u64, at: u64, leaf: Leaf) {
        // The kernel's half, as an offset into all that four levels map.
        let offset = at & ((1 << 48) - 1);
        if let Err(why) = paging::map::<F>(&mut Hardware, root, offset, leaf, || Some(self.take(PAGE))) {
            panic!("the kernel's page {at:#x}: {why:?}");
        }
    }

    /// Maps a page of device registers, uncached, and returns its address.
    pub fn map_device(&mut self, root: u64, physical: u64) -> u64 {
        let at = DEVICES + physical % (1 << 30);
        self.map::<Own<true>>(root, at, Leaf { physical, access: Access::WRITE });
        at
    }

    /// The kernel's tables of tasks and frames, with all memory that is left.
    pub fn objects(mut self) -> (&'static mut [Task; TASKS], Frames<'static>) {
        let count = self.end() / PAGE;
        let frames = address(self.take(count * size_of::<Frame>() as u64)) as *mut Frame;
        let tasks = address(self.take((TASKS * size_of::<Task>()) as u64)) as *mut Task;
        // SAFETY: fresh memory of their own, aligned to pages, and initialised before a reference exists.
        let (frames, tasks) = unsafe {
            for index in 0..count as usize {
                frames.add(index).write(Frame::RESERVED);
            }
            for index in 0..TASKS {
                tasks.add(index).write(Task::EMPTY);
            }
            (core::slice::from_raw_parts_mut(frames, count as usize), &mut *tasks.cast::<[Task; TASKS]>())
        };
        let mut frames = Frames::new(frames);
        for (start, end) in self.free.iter() {
            (start / PAGE..end / PAGE).for_each(|number| frames.add(number as u32));
        }
        (tasks, frames)
    }
}
