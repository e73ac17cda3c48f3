# rtc: the MC146818 clock and its CMOS memory.
#
# Shows:    reading the time without catching it in an update, the periodic interrupt at 1024 Hz and
#           the update-ended interrupt through IRQ 8 of the second controller, and CMOS bytes that keep what they are given.
# Expected: the time as "time hh:mm:ss date yy-mm-dd", OK lines, PASS.

.include "boot.inc"

.equ IRQ8_VECTOR, 0x70          # where firmwares leave it

# cmos index: AL = that register.
.macro cmos index
    mov al, \index
    out 0x70, al
    in al, 0x71
.endm
.macro set_cmos index, value
    mov al, \index
    out 0x70, al
    mov al, \value
    out 0x71, al
.endm

main:
    cli
    mov dword ptr [IRQ8_VECTOR * 4], offset on_rtc

    cmos 0x0d
    movzx eax, al
    and eax, 0x80
    check "register D: the battery is good", 0x80
    cmos 0x0b
    movzx eax, al
    and eax, 6
    check "register B: BCD, 24 hours", 2
    cmos 0x0a
    movzx eax, al
    and eax, 0x70
    check "register A: the 32768 Hz oscillator", 0x20

1:  cmos 0x0a                   # no update in progress
    test al, 0x80
    jnz 1b
    say "time "
    cmos 4
    call bcd
    say ":"
    cmos 2
    call bcd
    say ":"
    cmos 0
    call bcd
    say " date "
    cmos 9
    call bcd
    say "-"
    cmos 8
    call bcd
    say "-"
    cmos 7
    call bcd
    say "\n"
    mov eax, [not_bcd]
    check "every field is BCD", 0

    # The firmware tells the same hour.
    mov ah, 2
    int 0x1a
    cli
    movzx ebx, ch
    cmos 4
    movzx eax, al
    check "INT 1Ah/02h tells the same hour", ebx

    # Free bytes of the CMOS.
    set_cmos 0x70, 0x5a
    set_cmos 0x71, 0xa5
    cmos 0x70
    movzx ebx, al
    cmos 0x71
    mov ah, al
    mov al, bl
    movzx eax, ax
    check "CMOS bytes keep their values", 0xa55a

    # Periodic interrupts at 1024 Hz (rate 6).
    in al, 0x21
    and al, 0xfb                # the cascade
    or al, 0x01                 # not the timer
    out 0x21, al
    in al, 0xa1
    mov al, 0xfe                # IRQ 8 alone
    out 0xa1, al
    set_cmos 0x0a, 0x26
    cmos 0x0c                   # forget what was
    set_cmos 0x0b, 0x42         # PIE
    sti
1:  hlt
    cmp dword ptr [interrupts], 16
    jb 1b
    cli
    movzx eax, byte ptr [cause]
    and eax, 0xc0
    check "register C: periodic interrupt", 0xc0
    cmos 0x0c
    movzx eax, byte ptr [cause2]
    check "reading register C clears it", 0

    # The interrupt at the end of an update, once a second: the seconds have changed.
    set_cmos 0x0b, 0x12         # UIE
    cmos 0x0c
    cmos 0
    mov [second], al
    mov dword ptr [interrupts], 0
    sti
1:  hlt
    cmp dword ptr [interrupts], 0
    je 1b
    cli
    movzx eax, byte ptr [cause]
    and eax, 0x90
    check "register C: update ended", 0x90
    cmos 0
    cmp al, [second]
    setne al
    movzx eax, al
    check "the seconds have changed", 1
    set_cmos 0x0b, 2
    finish

# Prints AL as two digits and counts digits above 9.
bcd:
    push eax
    mov ah, al
    shr al, 4
    call 1f
    mov al, ah
    and al, 15
    call 1f
    pop eax
    ret
1:  cmp al, 10
    jb 2f
    inc dword ptr [not_bcd]
2:  add al, '0'
    call putc16
    ret

on_rtc:
    push eax
    cmos 0x0c
    test al, 0x80               # left over from before: its cause has been read already
    jz 1f
    inc dword ptr [interrupts]
    mov [cause], al
    cmos 0x0c
    mov [cause2], al
1:
    mov al, 0x20
    out 0xa0, al
    out 0x20, al
    pop eax
    iret

.data
    .balign 4
interrupts: .long 0
not_bcd:    .long 0
cause:      .byte 0
cause2:     .byte 0
second:     .byte 0
