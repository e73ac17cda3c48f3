# hello: the smallest guest, and the first of every hypervisor.
#
# Shows:    a program without any PC around it. It starts at address 0 in real mode and writes ten letters to
#           port 1, where the `bare` machine has its output; HLT ends it.
# Expected: Hello KVM!

.intel_syntax noprefix
.code16

.macro put letter
    mov al, \letter
    out 1, al
.endm

.globl start
start:
    put 'H'
    put 'e'
    put 'l'
    put 'l'
    put 'o'
    put ' '
    put 'K'
    put 'V'
    put 'M'
    put '!'
    hlt
