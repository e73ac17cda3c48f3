# v86: real-mode programs under a protected-mode system.
#
# Shows:    virtual-8086 mode: segments are selectors times 16 again, IN and OUT ask the I/O bitmap, INT n and CLI
#           come to the monitor as #GP, which plays the interrupt back into the program; the program leaves by HLT.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "protected.inc"

.equ TSS_BASE, 0x3000
.equ BITMAP, TSS_BASE + 104
.equ RING0_STACK, 0x6000
.equ SEGMENT, 0x4000                    # the program runs at 4000:0000

.text
bits16
main:
    in al, 0x21
    mov al, 0xff                        # no device interrupts
    out 0x21, al
    enter_protected
    set_gate 13, monitor

    # A TSS with an I/O bitmap that allows port 0x70 and 0x71 only.
    mov edi, TSS_BASE
    mov ecx, (104 + 8192 + 4) / 4
    xor eax, eax
    rep stosd
    mov dword ptr [TSS_BASE + 4], RING0_STACK
    mov word ptr [TSS_BASE + 8], DATA32
    mov word ptr [TSS_BASE + 102], 104
    mov edi, BITMAP
    mov ecx, 8192 / 4
    mov eax, -1
    rep stosd
    mov byte ptr [BITMAP + 8192], 0xff
    and byte ptr [BITMAP + 0x70 / 8], 0xfc
    descriptor TSS, ((0x890000000000 + 104 + 8192) | (TSS_BASE << 16))
    mov ax, TSS
    ltr ax

    # The program, where it runs.
    mov esi, offset program
    mov edi, SEGMENT * 16
    mov ecx, offset program_end - program
    rep movsb

    # Into it: IRET with VM set takes all segment registers from the stack.
    xor eax, eax
    push 0x1111                         # GS
    push 0x2222                         # FS
    push SEGMENT                        # DS
    push 0x5000                         # ES
    push 0x6000                         # SS
    push 0x0100                         # SP
    push 0x00020202                     # VM, IF, IOPL 0
    push SEGMENT                        # CS
    push 0
    iretd

# What the program may not do comes here. Stack: error code, EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS.
monitor:
    pusha
    mov ebp, esp
    test dword ptr [ebp + 32 + 12], 0x20000
    jz from_monitor
    mov ax, DATA32
    mov ds, ax
    mov es, ax
    movzx ebx, word ptr [ebp + 32 + 8]
    shl ebx, 4
    add ebx, [ebp + 32 + 4]             # linear address of the instruction
    movzx eax, byte ptr [ebx]
    cmp al, 0xcd                        # INT n
    je soft_interrupt
    cmp al, 0xcf                        # IRET
    je virtual_iret
    cmp al, 0xfa                        # CLI
    je virtual_cli
    cmp al, 0xe6                        # OUT imm8, AL
    je virtual_out
    cmp al, 0xf4                        # HLT: done
    je done
    call hex32
    say " is not known to the monitor\n"
    inc dword ptr [failures]
    finish

from_monitor:
    say "the monitor itself faulted\n"
    inc dword ptr [failures]
    finish

virtual_cli:
    inc dword ptr [clis]
    inc dword ptr [ebp + 32 + 4]
    jmp resume_program

virtual_out:
    mov al, [ebx + 1]
    mov ah, [ebp + 28]                  # the program's AL
    mov [last_out], ax
    add dword ptr [ebp + 32 + 4], 2
    jmp resume_program

# Plays INT n back: flags, CS and IP to the program's stack, CS:IP from its own vector table at 0.
soft_interrupt:
    inc dword ptr [ints]
    movzx esi, byte ptr [ebx + 1]
    mov ecx, [ebp + 32 + 16]
    sub cx, 6
    mov [ebp + 32 + 16], ecx
    movzx edx, word ptr [ebp + 32 + 20]
    shl edx, 4
    movzx ecx, cx
    add edx, ecx
    mov eax, [ebp + 32 + 4]
    add eax, 2
    mov [edx], ax
    mov eax, [ebp + 32 + 8]
    mov [edx + 2], ax
    mov eax, [ebp + 32 + 12]
    mov [edx + 4], ax
    mov ax, [esi * 4]
    movzx eax, ax
    mov [ebp + 32 + 4], eax
    mov ax, [esi * 4 + 2]
    mov [ebp + 32 + 8], ax
    jmp resume_program

virtual_iret:
    mov ecx, [ebp + 32 + 16]
    movzx edx, word ptr [ebp + 32 + 20]
    shl edx, 4
    movzx eax, cx
    add edx, eax
    add cx, 6
    mov [ebp + 32 + 16], ecx
    movzx eax, word ptr [edx]
    mov [ebp + 32 + 4], eax
    mov ax, [edx + 2]
    mov [ebp + 32 + 8], ax

resume_program:
    popa
    add esp, 4
    iretd

done:
    mov eax, [ebp + 32 + 8]
    check "CS of the program", SEGMENT
    mov eax, [ebp + 32 + 20]
    check "SS of the program", 0x6000
    mov eax, [ebp + 32 + 24]
    check "ES of the program", 0x5000
    mov eax, [ebp + 32 + 36]
    check "GS of the program", 0x1111
    mov eax, [ebp + 32 + 12]
    and eax, 0x23000
    check "EFLAGS: VM, IOPL 0", 0x20000
    mov ax, ds
    movzx eax, ax
    check "the interrupt cleared DS; the monitor loaded its own", DATA32
    mov eax, [clis]
    check "CLI came to the monitor", 1
    mov eax, [ints]
    check "INT came to the monitor", 1
    movzx eax, word ptr [last_out]
    check "OUT to a forbidden port came to the monitor", 0x4280
    mov eax, [SEGMENT * 16 + result - program]
    check "the program's interrupt handler ran", 0x00000777
    mov eax, [SEGMENT * 16 + cmos - program]
    and eax, 0x80
    check "IN from an allowed port did not", 0x80
    mov eax, [0x50000]
    check "a store through ES * 16", 0x12345678
    mov ax, [0x600fe]
    movzx eax, ax
    check "a push through SS * 16", 0xbeef
    movzx eax, word ptr [SEGMENT * 16 + selector - program]
    check "MOV from CS gives the real-mode segment", SEGMENT
    finish

bits16
program:
    push 0xbeef
    mov dword ptr es:[0], 0x12345678
    mov ax, cs
    mov [selector - program], ax
    push ds                             # the vector 0x60 of this program
    xor ax, ax
    mov ds, ax
    mov word ptr [0x60 * 4], offset handler - program
    mov word ptr [0x60 * 4 + 2], SEGMENT
    pop ds
    int 0x60
    cli
    mov al, 0x0d
    out 0x70, al
    in al, 0x71
    mov [cmos - program], al
    mov al, 0x42
    out 0x80, al
    hlt
handler:
    mov word ptr [result - program], 0x777
    iret
    .balign 4
result:   .long 0
cmos:     .long 0
selector: .word 0
program_end:

.data
    .balign 4
clis:     .long 0
ints:     .long 0
last_out: .word 0
