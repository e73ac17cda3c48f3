//! INIT and SIPI: how the processors of a machine are started (SDM Vol. 3A 9.1, table 9-1; 8.4.3).

use hako_x86::{Activity, CpuState, Cr0, Gpr, SegAttr, SegReg, Segment};

use crate::Cpu;

impl Cpu {
    /// The state after power-up.
    pub(crate) fn power_up_state(&self) -> CpuState {
        let mut state = CpuState::reset();
        state.gpr[Gpr::Rdx as usize] = u64::from(self.config.model.signature);
        state.activity = if self.config.bsp { Activity::Running } else { Activity::WaitForSipi };
        state
    }

    /// INIT: as after power-up, but for x87, SSE and XCR0, the caches' controls in CR0, the time-stamp counter and all
    /// MSRs except EFER, which stay as they are. It ends a shutdown, too.
    pub(crate) fn init(&mut self) {
        let kept = (Cr0::CD | Cr0::NW).bits();
        let mut state = self.power_up_state();
        state.cr0 = state.cr0 & !kept | self.cr0 & kept;
        self.load_registers(&state);
        self.sys.between_instructions();
        self.pdpte = [0; 4];
    }

    /// SIPI: a processor that waits for it starts in real mode at the page of that number; any other ignores it.
    pub(crate) fn start(&mut self, vector: u8) {
        if self.activity != Activity::WaitForSipi {
            return;
        }
        let code = SegAttr::from_bits_retain(0x9b);
        let cs = Segment { attr: code, ..Segment::real(u16::from(vector) << 8) };
        self.set_seg(SegReg::Cs, cs);
        self.rip = 0;
        self.activity = Activity::Running;
    }
}
