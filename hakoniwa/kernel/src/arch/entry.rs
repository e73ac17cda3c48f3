//! Ways into the kernel and out of it.
//!
//! Interrupt stack 1 is not a stack: it ends where the running task's [`Context`] ends, so that the processor and the
//! stubs push the registers right where they belong. Then the stub saves the vector registers (Rust uses them), takes
//! the kernel's stack from its top, and calls [`enter`](super::percpu::enter), which never returns: the way out is
//! [`resume`]. Kernel code runs with interrupts off, so nothing arrives in between except NMIs and fatal errors,
//! which have stacks of their own.

use core::arch::global_asm;
use hakoniwa_kernel::context::Context;

/// The vector number that marks a system call.
pub const SYSCALL: u64 = 256;

/// The vector by which the moment of open interrupts ends.
pub const OPEN: u64 = 0xf1;

global_asm!(
    r#"
    .section .text
    .macro save_registers
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    .endm

    // One stub for each vector, 16 bytes apart. These push an error code themselves: 8, 10 to 14, 17, 21, 29, 30.
    .balign 16
    .globl interrupt_stubs
interrupt_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    push 0
    .endif
    push vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr

interrupt_common:
    save_registers
    test byte ptr [rsp + 144], 3
    jz enter_kernel
    swapgs
    jmp enter_kernel

    .globl syscall_entry
syscall_entry:
    swapgs
    mov gs:[16], rsp
    mov rsp, gs:[8]
    push {user_data}
    push qword ptr gs:[16]
    push r11
    push {user_code}
    push rcx
    push 0
    push {syscall}
    save_registers
    .globl enter_kernel
enter_kernel:
    cld
    mov rdi, gs:[32]
    cmp qword ptr gs:[40], 0
    je 1f
    mov eax, -1
    mov edx, -1
    xsave64 [rdi]
    jmp 2f
1:  fxsave64 [rdi]
2:  mov rsp, gs:[24]
    xor ebp, ebp
    call {enter}
    ud2

    .globl resume
resume:
    mov rcx, gs:[32]
    cmp qword ptr gs:[40], 0
    je 3f
    mov eax, -1
    mov edx, -1
    xrstor64 [rcx]
    jmp 4f
3:  fxrstor64 [rcx]
4:  mov rsp, rdi
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    test byte ptr [rsp + 8], 3
    jz 5f
    swapgs
5:  iretq

    // What runs when no task wants to.
    .globl idle
idle:
    hlt
    jmp idle

    // Lets interrupts in for a moment, then comes back to the kernel by one of its own.
    .globl open_window
open_window:
    nop
    nop
    int {open}
    jmp idle

    // An NMI that nobody asked for: go on.
    .globl nmi_entry
nmi_entry:
    iretq

    // Double faults and machine checks, on a stack of their own: tell and stop.
    .globl double_fault_entry, machine_check_entry
double_fault_entry:
    mov edi, 8
    mov rsi, [rsp + 8]
    jmp 6f
machine_check_entry:
    mov edi, 18
    mov rsi, [rsp]
6:  and rsp, -16
    call {fatal}
    ud2
"#,
    enter = sym super::percpu::enter,
    fatal = sym fatal,
    syscall = const SYSCALL,
    open = const OPEN,
    user_data = const hakoniwa_kernel::context::USER_DATA,
    user_code = const hakoniwa_kernel::context::USER_CODE,
);

unsafe extern "C" {
    /// Loads a context and continues there.
    pub fn resume(context: *const Context) -> !;
    fn idle();
    fn open_window();
}

/// The address of the code that lets interrupts in for a moment.
pub fn window_address() -> u64 {
    open_window as *const () as u64
}

/// The address of the idle loop.
pub fn idle_address() -> u64 {
    idle as *const () as u64
}

extern "C" fn fatal(vector: u64, rip: u64) -> ! {
    panic!("exception {vector} at {rip:#x}, from which the kernel does not recover")
}
