# long-mode: 64-bit code.
#
# Shows:    real mode to long mode in one step; 64-bit registers and addresses; what is different there: no segment
#           limits, canonical addresses, RIP-relative data, instructions that are gone; exceptions with 64-bit frames and
#           interrupt stacks; no-execute and write protection; compatibility mode and back.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "long.inc"

.equ PT, 0x26000                        # the second 2 MiB in 4 KiB pages
.equ WINDOW, 0x200000
.equ FRAME, 0x30000

.text
bits16
main:
    enter_long

    mov ecx, EFER
    rdmsr
    mov eax, eax
    check "EFER: SCE, LME, LMA, NXE", 0xd01
    mov eax, cs
    check "CS", CODE64

    # Registers.
    mov rax, 0x1122334455667788
    mov r15, rax
    mov eax, eax
    check "a 32-bit write clears the upper half", 0x55667788
    mov rax, r15
    mov ax, 0x1111
    check "a 16-bit write keeps the rest", 0x1122334455661111
    mov rax, r15
    mov r8, -1
    mul r8
    mov r9, rdx
    check "64 x 64 multiplication, low half", "0xeeddccbbaa998878"
    mov rax, r9
    check "64 x 64 multiplication, high half", 0x1122334455667787
    mov rax, r9
    bswap rax
    check "BSWAP", "0x8777665544332211"
    movsxd rax, dword ptr [minus_two]
    check "MOVSXD", -2
    mov rax, [rip + quad]
    check "RIP-relative data", 0x0123456789abcdef
    mov rax, 1
    mov ecx, 65
    shl rax, cl
    check "shift counts are taken modulo 64", 2
    push -1
    pop rax
    check "a pushed byte is 64 bits wide", -1
    mov rax, rsp
    push rax
    pop rbx
    sub rbx, rax
    mov rax, rbx
    check "PUSH and POP balance", 0
    xor eax, eax
    mov r10, 0x100000001
    mov rdx, 5
    mov rax, 0x100000001
    lock cmpxchg [cell], rdx
    mov rax, [cell]
    check "CMPXCHG of 64 bits", 5
    mov rax, 1
    mov rdx, 2
    mov rbx, 3
    mov rcx, 4
    lock cmpxchg16b [pair]
    setz al
    movzx eax, al
    check "CMPXCHG16B: equal", 1
    mov rax, [pair + 8]
    check "CMPXCHG16B: stored", 4

    # Addresses.
    mov rbx, 0x0000800000000000
    try 1f
    mov al, [rbx]
1:  raised "a non-canonical address is #GP(0)", 0x000d0000
    mov rbp, rbx
    try 1f
    mov al, [rbp]
1:  raised "and #SS(0) where the stack is meant", 0x000c0000
    try 1f
    jmp rbx
1:  raised "a non-canonical jump is #GP(0)", 0x000d0000
    mov ecx, 0xc0000100                 # FS base
    mov eax, offset quad - 0x1000
    xor edx, edx
    wrmsr
    mov rax, fs:[0x1000]
    check "the base of FS counts", 0x0123456789abcdef
    mov ecx, 0xc0000101
    mov edx, 0x00008000
    try 1f
    wrmsr
1:  raised "a non-canonical base is #GP(0)", 0x000d0000
    mov al, ds:[0x1fffff]
    try 1f
    mov al, [0x200000]
1:  raised "an absent page is #PF(read, supervisor)", 0x000e0000
    mov rax, [fault_cr2]
    check "CR2", 0x200000

    # What is gone, and what is new.
    try 1f
    .byte 0x06                          # PUSH ES
1:  raised "PUSH ES is #UD", 0x00060000
    try 1f
    .byte 0x27                          # DAA
1:  raised "DAA is #UD", 0x00060000
    try 1f
    .byte 0xea, 0, 0, 0, 0, 8, 0        # far jump with immediate address
1:  raised "JMP ptr16:32 is #UD", 0x00060000
    mov rcx, 0xffffffffffffff00
    lea rax, [rcx + 0xff]
    check "addresses are computed in 64 bits", -1
    lea rax, [ecx + 0x101]
    check "or in 32 by prefix", 1

    # Exceptions.
    try 2f
    xor edx, edx
    xor ecx, ecx
1:  div rcx
2:  raised "divide by zero is #DE", 0x00000000
    mov rax, [fault_rip]
    check "#DE points at the DIV", "offset 1b"
    try 1f
    int3
1:  raised "INT3 is #BP", 0x00030000
    push rsp
    pop rbx
    sub rsp, 8                          # the frame is aligned to 16 whatever RSP was
    try 1f
    ud2
1:  mov rsp, rbx
    mov rax, [fault_rsp]
    add rax, 8
    sub rax, rbx
    raised "UD2 is #UD", 0x00060000
    check "the frame holds the old RSP", 0
    set_gate 0x40, remember_stack
    mov byte ptr [IDT + 0x40 * 16 + 4], 1
    int 0x40
    mov rax, [stack_seen]
    check "an interrupt stack is switched to", "IST1_STACK - 40"

    # Pages of 4 KiB.
    mov dword ptr [PD + 8], PT + 7
    mov edi, PT
    mov ecx, 512
    xor eax, eax
    rep stosq
    mov dword ptr [PT], FRAME + 3
    mov dword ptr [WINDOW], 0xc3c3c3c3  # RET
    mov eax, [FRAME]
    check "a page maps its frame", 0xc3c3c3c3
    mov rax, [PT]
    check "accessed and dirty are set", FRAME+0x63
    mov eax, WINDOW
    call rax
    mov dword ptr [PT + 4], 0x80000000  # no execute
    invlpg [WINDOW]
    try 1f
    call rax
1:  raised "executing a no-execute page is #PF(fetch)", 0x000e0011
    mov rsp, rbx
    mov dword ptr [PT], FRAME + 1       # read only
    invlpg [WINDOW]
    try 1f
    mov dword ptr [WINDOW], 0
1:  raised "writing a read-only page is #PF(write) under CR0.WP", 0x000e0003
    mov dword ptr [PT + 8 + 4], 0x00080000 # a reserved address bit
    mov dword ptr [PT + 8], FRAME + 3
    try 1f
    mov eax, [WINDOW + 0x1000]
1:  raised "a reserved bit in an entry is #PF(reserved)", 0x000e0009
    # Compatibility mode: 32-bit code under the same tables.
    push CODE32
    mov eax, offset 1f
    push rax
    retfq
    bits32
1:  mov eax, 0xffffffff
    inc eax
    .byte 0x40                          # INC EAX here, a REX prefix in 64-bit code
    mov [seen32], eax
    ljmp CODE64, offset 1f
    bits64
1:  mov eax, [seen32]
    check "compatibility mode runs 32-bit code", 1

    # CR0.PG cannot go while in 64-bit code.
    try 1f
    mov rax, cr4
    and al, 0xdf
    mov cr4, rax
1:  raised "clearing CR4.PAE is #GP(0)", 0x000d0000
    try 1f
    mov rax, cr0
    btr rax, 31
    mov cr0, rax
1:  raised "clearing CR0.PG in 64-bit code is #GP(0)", 0x000d0000
    finish

remember_stack:
    mov [stack_seen], rsp
    iretq

.data
    .balign 16
pair:       .quad 1, 2
quad:       .quad 0x0123456789abcdef
cell:       .quad 0x100000001
stack_seen: .quad 0
minus_two:  .long -2
seen32:     .long 0
