# rings: privilege levels, and the gates between them.
#
# Shows:    going to ring 3 by IRET and back by interrupt; a call gate with copied parameters and its return; what ring 3
#           may not do; I/O by IOPL and by bitmap; conforming code; stack switches through the TSS; data selectors that are
#           cleared on the way out; supervisor pages.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "protected.inc"
.include "paging32.inc"

.equ TSS_BASE, 0x3000
.equ RING0_STACK, 0x6000
.equ USER_STACK, 0x9f000
.equ CALL_GATE, FREE_SELECTOR + 3       # to ring 0, two parameters
.equ KERNEL_GATE, FREE_SELECTOR + 8     # DPL 0
.equ CONFORMING, FREE_SELECTOR + 16
.equ KERNEL_PAGE, 0x50000

# In ring 3 we cannot report; each `user` case ends in INT 30h, which returns to ring 0 behind the macro.
.macro to_user
    mov [kernel_esp], esp
    push USER_DATA32
    push USER_STACK
    push [user_flags]
    push USER_CODE32
    push offset 4f
    iretd
4:
.endm
.macro to_kernel
    int 0x30
    bits32
.endm

.text
bits16
main:
    in al, 0x21
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    enter_protected
    set_gate 0x30, from_user, 0xee
    set_gate 0x31, quiet, 0x8e          # DPL 0
    mov edi, TSS_BASE
    mov ecx, (104 + 32 + 4) / 4
    xor eax, eax
    rep stosd
    mov dword ptr [TSS_BASE + 4], RING0_STACK
    mov word ptr [TSS_BASE + 8], DATA32
    mov word ptr [TSS_BASE + 102], 104
    mov dword ptr [TSS_BASE + 104 + 16], 0xfffffffe     # ports 0x80-0x9f: port 0x80 is allowed
    mov dword ptr [TSS_BASE + 104], -1
    mov dword ptr [TSS_BASE + 104 + 4], -1
    mov dword ptr [TSS_BASE + 104 + 8], -1
    mov dword ptr [TSS_BASE + 104 + 12], -1
    mov dword ptr [TSS_BASE + 104 + 20], -1
    descriptor TSS, "(0x890000000000 + 104 + 20) | (TSS_BASE << 16)"
    mov ax, TSS
    ltr ax
    mov dword ptr [gdt + CALL_GATE - 3], offset gate_target
    mov word ptr [gdt + CALL_GATE - 3 + 2], CODE32
    mov dword ptr [gdt + CALL_GATE - 3 + 4], 0xec02     # present, DPL 3, 32-bit call gate, 2 parameters
    mov dword ptr [gdt + KERNEL_GATE], offset gate_target
    mov word ptr [gdt + KERNEL_GATE + 2], CODE32
    mov dword ptr [gdt + KERNEL_GATE + 4], 0x8c00
    descriptor CONFORMING, 0x00cf9f000000ffff

    # There and back.
    to_user
    mov eax, cs
    mov ebx, ss
    mov ecx, esp
    to_kernel
    check "CS in ring 3", USER_CODE32
    mov eax, ebx
    check "SS in ring 3", USER_DATA32
    mov eax, ecx
    check "ESP in ring 3", USER_STACK
    mov eax, [entry_esp]
    check "the interrupt came in on the TSS's stack", "RING0_STACK - 20"
    mov eax, [user_ds]
    check "DS of ring 0 is cleared on the way to ring 3", 0

    # What ring 3 may not do.
    .macro forbidden name, code, what
    try 1f
    to_user
    \code
1:  to_kernel
    raised "ring 3: \name", \what
    .endm
    forbidden "CLI is #GP(0)", cli, 0x000d0000
    forbidden "HLT is #GP(0)", hlt, 0x000d0000
    forbidden "LGDT is #GP(0)", "lgdt [gdt_pointer]", 0x000d0000
    forbidden "MOV from CR0 is #GP(0)", "mov eax, cr0", 0x000d0000
    forbidden "CLTS is #GP(0)", clts, 0x000d0000
    forbidden "INVLPG is #GP(0)", "invlpg [eax]", 0x000d0000
    forbidden "RDMSR is #GP(0)", rdmsr, 0x000d0000
    forbidden "an interrupt gate of DPL 0 is #GP(vector * 8 + 2)", "int 0x31", 0x000d018a
    forbidden "a ring 0 code segment is #GP(selector)", "ljmp CODE32, 0", 0x000d0000+CODE32
    forbidden "a call gate of DPL 0 is #GP(selector)", "lcall KERNEL_GATE, 0", 0x000d0000+KERNEL_GATE
    try 1f
    to_user
    mov cx, DATA32
    mov fs, cx
1:  to_kernel
    raised "ring 3: a data segment of DPL 0 is #GP(selector)", 0x000d0000+DATA32
    try 1f
    to_user
    mov cx, USER_DATA32 - 3
    mov ss, cx
