//! The live CPU from and to the engine-neutral state.

use alloc::vec::Vec;

use hako_x86::{CpuState, Cr0, Cr4, Efer, PendingException, RFlags, SegReg, StateError, Vector, msr};

use crate::Cpu;
use crate::attn::Attn;
use crate::cpuid::cr4_offered;
use crate::debug;
use crate::msr::{MISC_ENABLE_RESET, PAT_RESET};
use crate::mtrr::Mtrrs;
use crate::sysregs::SysRegs;

/// The MSRs that a state lists, besides the MTRRs.
const LISTED: [u32; 12] = [
    msr::STAR,
    msr::LSTAR,
    msr::CSTAR,
    msr::FMASK,
    msr::KERNEL_GS_BASE,
    msr::SYSENTER_CS,
    msr::SYSENTER_ESP,
    msr::SYSENTER_EIP,
    msr::TSC_AUX,
    msr::TSC_ADJUST,
    msr::PAT,
    msr::MISC_ENABLE,
];

/// CR4 bits that change nothing for the instructions this CPU has, so that it can carry them for another engine.
const CR4_CARRIED: Cr4 = Cr4::OSFXSR.union(Cr4::OSXMMEXCPT).union(Cr4::OSXSAVE).union(Cr4::FSGSBASE);

/// Whether two bits come as the first one demands.
fn needs(bits: u64, first: u64, second: u64) -> bool {
    bits & first == 0 || bits & second != 0
}

/// What no CPU can hold, and what this one cannot.
fn check(s: &CpuState) -> Result<(), StateError> {
    let impossible = |field, value| Err(StateError::Impossible { field, value });
    let (pe, pg) = (Cr0::PE.bits(), Cr0::PG.bits());
    let (cd, nw) = (Cr0::CD.bits(), Cr0::NW.bits());
    let (lme, lma) = (Efer::LME.bits(), Efer::LMA.bits());
    if s.cr0 >> 32 != 0 || !needs(s.cr0, pg, pe) || !needs(s.cr0, nw, cd) {
        return impossible("CR0", s.cr0);
    }
    let unsupported = s.cr4 & !(cr4_offered() | CR4_CARRIED).bits();
    if unsupported != 0 {
        return Err(StateError::Unsupported { field: "CR4", value: unsupported });
    }
    let active = s.efer & lme != 0 && s.cr0 & pg != 0;
    if s.efer & !Efer::all().bits() != 0 || (s.efer & lma != 0) != active {
        return impossible("EFER", s.efer);
    }
    if active && s.cr4 & Cr4::PAE.bits() == 0 {
        return impossible("CR4", s.cr4);
    }
    if s.rflags.contains(RFlags::VM) && (active || s.cr0 & pe == 0) {
        return impossible("RFLAGS", s.rflags.bits());
    }
    for (field, value) in [("DR6", s.dr6), ("DR7", s.dr7)] {
        if value >> 32 != 0 {
            return impossible(field, value);
        }
    }
    if s.cr8 > 15 {
        return impossible("CR8", s.cr8);
    }
    let mut scratch = SysRegs::default();
    for &(index, value) in &s.msrs {
        if scratch.set_state_msr(index, value).is_err() {
            return impossible(msr::name(index).unwrap_or("MSR"), value);
        }
    }
    Ok(())
}

impl SysRegs {
    /// Takes over one listed MSR; those this CPU does not know are carried.
    fn set_state_msr(&mut self, index: u32, value: u64) -> Result<(), ()> {
        if index == msr::MISC_ENABLE {
            self.misc_enable = value;
            return Ok(());
        }
        if let Some((r, valid)) = self.plain(index) {
            *r = value;
            return valid(value).map_err(drop);
        }
        match self.mtrrs.load(index, value) {
            Some(true) => Ok(()),
            Some(false) => Err(()),
            None => {
                self.foreign_msrs.push((index, value));
                Ok(())
            }
        }
    }

    fn state_msr(&mut self, index: u32) -> u64 {
        if index == msr::MISC_ENABLE {
            return self.misc_enable;
        }
        match self.plain(index) {
            Some((r, _)) => *r,
            None => self.mtrrs.read(index).unwrap_or(0),
        }
    }
}

