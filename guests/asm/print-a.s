# print-a: the classic first boot sector.
#
# Shows:    the firmware loads 512 bytes to 0x7c00 and jumps there; INT 10h, AH=0Eh prints a letter.
# Expected: A on the screen, then a halt that nothing can end.

.intel_syntax noprefix
.code16
.globl start
start:
    mov ax, 0x0e41              # teletype output of 'A'
    xor bx, bx                  # page 0
    int 0x10
    cli
    hlt

    .org 510
    .word 0xaa55
