//! XRSTOR and the XSAVE instructions of a kernel on a KVM that refuses them, where XCR0 has components that our own CPU
//! has not got (SDM Vol. 1 13.7 to 13.10). KVM's image of the state holds them all: the instruction moves them between
//! that image and memory.

use std::arch::x86_64::__cpuid_count;
use std::ops::Range;

use hako_mem::GuestMemory;
use hako_x86::{CpuState, Gpr, RFlags, SegReg, Shadow};
use iced_x86::{Instruction, Mnemonic, Register};

use crate::report::translate;

/// The parts of the legacy area (SDM Vol. 1 table 13-1): x87's around the place of MXCSR, which goes with SSE's.
const X87: [Range<usize>; 2] = [0..24, 32..160];
const MXCSR: Range<usize> = 24..32;
const XMM: Range<usize> = 160..416;
/// In the header: which components are not in their initial state, and the layout of the compacted form.
const XSTATE_BV: usize = 512;
const XCOMP_BV: usize = 520;
/// Where the header ends and the extended components begin.
const EXTENDED: usize = 576;
/// XCOMP_BV: the compacted form.
const COMPACT: u64 = 1 << 63;
/// Bits of components that move MXCSR: SSE and AVX.
const WITH_MXCSR: u64 = 6;
/// The longest image: what KVM exchanges.
const LONGEST: usize = 4096;
/// MXCSR after INIT, and FCW.
const INITIAL_MXCSR: u32 = 0x1f80;
const INITIAL_FCW: u16 = 0x37f;

/// Where the processor has an extended component in the standard form, and whether it is aligned in the compacted one.
fn place(component: u32) -> Option<(Range<usize>, bool)> {
    // SAFETY: CPUID is there on every processor with long mode; leaf Dh answers zeros where it is not known.
    #[allow(unused_unsafe, reason = "the intrinsic is safe in newer compilers")]
    let leaf = unsafe { __cpuid_count(0xd, component) };
    let (size, offset) = (leaf.eax as usize, leaf.ebx as usize);
    (size != 0 && offset >= EXTENDED && offset + size <= LONGEST)
        .then_some((offset..offset + size, leaf.ecx & 2 != 0))
}

/// A component, where KVM's image has it, and where the image in memory does.
type Place = (u32, Range<usize>, Range<usize>);

/// Where the extended components of `set` lie in an image: in the standard form, or compacted as `layout` says.
fn places(set: u64, layout: Option<u64>) -> Option<Vec<Place>> {
    let mut found = Vec::new();
    let mut next = EXTENDED;
    for i in (2..63).filter(|i| (layout.unwrap_or(set) | set) >> i & 1 != 0) {
        let (standard, aligned) = place(i)?;
        let at = match layout {
            None => standard.clone(),
            Some(_) => {
                let start = if aligned { next.next_multiple_of(64) } else { next };
                next = start + standard.len();
                start..next
            }
        };
        if set >> i & 1 != 0 {
            found.push((i, standard, at));
        }
    }
    Some(found)
}

fn word(image: &[u8], at: usize) -> u64 {
    image.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn set_word(image: &mut [u8], at: usize, value: u64) {
    if let Some(to) = image.get_mut(at..at + 8) {
        to.copy_from_slice(&value.to_le_bytes());
    }
}

/// Copies a range between images that both have it.
fn copy(from: &[u8], at: Range<usize>, to: &mut [u8], there: Range<usize>) {
    if let (Some(from), Some(to)) = (from.get(at), to.get_mut(there)) {
        to.copy_from_slice(from);
    }
}

/// The kernel's memory at a linear address, by pages.
struct Area<'a> {
    memory: &'a GuestMemory,
    state: &'a CpuState,
    linear: u64,
}

impl Area<'_> {
    fn each(&self, range: Range<usize>, mut f: impl FnMut(hako_mem::Gpa, Range<usize>) -> bool) -> bool {
        let mut at = range.start;
        while at < range.end {
            let linear = self.linear.wrapping_add(at as u64);
            let n = (0x1000 - (linear & 0xfff) as usize).min(range.end - at);
            let Ok(gpa) = translate(self.state, self.memory, linear) else { return false };
            if !f(gpa, at - range.start..at - range.start + n) {
                return false;
            }
            at += n;
        }
        true
    }

    fn read(&self, range: Range<usize>, into: &mut [u8]) -> bool {
        self.each(range, |gpa, part| into.get_mut(part).is_some_and(|b| self.memory.read(gpa, b).is_ok()))
    }

    fn write(&self, range: Range<usize>, from: &[u8]) -> bool {
        self.each(range, |gpa, part| from.get(part).is_some_and(|b| self.memory.write(gpa, b).is_ok()))
    }
}

