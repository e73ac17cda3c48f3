# triple-real: a triple fault in real mode.
#
# Shows:    an IDT with limit 0 holds no vector, so the first exception cannot be delivered, nor the double fault
#           that follows, and the CPU shuts down.
# Expected: "going down" on COM1, then a triple fault.

.intel_syntax noprefix
.code16
.globl start
start:
    cli
    xor ax, ax
    mov ds, ax
    ljmp 0, offset 1f
1:  cld
    mov si, offset text
2:  mov dx, 0x3fd               # COM1's line status: wait until the transmitter is empty
    in al, dx
    test al, 0x20
    jz 2b
    lodsb
    test al, al
    jz 3f
    mov dx, 0x3f8
    out dx, al
    jmp 2b
3:  lidt [no_idt]
    ud2

text:   .asciz "going down\n"
no_idt: .word 0
        .long 0

    .org 510
    .word 0xaa55
