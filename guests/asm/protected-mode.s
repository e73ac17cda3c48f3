# protected-mode: descriptors, limits, and the exceptions that guard them.
#
# Shows:    the switch to 32-bit protected mode; an IDT; each exception that a program can cause there
#           without paging, with its error code; software interrupts; faults restart and traps go on;
#           the way back to real mode, where the firmware still answers.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "protected.inc"

.equ SMALL_DATA, FREE_SELECTOR          # limit 0xff, byte granular
.equ READ_ONLY, FREE_SELECTOR + 0x08
.equ EXPAND_DOWN, FREE_SELECTOR + 0x10  # valid offsets: 0x1000 to 0xffff
.equ NOT_PRESENT, FREE_SELECTOR + 0x18
.equ EXECUTE_ONLY, FREE_SELECTOR + 0x20
.equ LIMITED_CODE, FREE_SELECTOR + 0x28
.equ RING1_DATA, FREE_SELECTOR + 0x30
.equ BEYOND, 0x800                      # past the end of the GDT

.text
bits16
main:
    in al, 0x21                 # no interrupts from devices while the IDT knows none
    mov [masks], al
    mov al, 0xff
    out 0x21, al
    enter_protected

    descriptor SMALL_DATA,   0x00409300000000ff
    descriptor READ_ONLY,    0x00cf91000000ffff
    descriptor EXPAND_DOWN,  0x0000970000000fff
    descriptor NOT_PRESENT,  0x00cf13000000ffff
    descriptor EXECUTE_ONLY, 0x00cf99000000ffff
    descriptor LIMITED_CODE, 0x00409b0000000fff
    descriptor RING1_DATA,   0x00cfb3000000ffff

    mov eax, cr0
    and eax, 1
    check "CR0.PE", 1
    mov eax, cs
    check "CS", CODE32

    # Faults: EIP is that of the instruction.
    try 2f
    xor eax, eax
1:  div eax
2:  raised "divide by zero is #DE", 0x00000000
    mov eax, [fault_eip]
    check "#DE points at the DIV", "offset 1b"

    try 2f
1:  ud2
2:  raised "UD2 is #UD", 0x00060000
    mov eax, [fault_eip]
    check "#UD points at the instruction", "offset 1b"

    try 1f
    mov eax, 5
    bound eax, [bounds]
1:  raised "index out of bounds is #BR", 0x00050000
    try 1f
    mov eax, 4
    bound eax, [bounds]
1:  raised "index in bounds", 0

    # Traps: EIP is that of the next instruction.
    try 2f
    int3
1:  nop
2:  raised "INT3 is #BP", 0x00030000
    mov eax, [fault_eip]
    check "#BP points behind the INT3", "offset 1b"

    try 1f
    mov al, 0x7f
    add al, 1
    into
1:  raised "INTO with OF set is #OF", 0x00040000
    try 1f
    xor al, al
    into
1:  raised "INTO with OF clear", 0

    # Segments.
    mov ax, SMALL_DATA
    mov fs, ax
    mov ecx, 0x11223344
    mov eax, fs:[0xfc]
    try 1f
    mov eax, fs:[0xfd]
1:  raised "the last byte past the limit is #GP(0)", 0x000d0000
    try 1f
    mov fs:[0x100], cl
1:  raised "a write past the limit is #GP(0)", 0x000d0000
    try 1f
    mov al, fs:[0xff]
1:  raised "the byte at the limit", 0

    mov ax, READ_ONLY
    mov fs, ax
    try 1f
    mov fs:[0], cl
1:  raised "writing a read-only segment is #GP(0)", 0x000d0000
    try 1f
    mov ss, ax
1:  raised "a read-only stack is #GP(selector)", 0x000d0000 + READ_ONLY

    mov ax, EXPAND_DOWN
    mov fs, ax
    try 1f
    mov al, fs:[0x1000]
1:  raised "expand-down: the first valid byte", 0
    try 1f
    mov al, fs:[0xfff]
1:  raised "expand-down: below it is #GP(0)", 0x000d0000
    try 1f
    mov al, fs:[0x10000]
1:  raised "expand-down with B=0: past 64K is #GP(0)", 0x000d0000

    mov ax, EXECUTE_ONLY
    try 1f
    mov fs, ax
1:  raised "loading execute-only code as data is #GP(selector)", 0x000d0000 + EXECUTE_ONLY
    mov ax, NOT_PRESENT
    try 1f
    mov fs, ax
