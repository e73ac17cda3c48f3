//! The chain of exceptions as text.

use hako_cpu::{FaultLog, FaultRecord};
use hako_x86::Vector;

/// The exceptions that led to a triple fault: the last ones, raised without a completed instruction between them.
pub(super) fn chain(log: &FaultLog) -> Vec<FaultRecord> {
    let all: Vec<FaultRecord> = log.iter().copied().collect();
    let Some(last) = all.last() else { return Vec::new() };
    let from = all.iter().rposition(|f| f.count != last.count).map_or(0, |i| i + 1);
    all.get(from..).unwrap_or(&[]).to_vec()
}

/// One exception.
pub(crate) fn line(f: &FaultRecord) -> String {
    let name = f.vector.mnemonic().map_or_else(|| format!("vector {:#04x}", f.vector.0), str::to_string);
    let mut text = format!("{name:<4} at {:04x}:{:08x}", f.cs, f.rip);
    if let Some(code) = f.error {
        text += &format!(", error code {code:#06x}");
        text += &match f.vector {
            Vector::PF => format!(" ({})", page_fault(code)),
            _ if code != 0 => format!(" ({})", selector(code)),
            _ => String::new(),
        };
    }
    if f.vector == Vector::PF {
        text += &format!(", address {:#x}", f.cr2);
    }
    if let Some(why) = f.why {
        text += &format!(": {why}");
    }
    text
}

/// The bits of a page fault's error code (SDM Vol. 3A 4.7).
fn page_fault(code: u32) -> String {
    let mut words = vec![
        if code & 2 != 0 {
            "write"
        } else if code & 16 != 0 {
            "fetch"
        } else {
            "read"
        },
        if code & 4 != 0 { "by user code" } else { "by the supervisor" },
        if code & 1 != 0 { "of a protected page" } else { "of a page that is not present" },
    ];
    if code & 8 != 0 {
        words.push("with a reserved bit set");
    }
    words.join(" ")
}

/// The parts of a selector error code (SDM Vol. 3A 6.13).
fn selector(code: u32) -> String {
    let table = match code >> 1 & 3 {
        0 => "GDT entry",
        2 => "LDT entry",
        _ => return format!("IDT entry {:#04x}", code >> 3),
    };
    format!("{table} {:04x}", code & 0xfff8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_read_out() {
        assert_eq!(selector(0x6a), "IDT entry 0x0d");
        assert_eq!(selector(0x18), "GDT entry 0018");
        assert_eq!(selector(0x1c), "LDT entry 0018");
        assert_eq!(page_fault(2), "write by the supervisor of a page that is not present");
        assert_eq!(page_fault(0x15), "fetch by user code of a protected page");
    }
}
