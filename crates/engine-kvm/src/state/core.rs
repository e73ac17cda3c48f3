//! The registers that travel with KVM_RUN (`kvm_sync_regs`) to and from the engine-neutral state.

use hako_x86::{
    CpuState, DescTable, Events, Gpr, PendingException, PendingInterrupt, RFlags, SegAttr, SegReg, Segment,
    Shadow,
};
use kvm_bindings::{
    KVM_VCPUEVENT_VALID_NMI_PENDING, KVM_VCPUEVENT_VALID_SHADOW, KVM_X86_SHADOW_INT_MOV_SS,
    KVM_X86_SHADOW_INT_STI, kvm_dtable, kvm_regs, kvm_segment, kvm_sregs, kvm_sync_regs, kvm_vcpu_events,
};

/// Which field of `kvm_regs` is which register, walked both ways.
macro_rules! gprs {
    ($each:ident) => {
        $each!(rax Rax, rcx Rcx, rdx Rdx, rbx Rbx, rsp Rsp, rbp Rbp, rsi Rsi, rdi Rdi,
               r8 R8, r9 R9, r10 R10, r11 R11, r12 R12, r13 R13, r14 R14, r15 R15)
    };
}

/// Fills the state's part of registers, segments, control registers and events.
pub(crate) fn load(from: &kvm_sync_regs, state: &mut CpuState) {
    let regs = &from.regs;
    macro_rules! get {
        ($($field:ident $gpr:ident),*) => { $(state.gpr[Gpr::$gpr as usize] = regs.$field;)* };
    }
    gprs!(get);
    state.rip = regs.rip;
    state.rflags = RFlags::from_bits_retain(regs.rflags);

    let s = &from.sregs;
    for (reg, seg) in
        [(SegReg::Es, s.es), (SegReg::Cs, s.cs), (SegReg::Ss, s.ss), (SegReg::Ds, s.ds), (SegReg::Fs, s.fs)]
    {
        state.seg[reg as usize] = segment(&seg);
    }
    state.seg[SegReg::Gs as usize] = segment(&s.gs);
    state.ldtr = segment(&s.ldt);
    state.tr = segment(&s.tr);
    state.gdtr = DescTable { base: s.gdt.base, limit: s.gdt.limit };
    state.idtr = DescTable { base: s.idt.base, limit: s.idt.limit };
    (state.cr0, state.cr2, state.cr3, state.cr4, state.cr8) = (s.cr0, s.cr2, s.cr3, s.cr4, s.cr8);
    state.efer = s.efer;
    state.events = events(&from.events);
}

/// Puts the state's part into the registers that KVM is to take over; leaves what the state does not speak of (APIC
/// base, SMM) as it is.
pub(crate) fn store(state: &CpuState, to: &mut kvm_sync_regs) {
    let mut regs = kvm_regs { rip: state.rip, rflags: state.rflags.bits() | RFlags::FIXED.bits(), ..to.regs };
    macro_rules! put {
        ($($field:ident $gpr:ident),*) => { $(regs.$field = state.gpr[Gpr::$gpr as usize];)* };
    }
    gprs!(put);
    to.regs = regs;

    let seg = |reg: SegReg| kvm_segment_of(state.segment(reg));
    to.sregs = kvm_sregs {
        cs: seg(SegReg::Cs),
        ds: seg(SegReg::Ds),
        es: seg(SegReg::Es),
        fs: seg(SegReg::Fs),
        gs: seg(SegReg::Gs),
        ss: seg(SegReg::Ss),
        tr: kvm_segment_of(&state.tr),
        ldt: kvm_segment_of(&state.ldtr),
        gdt: kvm_dtable { base: state.gdtr.base, limit: state.gdtr.limit, padding: [0; 3] },
        idt: kvm_dtable { base: state.idtr.base, limit: state.idtr.limit, padding: [0; 3] },
        cr0: state.cr0,
        cr2: state.cr2,
        cr3: state.cr3,
        cr4: state.cr4,
        cr8: state.cr8,
        efer: state.efer,
        apic_base: to.sregs.apic_base,
        // The interrupt in flight travels with the events.
        interrupt_bitmap: [0; 4],
    };
    put_events(&state.events, &mut to.events);
}

/// Whether the values that decide about CPU modes, and that KVM may therefore refuse, are the same.
pub(crate) fn same_mode(a: &kvm_sregs, b: &kvm_sregs) -> bool {
    (a.cr0, a.cr4, a.efer, a.cs.l, a.cs.db) == (b.cr0, b.cr4, b.efer, b.cs.l, b.cs.db)
}

fn segment(s: &kvm_segment) -> Segment {
    let bit = |value: u8, at: u32| u32::from(value & 1) << at;
    let attr = u32::from(s.type_ & 0xf)
        | bit(s.s, 4)
        | u32::from(s.dpl & 3) << 5
        | bit(s.present, 7)
        | bit(s.avl, 12)
        | bit(s.l, 13)
        | bit(s.db, 14)
        | bit(s.g, 15)
        | bit(s.unusable, 16);
    Segment { selector: s.selector, attr: SegAttr::from_bits_retain(attr), limit: s.limit, base: s.base }
}

