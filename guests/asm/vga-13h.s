# vga-13h: 320 x 200 dots in 256 colours.
#
# Shows:    mode 13h, one byte at A0000 for each dot, the palette through ports 3C7h-3C9h, and INT 10h's way to
#           set and read dots.
# Expected: stripes in all colours; after them OK lines on COM1 and PASS, still in mode 13h.

.include "boot.inc"

main:
    mov ax, 0x13
    int 0x10
    mov ah, 0x0f
    int 0x10
    movzx eax, ax
    check "INT 10h/0Fh: mode 13h, 40 columns", 0x2813

    mov ax, 0xa000
    mov es, ax
    xor edi, edi
    mov ecx, 64000
    xor eax, eax
1:  cmp byte ptr es:[edi], 0
    je 2f
    inc eax
2:  inc edi
    dec ecx
    jnz 1b
    check "setting the mode clears the screen", 0

    xor di, di                  # dot (x, y) has colour x + y
    xor dx, dx
2:  mov ax, dx
    mov cx, 320
1:  stosb
    inc ax
    loop 1b
    inc dx
    cmp dx, 200
    jb 2b

    mov ax, 0xa000
    mov gs, ax
    movzx eax, byte ptr gs:[100 * 320 + 50]
    check "a dot reads back", 150
    mov ah, 0x0d
    xor bh, bh
    mov cx, 50
    mov dx, 100
    int 0x10
    movzx eax, al
    check "INT 10h/0Dh reads the same dot", 150
    mov ax, 0x0c63
    xor bh, bh
    mov cx, 319
    mov dx, 199
    int 0x10
    movzx eax, byte ptr gs:[199 * 320 + 319]
    check "INT 10h/0Ch sets a dot", 0x63

    mov dx, 0x3c8               # colour 10: red 63, green 32, blue 1
    mov al, 10
    out dx, al
    inc dx
    mov al, 63
    out dx, al
    mov al, 32
    out dx, al
    mov al, 1
    out dx, al
    mov dx, 0x3c7
    mov al, 10
    out dx, al
    mov dx, 0x3c9
    xor eax, eax
    in al, dx
    mov ebx, eax
    in al, dx
    shl ebx, 8
    or ebx, eax
    in al, dx
    shl ebx, 8
    or eax, ebx
    check "the palette reads back", 0x3f2001
    finish
