# Calls, returns and unpredictable indirect jumps through a table of 16 targets.
.include "boot.s"
kernel:
    xor ecx, ecx
1:  mov edx, ecx
    shl edx, 4
    lea rax, [rip + functions]
    add rax, rdx
    mov [ARENA + rcx * 8], rax
    lea rax, [rip + cases]
    add rax, rdx
    mov [ARENA + 0x80 + rcx * 8], rax
    inc ecx
    cmp ecx, 16
    jb 1b
    mov eax, 12345
again:
    imul eax, eax, 1103515245
    add eax, 12345
    mov edx, eax
    shr edx, 20
    and edx, 15
    call [ARENA + rdx * 8]
    mov edx, eax
    shr edx, 24
    and edx, 15
    jmp [ARENA + 0x80 + rdx * 8]
back:
    dec r15
    jnz again
    ret
.balign 16
functions:
.rept 16
    add r14d, eax
    test r14b, 2
    jz 1f
    xor r14d, edx
1:  ret
    .balign 16
.endr
cases:
.rept 16
    add r14d, edx
    jmp back
    .balign 16
.endr