impl Cpu {
    /// The architectural state at this instruction boundary. `tsc` is what the last state loaded had; the engine, which
    /// knows the bus, replaces it by the bus's counter plus [`Cpu::tsc_offset`].
    pub fn state(&self) -> CpuState {
        let mut gpr = [0; 16];
        gpr.copy_from_slice(&self.r[..16]);
        let mut sys = self.sys.clone();
        let mut events = self.events;
        let mut msrs: Vec<(u32, u64)> =
            LISTED.into_iter().chain(Mtrrs::indices()).map(|i| (i, sys.state_msr(i))).collect();
        msrs.append(&mut sys.foreign_msrs);
        if sys.pending_db != 0 && events.exception.is_none() {
            sys.dr6 = debug::merged(sys.dr6, sys.pending_db);
            events.exception =
                Some(PendingException { vector: Vector::DB.0, error_code: None, injected: false });
        }
        CpuState {
            gpr,
            rip: self.rip,
            rflags: RFlags::from_bits_retain(self.rflags()),
            seg: self.seg,
            ldtr: self.ldtr,
            tr: self.tr,
            gdtr: self.gdtr,
            idtr: self.idtr,
            cr0: self.cr0,
            cr2: self.cr2,
            cr3: self.cr3,
            cr4: self.cr4,
            cr8: sys.cr8,
            efer: self.efer,
            xcr0: self.fpu.xcr0,
            dr: sys.dr,
            dr6: sys.dr6,
            dr7: sys.dr7,
            xsave: sys.xsave,
            msrs,
            events,
            activity: self.activity,
            tsc: sys.tsc,
        }
    }

    /// Replaces the architectural state. The count goes on.
    ///
    /// # Errors
    /// When the state holds something that this CPU cannot; then nothing has changed.
    pub fn set_state(&mut self, state: &CpuState) -> Result<(), StateError> {
        check(state)?;
        self.load(state);
        Ok(())
    }

    /// Takes over all registers of a state without asking whether they make sense. Missing MSRs have their reset values;
    /// the host's debugging stays.
    pub(crate) fn load(&mut self, s: &CpuState) {
        self.r[..16].copy_from_slice(&s.gpr);
        self.rip = s.rip;
        self.seg = s.seg;
        (self.ldtr, self.tr, self.gdtr, self.idtr) = (s.ldtr, s.tr, s.gdtr, s.idtr);
        (self.cr0, self.cr2, self.cr3, self.cr4, self.efer) = (s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
        let (host, tsc_hz) = (core::mem::take(&mut self.sys.host), self.sys.tsc_hz);
        self.sys = SysRegs {
            dr: s.dr,
            dr6: s.dr6,
            dr7: s.dr7,
            cr8: s.cr8,
            pat: PAT_RESET,
            misc_enable: MISC_ENABLE_RESET,
            xsave: s.xsave.clone(),
            tsc: s.tsc,
            pdptes_stale: true,
            host,
            tsc_hz,
            ..SysRegs::default()
        };
        self.fpu.xcr0 = s.xcr0;
        for &(index, value) in &s.msrs {
            // `set_state` has refused what is not valid.
            let _ = self.sys.set_state_msr(index, value);
        }
        (self.events, self.activity) = (s.events, s.activity);
        self.set_rflags(s.rflags.bits());
        self.cpl = match (self.cr0_has(Cr0::PE), self.v86()) {
            (false, _) => 0,
            (true, true) => 3,
            (true, false) => s.seg[SegReg::Ss as usize].dpl(),
        };
        self.fault = None;
        self.flush_tlb();
        debug::rearm(self);
        self.update_mode();
        self.attend(Attn::EVENT | Attn::LINES);
    }

    /// What this CPU adds to the bus's time-stamp counter (IA32_TSC_ADJUST and writes to the TSC).
    pub fn tsc_offset(&self) -> u64 {
        self.sys.tsc_offset
    }

    /// Replaces what this CPU adds to the bus's time-stamp counter.
    pub fn set_tsc_offset(&mut self, offset: u64) {
        self.sys.tsc_offset = offset;
    }
}
