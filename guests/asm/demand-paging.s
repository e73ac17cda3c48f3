# demand-paging: memory that comes when it is touched.
#
# Shows:    a page fault handler that maps a page of its own choice and lets the instruction run again; error codes and CR2;
#           accessed and dirty bits; INVLPG; string instructions that fault half-way and go on. (In long mode; paging-32 does
#           more of it with the tables of 32-bit systems.)
# Expected: OK lines, PASS.

.include "boot.inc"
.include "long.inc"

.equ PT, 0x26000                        # 2 MiB from LAZY on, which come on demand ...
.equ LAZY, 0x200000
.equ FRAMES, 0x40000                    # ... from here

.text
bits16
main:
    enter_long
    mov dword ptr [PD + 8], PT + 7
    mov edi, PT
    mov ecx, 512
    xor eax, eax
    rep stosq

    # First with the handler of long.inc: what does a fault tell?
    try 2f
1:  mov eax, [LAZY + 0x1234]
2:  raised "a read is #PF(not present)", 0x000e0000
    mov rax, [fault_cr2]
    check "CR2 is the address, not the page", LAZY+0x1234
    mov rax, [fault_rip]
    check "RIP is the instruction", "offset 1b"
    try 1f
    mov [LAZY + 0x2000], eax
1:  raised "a write is #PF(write)", 0x000e0002
    mov rbx, rsp
    mov eax, LAZY
    try 1f
    call rax
1:  mov rsp, rbx
    mov eax, [fault]
    and eax, 0xffef                     # bit 4, instruction fetch: with no-execute on
    check "a call is #PF(not present)", 0
    try 1f
    mov eax, [0x400000]
1:  raised "an absent table is #PF(not present)", 0x000e0000

    # Now with a pager.
    set_gate 14, pager
    mov dword ptr [LAZY + 0x1000], 0x12345678
    mov eax, [FRAMES]
    check "the write arrived in the first frame", 0x12345678
    mov rax, [PT + 8]
    and eax, 0xfff
    check "the entry is accessed and dirty", 0x67
    mov eax, [LAZY + 0x2000]
    mov rax, [PT + 16]
    and eax, 0xfff
    check "reading does not make dirty", 0x27
    mov dword ptr [LAZY + 0x2000], 1
    mov rax, [PT + 16]
    and eax, 0xfff
    check "writing later does", 0x67

    # Two absent pages at once.
    mov dword ptr [faults], 0
    mov rax, 0x1122334455667788
    mov [LAZY + 0x10ffc], rax
    mov eax, [faults]
    check "a write across two absent pages faults twice", 2
    mov rax, [LAZY + 0x10ffc]
    check "and arrives", 0x1122334455667788

    # String instructions go on where they stopped.
    mov dword ptr [faults], 0
    mov esi, 0x7c00
    mov edi, LAZY + 0x20800
    mov ecx, 0x2000 / 8
    rep movsq
    mov eax, [faults]
    check "REP MOVSQ over three pages faults three times", 3
    mov rax, rdi
    check "RDI at the end", LAZY+0x22800
    mov rax, rcx
    check "RCX at the end", 0
    mov esi, 0x7c00
    mov edi, LAZY + 0x20800
    mov ecx, 0x100                      # (what follows changes while we run)
    repe cmpsb
    setz al
    movzx eax, al
    check "the copy is the original", 1
    mov qword ptr [rcx_at_fault], -1
    mov edi, LAZY + 0x30ff0
    mov ecx, 0x20
    xor eax, eax
    mov [LAZY + 0x30000], eax           # the first page is there
    rep stosb
    mov rax, [rcx_at_fault]
    check "RCX when the second page was missing", 0x10

    # An instruction that faults has changed nothing: it happens once.
    mov rbp, rsp
    push 0x600df00d
    pop qword ptr [LAZY + 0x52000]
    mov rax, [LAZY + 0x52000]
    check "POP into an absent page", 0x600df00d
    mov rax, rsp
    check "pops once", rbp
    mov eax, 0x11
    xadd [LAZY + 0x53000], eax
    mov eax, [LAZY + 0x53000]
    check "XADD to an absent page adds once", 0x11

    # A changed entry counts after INVLPG, or after CR3 is loaded.
    mov dword ptr [FRAMES + 0x2f000], 0x0f0f0f0f
    mov dword ptr [PT + 8], FRAMES + 0x2f000 + 7
    invlpg [LAZY + 0x1000]
    mov eax, [LAZY + 0x1000]
    check "INVLPG makes a new frame visible", 0x0f0f0f0f
    mov dword ptr [PT + 8], FRAMES + 7
    mov rax, cr3
    mov cr3, rax
    mov eax, [LAZY + 0x1000]
    check "loading CR3 does too", 0x12345678
    finish

# Maps the next free frame at CR2.
pager:
    push rax
    push rdx
    mov [rcx_at_fault], rcx
    inc dword ptr [faults]
    mov rdx, cr2
    shr rdx, 12
    and edx, 0x1ff
    mov eax, [next_frame]
    or eax, 7
    mov [PT + rdx * 8], rax
    add dword ptr [next_frame], 0x1000
    pop rdx
    pop rax
    add rsp, 8
    iretq

.data
    .balign 8
rcx_at_fault: .quad 0
next_frame:   .long FRAMES
faults:       .long 0
