//! Two CPU states side by side.

use std::fmt::Write;

use hako_x86::{CpuState, Gpr, SegReg};

/// Adds a line for each pair that differs.
macro_rules! fields {
    ($out:ident, $a:ident, $b:ident: $($field:ident)*) => {
        $(if $a.$field != $b.$field {
            let _ = writeln!($out, "{}: {:x?} / {:x?}", stringify!($field), $a.$field, $b.$field);
        })*
    };
}

/// One line for each field in which the states differ; empty if they are equal.
pub fn differences(a: &CpuState, b: &CpuState) -> String {
    let mut out = String::new();
    for r in Gpr::ALL {
        if a.reg(r) != b.reg(r) {
            let _ = writeln!(out, "{}: {:#x} / {:#x}", r.name(), a.reg(r), b.reg(r));
        }
    }
    for s in SegReg::ALL {
        if a.segment(s) != b.segment(s) {
            let _ = writeln!(out, "{}: {:x?} / {:x?}", s.name(), a.segment(s), b.segment(s));
        }
    }
    fields!(out, a, b: rip rflags ldtr tr gdtr idtr cr0 cr2 cr3 cr4 cr8 efer xcr0 dr dr6 dr7 xsave events activity tsc);
    for (index, value) in &a.msrs {
        if b.msr(*index) != Some(*value) {
            let _ = writeln!(out, "MSR {index:#x}: {value:#x} / {:x?}", b.msr(*index));
        }
    }
    out
}
