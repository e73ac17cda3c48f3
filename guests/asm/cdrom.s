# cdrom: booting from a CD without emulating another medium (El Torito).
#
# Shows:    the boot catalogue names this program; the firmware loads it to 0x7c00 and gives the CD's drive number, which
#           INT 13h/42h then reads in sectors of 2048 bytes. The program finds a file by the ISO 9660 directory.
# Expected: the text of HELLO.TXT on COM1, OK lines, PASS.

.intel_syntax noprefix
.include "report.inc"

.equ SECTOR, 0x9000             # room for one sector of the CD

.section .boot, "ax"
bits16
.globl start
start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    cld
    ljmp 0, offset 1f
1:  mov [drive], dl
    serial_init

    mov ax, 0x4b01              # the specification packet of this boot
    mov si, offset specification
    mov dl, [drive]
    int 0x13
    setc al
    movzx eax, al
    check "INT 13h/4B01h succeeds", 0
    movzx eax, byte ptr [specification + 1]
    and eax, 0x0f
    check "no emulation", 0
    movzx eax, byte ptr [specification + 2]
    movzx ecx, byte ptr [drive]
    check "the packet names our drive", ecx

    mov ah, 0x41
    mov bx, 0x55aa
    mov dl, [drive]
    int 0x13
    movzx eax, bx
    check "INT 13h/41h: packet access", 0xaa55

    mov eax, 16                 # the primary volume descriptor
    call read
    check "sector 16 can be read", 0
    mov eax, [SECTOR + 1]
    check "it is signed CD001", 0x30304443
    movzx eax, byte ptr [SECTOR]
    check "and is the primary descriptor", 1

    mov eax, [SECTOR + 156 + 2] # the root directory's first sector
    call read
    check "the root directory can be read", 0
    mov ebx, SECTOR
next_file:
    movzx eax, byte ptr [ebx]   # length of the entry
    test eax, eax
    jz not_found
    cmp dword ptr [ebx + 33], 0x4c4c4548  # 'HELL'
    je found
    add ebx, eax
    jmp next_file
not_found:
    check "HELLO.TXT is in it", 1
    finish

found:
    mov ecx, [ebx + 10]         # its length
    push ecx
    mov eax, [ebx + 2]          # its first sector
    call read
    check "HELLO.TXT can be read", 0
    pop ecx
    mov byte ptr [SECTOR + ecx], 0
    mov esi, SECTOR
    call puts16

    mov eax, 0x00ffffff
    call read
    test eax, eax
    setnz al
    movzx eax, al
    check "a sector past the end is refused", 1
    finish

# Sector EAX of the CD to SECTOR; EAX = the error code, 0 if there was none.
read:
    mov [packet + 8], eax
    mov word ptr [packet + 2], 1
    mov si, offset packet
    mov ah, 0x42
    mov dl, [drive]
    int 0x13
    mov al, ah
    jc 1f
    xor al, al
1:  movzx eax, al
    ret

report_routines 16, e

.data
    .balign 4
packet:
    .byte 16, 0
    .word 1
    .word SECTOR, 0
    .quad 0
specification: .byte 0x13
    .fill 31, 1, 0
drive: .byte 0
