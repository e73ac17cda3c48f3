//! Printing to the kernel's log.

use crate::calls::log;
use core::fmt::{self, Write};

struct Log;

impl Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.as_bytes().chunks(48).for_each(log);
        Ok(())
    }
}

/// Writes formatted text to the log.
pub fn print(what: fmt::Arguments) {
    // The log takes everything.
    let _ = Log.write_fmt(what);
}

/// Prints a line to the kernel's log, where it appears with the task's name.
#[macro_export]
macro_rules! println {
    () => { $crate::print::print(format_args!("\n")) };
    ($($what:tt)*) => { $crate::print::print(format_args!("{}\n", format_args!($($what)*))) };
}
