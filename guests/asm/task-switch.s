# task-switch: what the CPU can do about tasks by itself.
#
# Shows:    TSS descriptors; a far CALL, a far JMP and an interrupt through a task gate switch tasks; IRET goes back along the link;
#           busy and nested-task flags; CR0.TS; the #TS faults of bad TSSs; a double fault on a task of its own.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "protected.inc"

.equ TSS_MAIN, TSS
.equ TSS_OTHER, FREE_SELECTOR
.equ GATE_OTHER, FREE_SELECTOR + 8
.equ TSS_SHORT, FREE_SELECTOR + 16
.equ TSS_BAD_SS, FREE_SELECTOR + 24
.equ TSS_DOUBLE, FREE_SELECTOR + 32

.equ MAIN, 0x3000
.equ OTHER, 0x3100
.equ BAD_SS, 0x3200
.equ DOUBLE, 0x3300

.equ T_EIP, 32                          # where things are in a TSS
.equ T_EFLAGS, 36
.equ T_EAX, 40
.equ T_ESP, 56
.equ T_ES, 72
.equ T_CS, 76
.equ T_SS, 80
.equ T_DS, 84

# new_task base, eip, esp
.macro new_task base, eip, esp
    mov dword ptr [\base + T_EIP], offset \eip
    mov dword ptr [\base + T_EFLAGS], 2
    mov dword ptr [\base + T_ESP], \esp
    mov dword ptr [\base + T_CS], CODE32
    mov dword ptr [\base + T_SS], DATA32
    mov dword ptr [\base + T_DS], DATA32
    mov dword ptr [\base + T_ES], DATA32
    mov dword ptr [\base + 100], 104 << 16
.endm

.macro tss_type selector
    movzx eax, byte ptr [gdt + \selector + 5]
.endm

.text
bits16
main:
    enter_protected
    mov edi, MAIN
    mov ecx, 0x400 / 4
    xor eax, eax
    rep stosd
    new_task OTHER, other, 0x6000
    new_task BAD_SS, other, 0x6000
    mov dword ptr [BAD_SS + T_SS], 0x7f8
    new_task DOUBLE, double_fault, 0x5000
    descriptor TSS_MAIN,   "0x0000890000000067 | (MAIN << 16)"
    descriptor TSS_OTHER,  "0x0000890000000067 | (OTHER << 16)"
    descriptor GATE_OTHER, "0x0000850000000000 | (TSS_OTHER << 16)"
    descriptor TSS_SHORT,  "0x0000890000000066 | (OTHER << 16)"
    descriptor TSS_BAD_SS, "0x0000890000000067 | (BAD_SS << 16)"
    descriptor TSS_DOUBLE, "0x0000890000000067 | (DOUBLE << 16)"
    mov ax, TSS_MAIN
    ltr ax
    tss_type TSS_MAIN
    check "LTR makes the TSS busy", 0x8b
    str ax
    movzx eax, ax
    check "STR", TSS_MAIN
    try 1f
    mov ax, TSS_MAIN
    ltr ax
1:  raised "LTR of a busy TSS is #GP(selector)", 0x000d0000+TSS_MAIN

    # CALL.
    mov ebx, 0x1111
    clts
    lcall TSS_OTHER, 0
    mov eax, ebx
    check "our EBX is back", 0x1111
    mov eax, [seen_tr]
    check "the other task's TR", TSS_OTHER
    mov eax, [seen_flags]
    and eax, 0x4000
    check "the other task is nested", 0x4000
    mov eax, [seen_types]
    check "both were busy", 0x8b8b
    movzx eax, word ptr [OTHER]
    check "the link names us", TSS_MAIN
    tss_type TSS_OTHER
    check "after IRET the other is free", 0x89
    mov eax, [MAIN + T_EAX + 12]        # EBX in our TSS
    check "our state was saved", 0x1111
    mov eax, cr0
    and eax, 8
    check "CR0.TS is set by a switch", 8
    pushf
    pop eax
    and eax, 0x4000
    check "we are not nested", 0

    # Through a gate. The other task goes on behind its IRET.
    mov eax, [runs]
    check "it ran once", 1
    lcall GATE_OTHER, 0
    mov eax, [runs]
    check "a call through a task gate runs it again", 2

    # JMP there and back: no nesting.
    mov dword ptr [OTHER + T_EIP], offset jump_back
    ljmp TSS_OTHER, 0
    mov eax, [seen_flags]
    and eax, 0x4000
    check "a task jumped to is not nested", 0
    mov eax, [seen_types]
    check "and we were not busy meanwhile", 0x8b89
    tss_type TSS_MAIN
    check "now we are again", 0x8b

    # An interrupt.
    mov dword ptr [IDT + 0x50 * 8], TSS_OTHER << 16
    mov dword ptr [IDT + 0x50 * 8 + 4], 0x8500
    mov dword ptr [OTHER + T_EIP], offset other
    mov dword ptr [OTHER + T_EFLAGS], 2
    int 0x50
    mov eax, [runs]
    check "an interrupt through a task gate runs it", 3

    # Faults.
    try 1f
    lcall TSS_MAIN, 0
