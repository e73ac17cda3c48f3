//! What the compiler calls for copies and comparisons. In assembly, so that no compiler turns it into calls of itself.

use core::arch::global_asm;

global_asm!(include_str!("../../../runtime/src/strings.s"));