/// Executes the instruction on `before`; `None` if that takes more than is done here: user memory, a fault.
pub(crate) fn execute(
    instruction: &Instruction,
    before: &CpuState,
    memory: &GuestMemory,
) -> Option<CpuState> {
    use Mnemonic as M;
    let linear = instruction.virtual_address(0, 0, |register, _, _| match register {
        Register::FS => Some(before.seg[4].base),
        Register::GS => Some(before.seg[5].base),
        r if r.is_segment_register() => Some(0),
        Register::RIP => Some(before.rip),
        r => r.is_gpr64().then(|| before.gpr.get(r.number()).copied())?,
    })?;
    let kernel = before.segment(SegReg::Cs).selector & 3 == 0 && linear >> 63 != 0;
    let stepped = before.rflags.contains(RFlags::TF);
    if !kernel || stepped || !linear.is_multiple_of(64) || before.xsave.len() < EXTENDED {
        return None;
    }
    let mask = |r: Gpr| u64::from(before.reg(r) as u32);
    let wanted = (mask(Gpr::Rax) | mask(Gpr::Rdx) << 32) & before.xcr0;
    let area = Area { memory, state: before, linear };
    let mut after = before.clone();
    after.rip = before.rip.wrapping_add(instruction.len() as u64);
    after.rflags.remove(RFlags::RF);
    after.events.shadow = Shadow::None;
    match instruction.mnemonic() {
        M::Xrstor | M::Xrstor64 => after.xsave = restore(&before.xsave, wanted, before.xcr0, &area)?,
        M::Xsave | M::Xsave64 | M::Xsaveopt | M::Xsaveopt64 => save(&before.xsave, wanted, false, &area)?,
        M::Xsavec | M::Xsavec64 => save(&before.xsave, wanted, true, &area)?,
        _ => return None,
    }
    Some(after)
}

/// XRSTOR: the new state.
fn restore(state: &[u8], wanted: u64, xcr0: u64, area: &Area<'_>) -> Option<Vec<u8>> {
    let mut from = vec![0; LONGEST];
    if !area.read(0..EXTENDED, from.get_mut(..EXTENDED)?) {
        return None;
    }
    let (present, layout) = (word(&from, XSTATE_BV), word(&from, XCOMP_BV));
    let layout = (layout & COMPACT != 0).then_some(layout & !COMPACT);
    if present & !layout.unwrap_or(xcr0) != 0 || present & !xcr0 != 0 {
        return None; // #GP
    }
    let mut to = state.to_vec();
    to.resize(LONGEST, 0);
    let loaded = wanted & present;
    for (i, standard, at) in places(wanted, layout.map(|l| l | wanted))? {
        if loaded >> i & 1 != 0 {
            let into = to.get_mut(standard)?;
            if !area.read(at, into) {
                return None;
            }
        } else {
            to.get_mut(standard)?.fill(0);
        }
    }
    if wanted & 1 != 0 {
        for part in X87 {
            if loaded & 1 != 0 {
                copy(&from, part.clone(), &mut to, part);
            } else {
                to.get_mut(part)?.fill(0);
            }
        }
        if loaded & 1 == 0 {
            to.get_mut(0..2)?.copy_from_slice(&INITIAL_FCW.to_le_bytes());
        }
    }
    if wanted & 2 != 0 {
        if loaded & 2 != 0 {
            copy(&from, XMM, &mut to, XMM);
        } else {
            to.get_mut(XMM)?.fill(0);
        }
    }
    if wanted & WITH_MXCSR != 0 {
        // The compacted form initialises MXCSR with SSE; the standard one always loads it.
        if layout.is_none() || present & 2 != 0 {
            copy(&from, MXCSR, &mut to, MXCSR);
        } else {
            to.get_mut(MXCSR.start..MXCSR.start + 4)?.copy_from_slice(&INITIAL_MXCSR.to_le_bytes());
        }
    }
    let bv = word(state, XSTATE_BV) & !wanted | loaded;
    // MXCSR is kept only with SSE in the image.
    let bv = if word(&to, MXCSR.start) as u32 != INITIAL_MXCSR { bv | 2 } else { bv };
    set_word(&mut to, XSTATE_BV, bv);
    set_word(&mut to, XCOMP_BV, 0);
    Some(to)
}