1:  raised "calling a busy task is #GP(selector)", 0x000d0000+TSS_MAIN
    try 1f
    lcall TSS_SHORT, 0
1:  raised "a TSS with limit 66h is #TS(selector)", 0x000a0000+TSS_SHORT
    and byte ptr [gdt + TSS_OTHER + 5], 0x7f
    try 1f
    lcall TSS_OTHER, 0
1:  raised "an absent TSS is #NP(selector)", 0x000b0000+TSS_OTHER
    or byte ptr [gdt + TSS_OTHER + 5], 0x80
    pushf
    or dword ptr [esp], 0x4000
    popf
    mov word ptr [MAIN], 0x7f8
    try 1f
    iretd
1:  pushf
    and dword ptr [esp], 0xffffbfff
    popf
    raised "IRET along a bad link is #TS(selector)", 0x000a07f8

    # The stack of a bad task fails when we are already there: #TS in the new task, on a task gate of its own.
    mov dword ptr [IDT + 10 * 8], TSS_DOUBLE << 16
    mov dword ptr [IDT + 10 * 8 + 4], 0x8500
    mov dword ptr [DOUBLE + T_EIP], offset bad_stack
    ljmp TSS_BAD_SS, 0

# The other task.
bits32
other:
    call look
    inc dword ptr [runs]
    mov ebx, 0x2222
    iretd
    jmp other

jump_back:
    call look
    ljmp TSS_MAIN, 0

look:
    pushf
    pop dword ptr [seen_flags]
    xor eax, eax
    str ax
    mov [seen_tr], eax
    tss_type TSS_OTHER
    mov ah, al
    mov al, [gdt + TSS_MAIN + 5]
    mov [seen_types], eax
    ret

bad_stack:
    pop eax
    check "a new task's bad SS is #TS(selector) in that task", 0x7f8
    str ax
    movzx eax, ax
    check "handled by a task", TSS_DOUBLE
    movzx eax, word ptr [DOUBLE]
    check "linked to the bad task", TSS_BAD_SS

    # A double fault on a task: works whatever the stack. Go on as the first task.
    mov dword ptr [IDT + 8 * 8], TSS_DOUBLE << 16
    mov dword ptr [IDT + 8 * 8 + 4], 0x8500
    mov dword ptr [MAIN + T_EIP], offset no_stack
    and byte ptr [gdt + TSS_MAIN + 5], 0xfd
    mov dword ptr [MAIN + T_EFLAGS], 2
    ljmp TSS_MAIN, 0
    # (the next switch to this task goes on here)
double_fault:
    pop eax
    check "a double fault's error code", 0
    movzx eax, word ptr [DOUBLE]
    check "linked to the task that failed", TSS_MAIN
    mov eax, [MAIN + T_ESP]
    check "whose ESP is in its TSS", 0x0
    finish

no_stack:
    mov byte ptr [IDT + 13 * 8 + 5], 0x0e       # absent: #GP becomes #DF
    xor esp, esp
    mov ax, 0x7f8
    mov fs, ax
    say "no double fault\n"
    inc dword ptr [failures]
    finish

.data
    .balign 4
runs:       .long 0
seen_tr:    .long 0
seen_flags: .long 0
seen_types: .long 0
