# two-stage: a boot sector that loads the rest of its image in both ways.
#
# Shows:    INT 13h by cylinder, head and sector (AH=02h, with the geometry from AH=08h) and by LBA
#           (AH=41h, AH=42h), each landing in another place; both must give the same bytes.
# Expected: "stage 1" and "stage 2" on the screen, OK lines on COM1, PASS.

.intel_syntax noprefix
.include "report.inc"

.equ BY_CHS, 0x7e00
.equ BY_LBA, 0x9000

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
1:  mov [boot_drive], dl
    serial_init
    mov si, offset text_stage1
    call print

    mov ah, 0                   # reset the controller
    mov dl, [boot_drive]
    int 0x13
    jc disk_error

    mov ah, 8                   # geometry: CL bits 5-0 sectors per track, DH the last head
    mov dl, [boot_drive]
    xor di, di
    int 0x13
    jc disk_error
    xor ax, ax
    mov es, ax                  # (AH=08h may change ES:DI)
    and cx, 0x3f
    mov [sectors], cx
    movzx dx, dh
    inc dx
    mov [heads], dx

    # Sector n of the disk: n = (cylinder * heads + head) * sectors + sector - 1.
    mov bx, BY_CHS
    mov word ptr [lba], 1
next_sector:
    mov ax, [lba]
    xor dx, dx
    div word ptr [sectors]      # AX = track, DX = sector - 1
    mov cx, dx
    inc cx
    xor dx, dx
    div word ptr [heads]        # AX = cylinder, DX = head
    mov ch, al
    shl ah, 6
    or cl, ah
    mov dh, dl
    mov dl, [boot_drive]
    mov ax, 0x0201              # read one sector to ES:BX
    int 0x13
    jc disk_error
    add bx, 512
    inc word ptr [lba]
    cmp word ptr [lba], offset image_sectors
    jbe next_sector
    jmp stage2

disk_error:
    mov si, offset text_error
    call print
    mov al, EXIT_FAILED
    out EXIT_PORT, al
1:  hlt
    jmp 1b

# The string at SI to the screen.
print:
    lodsb
    test al, al
    jz 1f
    mov ah, 0x0e
    mov bx, 7
    int 0x10
    jmp print
1:  ret

text_stage1: .asciz "stage 1\r\n"
text_error:  .asciz "disk error\r\n"
boot_drive:  .byte 0
    .balign 2
sectors:     .word 0
heads:       .word 0
lba:         .word 0

    .org 510
    .word 0xaa55

.text
bits16
report_routines 16, e

stage2:
    mov si, offset text_stage2
    call print

    mov ah, 0x41                # are there the LBA extensions?
    mov bx, 0x55aa
    mov dl, [boot_drive]
    int 0x13
    setc al
    movzx eax, al
    check "INT 13h/41h succeeds", 0
    movzx eax, bx
    check "INT 13h/41h answers AA55", 0xaa55
    movzx eax, cx
    and eax, 1
    check "packet access is offered", 1

    mov ah, 0x42
    mov si, offset packet
    mov dl, [boot_drive]
    int 0x13
    setc al
    movzx eax, al
    check "INT 13h/42h succeeds", 0

    # The constants at the end are the same in both copies; the variables have changed since.
    mov esi, offset unchanging
    mov edi, offset unchanging + BY_LBA - BY_CHS
    mov ecx, offset unchanging_end - unchanging
    xor eax, eax
1:  mov dl, [esi]
    cmp dl, [edi]
    je 2f
    inc eax
2:  inc esi
    inc edi
    loop 1b
    check "bytes that differ between CHS and LBA", 0

    mov ax, 0x0201              # no cylinder 1023, head 255, sector 63 on so small a disk
    mov cx, 0xffff
    mov dh, 0xff
    mov dl, [boot_drive]
    mov bx, BY_LBA
    int 0x13
    setc al
    movzx eax, al
    check "a sector that does not exist is refused", 1
    finish

    .balign 4
packet:
    .byte 16, 0
    .word image_sectors
    .word BY_LBA, 0
    .quad 1

text_stage2: .asciz "stage 2\r\n"

unchanging:
    .fill 1024, 1, 0x5a
    .ascii "the same whichever way it was read"
unchanging_end:
