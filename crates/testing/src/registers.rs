//! Registers by name, as tests ask for them.

use hako_x86::{CpuState, Gpr, SegReg};

/// Registers that are neither general-purpose nor segment registers.
type Get = fn(&CpuState) -> u64;
const OTHERS: [(&str, Get); 10] = [
    ("rip", |s| s.rip),
    ("rflags", |s| s.rflags.bits()),
    ("cr0", |s| s.cr0),
    ("cr2", |s| s.cr2),
    ("cr3", |s| s.cr3),
    ("cr4", |s| s.cr4),
    ("efer", |s| s.efer),
    ("dr6", |s| s.dr6),
    ("dr7", |s| s.dr7),
    ("tr", |s| u64::from(s.tr.selector)),
];

/// The 32- and 16-bit names of the first eight general-purpose registers end like this.
const LEGACY: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];

/// The value of a register: 64-bit names in full, `eax` and `ax` as far as they reach, segment registers' selectors.
pub fn get(state: &CpuState, name: &str) -> Option<u64> {
    if let Some(r) = Gpr::ALL.into_iter().find(|r| r.name() == name) {
        return Some(state.reg(r));
    }
    if let Some(s) = SegReg::ALL.into_iter().find(|s| s.name() == name) {
        return Some(u64::from(state.segment(s).selector));
    }
    if let Some((_, get)) = OTHERS.iter().find(|other| other.0 == name) {
        return Some(get(state));
    }
    match name {
        "eip" => return Some(state.rip & 0xffff_ffff),
        "ip" => return Some(state.rip & 0xffff),
        "eflags" => return Some(state.rflags.bits() & 0xffff_ffff),
        _ => {}
    }
    let (short, mask) = match name.strip_prefix('e') {
        Some(short) => (short, 0xffff_ffff),
        None => (name, 0xffff),
    };
    LEGACY.iter().position(|&l| l == short).map(|i| state.gpr[i] & mask)
}

/// Whether [`get`] knows the name.
pub fn known(name: &str) -> bool {
    get(&CpuState::reset(), name).is_some()
}

/// The names, for messages.
pub fn names() -> String {
    let gprs = Gpr::ALL.iter().map(|r| r.name());
    let segments = SegReg::ALL.iter().map(|s| s.name());
    let all: Vec<_> = gprs.chain(segments).chain(OTHERS.iter().map(|o| o.0)).collect();
    format!("{}, and eax or ax for a part", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_the_low_part() {
        let mut state = CpuState::reset();
        state.gpr[Gpr::Rcx as usize] = 0x1122_3344_5566_7788;
        assert_eq!(get(&state, "rcx"), Some(0x1122_3344_5566_7788));
        assert_eq!(get(&state, "ecx"), Some(0x5566_7788));
        assert_eq!(get(&state, "cx"), Some(0x7788));
        assert_eq!(get(&state, "cs"), Some(0xf000));
        assert_eq!(get(&state, "rip"), Some(0xfff0));
        assert_eq!(get(&state, "es"), Some(0));
        assert_eq!(get(&state, "ch"), None);
    }
}
