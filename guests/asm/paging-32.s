# demand-paging: memory that comes when it is touched.
#
# Shows:    two-level page tables; a page fault handler that maps a page of its own choice and lets the instruction
#           run again; error codes and CR2; accessed and dirty bits; write protection in ring 0; INVLPG; 4 MiB pages; string
#           instructions and pushes that fault half-way and go on.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "protected.inc"
.include "paging32.inc"

.equ LAZY, 0x400000                     # this 4 MiB comes on demand ...
.equ FRAMES, 0x40000                    # ... from here

.text
bits16
main:
    enter_protected
    enable_paging
    mov dword ptr [PAGE_DIRECTORY + 4], PAGE_TABLE2 + 7
    mov edi, PAGE_TABLE2
    mov ecx, 1024
    xor eax, eax
    rep stosd

    # First with the handler of protected.inc: what does a fault tell?
    try 2f
1:  mov eax, [LAZY + 0x1234]
2:  raised "a read is #PF(not present)", 0x000e0000
    mov eax, [fault_cr2]
    check "CR2 is the address, not the page", LAZY+0x1234
    mov eax, [fault_eip]
    check "EIP is the instruction", "offset 1b"
    try 1f
    mov [LAZY + 0x2000], eax
1:  raised "a write is #PF(write)", 0x000e0002
    try 1f
    inc dword ptr [LAZY + 0x3000]
1:  raised "read-modify-write faults as a write", 0x000e0002
    try 1f
    mov eax, LAZY
    jmp eax
1:  raised "a jump is #PF(not present)", 0x000e0000
    try 1f
    mov eax, [0x800000]
1:  raised "an absent table is #PF(not present)", 0x000e0000

    # Now with a pager.
    set_gate 14, pager
    mov dword ptr [LAZY + 0x1000], 0x12345678
    mov eax, [FRAMES]
    check "the write arrived in the first frame", 0x12345678
    mov eax, [PAGE_TABLE2 + 4]
    and eax, 0xfff
    check "the entry is accessed and dirty", 0x67
    mov eax, [LAZY + 0x2000]
    mov eax, [PAGE_TABLE2 + 8]
    and eax, 0xfff
    check "reading does not make dirty", 0x27
    mov dword ptr [LAZY + 0x2000], 1
    mov eax, [PAGE_TABLE2 + 8]
    and eax, 0xfff
    check "writing later does", 0x67
    mov eax, [PAGE_DIRECTORY + 4]
    and eax, 0x60
    check "directory entries are accessed, not dirty", 0x20

    # A word into a present and an absent page: the present one stays as it is.
    set_gate 14, "exception_stub0 + 14 * 16"
    mov dword ptr [LAZY + 0x2ffc], 0x77777777
    try 1f
    mov dword ptr [LAZY + 0x2ffe], 0xaabbccdd
