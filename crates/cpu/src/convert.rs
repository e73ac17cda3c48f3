//! The live CPU from and to the engine-neutral state.

use hako_x86::{CpuState, StateError};

use crate::Cpu;

impl Cpu {
    /// Replaces the architectural state. The count goes on.
    ///
    /// # Errors
    /// When the state holds something that this CPU cannot.
    pub fn set_state(&mut self, state: &CpuState) -> Result<(), StateError> {
        self.load(state);
        Ok(())
    }

    /// Takes over all registers of a state without asking whether they make sense.
    pub(crate) fn load(&mut self, s: &CpuState) {
        self.r[..16].copy_from_slice(&s.gpr);
        self.rip = s.rip;
        self.seg = s.seg;
        (self.ldtr, self.tr, self.gdtr, self.idtr) = (s.ldtr, s.tr, s.gdtr, s.idtr);
        (self.cr0, self.cr2, self.cr3, self.cr4, self.efer) = (s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
        (self.sys.dr, self.sys.dr6, self.sys.dr7) = (s.dr, s.dr6, s.dr7);
        (self.sys.cr8, self.sys.xcr0) = (s.cr8, s.xcr0);
        (self.events, self.activity) = (s.events, s.activity);
        self.set_rflags(s.rflags.bits());
        self.set_cpl(s.seg[hako_x86::SegReg::Ss as usize].dpl());
        self.flush_tlb();
        self.attend(crate::attn::Attn::EVENT | crate::attn::Attn::LINES);
    }
}
