# user64: programs under a 64-bit system.
#
# Shows:    SYSCALL and SYSRET, SYSENTER and SYSEXIT, interrupts from ring 3 with stack switch, SWAPGS, and what a program may not do.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "long.inc"

.equ STAR, 0xc0000081
.equ LSTAR, 0xc0000082
.equ FMASK, 0xc0000084
.equ GS_BASE, 0xc0000101
.equ KERNEL_GS_BASE, 0xc0000102
.equ USER_STACK, 0x9f000

.macro set_msr index, low, high=0
    mov ecx, \index
    mov eax, \low
    mov edx, \high
    wrmsr
.endm

# To ring 3, at the next instruction; `to_kernel` comes back.
.macro to_user
    mov [kernel_rsp], rsp
    push USER_DATA64
    mov ecx, USER_STACK
    push rcx
    push 2
    push USER_CODE64
    mov ecx, offset 4f
    push rcx
    iretq
4:
.endm
.macro to_kernel
    int 0x30
.endm

.text
bits16
main:
    enter_long
    set_gate 0x30, from_user, 0xee
    set_msr STAR, 0, ((USER_CODE32 << 16) | CODE64)     # SYSRET: +8 is SS, +16 the 64-bit CS
    set_msr LSTAR, "offset system_call"
    set_msr FMASK, 0x401                                # DF and CF

    # Interrupts.
    to_user
    mov eax, cs
    mov ebx, ss
    to_kernel
    check "CS in ring 3", USER_CODE64
    mov rax, rbx
    check "SS in ring 3", USER_DATA64
    mov rax, [entry_rsp]
    check "the interrupt came in on the TSS's stack", "RING0_STACK - 40"
    mov rax, [entry_ss]
    check "SS is null after a change of ring", 0

    .macro forbidden name, code, what
    try 1f
    to_user
    \code
1:  to_kernel
    raised "ring 3: \name", \what
    .endm
    forbidden "CLI is #GP(0)", cli, 0x000d0000
    forbidden "MOV from CR3 is #GP(0)", "mov rax, cr3", 0x000d0000
    forbidden "WRMSR is #GP(0)", wrmsr, 0x000d0000
    forbidden "SWAPGS is #GP(0)", swapgs, 0x000d0000
    forbidden "SYSRET is #GP(0)", sysretq, 0x000d0000
    forbidden "an interrupt gate of DPL 0 is #GP(vector * 8 + 2)", "int 0x40", 0x000d0202
    forbidden "an absent page is #PF(user)", "mov al, [0x200000]", 0x000e0004
    forbidden "INT3 is allowed by no gate of DPL 0", int3, 0x000d001a

    # SYSCALL.
    to_user
    stc
    std
    mov eax, 40
    syscall
1:  cld
    mov rbx, rcx
    to_kernel
    check "SYSCALL went and came with a result", 42
    mov rax, rbx
    check "RCX is the return address", "offset 1b"
    mov rax, [call_cs]
    check "SYSCALL's CS", CODE64
    mov rax, [call_ss]
    check "SYSCALL's SS", "CODE64 + 8"
    mov rax, [call_r11]
    and eax, 0x401
    check "R11 holds the caller's flags", 0x401
    mov rax, [call_flags]
    and eax, 0x401
    check "FMASK cleared them in the kernel", 0
    mov rax, [return_cs]
    check "SYSRET's CS", USER_CODE64
    mov rax, [return_ss]
    check "SYSRET's SS", USER_DATA64

    mov ecx, EFER
    rdmsr
    and al, 0xfe
    wrmsr
    forbidden "SYSCALL without EFER.SCE is #UD", syscall, 0x00060000

    # SYSENTER.
    set_msr 0x174, CODE64
    set_msr 0x175, RING0_STACK
    set_msr 0x176, "offset system_enter"
    to_user
    mov edx, offset 1f
    mov ecx, USER_STACK
    mov eax, 7
    sysenter
1:  mov ebx, cs
    to_kernel
    check "SYSENTER went and came with a result", 14
    mov rax, rbx
    check "SYSEXIT's CS", "CODE64 + 32 + 3"

    # SWAPGS.
    set_msr GS_BASE, 0x1111
    set_msr KERNEL_GS_BASE, 0x2222
    swapgs
    mov ecx, GS_BASE
    rdmsr
    check "SWAPGS: GS base", 0x2222
    mov ecx, KERNEL_GS_BASE
    rdmsr
    check "SWAPGS: the other", 0x1111
    finish

# From ring 3. Stack: RIP, CS, RFLAGS, RSP, SS.
from_user:
    mov [scratch], rax
    mov [entry_rsp], rsp
    mov eax, ss
    mov [entry_ss], rax
    mov rax, [rsp + 8]
    mov [return_cs], rax
    mov rax, [rsp + 32]
    mov [return_ss], rax
    mov rax, [rsp]
    mov rsp, [kernel_rsp]
    push rax
    mov rax, [scratch]
    ret

system_call:
    mov [scratch2], rsp
    mov esp, RING0_STACK
    push rax
    pushf
    pop [call_flags]
    cld
    mov [call_r11], r11
    mov eax, cs
    mov [call_cs], rax
    mov eax, ss
    mov [call_ss], rax
    pop rax
    add eax, 2
    mov rsp, [scratch2]
    sysretq

system_enter:
    add eax, eax
    sysexitq

.data
    .balign 8
kernel_rsp: .quad 0
entry_rsp:  .quad 0
entry_ss:   .quad 0
scratch:    .quad 0
scratch2:   .quad 0
call_flags: .quad 0
call_r11:   .quad 0
call_cs:    .quad 0
call_ss:    .quad 0
return_cs:  .quad 0
return_ss:  .quad 0
