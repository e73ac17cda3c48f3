//! The first instructions of a task, and what happens when it panics.

use crate::{exit, println};
use core::arch::global_asm;

global_asm!(include_str!("strings.s"));

global_asm!(
    r#"
    .section .text.start, "ax"
    .globl _start
_start:
    xor ebp, ebp
    and rsp, -16
    call task_main
    ud2
    .text
"#
);

/// Makes `fn(u64) -> u64` the task's main function: from argument to exit code.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn task_main(argument: u64) -> ! {
            $crate::exit($main(argument))
        }
    };
}

/// The exit code of a task that panicked.
const PANICKED: u64 = 101;

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    println!("{info}");
    exit(PANICKED)
}
