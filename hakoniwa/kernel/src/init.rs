//! The first task: loaded by the kernel from the boot archive, owner of all memory that is left.

use crate::Kernel;
use crate::kernel::frame;
use crate::lifecycle::{Plan, Space};
use crate::platform::Platform;
use hakoniwa_abi::archive::Archive;
use hakoniwa_abi::elf::Program;
use hakoniwa_abi::{Access, Error, PAGE, PRIORITIES, TaskId, layout, rights};

/// Why there is no first task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoInit {
    /// The boot module is no archive.
    NoArchive,
    /// The archive has no program `init`.
    NoProgram,
    /// Memory for it is missing.
    Memory(Error),
}

impl<P: Platform> Kernel<'_, P> {
    /// Starts `init` from the archive `bytes`, which lies at physical address `start`, and maps the archive in it.
    /// It gets the archive's size as its argument.
    pub fn start_init(&mut self, bytes: &[u8], start: u64) -> Result<(), NoInit> {
        let archive = Archive::new(bytes).ok_or(NoInit::NoArchive)?;
        let program = archive.file("init").and_then(Program::new).ok_or(NoInit::NoProgram)?;
        let pages = (bytes.len() as u64).div_ceil(PAGE);
        let plan = Plan {
            pager: TaskId::KERNEL,
            parent: TaskId::KERNEL,
            priority: PRIORITIES - 1,
            rights: rights::ALL,
            quota: self.frames.free().saturating_add(pages as u32),
            name: *b"init\0\0\0\0",
            space: Space::Own,
        };
        let slot = self.create(plan).map_err(NoInit::Memory)?;
        for segment in program.segments() {
            let (first, end) = segment.pages();
            for page in (first..end).step_by(PAGE as usize) {
                let physical = self.page_fresh(slot, page, segment.access).map_err(NoInit::Memory)?;
                let (offset, contents) = segment.page(page);
                self.fill(physical, offset, contents);
            }
        }
        for page in (layout::STACK_TOP - layout::STACK_SIZE..layout::STACK_TOP).step_by(PAGE as usize) {
            self.page_fresh(slot, page, Access::WRITE).map_err(NoInit::Memory)?;
        }
        for index in 0..pages {
            let number = frame(start + index * PAGE);
            if self.frames.adopt(number, slot) {
                self.tasks[slot].used += 1;
            }
            self.map_shared(slot, layout::ARCHIVE + index * PAGE, number, Access::READ)
                .map_err(NoInit::Memory)?;
        }
        self.start(slot, program.entry, layout::STACK_TOP, bytes.len() as u64).map_err(NoInit::Memory)
    }

    /// Copies into a zeroed page.
    fn fill(&mut self, physical: u64, offset: usize, contents: &[u8]) {
        for (at, byte) in (offset..).zip(contents) {
            let place = physical + (at as u64 & !7);
            let shift = 8 * (at & 7);
            let word = self.platform.load(place);
            self.platform.store(place, word | u64::from(*byte) << shift);
        }
    }
}