fn kvm_segment_of(s: &Segment) -> kvm_segment {
    let bits = s.attr.bits();
    let bit = |at: u32| (bits >> at & 1) as u8;
    // A limit that only one granularity can express decides it, else VM entry fails (SDM Vol. 3C 26.3.1.2).
    let g = match s.limit {
        0x10_0000.. => 1,
        limit if limit & 0xfff != 0xfff => 0,
        _ => bit(15),
    };
    kvm_segment {
        base: s.base,
        limit: s.limit,
        selector: s.selector,
        type_: (bits & 0xf) as u8,
        present: bit(7),
        dpl: s.dpl(),
        db: bit(14),
        s: bit(4),
        l: bit(13),
        g,
        avl: bit(12),
        unusable: bit(16),
        padding: 0,
    }
}

fn events(e: &kvm_vcpu_events) -> Events {
    let x = &e.exception;
    Events {
        exception: (x.injected | x.pending != 0).then(|| PendingException {
            vector: x.nr,
            error_code: (x.has_error_code != 0).then_some(x.error_code),
            injected: x.injected != 0,
        }),
        interrupt: (e.interrupt.injected != 0)
            .then_some(PendingInterrupt { vector: e.interrupt.nr, soft: e.interrupt.soft != 0 }),
        nmi_pending: e.nmi.pending | e.nmi.injected != 0,
        nmi_masked: e.nmi.masked != 0,
        shadow: match u32::from(e.interrupt.shadow) {
            s if s & KVM_X86_SHADOW_INT_MOV_SS != 0 => Shadow::MovSs,
            s if s & KVM_X86_SHADOW_INT_STI != 0 => Shadow::Sti,
            _ => Shadow::None,
        },
    }
}

fn put_events(events: &Events, to: &mut kvm_vcpu_events) {
    let mut e = kvm_vcpu_events { exception: Default::default(), nmi: Default::default(), ..*to };
    e.interrupt = Default::default();
    e.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    if let Some(x) = events.exception {
        // KVM without exception payloads knows one kind: to be injected. CR2 and DR6 are in the state already.
        e.exception.injected = 1;
        e.exception.nr = x.vector;
        e.exception.has_error_code = x.error_code.is_some().into();
        e.exception.error_code = x.error_code.unwrap_or(0);
    }
    if let Some(i) = events.interrupt {
        e.interrupt.injected = 1;
        e.interrupt.nr = i.vector;
        e.interrupt.soft = i.soft.into();
    }
    e.interrupt.shadow = match events.shadow {
        Shadow::None => 0,
        Shadow::Sti => KVM_X86_SHADOW_INT_STI as u8,
        Shadow::MovSs => KVM_X86_SHADOW_INT_MOV_SS as u8,
    };
    e.nmi.pending = events.nmi_pending.into();
    e.nmi.masked = events.nmi_masked.into();
    *to = e;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state in which every field of this part differs from reset and from its neighbours.
    fn peculiar() -> CpuState {
        let mut state = CpuState::reset();
        for (i, r) in state.gpr.iter_mut().enumerate() {
            *r = 0x1111_2222_3333_0000 + i as u64;
        }
        state.rip = 0x1234_5678_9abc;
        state.rflags = RFlags::FIXED | RFlags::CF | RFlags::IF;
        for (i, s) in state.seg.iter_mut().enumerate() {
            let i = i as u32;
            *s = Segment {
                selector: 8 * i as u16,
                attr: SegAttr::from_bits_retain(0x93 | i << 5 & 0x60),
                limit: 0x1000 + i,
                base: i.into(),
            };
        }
        state.seg[SegReg::Cs as usize].attr = SegAttr::from_bits_retain(0xa09b);
        state.seg[SegReg::Cs as usize].limit = 0xffff_ffff;
        state.seg[SegReg::Gs as usize].attr = SegAttr::UNUSABLE;
        state.ldtr.base = 0x5000;
        state.tr.selector = 0x28;
        state.gdtr = DescTable { base: 0x1000, limit: 0x7f };
        state.idtr = DescTable { base: 0x2000, limit: 0xfff };
        (state.cr0, state.cr2, state.cr3, state.cr4, state.cr8) = (0x8000_0011, 2, 0x3000, 0x20, 8);
        state.efer = 0x500;
        state.events = Events {
            exception: Some(PendingException { vector: 14, error_code: Some(2), injected: true }),
            interrupt: Some(PendingInterrupt { vector: 0x21, soft: false }),
            nmi_pending: true,
            nmi_masked: true,
            shadow: Shadow::MovSs,
        };
        state
    }

    #[test]
    fn what_is_stored_is_loaded_again() {
        let state = peculiar();
        let mut sync = kvm_sync_regs::default();
        store(&state, &mut sync);
        let mut back = CpuState::reset();
        load(&sync, &mut back);
        assert_eq!(back, state);
    }

    #[test]
    fn a_limit_that_needs_pages_sets_the_granularity() {
        let big = Segment { limit: 0xffff_ffff, ..Segment::real(0) };
        assert_eq!(kvm_segment_of(&big).g, 1);
        let small = Segment { limit: 0x1_0000, attr: SegAttr::G, ..Segment::real(0) };
        assert_eq!(kvm_segment_of(&small).g, 0);
    }

    #[test]
    fn the_apic_base_is_left_alone() {
        let mut sync = kvm_sync_regs::default();
        sync.sregs.apic_base = 0xfee0_0900;
        store(&CpuState::reset(), &mut sync);
        assert_eq!(sync.sregs.apic_base, 0xfee0_0900);
    }
}