1:  to_kernel
    raised "ring 3: a stack with RPL 0 is #GP(selector)", 0x000d0000+USER_DATA32-3

    # Ports.
    forbidden "OUT to a port whose bit is set is #GP(0)", "out 0x81, al", 0x000d0000
    forbidden "a word across into such a port is #GP(0)", "out 0x80, ax", 0x000d0000
    forbidden "OUT past the bitmap is #GP(0)", "out 0xf4, al", 0x000d0000
    forbidden "OUT to a port whose bit is clear is allowed", "out 0x80, al", 0
    mov dword ptr [user_flags], 0x3002  # IOPL 3
    forbidden "with IOPL 3 every port is allowed", "in al, 0x64", 0
    forbidden "with IOPL 3 CLI is allowed", cli, 0
    mov dword ptr [user_flags], 2
    to_user
    pushf
    or dword ptr [esp], 0x3200          # IOPL 3 and IF
    popf
    pushf
    pop eax
    to_kernel
    and eax, 0x3200
    check "ring 3: POPF silently keeps IOPL and IF", 0

    # Through a call gate, with two parameters.
    to_user
    push 0x1111
    push 0x2222
    lcall CALL_GATE, 0x55555555         # the offset does not count
    mov ecx, esp
    to_kernel
    check "the gate's parameters were copied", 0x3333
    mov eax, ecx
    check "RETF 8 drops them from both stacks", USER_STACK
    mov eax, [gate_cpl]
    check "the gate led to ring 0", 0
    mov eax, [gate_esp]
    check "on the TSS's stack: 2 parameters, SS, ESP, CS, EIP", "RING0_STACK - 24"

    # Conforming code runs with its caller's privilege.
    to_user
    lcall CONFORMING, offset conforming
    to_kernel
    check "conforming code: CPL stays 3", 3

    # ARPL, VERR and LAR from below.
    to_user
    mov cx, DATA32
    verr cx
    setz al
    mov cx, USER_DATA32
    verr cx
    setz ah
    mov cx, 0x10
    mov dx, 3
    arpl cx, dx
    movzx eax, ax
    shl ecx, 16
    or eax, ecx
    to_kernel
    check "VERR sees DPL; ARPL raises RPL", 0x00130100

    # Pages of the kernel.
    enable_paging
    and dword ptr [PAGE_TABLE + (KERNEL_PAGE >> 12) * 4], 0xfffffffb
    invlpg [KERNEL_PAGE]
    mov dword ptr [KERNEL_PAGE], 0x5ec2e7
    try 1f
    to_user
    mov cx, USER_DATA32
    mov ds, cx
    mov eax, [KERNEL_PAGE]
1:  to_kernel
    raised "ring 3: reading a supervisor page is #PF(user, present)", 0x000e0005
    try 1f
    to_user
    mov cx, USER_DATA32
    mov ds, cx
    mov [KERNEL_PAGE], eax
1:  to_kernel
    raised "ring 3: writing a supervisor page is #PF(user, write, present)", 0x000e0007
    and dword ptr [PAGE_TABLE + (KERNEL_PAGE >> 12) * 4], 0xfffffffd
    or dword ptr [PAGE_TABLE + (KERNEL_PAGE >> 12) * 4], 4
    invlpg [KERNEL_PAGE]
    try 1f
    to_user
    mov cx, USER_DATA32
    mov ds, cx
    mov [KERNEL_PAGE], eax
1:  to_kernel
    raised "ring 3: writing a read-only page is #PF, whatever CR0.WP", 0x000e0007

    # A stack that grows on demand: the page below the user's stack is absent, and the fault is taken on another.
    and dword ptr [PAGE_TABLE + 0x9e * 4], 0xfffffffe
    invlpg [0x9e000]
    set_gate 14, pager
    to_user
    pusha
    popa
    mov ecx, esp
    to_kernel
    mov eax, [pages]
    check "a push below the stack brings its page", 1
    mov eax, ecx
    check "and the push happens once", USER_STACK
    finish

# From ring 3 or, after a fault that went on in ring 3, from there too. Stack: EIP, CS, EFLAGS, ESP, SS.
from_user:
    mov ss:[entry_scratch], eax
    mov eax, ds
    push eax
    mov ax, DATA32
    mov ds, ax
    mov es, ax
    pop eax
    mov [user_ds], eax
    mov [entry_esp], esp
    mov eax, [esp]
    mov [return_to], eax
    mov esp, [kernel_esp]
    mov eax, [entry_scratch]
    jmp [return_to]

quiet:
    iretd

gate_target:
    push ds
    push eax
    mov ax, DATA32
    mov ds, ax
    lea eax, [esp + 8]
    mov [gate_esp], eax
    mov eax, cs
    and eax, 3
    mov [gate_cpl], eax
    pop eax
    pop ds
    mov eax, [esp + 8]
    add eax, [esp + 12]
    retf 8

conforming:
    mov eax, cs
    and eax, 3
    retf

pager:
    push eax
    push ds
    mov ax, DATA32
    mov ds, ax
    inc dword ptr [pages]
    or dword ptr [PAGE_TABLE + 0x9e * 4], 1
    pop ds
    pop eax
    add esp, 4
    iretd

.data
    .balign 4
user_flags:    .long 2
kernel_esp:    .long 0
entry_esp:     .long 0
entry_scratch: .long 0
return_to:     .long 0
user_ds:       .long 0
gate_esp:      .long 0
gate_cpl:      .long 0
pages:         .long 0
