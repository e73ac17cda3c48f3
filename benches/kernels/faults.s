# Page fault, handler that maps the page, IRETQ, retry; then the page is unmapped again.
.include "boot.s"
.set ENTRY, PT + (ARENA >> 12) * 8
kernel:
    lea rax, [rip + page_fault]
    mov edi, 14
    call set_gate
    mov rbx, ARENA
again:
    mov dword ptr [ENTRY], 0
    invlpg [rbx]
    mov rax, [rbx]
    dec r15
    jnz again
    ret
page_fault:
    add rsp, 8
    mov dword ptr [ENTRY], ARENA + 3
    iretq
