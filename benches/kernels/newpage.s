# A dependent load from a new page each time, over 32 MiB: the cost of a TLB refill.
.include "boot.s"
kernel:
    mov rdi, ARENA
    mov ecx, 8192
1:  lea rax, [rdi + 0x1000]
    mov [rdi], rax
    mov rdi, rax
    dec ecx
    jnz 1b
    mov rax, ARENA
    mov [rdi - 0x1000], rax
again:
    mov rax, [rax]
    dec r15
    jnz again
    ret
