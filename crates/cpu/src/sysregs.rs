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
    /// IA32_MISC_ENABLE.
    pub misc_enable: u64,
    /// IA32_TSC_AUX.
    pub tsc_aux: u64,
    /// What is added to the bus's time-stamp counter (IA32_TSC_ADJUST and writes to the TSC).
    pub tsc_offset: u64,
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

    /// The frequency of the time-stamp counter, 0 if not known.
    pub tsc_hz: u64,
    /// Breakpoints and stepping by the host.
    pub host: Debug,
    /// Where the host's breakpoint stopped the CPU, as count and RIP: it does not stop there twice.
    pub host_stop: Option<(u64, u64)>,
    /// The host's data breakpoint that the running instruction hit.
    pub host_hit: Option<usize>,

    /// Parts of the state that this CPU only carries: the XSAVE image, MSRs it does not know, the TSC as loaded.
    pub xsave: Vec<u8>,
    pub foreign_msrs: Vec<(u32, u64)>,
    pub tsc: u64,
}