1:  raised "an absent segment is #NP(selector)", 0x000b0000 + NOT_PRESENT
    try 1f
    mov ss, ax
1:  raised "an absent stack is #SS(selector)", 0x000c0000 + NOT_PRESENT
    mov ax, BEYOND
    try 1f
    mov fs, ax
1:  raised "a selector past the GDT is #GP(selector)", 0x000d0000 + BEYOND
    xor eax, eax
    mov fs, ax
    try 1f
    mov al, fs:[0]
1:  raised "using a null selector is #GP(0)", 0x000d0000
    xor eax, eax
    try 1f
    mov ss, ax
1:  raised "a null stack is #GP(0)", 0x000d0000
    mov ax, RING1_DATA
    try 1f
    mov ss, ax
1:  raised "a stack of another ring is #GP(selector)", 0x000d0000 + RING1_DATA
    try 1f
    ljmp DATA32, offset 1f
1:  raised "jumping into data is #GP(selector)", 0x000d0000 + DATA32
    try 1f
    ljmp LIMITED_CODE, 0x1000
1:  raised "jumping past the limit is #GP(0)", 0x000d0000

    mov ax, CODE32
    mov fs, ax
    try 1f
    mov fs:[0], cl
1:  raised "writing a code segment is #GP(0)", 0x000d0000
    try 1f
    mov eax, [esp + 0x7ffffff0]         # fine: flat 4 GiB
1:  raised "a flat segment has no end", 0

    # Interrupts.
    try 1f
    int 0x60
1:  raised "INT through an empty gate is #GP(vector * 8 + 2)", 0x000d0302
    set_gate 0x61, count_interrupt
    int 0x61
    int 0x61
    mov eax, [interrupts]
    check "INT through an interrupt gate, twice", 2
    sti
    set_gate 0x62, keep_flags
    int 0x62
    mov eax, [flags_seen]
    and eax, 0x200
    check "an interrupt gate clears IF", 0
    set_gate 0x62, keep_flags, 0x8f
    cli
    int 0x62
    mov eax, [flags_seen]
    and eax, 0x300
    check "a trap gate keeps IF, TF off", 0
    set_gate 0x63, count_interrupt
    mov byte ptr [IDT + 0x63 * 8 + 5], 0x0e
    try 1f
    int 0x63
1:  raised "INT through an absent gate is #NP(vector * 8 + 2)", 0x000b031a

    # What only ring 0 may do works here; reserved bits do not.
    try 1f
    mov eax, cr4
    or eax, 0x80000000
    mov cr4, eax
1:  raised "a reserved bit of CR4 is #GP(0)", 0x000d0000
    try 1f
    mov eax, cr0
    and eax, 0x7ffffffe
    or eax, 0x80000000
    mov cr0, eax
1:  raised "paging without protection is #GP(0)", 0x000d0000

    # What the system instructions know of descriptors.
    mov ecx, SMALL_DATA
    xor eax, eax
    lsl eax, ecx
    check "LSL of the small segment", 0xff
    mov ecx, CODE32
    lsl eax, ecx
    check "LSL of a page-granular segment", 0xffffffff
    mov ecx, READ_ONLY
    lar eax, ecx
    and eax, 0x00f0fe00
    check "LAR of the read-only segment", 0x00c09000
    verr cx
    setz al
    movzx eax, al
    check "VERR of a read-only segment", 1
    verw cx
    setz al
    movzx eax, al
    check "VERW of a read-only segment", 0
    sgdt [scratch]
    mov eax, [scratch + 2]
    check "SGDT gives the base", "offset gdt"
    sidt [scratch]
    movzx eax, word ptr [scratch]
    check "SIDT gives the limit", "256 * 8 - 1"

    # Back to real mode.
    cli
    ljmp CODE16, offset 1f
    bits16
1:  mov ax, DATA16
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    ljmp 0, offset 1f
1:  xor ax, ax
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    mov ss, ax
    lidt [real_idt_pointer]
    mov al, [masks]
    out 0x21, al
    sti
    mov ah, 0x41
    mov bx, 0x55aa
    mov dl, [boot_drive]
    int 0x13
    movzx eax, bx
    check "the firmware answers again in real mode", 0xaa55
    finish

bits32
count_interrupt:
    inc dword ptr [interrupts]
    iretd

keep_flags:
    pushf
    pop dword ptr [flags_seen]
    iretd

.data
    .balign 8
bounds:     .long 1, 4
interrupts: .long 0
flags_seen: .long 0
scratch:    .quad 0
masks:      .byte 0
