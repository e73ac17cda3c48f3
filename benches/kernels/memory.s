# Memory copy: 64 KiB by rep movsq, then 64 KiB by a load/store loop, per iteration.
.include "boot.s"
kernel:
    cld
again:
    mov rsi, ARENA
    mov rdi, ARENA + 0x100000
    mov ecx, 0x2000
    rep movsq
    mov rsi, ARENA + 0x100000
    mov rdi, ARENA
    mov ecx, 0x2000
1:  mov rax, [rsi]
    mov [rdi], rax
    add rsi, 8
    add rdi, 8
    dec ecx
    jnz 1b
    dec r15
    jnz again
    ret
