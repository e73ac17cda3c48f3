//! Registers that only system instructions touch, and what lies between two instructions.

use alloc::vec::Vec;

use hako_engine::Debug;

use crate::mtrr::Mtrrs;

/// Debug registers, the MSRs that the CPU owns, the debug exceptions in the making, and the host's debugging.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct SysRegs {
    /// DR0 to DR3.
    pub dr: [u64; 4],
    /// DR6.
    pub dr6: u64,
    /// DR7.
    pub dr7: u64,
    /// CR8, where no chip owns it.
    pub cr8: u64,
    /// IA32_STAR.
    pub star: u64,
    /// IA32_LSTAR.
    pub lstar: u64,
    /// IA32_CSTAR.
    pub cstar: u64,
    /// IA32_FMASK.
    pub fmask: u64,
    /// IA32_KERNEL_GS_BASE.
    pub kernel_gs_base: u64,
    /// IA32_SYSENTER_CS.
    pub sysenter_cs: u64,
    /// IA32_SYSENTER_ESP.
    pub sysenter_esp: u64,
    /// IA32_SYSENTER_EIP.
    pub sysenter_eip: u64,
    /// IA32_PAT.
    pub pat: u64,
    /// IA32_SPEC_CTRL: kept, of no effect.
    pub spec_ctrl: u64,
    /// IA32_PKRS.
    pub pkrs: u64,
    /// IA32_MISC_ENABLE.
    pub misc_enable: u64,
    /// IA32_TSC_AUX.
    pub tsc_aux: u64,
    /// IA32_TSC_ADJUST: by how much the guest has moved the time-stamp counter.
    pub tsc_adjust: u64,
    /// What is added to the bus's time-stamp counter.
    pub tsc_offset: u64,
    /// The time-stamp counter of the last state loaded, where it has yet to be made the running one.
    pub tsc_due: Option<u64>,
    /// The time-stamp counter of the last state given out, if nothing has moved the counter since.
    pub tsc_given: Option<u64>,
    /// Memory type range registers.
    pub mtrrs: Mtrrs,

    /// Debug traps that wait for the next boundary, as bits of DR6.
    pub pending_db: u64,
    /// The instruction that runs started with TF set.
    pub step: bool,
    /// The instruction that runs started with RF set and is to clear it.
    pub rf: bool,
    /// A repeated string instruction has been left between two iterations.
    pub repeating: bool,
    /// PDPTEs have to be read again from memory: the state was replaced.
    pub pdptes_stale: bool,

    /// Breakpoints and stepping by the host.
    pub host: Debug,
    /// Where the host's breakpoint stopped the CPU, as count and RIP: it does not stop there twice.
    pub host_stop: Option<(u64, u64)>,
    /// The host's data breakpoint that the running instruction hit.
    pub host_hit: Option<usize>,

    /// Parts of the state that this CPU only carries: MSRs it does not know.
    pub foreign_msrs: Vec<(u32, u64)>,
}

impl SysRegs {
    /// Forgets what was under way: an instruction boundary with nothing pending.
    pub fn between_instructions(&mut self) {
        self.pending_db = 0;
        (self.step, self.rf, self.repeating, self.pdptes_stale) = (false, false, false, false);
        (self.host_stop, self.host_hit) = (None, None);
    }
}
