//! Registers that only system instructions touch.

/// Debug registers and the MSRs that the CPU owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct SysRegs {
    /// DR0 to DR3.
    pub dr: [u64; 4],
    /// DR6.
    pub dr6: u64,
    /// DR7.
    pub dr7: u64,
    /// CR8, where no chip owns it.
    pub cr8: u64,
    /// XCR0.
    pub xcr0: u64,
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
}
