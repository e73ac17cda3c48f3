# mmio: every kind of instruction on device memory, in every mode.
#
# Shows:    that an access to a device's memory works whatever instruction makes it: 8 to 128 bits, across pages, read-modify-write,
#           LOCKed, string instructions with REP to, from and within it, SSE and x87; in real mode, 16- and 32-bit protected mode,
#           with two-level paging, with PAE paging (whose top entries the CPU keeps), in compatibility and in long mode.
# Expected: OK lines, PASS. A FAIL line's value has a bit for each access that went wrong.

.include "boot.inc"
.include "protected.inc"
.include "paging32.inc"

.equ DEVICE, FREE_SELECTOR              # the test device's 64 KiB
.equ MEMORY, 0xff000000                 # where they are
.equ EFER, 0xc0000080
.equ GS_BASE, 0xc0000101

.equ CELL, 0x9100
.equ CROSSING, 0x9ffd                   # a dword here lies in two pages

.equ PDPT, 0x24000                      # PAE: four entries
.equ PD, 0x25000                        # one to one, 2 MiB pages
.equ PD_OTHER, 0x26000                  # the same memory from 1 GiB on
.equ PD_DEVICE, 0x27000
.equ PML4, 0x28000
.equ BUFFER, 0x3000

.macro expect r, value, bit
    cmp \r, \value
    je 9f
    or ebp, 1 << \bit
9:
.endm

# The string instructions' destination is ES:EDI: in 64-bit code ES has no base, in real mode it has the device's from before.
.macro to_device
    .if BITS == 64
    .set DEVICE_AT, MEMORY
    .else
    .set DEVICE_AT, 0
    mov ax, [device]
    test ax, ax
    jz 9f
    mov es, ax
9:
    .endif
.endm
.macro to_ram
    .if BITS != 64
    mov ax, [plain]
    mov es, ax
    .endif
.endm

# accesses "name": all of them, with GS at the device's memory.
.macro accesses name
    xor ebp, ebp
    cld
    # Plain.
    mov byte ptr gs:[CELL], 0x5a
    mov word ptr gs:[CELL + 1], 0x1234
    mov dword ptr gs:[CELL + 3], 0x89abcdef
    movzx eax, byte ptr gs:[CELL]
    expect eax, 0x5a, 0
    movsx eax, word ptr gs:[CELL + 1]
    expect eax, 0x1234, 1
    mov eax, gs:[CELL + 3]
    expect eax, 0x89abcdef, 2
    # Across a page border.
    mov dword ptr gs:[CROSSING], 0x11223344
    mov eax, gs:[CROSSING + 1]
    and eax, 0xffffff
    expect eax, 0x112233, 3
    mov eax, gs:[CROSSING]
    expect eax, 0x11223344, 3
    # Read-modify-write, and what LOCK stands before.
    add dword ptr gs:[CELL], 0x01010101
    mov eax, gs:[CELL]
    expect eax, 0xf013355b, 4           # 0xef12345a + 0x01010101
    mov eax, 1
    lock xadd gs:[CROSSING], eax
    expect eax, 0x11223344, 5
    mov eax, 0x11223345
    mov ecx, 0xcafebabe
    lock cmpxchg gs:[CROSSING], ecx
    mov eax, gs:[CROSSING]
    expect eax, 0xcafebabe, 5
    mov eax, 0x77
    xchg al, gs:[CELL + 8]
    lock bts dword ptr gs:[CELL + 8], 31
    mov eax, gs:[CELL + 8]
    and eax, 0x800000ff
    expect eax, 0x80000077, 6
    mov dword ptr gs:[CELL + 16], 1
    mov dword ptr gs:[CELL + 20], 2
    mov eax, 1
    mov edx, 2
    mov ebx, 3
    mov ecx, 4
    lock cmpxchg8b gs:[CELL + 16]
    mov eax, gs:[CELL + 20]
    expect eax, 4, 7
    # REP: to it across a page border, within it, from it; comparing and scanning.
    to_device
    mov esi, offset numbers
    mov edi, 0x9ff6 + DEVICE_AT
    mov ecx, 8
    rep movsd es:[edi], ds:[esi]
    mov eax, gs:[0x9ff6 + 28]
    expect eax, 0x1f1e1d1c, 8
    expect ecx, 0, 8
    mov esi, 0x9ff6
    mov edi, 0x9ff8 + DEVICE_AT
    mov ecx, 16
    rep movsw es:[edi], gs:[esi]
    mov eax, gs:[0x9ff6 + 30]           # each word is copied before it is read
    expect eax, 0x01000100, 9
    mov edi, 0x9ff8 + DEVICE_AT
    mov ecx, 9
    mov eax, 0x0a0b0c0d
    rep stosd
    mov edi, 0x9ff8 + DEVICE_AT
    mov al, 0x0a
    mov ecx, 100
    repne scasb
    expect ecx, 96, 10
    to_ram
    mov edi, BUFFER
    mov esi, 0x9ff8
    mov ecx, 36
    rep movsb es:[edi], gs:[esi]
    mov eax, [BUFFER + 32]
    expect eax, 0x0a0b0c0d, 11
    mov byte ptr [BUFFER + 20], 0
    mov edi, BUFFER
    mov esi, 0x9ff8
    mov ecx, 36
    repe cmpsb gs:[esi], es:[edi]
    expect ecx, 15, 11
    # The stack's other end, and a jump by way of it.
    .if BITS == 64
    push qword ptr gs:[CELL]
    pop qword ptr gs:[CELL + 24]
    mov qword ptr gs:[CELL + 32], offset 1f
    jmp qword ptr gs:[CELL + 32]
    .elseif BITS == 32
    push dword ptr gs:[CELL]
    pop dword ptr gs:[CELL + 24]
    mov dword ptr gs:[CELL + 32], offset 1f
    jmp dword ptr gs:[CELL + 32]
    .else
    push dword ptr gs:[CELL]
    pop dword ptr gs:[CELL + 24]
    mov word ptr gs:[CELL + 32], offset 1f
    jmp word ptr gs:[CELL + 32]
    .endif
    or ebp, 1 << 13
