# CR3 reload, then one load from each of 16 pages.
.include "boot.s"
kernel:
    mov rax, cr3
again:
    mov cr3, rax
    mov ecx, 16
    mov rsi, ARENA
1:  mov rdx, [rsi]
    add rsi, 0x1000
    dec ecx
    jnz 1b
    dec r15
    jnz again
    ret
