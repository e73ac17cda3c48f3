# floppy-bios: a boot floppy and the firmware's diskette services.
#
# Shows:    DL = 0, INT 13h reset, geometry and drive type, reading whole tracks, writing and reading back,
#           verify, and the errors for sectors and drives that do not exist.
# Expected: OK lines, PASS. Cylinder 70 of the floppy is overwritten.

.include "boot.inc"

.equ PATTERN, 0x2000
.equ READ_BACK, 0x3000

main:
    movzx eax, byte ptr [boot_drive]
    check "booted from drive 0", 0

    mov ah, 0
    xor dl, dl
    int 0x13
    setc al
    movzx eax, al
    check "reset", 0

    mov ah, 8
    xor dl, dl
    xor di, di
    int 0x13
    push cx
    push dx
    push bx
    xor ax, ax
    mov es, ax
    movzx eax, bl
    check "INT 13h/08h: a 1.44M drive", 4
    pop bx
    pop dx
    pop cx
    movzx eax, cx
    check "79 is the last cylinder, 18 sectors", 0x4f12
    movzx eax, dh
    check "the last head is 1", 1
    mov ah, 0x15
    xor dl, dl
    int 0x13
    movzx eax, ah
    and eax, 3
    cmp eax, 1
    je 1f
    cmp eax, 2
1:  sete al
    movzx eax, al
    check "INT 13h/15h: a floppy drive", 1

    # A whole track at once: the first must hold this very program.
    mov ax, 0x0212
    mov bx, 0xc000
    mov cx, 0x0001
    xor dx, dx
    int 0x13
    setc ah
    movzx eax, ax
    check "18 sectors in one call", 0x0012
    mov eax, [0xc000 + marker - 0x7c00]
    check "the sectors are where they belong", 0x6f6b6168

    # Writing.
    mov edi, PATTERN
    mov ecx, 1024
    mov eax, 0x4321
1:  mov [edi], al
    inc edi
    imul eax, eax, 1103515245
    add eax, 12345
    rol eax, 3
    loop 1b
    mov ax, 0x0302              # cylinder 70, head 1, sectors 5 and 6
    mov bx, PATTERN
    mov cx, 0x4605
    mov dx, 0x0100
    int 0x13
    setc ah
    movzx eax, ax
    check "write two sectors", 0x0002
    mov ax, 0x0402
    mov cx, 0x4605
    mov dx, 0x0100
    int 0x13
    setc al
    movzx eax, al
    check "verify them", 0
    mov ax, 0x0202
    mov bx, READ_BACK
    mov cx, 0x4605
    mov dx, 0x0100
    int 0x13
    setc ah
    movzx eax, ax
    check "read two sectors", 0x0002
    mov esi, PATTERN
    mov edi, READ_BACK
    mov ecx, 1024
    xor eax, eax
1:  mov dl, [esi]
    cmp dl, [edi]
    je 2f
    inc eax
2:  inc esi
    inc edi
    loop 1b
    check "bytes that differ", 0

    # Errors.
    mov ax, 0x0201
    mov bx, READ_BACK
    mov cx, 0x0013              # sector 19
    xor dx, dx
    int 0x13
    setc al
    movzx eax, al
    check "sector 19 is refused", 1
    mov ah, 1
    xor dl, dl
    int 0x13
    test ah, ah
    setnz al
    movzx eax, al
    check "INT 13h/01h remembers it", 1
    mov ax, 0x0201
    mov bx, READ_BACK
    mov cx, 1
    mov dx, 7                   # drive 7
    int 0x13
    setc al
    movzx eax, al
    check "a drive that does not exist is refused", 1
    finish

    # Something to find at a known place.
marker: .ascii "hako"
