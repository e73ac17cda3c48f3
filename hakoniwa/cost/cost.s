# What accesses to devices cost, counted by the guest: its time-stamp counter is the processor's, which Bochs moves by one an instruction.
# Long mode with 2 MiB pages. Of each access the least of many is printed, so that no interrupt of the host's is in it;
# the two RDTSCs and what is between them count too, four instructions in all.

.include "boot.inc"
.include "long.inc"

.equ LAPIC_PD, 0x26000
.equ TASK_PRIORITY, 0xfee00080
.equ TIMES, 100

# cost "name", instruction
.macro cost name, instruction:vararg
    .pushsection .rodata
8:  .asciz "cost of \name: "
    .popsection
    mov r12d, TIMES
    mov r13, -1
9:  mov edi, TASK_PRIORITY
    xor eax, eax
    rdtsc
    mov r14d, eax
    xor eax, eax
    \instruction
    rdtsc
    sub eax, r14d
    cmp rax, r13
    cmovb r13, rax
    dec r12d
    jnz 9b
    mov esi, offset 8b
    call tell
.endm

.text
bits16
main:
    enter_long
    mov dword ptr [LAPIC_PD + (TASK_PRIORITY >> 21 & 0x1ff) * 8], (TASK_PRIORITY & 0xffe00000) + 0x87
    mov dword ptr [PDPT + 24], LAPIC_PD + 7
    mov rax, cr4                        # SSE
    or eax, 0x600
    mov cr4, rax
    mov rax, cr0
    and eax, 0xfffffff3
    mov cr0, rax
    cld

    cost "mov from a register of the local APIC", mov eax, [rdi]
    cost "mov to it", mov [rdi], eax
    cost "movzx from it", movzx eax, byte ptr [rdi]
    cost "or to it", or [rdi], eax
    cost "test of it", test dword ptr [rdi], 1
    cost "stosd to it", stosd
    cost "movd from it, SSE", movd xmm0, [rdi]
    cost "out to a port", out 0x80, al
    cost "nothing", nop

    # Debug exceptions come behind an access that somebody else completes, too.
    mov edi, TASK_PRIORITY
    try 1f
    pushfq
    or word ptr [rsp], 0x100
    popfq
    mov eax, [rdi]
2:  nop
1:  raised "a single step over an access is #DB", 0x00010000
    mov rax, [fault_rip]
    check "behind it", "offset 2b"
    mov dr0, rdi
    mov eax, 0xf0402                    # reads and writes of four bytes
    mov dr7, rax
    try 1f
    mov eax, [rdi]
2:  nop
1:  raised "a breakpoint on a register of the device is #DB", 0x00010000
    mov rax, [fault_rip]
    check "behind it", "offset 2b"
    mov rax, dr6
    and eax, 0xf
    check "DR6 says which", 1
    finish

# The string at ESI is what cost R13.
tell:
    report_call puts
    mov rax, r13
    mov ebx, 10
    xor ecx, ecx
1:  xor edx, edx
    div rbx
    push rdx
    inc ecx
    test rax, rax
    jnz 1b
2:  pop rax
    add al, '0'
    report_call putc
    loop 2b
    mov al, '\n'
    report_call putc
    ret
