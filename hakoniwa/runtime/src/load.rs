//! Putting programs into tasks, page by page: what pagers do.

use crate::calls::{page_alloc, page_map, page_unmap};
use hakoniwa_abi::elf::Program;
use hakoniwa_abi::{Access, Error, PAGE, TaskId, layout};

/// Where a page is filled before the task gets it.
const SCRATCH: u64 = layout::WINDOWS + 0x10_0000_0000;

/// Gives `task` the page of `program` or of its stack at `address`; `Ok(false)` if nothing belongs there.
pub fn page(task: TaskId, program: &Program, address: u64) -> Result<bool, Error> {
    let page = address & !(PAGE - 1);
    let stack = layout::STACK_TOP - layout::STACK_SIZE..layout::STACK_TOP;
    let segment = program.segments().find(|s| (s.pages().0..s.pages().1).contains(&page));
    let access = match &segment {
        Some(segment) => segment.access,
        None if stack.contains(&page) => Access::WRITE,
        None => return Ok(false),
    };
    page_alloc(SCRATCH, Access::WRITE, 1)?;
    let (offset, contents) = segment.map(|s| s.page(page)).unwrap_or_default();
    // SAFETY: the page was mapped just now, is writable, and nobody else knows of it; a segment's part of a page
    // does not reach beyond it.
    unsafe {
        core::ptr::copy_nonoverlapping(contents.as_ptr(), (SCRATCH as *mut u8).add(offset), contents.len());
    }
    let mapped = page_map(task, SCRATCH, page, access, 1);
    page_unmap(TaskId::KERNEL, SCRATCH, 1)?;
    mapped.map(|()| true)
}

/// Gives `task` all of `program` and its whole stack.
pub fn everything(task: TaskId, program: &Program) -> Result<(), Error> {
    for segment in program.segments() {
        let (first, end) = segment.pages();
        for address in (first..end).step_by(PAGE as usize) {
            page(task, program, address)?;
        }
    }
    for address in (layout::STACK_TOP - layout::STACK_SIZE..layout::STACK_TOP).step_by(PAGE as usize) {
        page(task, program, address)?;
    }
    Ok(())
}

/// The boot archive of a task that has it mapped.
pub fn archive(length: u64) -> &'static [u8] {
    // SAFETY: whoever started this task mapped the archive there, read-only and for good, and passed its length.
    unsafe { core::slice::from_raw_parts(layout::ARCHIVE as *const u8, length as usize) }
}
