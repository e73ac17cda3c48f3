# Integer compute, in the spirit of CoreMark: list walk, 8x8 matrix product, bitwise CRC, a small state machine.
.include "boot.s"
kernel:
    # a list of 64 nodes {next, value} in shuffled order at ARENA
    mov rdi, ARENA
    xor ecx, ecx
1:  lea eax, [rcx + 37]
    and eax, 63
    shl eax, 4
    lea rax, [rax + ARENA]
    mov edx, ecx
    shl edx, 4
    mov [rdi + rdx], rax
    imul eax, ecx, 0x9e37
    mov [rdi + rdx + 8], rax
    inc ecx
    cmp ecx, 64
    jb 1b
    xor r14d, r14d
again:
    # list: sum of the values, 64 steps
    mov rsi, ARENA
    mov ecx, 64
2:  add r14, [rsi + 8]
    mov rsi, [rsi]
    dec ecx
    jnz 2b
    # matrix: C += A x B, 8x8 of 32 bits, A = B = the words after the list
    xor r8d, r8d
3:  xor r9d, r9d
4:  xor r10d, r10d
    xor r11d, r11d
5:  lea eax, [r8 + r10]
    mov ebx, [ARENA + 0x1000 + rax * 4]
    mov edx, r10d
    shl edx, 3
    add edx, r9d
    imul ebx, [ARENA + 0x1100 + rdx * 4]
    add r11d, ebx
    inc r10d
    cmp r10d, 8
    jb 5b
    lea eax, [r8 + r9]
    add [ARENA + 0x1200 + rax * 4], r11d
    inc r9d
    cmp r9d, 8
    jb 4b
    add r8d, 8
    cmp r8d, 64
    jb 3b
    # CRC-16 of r14, bit by bit
    mov rax, r14
    mov ecx, 64
    mov edx, 0xffff
6:  mov ebx, eax
    xor ebx, edx
    shr edx, 1
    test bl, 1
    jz 7f
    xor edx, 0xa001
7:  shr rax, 1
    dec ecx
    jnz 6b
    add r14, rdx
    # state machine over 32 bytes
    xor ecx, ecx
    xor edx, edx
8:  movzx eax, byte ptr [ARENA + rcx + 8]
    add eax, edx
    and eax, 3
    cmp eax, 1
    je 9f
    cmp eax, 2
    je 10f
    add edx, 3
    jmp 11f
9:  xor edx, ecx
    jmp 11f
10: sub edx, 1
    neg edx
11: inc ecx
    cmp ecx, 32
    jb 8b
    add r14, rdx
    dec r15
    jnz again
    ret
