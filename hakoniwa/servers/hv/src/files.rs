//! Files of the boot archive, borrowed from vm page by page.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use hakoniwa_abi::{PAGE, TaskId, layout};
use hakoniwa_runtime::{self as rt, vm};

/// Where borrowed pages appear.
const WINDOW: u64 = layout::WINDOWS;

/// Who lends the files.
#[derive(Clone, Copy)]
pub struct Files {
    /// The task manager.
    pub vm: TaskId,
}

impl Files {
    /// The whole file.
    pub fn read(self, name: &str) -> Result<Vec<u8>, String> {
        let failed = |why| format!("{name}: the boot archive does not give it: {why:?}");
        let mut bytes = Vec::new();
        let mut page = 0;
        loop {
            rt::window(WINDOW).map_err(failed)?;
            let length = vm::file(self.vm, name, page).map_err(failed)? as usize;
            if bytes.is_empty() {
                bytes.reserve_exact(length);
            }
            let count = (length - bytes.len()).min(PAGE as usize);
            // SAFETY: vm lent a page, readable, that appeared in the window; it is given back before the next.
            bytes.extend_from_slice(unsafe { core::slice::from_raw_parts(WINDOW as *const u8, count) });
            rt::page_unmap(TaskId::KERNEL, WINDOW, 1).map_err(failed)?;
            page += 1;
            if bytes.len() >= length {
                return Ok(bytes);
            }
        }
    }

    /// A file of text.
    pub fn text(self, name: &str) -> Result<String, String> {
        String::from_utf8(self.read(name)?).map_err(|why| format!("{name} is no text: {why}"))
    }
}
