# vga-text: the text screen.
#
# Shows:    writing letters and colours to B8000, what INT 10h makes of the same screen (cursor, write, read,
#           scroll, string, mode), and the cursor in the CRT controller's registers.
# Expected: "hako writes text" in the middle of row 12, "by the firmware" in row 14; OK lines on COM1, PASS.

.include "boot.inc"

.macro crtc index
    mov dx, 0x3d4
    mov al, \index
    out dx, al
    inc dx
    in al, dx
.endm

main:
    mov ax, 3
    int 0x10
    mov ax, 0xb800
    mov gs, ax

    mov ah, 0x0f
    int 0x10
    movzx eax, ax
    check "INT 10h/0Fh: mode 3, 80 columns", 0x5003
    xor edi, edi
    mov ecx, 2000
    xor eax, eax
1:  cmp word ptr gs:[edi], 0x0720
    je 2f
    inc eax
2:  add edi, 2
    loop 1b
    check "setting a mode clears the screen to grey blanks", 0

    # By hand.
    mov edi, (12 * 80 + 32) * 2
    mov esi, offset text
    mov ah, 0x1f                # white on blue
1:  lodsb
    test al, al
    jz 2f
    mov gs:[edi], ax
    add edi, 2
    jmp 1b
2:
    mov ah, 2                   # cursor to row 12, column 32
    xor bh, bh
    mov dx, 0x0c20
    int 0x10
    mov ah, 8                   # what is there?
    int 0x10
    movzx eax, ax
    check "INT 10h/08h reads the letter and its colour", 0x1f68
    crtc 0x0e
    mov bl, al
    crtc 0x0f
    mov ah, bl
    movzx eax, ax
    check "the CRT controller knows the cursor", "12 * 80 + 32"
    mov ah, 3
    xor bh, bh
    int 0x10
    movzx eax, dx
    check "INT 10h/03h tells the cursor", 0x0c20

    # By the firmware: 09h writes letters and leaves the cursor alone.
    mov ah, 2
    xor bh, bh
    mov dx, 0x1400
    int 0x10
    mov ax, 0x0941
    mov bx, 0x004e
    mov cx, 3
    int 0x10
    mov eax, gs:[20 * 160]
    check "INT 10h/09h writes letter and colour", 0x4e414e41
    mov eax, gs:[20 * 160 + 4]
    check "as often as asked", 0x07204e41
    mov ah, 3
    xor bh, bh
    int 0x10
    movzx eax, dx
    check "and does not move the cursor", 0x1400

    # 0Eh: control characters, and the screen scrolls at its end.
    mov ah, 2
    xor bh, bh
    mov dx, 0x1800
    int 0x10
    mov al, 'x'
    call teletype
    mov al, 8                   # backspace
    call teletype
    mov al, 'y'
    call teletype
    mov al, '\r'
    call teletype
    mov al, '\n'
    call teletype
    mov ah, 3
    xor bh, bh
    int 0x10
    movzx eax, dx
    check "a new line in the last row stays there", 0x1800
    mov eax, gs:[23 * 160]
    check "and scrolls the screen; backspace went back", 0x07200779
    mov eax, gs:[11 * 160 + 64]
    check "everything has moved up", 0x1f611f68

    # 07h scrolls a window down by a row: back again.
    mov ax, 0x0701
    mov bh, 0x07
    xor cx, cx
    mov dx, 0x184f
    int 0x10
    mov eax, gs:[12 * 160 + 64]
    check "INT 10h/07h scrolls down", 0x1f611f68
    mov ax, 0x0600              # 06h with 0 rows clears a window
    mov bh, 0x07
    mov cx, 0x1400
    mov dx, 0x184f
    int 0x10
    mov eax, gs:[24 * 160]
    check "INT 10h/06h clears a window", 0x07200720

    # 13h: a string, with the cursor.
    mov ax, 0x1301
    mov bx, 0x0007
    mov cx, offset by_firmware_end - by_firmware
    mov dx, 0x0e20
    mov bp, offset by_firmware
    int 0x10
    mov eax, gs:[14 * 160 + 64]
    check "INT 10h/13h writes a string", 0x07790762
    mov ah, 3
    xor bh, bh
    int 0x10
    movzx eax, dx
    check "and moves the cursor behind it", 0x0e2f
    finish

teletype:
    mov ah, 0x0e
    mov bx, 7
    int 0x10
    ret

.data
text:            .asciz "hako writes text"
by_firmware:     .ascii "by the firmware"
by_firmware_end:
