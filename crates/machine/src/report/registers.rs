//! The registers as text.

use hako_x86::{Activity, CpuState, Cr0, Cr4, Efer, Gpr, RFlags, SegReg, Segment, Shadow, msr};

/// Whether the CPU can hold 64-bit values now.
fn long(state: &CpuState) -> bool {
    state.efer & Efer::LMA.bits() != 0
}

/// The mode in words.
pub(super) fn mode(state: &CpuState) -> &'static str {
    let cs = state.segment(SegReg::Cs).attr.bits();
    match (state.cr0 & Cr0::PE.bits() != 0, state.rflags.contains(RFlags::VM), long(state)) {
        (false, ..) => "real mode",
        (true, true, _) => "virtual-8086 mode",
        (true, false, true) if cs & 1 << 13 != 0 => "64-bit mode",
        (true, false, true) => "compatibility mode",
        (true, false, false) if cs & 1 << 14 != 0 => "32-bit protected mode",
        (true, false, false) => "16-bit protected mode",
    }
}

/// All registers that tell something.
pub(super) fn lines(state: &CpuState) -> Vec<String> {
    let wide = long(state);
    let digits = if wide { 16 } else { 8 };
    let mut lines = Vec::new();
    let count = if wide { 16 } else { 8 };
    for row in Gpr::ALL[..count].chunks(4) {
        let cell = |r: &Gpr| {
            let name = if wide { r.name().to_string() } else { r.name().replacen('r', "e", 1) };
            format!("{name:>3} {:0digits$x}", state.reg(*r))
        };
        lines.push(row.iter().map(cell).collect::<Vec<_>>().join("  "));
    }
    lines.push(format!(
        "rip {:0digits$x}  flags {:08x} {}  {}",
        state.rip,
        state.rflags.bits(),
        flags(state.rflags),
        mode(state)
    ));
    for s in SegReg::ALL {
        lines.push(segment(s.name(), state.segment(s)));
    }
    lines.push(segment("ldt", &state.ldtr));
    lines.push(segment("tr", &state.tr));
    lines.push(format!(
        "gdt base {:0digits$x} limit {:04x}  idt base {:0digits$x} limit {:04x}",
        state.gdtr.base, state.gdtr.limit, state.idtr.base, state.idtr.limit
    ));
    lines.push(format!(
        "cr0 {:08x} {}  cr2 {:0digits$x}  cr3 {:0digits$x}",
        state.cr0,
        names(Cr0::from_bits_retain(state.cr0).iter_names().map(|n| n.0)),
        state.cr2,
        state.cr3
    ));
    lines.push(format!(
        "cr4 {:08x} {}  efer {:04x} {}",
        state.cr4,
        names(Cr4::from_bits_retain(state.cr4).iter_names().map(|n| n.0)),
        state.efer,
        names(Efer::from_bits_retain(state.efer).iter_names().map(|n| n.0))
    ));
    for &(index, value) in state.msrs.iter().filter(|m| m.1 != 0 && wide) {
        lines.push(format!("{} {value:x}", msr::name(index).unwrap_or("MSR")));
    }
    if state.activity != Activity::Running {
        lines.push(format!("the CPU is {}", activity(state.activity)));
    }
    if state.events.shadow != Shadow::None {
        lines.push("interrupts are held off for one instruction".into());
    }
    lines
}

fn activity(a: Activity) -> &'static str {
    match a {
        Activity::Running => "running",
        Activity::Halted => "halted",
        Activity::Shutdown => "shut down",
        Activity::WaitForSipi => "waiting for SIPI",
    }
}

fn names<'a>(set: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", set.collect::<Vec<_>>().join(" "))
}

fn flags(f: RFlags) -> String {
    let shown = f.iter_names().filter(|n| !matches!(n.0, "FIXED" | "IOPL")).map(|n| n.0);
    let iopl = f.bits() >> 12 & 3;
    let text = names(shown);
    if iopl == 0 { text } else { format!("{text} iopl {iopl}") }
}

fn segment(name: &str, s: &Segment) -> String {
    let a = s.attr.bits();
    if a & 1 << 16 != 0 {
        return format!("{name:>3} {:04x}  unusable", s.selector);
    }
    format!(
        "{name:>3} {:04x}  base {:08x} limit {:08x}  {}",
        s.selector,
        s.base,
        s.limit,
        super::tables::rights(a)
    )
}
