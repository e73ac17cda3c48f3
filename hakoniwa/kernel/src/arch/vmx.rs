//! VT-x: turning it on, and the instructions on a VMCS.

use super::cpu::{self, msr, set_msr};
use super::hardware::Hardware;
use super::memory::{self, Setup};
use super::pci;
use core::arch::{asm, global_asm};
use hakoniwa_abi::PAGE;
use hakoniwa_kernel::context::Context;
use hakoniwa_kernel::hv::capability::{self, BASIC, Capabilities, FEATURE_CONTROL, MISC, Missing};
use hakoniwa_kernel::hv::controls::{Controls, PIN};
use hakoniwa_kernel::hv::guest::{self, Guest, HOST_MSRS, Places};
use hakoniwa_kernel::hv::msr::{SWITCHED, fill_bitmap};
use hakoniwa_kernel::hv::quirk;
use hakoniwa_kernel::hv::vmcs::{Field, Vmcs};
use hakoniwa_kernel::platform::Platform;
use hakoniwa_kernel::task::Task;

/// The vectors by which the entry code announces a VM exit and a VM entry that failed at once.
pub const EXIT: u64 = 257;
/// See [`EXIT`].
pub const FAILED: u64 = 258;

global_asm!(
    r#"
    .globl vm_enter, vm_exit
    // rdi: context, esi: whether the VMCS was launched, rdx: the guest's XCR0. All vector registers are loaded, then XCR0
    // becomes the guest's if it is another.
vm_enter:
    mov rcx, gs:[32]
    mov gs:[48], rdx
    mov r8, rdx
    mov r9, gs:[40]
    test r9, r9
    jz 1f
    mov eax, -1
    mov edx, -1
    xrstor64 [rcx]
    cmp r8, r9
    je 2f
    xor ecx, ecx
    mov eax, r8d
    xor edx, edx
    xsetbv
    jmp 2f
1:  fxrstor64 [rcx]
2:  test esi, esi
    mov r15, [rdi]
    mov r14, [rdi + 8]
    mov r13, [rdi + 16]
    mov r12, [rdi + 24]
    mov r11, [rdi + 32]
    mov r10, [rdi + 40]
    mov r9, [rdi + 48]
    mov r8, [rdi + 56]
    mov rbp, [rdi + 64]
    mov rsi, [rdi + 80]
    mov rdx, [rdi + 88]
    mov rcx, [rdi + 96]
    mov rbx, [rdi + 104]
    mov rax, [rdi + 112]
    mov rdi, [rdi + 72]
    jz 3f
    vmresume
    jmp 4f
3:  vmlaunch
4:  mov rax, gs:[8]
    mov qword ptr [rax - 56], {failed}
    mov rax, gs:[40]
    cmp rax, gs:[48]
    je 5f
    xor ecx, ecx
    xor edx, edx
    xsetbv
5:
    mov rsp, gs:[24]
    xor ebp, ebp
    cld
    call {enter}
    ud2

    // RSP is where the context's registers end.
vm_exit:
    mov qword ptr [rsp], {exit}
    save_registers
    mov rdi, gs:[32]
    mov rax, gs:[40]
    test rax, rax
    jz 6f
    cmp rax, gs:[48]
    je 7f
    xor ecx, ecx
    xor edx, edx
    xsetbv
7:  mov eax, -1
    mov edx, -1
    xsave64 [rdi]
    mov rsp, gs:[24]
    xor ebp, ebp
    call {left}
    ud2
6:  fxsave64 [rdi]
    mov rsp, gs:[24]
    xor ebp, ebp
    call {left}
    ud2
"#,
    failed = const FAILED,
    exit = const EXIT,
    enter = sym super::percpu::enter,
    left = sym super::percpu::left,
);

unsafe extern "C" {
    fn vm_enter(context: *const Context, launched: u32, xcr0: u64) -> !;
    fn vm_exit();
}

struct Processor;

impl Capabilities for Processor {
    fn features(&self) -> u32 {
        cpu::cpuid(1).ecx
    }

    fn msr(&self, index: u32) -> u64 {
        msr(index)
    }

    fn xcr0(&self) -> u64 {
        cpu::xcr0()
    }
}

/// VMX operation on this processor.
pub struct Vmx {
    controls: Controls,
    revision: u64,
    /// The page that says which MSRs exit, the same for all guests.
    msr_bitmap: u64,
    /// The page that says that all ports exit: of the lower half and of the upper.
    io_bitmap: u64,
    /// For processors that keep silent about interrupts: the preemption timer counts down when this bit of the TSC
    /// changes. `None` on all others, and without the timer.
    timer_shift: Option<u32>,
}

