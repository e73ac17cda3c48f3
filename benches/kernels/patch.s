# Self-modifying code: patch the immediate of a MOV and call the function.
.include "boot.s"
kernel:
    xor ecx, ecx
again:
    inc ecx
    mov [rip + patched + 1], ecx
    call patched
    cmp eax, ecx
    jne broken
    dec r15
    jnz again
    ret
broken:
    mov al, 0x11
    out 0xf4, al
    hlt
.balign 64
patched:
    mov eax, 0
    ret