1:  mov eax, gs:[CELL + 24]
    expect eax, 0xf013355b, 12
    # SSE: what is in a register gets there, and what is there gets into a register.
    movups xmm3, [numbers]
    movups gs:[0x9ff9], xmm3
    mov eax, gs:[0x9ff9 + 12]
    expect eax, 0x0f0e0d0c, 14
    movups xmm5, gs:[0x9ff9]
    movups [BUFFER], xmm5
    mov eax, [BUFFER + 4]
    expect eax, 0x07060504, 15
    movdqa gs:[CELL + 0x100], xmm3
    movntdq gs:[CELL + 0x110], xmm3
    movq qword ptr gs:[CELL + 0x120], xmm3
    movlps xmm6, gs:[CELL + 0x108]
    movhps xmm6, gs:[CELL + 0x110]
    paddd xmm6, gs:[CELL + 0x100]
    movups [BUFFER], xmm6
    mov eax, [BUFFER]
    expect eax, 0x0e0c0a08, 16          # 0x0b0a0908 + 0x03020100
    mov eax, [BUFFER + 12]
    expect eax, 0x16141210, 17          # 0x07060504 + 0x0f0e0d0c
    movups [BUFFER], xmm3               # nothing else changed meanwhile
    mov eax, [BUFFER + 8]
    expect eax, 0x0b0a0908, 18
    # x87.
    fninit
    fld1
    fldpi
    fstp tbyte ptr gs:[CELL + 0x140]
    fstp qword ptr gs:[CELL + 0x150]
    fld tbyte ptr gs:[CELL + 0x140]
    fadd qword ptr gs:[CELL + 0x150]
    fistp dword ptr gs:[CELL + 0x160]
    mov eax, gs:[CELL + 0x160]
    expect eax, 4, 19
    .if BITS == 64
    mov rax, 0x1122334455667788
    mov gs:[0x9ffb], rax
    mov r9, gs:[0x9ffb]
    cmp rax, r9
    je 1f
    or ebp, 1 << 20
1:  mov qword ptr gs:[CELL + 0x170], 1
    mov qword ptr gs:[CELL + 0x178], 2
    mov eax, 1
    mov edx, 2
    mov ebx, 5
    mov ecx, 6
    lock cmpxchg16b gs:[CELL + 0x170]
    mov rax, gs:[CELL + 0x178]
    expect rax, 6, 21
    mov r12d, MEMORY + CELL
    mov r13d, 0x100
    mov eax, [r12 + r13 * 1 + 4]
    expect eax, 0x07060504, 22
    .endif
    mov eax, ebp
    check "\name", 0
