# string-io: the string forms of IN and OUT, and MOVS and its kin.
#
# Shows:    REP OUTSB to the debug console (port 0xe9), REP INSB/INSW/INSD, the direction flag, the address sizes, counts of 0, and
#           the comparisons that stop early.
# Expected: "string I/O speaks" on the debug console; OK lines, PASS.

.include "boot.inc"
.include "protected.inc"

.equ BUFFER, 0x2000

main:
    mov esi, offset text
    mov ecx, offset text_end - text
    mov dx, 0xe9
    rep outsb
    mov eax, esi
    check "OUTSB moves SI", "offset text_end"
    mov eax, ecx
    check "and counts CX to 0", 0

    # CMOS register 0Dh reads 80h as often as one likes.
    mov al, 0x0d
    out 0x70, al
    in al, 0x71
    movzx ebx, al
    imul ebx, ebx, 0x01010101
    mov dword ptr [BUFFER + 8], 0x55555555
    mov edi, BUFFER
    mov ecx, 8
    mov dx, 0x71
    rep insb
    mov eax, [BUFFER + 4]
    check "REP INSB stores what it reads", ebx
    mov eax, [BUFFER + 8]
    check "and no more", 0x55555555
    mov eax, edi
    check "INSB moves DI", "BUFFER + 8"

    # A count of 0 does nothing, not even with a bad port.
    xor ecx, ecx
    rep insb
    mov eax, edi
    check "a count of 0 reads nothing", "BUFFER + 8"

    # Downwards.
    std
    mov edi, BUFFER + 15
    mov ecx, 4
    mov al, 0x11
    rep stosb
    cld
    mov eax, edi
    check "with DF set DI goes down", "BUFFER + 11"
    mov eax, [BUFFER + 12]
    check "and the bytes are there", 0x11111111

    # Overlapping moves copy byte by byte.
    mov dword ptr [BUFFER], 0x04030201
    mov dword ptr [BUFFER + 4], 0
    mov esi, BUFFER
    mov edi, BUFFER + 1
    mov ecx, 7
    rep movsb
    mov eax, [BUFFER + 4]
    check "MOVSB to the next byte spreads the first", 0x01010101

    # 16-bit addressing wraps at 64 KiB, within its segment.
    push es
    mov ax, 0x1000
    mov es, ax
    mov di, 0xfffe
    mov cx, 2
    mov ax, 0x2211
    rep stosw
    movzx eax, di
    check "DI wraps at 64K", 2
    mov eax, es:[0]
    and eax, 0xffff
    check "and so do the stores", 0x2211
    mov edi, 0x10000
    mov ecx, 0x12340000                 # CX is 0: nothing happens
    rep stosb
    mov eax, ecx
    check "REP counts CX, not ECX, with 16-bit addresses", 0x12340000
    pop es

    # Comparisons.
    mov esi, offset first
    mov edi, offset second
    mov ecx, 8
    repe cmpsb
    mov eax, ecx
    check "REPE CMPSB stops behind the first difference", 3
    mov eax, esi
    sub eax, offset first
    check "SI is behind it", 5
    mov esi, offset first
    mov edi, offset first
    mov ecx, 8
    repe cmpsb
    setz al
    movzx eax, al
    check "REPE CMPSB of equals ends with ZF", 1
    mov edi, offset first
    mov al, 'o'
    mov ecx, 8
    repne scasb
    mov eax, edi
    sub eax, offset first
    check "REPNE SCASB finds a letter", 4
    mov edi, offset first
    mov al, '?'
    mov ecx, 8
    repne scasb
    setz al
    movzx eax, al
    check "and says when there is none", 0
    mov esi, offset first
    xor eax, eax
    mov ecx, 3
    rep lodsb
    check "REP LODSB keeps the last", "'k'"

    # 32-bit addresses.
    enter_protected
    mov edi, 0x100000
    mov ecx, 0x4000
    mov eax, 0xdeadbeef
    rep stosd
    mov eax, edi
    check "REP STOSD of 64 KiB", 0x110000
    mov esi, 0x100000
    mov edi, 0x120000
    mov ecx, 0x4000
    rep movsd
    mov edi, 0x120000
    mov ecx, 0x4000
    mov eax, 0xdeadbeef
    repe scasd
    mov eax, ecx
    check "REP MOVSD of 64 KiB, every one the same", 0
    mov esi, 0x100003
    mov edi, 0x130001
    mov ecx, 1000
    rep movsw
    mov eax, [0x130001 + 1996]
    check "unaligned MOVSW", 0xadbeefde
    mov al, 0x0d
    out 0x70, al
    mov edi, BUFFER
    mov ecx, 2
    mov dx, 0x71
    rep insb
    movzx eax, word ptr [BUFFER]
    check "REP INSB in protected mode", 0x8080

    # Through a port that nobody has: all ones.
    mov edi, BUFFER
    mov ecx, 4
    mov dx, 0x1234
    rep insd
    mov eax, [BUFFER + 12]
    check "reads of nothing are all ones", 0xffffffff
    finish

.data
text:     .ascii "string I/O speaks\n"
text_end:
first:    .ascii "hako box"
second:   .ascii "hako-box"