/// What VM exits restore.
pub struct Host {
    /// The page tables that exits load.
    pub root: u64,
    /// GS.
    pub percpu: u64,
    /// The task state segment.
    pub task: u64,
    /// The descriptor tables.
    pub gdt: u64,
    /// See `gdt`.
    pub idt: u64,
}

impl Vmx {
    /// Checks the processor and enters VMX operation.
    pub fn start(setup: &mut Setup) -> Result<Vmx, Missing> {
        let controls = capability::check(&Processor)?;
        if let Some(value) = capability::feature_control(msr(FEATURE_CONTROL))? {
            // SAFETY: it was not locked.
            unsafe { set_msr(FEATURE_CONTROL, value) };
        }
        let revision = msr(BASIC) & 0x7fff_ffff;
        let region = setup.page();
        memory::store(region, revision);
        let failed: u8;
        // SAFETY: every capability was checked; the region is a page of its own with the revision in it.
        unsafe {
            asm!(
                "mov {t}, cr4", "or {t}, 0x2000", "mov cr4, {t}",
                "vmxon [{region}]", "setna {failed}",
                t = out(reg) _, region = in(reg) &region, failed = lateout(reg_byte) failed, options(nostack)
            );
        }
        if failed != 0 {
            return Err(Missing::Vmxon);
        }
        // The timer's control may be set if its bit is in the upper half of either capability word.
        let index = if msr(BASIC) >> 55 & 1 == 1 { 0x48d } else { 0x481 };
        let silent = quirk::silent_interrupts(Processor.features() >> 31 & 1 == 1, pci::host_bridge());
        let timer = silent && PIN.iter().any(|(bit, ..)| *bit == 6 && msr(index) >> (32 + bit) & 1 == 1);
        let msr_bitmap = setup.page();
        fill_bitmap(&mut Hardware, msr_bitmap);
        let io_bitmap = setup.page();
        (0..PAGE / 8).for_each(|word| memory::store(io_bitmap + word * 8, u64::MAX));
        let timer_shift = timer.then(|| msr(MISC) as u32 & 31);
        Ok(Vmx { controls, revision, msr_bitmap, io_bitmap, timer_shift })
    }

    /// Whether guests' memory can be mapped by large pages.
    pub fn large_pages(&self) -> bool {
        self.controls.large_pages
    }

    /// Whether guests with their interrupts off get a timer, because the processor would not report the host's.
    pub fn is_silent(&self) -> bool {
        self.timer_shift.is_some()
    }

    /// Enters a guest. `stay` is how many TSC ticks it may stay with its interrupts off, on processors that would
    /// report no external interrupt in that time.
    pub fn enter(
        &self,
        task: &mut Task,
        slot: usize,
        host: &Host,
        platform: &mut impl Platform,
        stay: impl FnOnce() -> u64,
    ) -> ! {
        let root = task.root;
        let context = &raw mut task.context;
        let Some(guest) = &mut task.guest else { panic!("not a guest") };
        if guest.fresh {
            memory::store(guest.vmcs, self.revision);
            clear(guest.vmcs);
        }
        // SAFETY: the page is a VMCS with the right revision, and nobody else's.
        unsafe { asm!("vmptrld [{}]", in(reg) &guest.vmcs, options(nostack)) };
        let mut vmcs = Current;
        if guest.fresh {
            guest.fresh = false;
            let places = Places {
                root,
                vpid: slot as u64,
                msr_bitmap: self.msr_bitmap,
                io_bitmaps: guest.ports.unwrap_or([self.io_bitmap; 2]),
            };
            guest::initialise(&mut vmcs, &self.controls, guest, places);
            host_state(&mut vmcs, host, context as u64 + core::mem::offset_of!(Context, vector) as u64);
            let switched = vmcs.read(Field::ExitMsrLoadCount) as usize;
            for (number, index) in SWITCHED.into_iter().take(switched).enumerate() {
                memory::store(guest.msrs + HOST_MSRS + number as u64 * 16 + 8, msr(index));
            }
        }
        // Another guest's breakpoints may be loaded.
        guest.arm = guest.breaks();
        self.again(task, platform, stay)
    }