/// XSAVE, XSAVEOPT (which may save everything), and, `compact`, XSAVEC.
fn save(state: &[u8], wanted: u64, compact: bool, area: &Area<'_>) -> Option<()> {
    let used = word(state, XSTATE_BV);
    let mut from = state.to_vec();
    from.resize(LONGEST, 0);
    let kept = if compact { wanted & used } else { wanted };
    let mut parts = Vec::new();
    if kept & 1 != 0 {
        parts.extend(X87);
    }
    if wanted & WITH_MXCSR != 0 {
        parts.push(MXCSR);
    }
    if kept & 2 != 0 {
        parts.push(XMM);
    }
    for part in parts {
        if !area.write(part.clone(), from.get(part)?) {
            return None;
        }
    }
    for (i, standard, at) in places(wanted, compact.then_some(wanted))? {
        if kept >> i & 1 != 0 && !area.write(at, from.get(standard)?) {
            return None;
        }
    }
    let mut header = [0; 16];
    if !area.read(XSTATE_BV..XSTATE_BV + 16, &mut header) {
        return None;
    }
    let old = word(&header, 0);
    set_word(&mut header, 0, if compact { wanted & used } else { old & !wanted | wanted & used });
    if compact {
        set_word(&mut header, 8, COMPACT | wanted);
    }
    area.write(XSTATE_BV..XSTATE_BV + 16, &header).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hako_mem::Gpa;
    use hako_x86::Cr0;
    use iced_x86::{Decoder, DecoderOptions};

    const AREA: u64 = 0x8000_0000_0000_1000;

    /// A kernel without paging, whose addresses wrap at 4 GiB, so that the high half is memory, too.
    fn machine() -> (GuestMemory, CpuState) {
        let mut state = CpuState { xcr0: 7, xsave: vec![0; LONGEST], ..CpuState::reset() };
        state.cr0 &= !Cr0::PG.bits();
        state.gpr[Gpr::Rdi as usize] = AREA;
        state.gpr[Gpr::Rax as usize] = !0;
        set_word(&mut state.xsave, XSTATE_BV, 7);
        (GuestMemory::flat(0x4000), state)
    }

    fn run(code: &[u8], state: &CpuState, memory: &GuestMemory) -> CpuState {
        let instruction = Decoder::new(64, code, DecoderOptions::NONE).decode();
        execute(&instruction, state, memory).unwrap()
    }

    const XSAVE: [u8; 4] = [0x48, 0x0f, 0xae, 0x27];
    const XRSTOR: [u8; 4] = [0x48, 0x0f, 0xae, 0x2f];
    const XSAVEC: [u8; 4] = [0x48, 0x0f, 0xc7, 0x27];

    #[test]
    fn what_is_saved_is_restored_in_both_forms() {
        for save in [XSAVE, XSAVEC] {
            let (memory, mut state) = machine();
            for (i, b) in state.xsave[..416].iter_mut().enumerate() {
                *b = i as u8;
            }
            let Some((avx, _)) = place(2) else { return };
            state.xsave[avx.clone()].fill(0x5a);
            let saved = run(&save, &state, &memory);
            assert_eq!((saved.rip, &saved.xsave), (state.rip + 4, &state.xsave));
            let empty = CpuState { xsave: vec![0; LONGEST], ..state.clone() };
            assert_eq!(run(&XRSTOR, &empty, &memory).xsave, state.xsave);
        }
    }

    #[test]
    fn components_that_are_not_present_become_initial() {
        let (memory, mut state) = machine();
        state.xsave.fill(0xee);
        memory.store(Gpa(0x1000 + MXCSR.start as u64), INITIAL_MXCSR).unwrap();
        let after = run(&XRSTOR, &state, &memory);
        assert_eq!(after.xsave[0..2], INITIAL_FCW.to_le_bytes());
        assert!(after.xsave[XMM].iter().all(|b| *b == 0));
        assert_eq!(word(&after.xsave, XSTATE_BV) & 7, 0);
    }

    #[test]
    fn user_memory_is_not_dealt_with() {
        let (memory, mut state) = machine();
        state.gpr[Gpr::Rdi as usize] = 0x1000;
        let instruction = Decoder::new(64, &XSAVE, DecoderOptions::NONE).decode();
        assert!(execute(&instruction, &state, &memory).is_none());
    }
}
