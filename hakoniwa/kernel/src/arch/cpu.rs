//! Instructions that Rust has no words for, and which optional features are on.

use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

/// CPUID of a leaf.
pub fn cpuid(leaf: u32) -> CpuidResult {
    __cpuid(leaf)
}

/// Reads an I/O port of 1, 2 or 4 bytes.
pub fn port_read(port: u16, width: u64) -> u32 {
    let value: u32;
    // SAFETY: reading a port touches no memory; what a device makes of it is its driver's business.
    unsafe {
        match width {
            1 => asm!("in al, dx", "movzx eax, al", in("dx") port, out("eax") value, options(nostack)),
            2 => asm!("in ax, dx", "movzx eax, ax", in("dx") port, out("eax") value, options(nostack)),
            _ => asm!("in eax, dx", in("dx") port, out("eax") value, options(nostack)),
        }
    }
    value
}

/// Writes an I/O port of 1, 2 or 4 bytes.
pub fn port_write(port: u16, width: u64, value: u32) {
    // SAFETY: as above. Tasks reach this only with the right to ports.
    unsafe {
        match width {
            1 => asm!("out dx, al", in("dx") port, in("eax") value, options(nostack)),
            2 => asm!("out dx, ax", in("dx") port, in("eax") value, options(nostack)),
            _ => asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack)),
        }
    }
}

/// Reads an MSR that this processor has.
pub fn msr(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: callers name architectural MSRs whose presence they checked.
    unsafe { asm!("rdmsr", in("ecx") index, out("eax") low, out("edx") high, options(nostack, nomem)) };
    u64::from(low) | u64::from(high) << 32
}

/// Writes an MSR that this processor has.
///
/// # Safety
/// The value must keep the kernel's code, stacks and tables in place.
pub unsafe fn set_msr(index: u32, value: u64) {
    // SAFETY: the caller's.
    unsafe {
        asm!("wrmsr", in("ecx") index, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack));
    }
}

/// The time stamp counter.
pub fn tsc() -> u64 {
    // SAFETY: always there in long mode.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads CR2, the address of the last page fault.
pub fn fault_address() -> u64 {
    let value: u64;
    // SAFETY: reading CR2 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Loads DR0 to DR3. No breakpoint is on until an entry loads DR7.
pub fn load_breakpoints(addresses: &[u64]) {
    let [a, b, c, d, ..] = addresses else { return };
    // SAFETY: DR7 is off in the host.
    unsafe {
        asm!(
            "mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}",
            in(reg) *a, in(reg) *b, in(reg) *c, in(reg) *d,
            options(nomem, nostack, preserves_flags)
        );
    }
}

/// XCR0; 0 while XSAVE is off.
pub fn xcr0() -> u64 {
    const OSXSAVE: u32 = 1 << 27;
    if cpuid(1).ecx & OSXSAVE == 0 {
        return 0;
    }
    let (low, high): (u32, u32);
    // SAFETY: CR4.OSXSAVE is on.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(low) | u64::from(high) << 32
}

/// Reads CR3.
pub fn root() -> u64 {
    let value: u64;
    // SAFETY: reading CR3 has no effect.
    unsafe { asm!("mov {}, cr3", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Loads CR3.
///
/// # Safety
/// The tables must map the kernel as the present ones do.
pub unsafe fn set_root(root: u64) {
    // SAFETY: the caller's.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Stops for good.
pub fn halt() -> ! {
    loop {
        // SAFETY: with interrupts off, HLT only waits.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Which vector state is saved.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// XSAVE with this XCR0; otherwise FXSAVE.
    pub xsave: Option<u64>,
}

/// Turns on what the processor has: XSAVE, SMEP, SMAP, UMIP.
pub fn enable() -> Features {
    const OSXSAVE: u64 = 1 << 18;
    let mut cr4: u64;
    // SAFETY: reading CR4 has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack, preserves_flags)) };
    let seven =
        if cpuid(0).eax >= 7 { __cpuid_count(7, 0) } else { CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 } };
    // The kernel never touches user memory by a user address: supervisor mode prevention costs it nothing.
    for (present, bit) in [(seven.ebx >> 7 & 1, 20), (seven.ebx >> 20 & 1, 21), (seven.ecx >> 2 & 1, 11)] {
        cr4 |= u64::from(present) << bit;
    }
    let has_xsave = cpuid(1).ecx >> 26 & 1 == 1;
    if has_xsave {
        cr4 |= OSXSAVE;
    }
    // The global-page bit makes the kernel's translations outlive a change of CR3.
    cr4 |= 1 << 7;
    // SAFETY: every bit set is announced by CPUID, and the kernel keeps their rules.
    unsafe { asm!("mov cr4, {}", in(reg) cr4, options(nostack, preserves_flags)) };
    Features { xsave: has_xsave.then(enable_xsave) }
}

/// x87, SSE, AVX and AVX-512 as far as present and as fits in the page that a task has for it.
fn enable_xsave() -> u64 {
    const X87_SSE: u64 = 3;
    const WANTED: u64 = 0xe7;
    let supported = __cpuid_count(13, 0);
    let all = u64::from(supported.eax) & WANTED;
    for mask in [all, all & 7, X87_SSE] {
        set_xcr0(mask);
        if u64::from(__cpuid_count(13, 0).ebx) <= hakoniwa_abi::PAGE {
            return mask;
        }
    }
    X87_SSE
}

fn set_xcr0(mask: u64) {
    // SAFETY: CR4.OSXSAVE is on, and the mask is x87 and SSE plus what CPUID announces.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") mask as u32, in("edx") (mask >> 32) as u32, options(nomem, nostack));
    }
}
