# cr8: the task priority as a control register.
#
# Shows:    CR8 and the local APIC's task-priority register are one; an interrupt of a class that the priority covers waits, and
#           comes when CR8 is lowered; CR8 has four bits.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "long.inc"

.equ PD_APIC, 0x26000
.equ APIC, 0xfee00000
.equ TPR, APIC + 0x80
.equ EOI, APIC + 0xb0
.equ SVR, APIC + 0xf0
.equ ICR, APIC + 0x300
.equ VECTOR, 0x51

.macro self_interrupt
    mov dword ptr [rbx + ICR - APIC], 0x40000 + VECTOR
    .rept 20
    nop
    .endr
.endm

.text
bits16
main:
    enter_long
    mov edi, PD_APIC
    xor eax, eax
    mov ecx, 1024
    rep stosd
    mov dword ptr [PDPT + 3 * 8], PD_APIC + 7
    mov dword ptr [PD_APIC + (APIC >> 21 & 0x1ff) * 8], APIC + 0x87
    mov ebx, APIC
    mov dword ptr [rbx + SVR - APIC], 0x1ff # on, spurious vector FFh
    set_gate VECTOR, taken
    mov al, 0xff                        # the two 8259s say nothing
    out 0x21, al
    out 0xa1, al

    mov eax, 5
    mov cr8, rax
    mov eax, [rbx + TPR - APIC]
    check "CR8 is the class of the task priority", 0x50
    mov dword ptr [rbx + TPR - APIC], 0x8f
    mov rax, cr8
    check "and the other way round", 8
    mov r14, cr8
    mov rax, r14
    check "any register holds it", 8
    mov eax, 16
    try 1f
    mov cr8, rax
1:  raised "CR8 has four bits", 0x000d0000
    mov rax, cr8
    check "a fault changes nothing", 8

    mov eax, 5
    mov cr8, rax
    sti
    self_interrupt
    mov eax, [count]
    check "an interrupt of class 5 waits while CR8 is 5", 0
    mov r15d, 4
    mov cr8, r15
    .rept 20
    nop
    .endr
    mov eax, [count]
    check "it comes when CR8 is 4", 1
    self_interrupt
    mov eax, [count]
    check "and at once while CR8 is 4", 2
    mov eax, 15
    mov cr8, rax
    self_interrupt
    mov eax, [count]
    check "none comes while CR8 is 15", 2
    xor eax, eax
    mov cr8, rax
    .rept 20
    nop
    .endr
    mov eax, [count]
    check "it comes when CR8 is 0", 3
    cli
    finish

taken:
    push rax
    push rbx
    inc dword ptr [count]
    mov ebx, APIC
    mov dword ptr [rbx + EOI - APIC], 0
    pop rbx
    pop rax
    iretq

.data
    .balign 4
count: .long 0
