//! The state page from and to hako's CPU state.

use hako_x86::{CpuState, DescTable, RFlags, SegAttr, Segment, Shadow};
use hakoniwa_abi::guest::{self, State};

/// Interruptibility: blocking by STI, by MOV SS, of NMIs.
const STI: u64 = 1;
const MOV_SS: u64 = 2;
const NMI: u64 = 8;

fn segment(s: &guest::Segment) -> Segment {
    Segment {
        selector: s.selector as u16,
        attr: SegAttr::from_bits_retain(s.access as u32),
        limit: s.limit as u32,
        base: s.base,
    }
}

fn back(s: &Segment) -> guest::Segment {
    guest::Segment {
        selector: s.selector.into(),
        base: s.base,
        limit: s.limit.into(),
        access: s.attr.bits().into(),
    }
}

/// Takes over what the kernel wrote.
pub fn from_page(page: &State, state: &mut CpuState) {
    let table = |t: [u64; 2]| DescTable { base: t[0], limit: t[1] as u16 };
    state.gpr = page.registers;
    (state.rip, state.rflags) = (page.rip, RFlags::from_bits_truncate(page.rflags));
    [state.cr0, state.cr2, state.cr3, state.cr4] = page.control;
    state.efer = page.efer;
    for (to, from) in state.seg.iter_mut().zip(&page.segments) {
        *to = segment(from);
    }
    (state.ldtr, state.tr) = (segment(&page.segments[6]), segment(&page.segments[7]));
    (state.gdtr, state.idtr) = (table(page.gdtr), table(page.idtr));
    state.events.shadow = match page.interruptibility {
        bits if bits & MOV_SS != 0 => Shadow::MovSs,
        bits if bits & STI != 0 => Shadow::Sti,
        _ => Shadow::None,
    };
    state.events.nmi_masked = page.interruptibility & NMI != 0;
}

/// Whether two states have the same CR0, CR3, CR4, EFER and the same in what ES to GS hide: whether instructions on memory
/// are decoded and translated alike. A state that is not whole has all that.
pub fn is_alike(a: &State, b: &State) -> bool {
    let differ =
        |a: &guest::Segment, b: &guest::Segment| a.base ^ b.base | a.limit ^ b.limit | a.access ^ b.access;
    let pairs = a.segments.iter().zip(&b.segments).take(6);
    let segments = pairs.fold(0, |all, (a, b)| all | differ(a, b));
    let [cr0, _, cr3, cr4] = [0, 1, 2, 3].map(|n| a.control[n] ^ b.control[n]);
    segments | cr0 | cr3 | cr4 | a.efer ^ b.efer == 0
}

/// Whether nothing but NMIs and STI's shadow holds events off.
pub fn is_open(page: &State) -> bool {
    page.interruptibility & !(STI | NMI) == 0
}

/// What the kernel shall load.
pub fn to_page(state: &CpuState) -> State {
    let table = |t: &DescTable| [t.base, t.limit.into()];
    let mut segments = [guest::Segment::default(); 8];
    for (to, from) in segments.iter_mut().zip(state.seg.iter().chain([&state.ldtr, &state.tr])) {
        *to = back(from);
    }
    let shadow = match state.events.shadow {
        Shadow::None => 0,
        Shadow::Sti => STI,
        Shadow::MovSs => MOV_SS,
    };
    State {
        registers: state.gpr,
        rip: state.rip,
        rflags: state.rflags.bits(),
        control: [state.cr0, state.cr2, state.cr3, state.cr4],
        efer: state.efer,
        interruptibility: shadow | (u64::from(state.events.nmi_masked) * NMI),
        segments,
        gdtr: table(&state.gdtr),
        idtr: table(&state.idtr),
    }
}