    /// Enters the guest whose VMCS is current.
    pub fn again(&self, task: &mut Task, platform: &mut impl Platform, stay: impl FnOnce() -> u64) -> ! {
        let context = &raw mut task.context;
        let Some(guest) = &mut task.guest else { panic!("not a guest") };
        let ticks = || self.timer_shift.map(|shift| stay() >> shift);
        guest::before_entry(&mut Current, platform, guest, &mut task.context, ticks);
        let launched = u32::from(guest.launched);
        guest.launched = true;
        if core::mem::take(&mut guest.arm) {
            cpu::load_breakpoints(&guest.debug);
        }
        // SAFETY: the kernel takes no page faults, so CR2 is free; the VMCS is current, its host state is this
        // kernel's, and the exit saves the registers in the context that HOST_RSP points into.
        unsafe {
            asm!("mov cr2, {}", in(reg) guest.cr2, options(nomem, nostack, preserves_flags));
            vm_enter(context, launched, guest.running_xcr0())
        }
    }
}

/// Enters the guest that just left, with nothing changed but its registers.
///
/// # Safety
/// Its VMCS is current and was launched, `context` is its task's, and the vector registers, CR2 and everything else that
/// entries load are as it left them.
pub unsafe fn go_on(context: *const Context, guest: &Guest) -> ! {
    // SAFETY: the caller's.
    unsafe { vm_enter(context, 1, guest.running_xcr0()) }
}

fn host_state(vmcs: &mut Current, host: &Host, stack: u64) {
    let (cr0, cr4): (u64, u64);
    // SAFETY: reading control registers has no effect.
    unsafe {
        asm!("mov {}, cr0", "mov {}, cr4", out(reg) cr0, out(reg) cr4, options(nomem, nostack, preserves_flags));
    }
    for (field, value) in [
        (Field::HostCr0, cr0),
        (Field::HostCr3, host.root),
        (Field::HostCr4, cr4),
        (Field::HostCs, 8),
        (Field::HostSs, 16),
        (Field::HostDs, 0),
        (Field::HostEs, 0),
        (Field::HostFs, 0),
        (Field::HostGs, 0),
        (Field::HostTr, 0x28),
        (Field::HostFsBase, 0),
        (Field::HostGsBase, host.percpu),
        (Field::HostTrBase, host.task),
        (Field::HostGdtrBase, host.gdt),
        (Field::HostIdtrBase, host.idt),
        (Field::HostSysenterCs, 0),
        (Field::HostSysenterEsp, 0),
        (Field::HostSysenterEip, 0),
        (Field::HostPat, msr(0x277)),
        (Field::HostEfer, msr(0xc000_0080)),
        (Field::HostRsp, stack),
        (Field::HostRip, vm_exit as *const () as u64),
    ] {
        vmcs.write(field, value);
    }
}

/// The VMCS that is current.
pub struct Current;

impl Vmcs for Current {
    fn read(&self, field: Field) -> u64 {
        let value: u64;
        // SAFETY: reading a field has no effect; a VMCS is current wherever this type is used.
        unsafe { asm!("vmread {}, {}", out(reg) value, in(reg) field as u64, options(nostack)) };
        value
    }

    fn write(&mut self, field: Field, value: u64) {
        // SAFETY: host fields are written by `host_state` alone; all others cannot touch the host.
        unsafe { asm!("vmwrite {}, {}", in(reg) field as u64, in(reg) value, options(nostack)) };
    }
}

/// Takes a VMCS from the processor.
pub fn clear(vmcs: u64) {
    // SAFETY: the page is a VMCS's.
    unsafe { asm!("vmclear [{}]", in(reg) &vmcs, options(nostack)) };
}

/// Drops what the processor keeps of the linear addresses with this tag.
pub fn invalidate_linear(vpid: u64) {
    let descriptor = [vpid, 0];
    // SAFETY: tags are in use only where single-context invalidation is there.
    unsafe { asm!("invvpid {}, [{}]", in(reg) 1u64, in(reg) &descriptor, options(nostack)) };
}

/// Drops what the processor keeps of a guest's memory map.
pub fn invalidate(root: u64) {
    /// The pointer as in the VMCS.
    const EPT: u64 = 3 << 3 | 6;
    let descriptor = [root | EPT, 0];
    // SAFETY: single-context invalidation was checked to be there.
    unsafe { asm!("invept {}, [{}]", in(reg) 1u64, in(reg) &descriptor, options(nostack)) };
}
