# ide: a disk driver of our own.
#
# Shows:    the primary ATA channel by programmed I/O: software reset and signature, IDENTIFY DEVICE, writing and
#           reading back by LBA, reading the same by cylinder, head and sector, IRQ 14, and how the drive refuses.
# Expected: the drive's model, OK lines, PASS. Sectors 100 and 101 of the disk are overwritten.

.include "boot.inc"

.equ DATA, 0x1f0
.equ ERROR, 0x1f1
.equ COUNT, 0x1f2
.equ LBA0, 0x1f3
.equ LBA1, 0x1f4
.equ LBA2, 0x1f5
.equ DRIVE, 0x1f6
.equ STATUS, 0x1f7              # read; command when written
.equ CONTROL, 0x3f6

.equ BSY, 0x80
.equ DRDY, 0x40
.equ DRQ, 0x08
.equ ERR, 0x01

.equ IDENTITY, 0xa000
.equ PATTERN, 0xa400
.equ READ_BACK, 0xa800

.macro put port, value
    mov dx, \port
    mov al, \value
    out dx, al
.endm
.macro get port
    mov dx, \port
    in al, dx
    movzx eax, al
.endm

main:
    cli
    mov dword ptr [0x76 * 4], offset on_disk
    in al, 0x21
    and al, 0xfb
    or al, 0x01
    out 0x21, al
    mov al, 0xbf                # IRQ 14 alone
    out 0xa1, al

    put CONTROL, 0x06           # software reset, no interrupts
    call pause
    put CONTROL, 0x02
    call pause
    call wait_ready
    get COUNT
    mov ebx, eax
    get LBA0
    shl eax, 8
    or ebx, eax
    get LBA1
    shl eax, 16
    or ebx, eax
    get LBA2
    shl eax, 24
    or eax, ebx
    check "the signature of a disk after reset", 0x00000101

    # IDENTIFY DEVICE.
    put DRIVE, 0xa0
    call wait_ready
    put STATUS, 0xec
    call wait_data
    and eax, BSY + DRQ + ERR
    check "IDENTIFY DEVICE: data are ready", DRQ
    mov edi, IDENTITY
    mov ecx, 256
    mov dx, DATA
    rep insw
    get STATUS
    and eax, BSY + DRQ + ERR
    check "IDENTIFY DEVICE: 256 words, no more", 0
    say "model "
    mov esi, IDENTITY + 54      # 40 letters, two in each word, the first in the high byte
    mov ecx, 20
1:  mov al, [esi + 1]
    call putc16
    mov al, [esi]
    call putc16
    add esi, 2
    loop 1b
    say "\n"
    movzx eax, word ptr [IDENTITY]
    and eax, 0x8000
    check "word 0: an ATA device", 0
    movzx eax, word ptr [IDENTITY + 98]
    and eax, 0x200
    check "word 49: LBA is supported", 0x200
    mov eax, [IDENTITY + 120]
    check "words 60-61: the size of the disk", 2048

    # Two sectors out, with LBA 100.
    mov edi, PATTERN
    mov ecx, 512
    mov eax, 0x1234
1:  mov [edi], ax
    add edi, 2
    imul eax, eax, 1103515245
    add eax, 12345
    loop 1b
    mov bl, 100
    mov bh, 2
    call address
    put STATUS, 0x30            # WRITE SECTORS
    call wait_data
    mov esi, PATTERN
    mov ecx, 256
    mov dx, DATA
    rep outsw
    call wait_data
    and eax, BSY + DRQ + ERR
    check "WRITE SECTORS asks for the second", DRQ
    mov ecx, 256
    mov dx, DATA
    rep outsw
    call wait_ready
    and eax, BSY + DRQ + ERR
    check "WRITE SECTORS ends", 0
    put STATUS, 0xe7            # FLUSH CACHE
    call wait_ready
    and eax, ERR
    check "FLUSH CACHE", 0

    # And back, with interrupts: one for each sector.
    put CONTROL, 0x00
    mov bl, 100
    mov bh, 2
    call address
    mov dword ptr [interrupts], 0
    put STATUS, 0x20            # READ SECTORS
    mov edi, READ_BACK
    mov ebx, 1
2:  sti
    hlt
    cli
    cmp [interrupts], ebx
    jb 2b
    call wait_data
    mov ecx, 256
    mov dx, DATA
    rep insw
    inc ebx
    cmp ebx, 2
    jbe 2b
    mov eax, [interrupts]
    check "READ SECTORS interrupts for each sector", 2
    call compare
    check "bytes that differ", 0
    put CONTROL, 0x02

    # The same by cylinder, head and sector, in the geometry that the drive tells.
    mov eax, 100
    xor edx, edx
    movzx ecx, word ptr [IDENTITY + 12]
    div ecx
    inc edx
    mov bl, dl                  # sector
    xor edx, edx
    movzx ecx, word ptr [IDENTITY + 6]
    div ecx
    mov ecx, eax                # cylinder
    mov bh, dl                  # head
    put COUNT, 2
    put LBA0, bl
    put LBA1, cl
    put LBA2, ch
    or bh, 0xa0
    put DRIVE, bh
    put STATUS, 0x20
    mov edi, READ_BACK
    mov ecx, 1024 / 4
    xor eax, eax
    rep stosd
    mov edi, READ_BACK
    mov ebx, 2
1:  call wait_data
    mov ecx, 256
    mov dx, DATA
    rep insw
    dec ebx
    jnz 1b
    call compare
    check "bytes that differ when read by CHS", 0

    # What the drive refuses.
    put COUNT, 1
    put LBA0, 0xff
    put LBA1, 0xff
    put LBA2, 0xff
    put DRIVE, 0xe0
    put STATUS, 0x20
    call wait_ready
    and eax, ERR + DRQ
    check "a sector past the end is an error", ERR
    put DRIVE, 0xe0
    put STATUS, 0x02            # no such command
    call wait_ready
    and eax, ERR + DRQ
    check "an unknown command is an error", ERR
    get ERROR
    check "namely: aborted", 4

    # Nobody is the second drive.
    put DRIVE, 0xb0
    call pause
    get STATUS
    and eax, BSY + DRDY + DRQ
    check "an absent drive is never ready", 0
    put DRIVE, 0xa0
    finish

# BH sectors from LBA BL.
address:
    put DRIVE, 0xe0
    call wait_ready
    put COUNT, bh
    put LBA0, bl
    put LBA1, 0
    put LBA2, 0
    ret

# 400 ns and more: four reads of the alternate status.
pause:
    mov dx, CONTROL
    in al, dx
    in al, dx
    in al, dx
    in al, dx
    ret

# Until not busy; EAX = the status.
wait_ready:
    call pause
1:  get STATUS
    test al, BSY
    jnz 1b
    ret

# Until data can be moved, or an error; EAX = the status.
wait_data:
    call pause
1:  get STATUS
    test al, BSY
    jnz 1b
    test al, DRQ + ERR
    jz 1b
    ret

# EAX = number of words in which READ_BACK differs from PATTERN.
compare:
    mov esi, PATTERN
    mov edi, READ_BACK
    mov ecx, 512
    xor eax, eax
1:  mov dx, [esi]
    cmp dx, [edi]
    je 2f
    inc eax
2:  add esi, 2
    add edi, 2
    loop 1b
    ret

on_disk:
    push eax
    push edx
    inc dword ptr [interrupts]
    get STATUS                  # takes the request back
    mov al, 0x20
    out 0xa0, al
    out 0x20, al
    pop edx
    pop eax
    iret

.data
    .balign 4
interrupts: .long 0
