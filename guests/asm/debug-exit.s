# debug-exit: ending the run with a number.
#
# Shows:    a write of v to port 0xf4 ends the run with status ((v << 1) | 1) & 0xff; the CPU stops at
#           that write.
# Expected: nothing but status 85 (v = 0x2a).

.intel_syntax noprefix
.code16
.globl start
start:
    mov al, 0x2a
    out 0xf4, al
    mov al, 0x11                # never reached
    out 0xf4, al
    cli
    hlt

    .org 510
    .word 0xaa55
