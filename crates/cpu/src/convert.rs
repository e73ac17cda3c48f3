//! The live CPU from and to the engine-neutral state.

use alloc::vec::Vec;

use hako_engine::{At, Bus};
use hako_x86::{CpuState, Cr0, Cr4, Efer, PendingException, RFlags, SegReg, StateError, Vector, msr};

use crate::Cpu;
use crate::attn::Attn;
use crate::cpuid::{IMPLEMENTED, cr4_of};
use crate::debug;
use crate::fpu::state::FpuState;
use crate::msr::{MISC_ENABLE_RESET, PAT_RESET};
use crate::mtrr::Mtrrs;
use crate::sysregs::SysRegs;

/// The MSRs that a state lists, besides the MTRRs.
const LISTED: [u32; 14] = [
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
    msr::SPEC_CTRL,
    msr::PKRS,
    msr::MISC_ENABLE,
];

/// Whether two bits come as the first one demands.
fn needs(bits: u64, first: u64, second: u64) -> bool {
    bits & first == 0 || bits & second != 0
}

/// What no CPU can hold, and what this one cannot.
fn check(s: &CpuState) -> Result<(), StateError> {
    check_registers(s)?;
    FpuState::from_image(&s.xsave, s.xcr0)?;
    let mut scratch = SysRegs::default();
    for &(index, value) in &s.msrs {
        if scratch.set_state_msr(index, value).is_err() {
            return Err(StateError::Impossible { field: msr::name(index).unwrap_or("MSR"), value });
        }
    }
    Ok(())
}

/// The same without MSRs and what XSAVE saves.
pub(crate) fn check_registers(s: &CpuState) -> Result<(), StateError> {
    let impossible = |field, value| Err(StateError::Impossible { field, value });
    let (pe, pg) = (Cr0::PE.bits(), Cr0::PG.bits());
    let (cd, nw) = (Cr0::CD.bits(), Cr0::NW.bits());
    let (lme, lma) = (Efer::LME.bits(), Efer::LMA.bits());
    if s.cr0 >> 32 != 0 || !needs(s.cr0, pg, pe) || !needs(s.cr0, nw, cd) {
        return impossible("CR0", s.cr0);
    }
    let unsupported = s.cr4 & !cr4_of(&IMPLEMENTED).bits();
    if unsupported != 0 {
        return Err(StateError::Unsupported { field: "CR4", value: unsupported });
    }
    let active = s.efer & lme != 0 && s.cr0 & pg != 0;
    if s.efer & !Efer::all().bits() != 0 || (s.efer & lma != 0) != active {
        return impossible("EFER", s.efer);
    }
    if active && s.cr4 & Cr4::PAE.bits() == 0 || !active && s.cr4 & Cr4::PCIDE.bits() != 0 {
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
    /// The architectural state at this instruction boundary, as far as it can be told without a bus: the time-stamp counter
    /// and the task priority are those of the last state loaded. [`Cpu::state_on`] tells them, too.
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
            xsave: self.fpu.to_image(),
            msrs,
            events,
            activity: self.activity,
            tsc: sys.tsc_due.or(sys.tsc_given).unwrap_or(0),
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
        let host = core::mem::take(&mut self.sys.host);
        // A state that comes back lets the counter run on; any other brings its own.
        let same = self.sys.tsc_given == Some(s.tsc);
        self.sys = SysRegs {
            pat: PAT_RESET,
            misc_enable: MISC_ENABLE_RESET,
            pdptes_stale: true,
            tsc_offset: if same { self.sys.tsc_offset } else { 0 },
            tsc_due: if same { self.sys.tsc_due } else { Some(s.tsc) },
            tsc_given: if same { self.sys.tsc_given } else { None },
            host,
            ..SysRegs::default()
        };
        // `set_state` has refused what cannot be taken over.
        self.ferr = true;
        self.fpu = FpuState::from_image(&s.xsave, s.xcr0).unwrap_or(FpuState::INITIAL);
        for &(index, value) in &s.msrs {
            // `set_state` has refused what is not valid.
            let _ = self.sys.set_state_msr(index, value);
        }
        self.load_registers(s);
    }

    /// Takes over the registers of a state that INIT resets; MSRs, x87, SSE and the time-stamp counter stay.
    pub(crate) fn load_registers(&mut self, s: &CpuState) {
        self.r[..16].copy_from_slice(&s.gpr);
        self.rip = s.rip;
        self.seg = s.seg;
        (self.ldtr, self.tr, self.gdtr, self.idtr) = (s.ldtr, s.tr, s.gdtr, s.idtr);
        (self.cr0, self.cr2, self.cr3, self.cr4, self.efer) = (s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
        (self.sys.dr, self.sys.dr6, self.sys.dr7, self.sys.cr8) = (s.dr, s.dr6, s.dr7, s.cr8);
        (self.events, self.activity) = (s.events, s.activity);
        self.set_rflags(s.rflags.bits());
        self.cpl = match (self.cr0_has(Cr0::PE), self.v86()) {
            (false, _) => 0,
            (true, true) => 3,
            (true, false) => s.seg[SegReg::Ss as usize].dpl(),
        };
        self.fault = None;
        self.known.renew();
        self.flush_tlb();
        self.select_context();
        debug::rearm(self);
        self.update_mode();
        self.attend(Attn::EVENT | Attn::LINES);
    }

    /// [`Cpu::state`] with the running time-stamp counter, and the task priority that the bus keeps.
    pub fn state_on(&mut self, bus: &mut dyn Bus) -> CpuState {
        let at = At { cpu: self.config.cpu, count: self.count };
        if self.sys.tsc_due.is_none() {
            self.sys.tsc_given = Some(bus.tsc(at).wrapping_add(self.sys.tsc_offset));
        }
        let mut state = self.state();
        if let Some(priority) = bus.task_priority(at) {
            state.cr8 = u64::from(priority);
        }
        state
    }
}