1:  raised "a write across into an absent page is #PF(write)", 0x000e0002
    mov eax, [LAZY + 0x2ffc]
    check "and nothing was written", 0x77777777
    set_gate 14, pager

    # A word across two absent pages: two faults, one write.
    mov dword ptr [faults], 0
    mov dword ptr [LAZY + 0x10ffe], 0xaabbccdd
    mov eax, [faults]
    check "a write across two absent pages faults twice", 2
    mov eax, [LAZY + 0x10ffe]
    check "and arrives", 0xaabbccdd

    # REP MOVSD over absent pages goes on where it stopped.
    mov dword ptr [faults], 0
    mov esi, 0x7c00
    mov edi, LAZY + 0x20800
    mov ecx, 0x2000 / 4
    rep movsd
    mov eax, [faults]
    check "REP MOVSD over three pages faults three times", 3
    mov eax, edi
    check "EDI at the end", LAZY+0x22800
    mov eax, ecx
    check "ECX at the end", 0
    mov esi, 0x7c00
    mov edi, LAZY + 0x20800
    mov ecx, 0x100                      # (what follows changes while we run)
    repe cmpsb
    setz al
    movzx eax, al
    check "the copy is the original", 1

    # In the middle of a REP the registers say how far it came.
    mov dword ptr [ecx_at_fault], -1
    mov edi, LAZY + 0x30ff0
    mov ecx, 0x20
    xor eax, eax
    mov [LAZY + 0x30000], eax           # the first page is there
    rep stosb
    mov eax, [ecx_at_fault]
    check "ECX when the second page was missing", 0x10

    # REP INSB into an absent page loses no byte.
    mov dword ptr [faults], 0
    mov al, 0x0d
    out 0x70, al
    mov edi, LAZY + 0x40ffc
    mov ecx, 8
    mov dx, 0x71
    rep insb
    mov eax, [faults]
    check "REP INSB over two absent pages faults twice", 2
    mov eax, [LAZY + 0x40ffc]
    xor eax, [LAZY + 0x41000]
    check "and reads the same port all the time", 0

    # An instruction that faults has changed nothing: POP into an absent page pops once.
    mov ebp, esp
    push 0x600df00d
    pop dword ptr [LAZY + 0x52000]
    mov eax, [LAZY + 0x52000]
    check "POP into an absent page", 0x600df00d
    mov eax, esp
    check "pops once", ebp
    mov eax, 0x11
    xadd [LAZY + 0x53000], eax
    mov eax, [LAZY + 0x53000]
    check "XADD to an absent page adds once", 0x11

    # Write protection.
    set_gate 14, "exception_stub0 + 14 * 16"
    and dword ptr [PAGE_TABLE2 + 4], 0xfffffffd
    invlpg [LAZY + 0x1000]
    try 1f
    mov dword ptr [LAZY + 0x1000], 1
1:  raised "without CR0.WP ring 0 writes read-only pages", 0
    mov eax, cr0
    or eax, 0x10000
    mov cr0, eax
    try 1f
    mov dword ptr [LAZY + 0x1000], 2
1:  raised "with CR0.WP it is #PF(write, present)", 0x000e0003
    mov eax, [LAZY + 0x1000]
    check "and nothing was written", 1
    xor eax, eax
    try 1f
    lock cmpxchg [LAZY + 0x1000], ecx   # not equal, yet it is a write
1:  raised "CMPXCHG that does not store needs a writable page too", 0x000e0003

    # A changed entry counts after INVLPG, or after CR3 is loaded.
    mov dword ptr [FRAMES + 0xf000], 0x0f0f0f0f
    mov dword ptr [PAGE_TABLE2 + 4], FRAMES + 0xf000 + 7
    invlpg [LAZY + 0x1000]
    mov eax, [LAZY + 0x1000]
    check "INVLPG makes a new frame visible", 0x0f0f0f0f
    mov dword ptr [PAGE_TABLE2 + 4], FRAMES + 7
    mov eax, cr3
    mov cr3, eax
    mov eax, [LAZY + 0x1000]
    check "loading CR3 does too", 1

    # 4 MiB pages.
    mov eax, cr4
    or eax, 0x10
    mov cr4, eax
    mov dword ptr [PAGE_DIRECTORY + 8], 0x87
    mov eax, [0x800000 + FRAMES]
    check "a 4 MiB page shows the same memory", 1
    mov eax, [PAGE_DIRECTORY + 8]
    and eax, 0xff
    check "and is accessed", 0xa7
    finish

bits32
# Maps the next free frame at CR2.
pager:
    push eax
    push edx
    mov [ecx_at_fault], ecx
    inc dword ptr [faults]
    mov edx, cr2
    shr edx, 12
    and edx, 0x3ff
    mov eax, [next_frame]
    or eax, 7
    mov [PAGE_TABLE2 + edx * 4], eax
    add dword ptr [next_frame], 0x1000
    pop edx
    pop eax
    add esp, 4
    iretd

.data
    .balign 4
next_frame:   .long FRAMES
faults:       .long 0
ecx_at_fault: .long 0