.endm

.text
bits16
main:
    cli
    mov eax, cr4                        # SSE
    or eax, 0x600
    mov cr4, eax
    mov eax, cr0
    and eax, 0xfffffff3                 # no emulation, no lazy switching
    mov cr0, eax
    descriptor DEVICE, 0xff0093000000ffff
    enter_protected
    mov ax, DEVICE
    mov gs, ax
    accesses "protected mode"
    ljmp CODE16, offset 1f
    bits16
1:  accesses "protected mode, 16-bit code"

    # Real mode, where GS and ES keep the device's base, which no segment number has.
    mov ax, DATA16
    mov ss, ax
    mov ds, ax
    mov ax, DEVICE
    mov es, ax
    mov word ptr [device], 0
    mov word ptr [plain], 0
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    ljmp 0, offset 1f
1:  xor ax, ax
    mov ds, ax
    mov ss, ax
    accesses "real mode"
    mov word ptr [device], DEVICE
    mov word ptr [plain], DATA32

    enter_protected
    mov ax, DEVICE
    mov gs, ax
    call fill_page_tables
    mov edi, PAGE_TABLE2
    mov eax, MEMORY + 7
    mov ecx, 16
1:  stosd
    add eax, 4096
    loop 1b
    mov dword ptr [PAGE_DIRECTORY + (MEMORY >> 22) * 4], PAGE_TABLE2 + 7
    mov eax, PAGE_DIRECTORY
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp 1f
1:  accesses "two-level paging"
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax

    # PAE: the first GiB one to one, the second shows the same.
    call fill_pae
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov eax, PDPT
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp 1f
1:  accesses "PAE paging"
    mov dword ptr [0x40000000 + BUFFER], 0x600d
    mov eax, [BUFFER]
    check "PAE: the second entry", 0x600d
    mov dword ptr [PDPT + 16], PD + 1
    try 1f
    mov eax, [0x80000000 + BUFFER]
1:  raised "PAE: the CPU keeps the top entries as they were", 0x000e0000
    mov dword ptr gs:[CELL], 0          # an access to the device changes nothing about that
    try 1f
    mov eax, [0x80000000 + BUFFER]
1:  raised "PAE: even after an access to a device", 0x000e0000
    mov eax, cr3
    mov cr3, eax
    mov eax, [0x80000000 + BUFFER]
    check "PAE: loading CR3 reads them again", 0x600d
    mov dword ptr [PDPT + 16], 0x101e7  # reserved bits
    mov eax, cr3
    try 1f
    mov cr3, eax
1:  raised "PAE: an entry with reserved bits is #GP(0)", 0x000d0000
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    or eax, 0x80000000
    try 1f
    mov cr0, eax
1:  raised "PAE: turning paging on with such an entry is, too", 0x000d0000

    # Long mode.
    mov dword ptr [PML4], PDPT + 7
    mov dword ptr [PDPT], PD + 7
    mov dword ptr [PDPT + 16], 0
    mov dword ptr [PDPT + 24], PD_DEVICE + 7
    mov eax, PML4
    mov cr3, eax
    mov ecx, EFER
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp 1f
1:  accesses "compatibility mode"
    ljmp CODE64, offset 1f
    bits64
1:  mov ecx, GS_BASE
    mov eax, MEMORY
    xor edx, edx
    wrmsr
    accesses "long mode"
    finish

bits32
fill_pae:
    mov edi, PDPT
    mov ecx, 0x5000 / 4                 # PDPT, PD, PD_OTHER, PD_DEVICE, PML4
    xor eax, eax
    rep stosd
    mov dword ptr [PDPT], PD + 1
    mov dword ptr [PDPT + 8], PD_OTHER + 1
    mov dword ptr [PDPT + 24], PD_DEVICE + 1
    mov dword ptr [PD_DEVICE + (MEMORY >> 21 & 0x1ff) * 8], MEMORY + 0x87
    mov edi, PD
    mov eax, 0x87                       # present, writable, user, 2 MiB
    mov ecx, 8
1:  mov [edi], eax
    mov [edi + PD_OTHER - PD], eax
    add edi, 8
    add eax, 0x200000
    loop 1b
    ret

bits64
report_routines 64, r

.data
    .balign 16
numbers:
    .set n, 0
    .rept 32
    .byte n
    .set n, n + 1
    .endr
device: .word DEVICE
plain:  .word DATA32
