# Cold code: a function of 12 instructions is written to a place that never held code, and called once.
.include "boot.s"
kernel:
    mov rdi, ARENA
again:
    lea rsi, [rip + template]
    mov rbx, rdi
    mov ecx, (template_end - template) / 8
    cld
1:  mov rax, [rsi]
    mov [rdi], rax
    add rsi, 8
    add rdi, 8
    dec ecx
    jnz 1b
    call rbx
    cmp rdi, ARENA + 0x2f00000
    jb 2f
    mov rdi, ARENA
2:  dec r15
    jnz again
    ret
.balign 8
template:
    mov eax, 1
    add eax, edx
    xor edx, eax
    lea rax, [rax + rdx * 2]
    shl eax, 3
    sub edx, eax
    and eax, 0xff
    or edx, 0x10
    movzx eax, dl
    neg edx
    inc rdx
    ret
    .balign 8
template_end:
