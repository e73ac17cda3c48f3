# power-off-apm: switching the machine off by APM, as boot sectors can.
#
# Shows:    INT 15h/53h: is it there, connect, set the version, and power state "off" for all devices.
# Expected: OK lines and "bye" on COM1, then a power-off.

.include "boot.inc"

main:
    mov ax, 0x5300              # installation check
    xor bx, bx
    int 0x15
    setc cl
    movzx eax, bx
    check "INT 15h/5300h is signed PM", 0x504d
    movzx eax, cl
    check "INT 15h/5300h succeeds", 0
    mov ax, 0x5301              # connect to the real mode interface
    xor bx, bx
    int 0x15
    setc al
    movzx eax, al
    check "INT 15h/5301h succeeds", 0
    mov ax, 0x530e              # we speak version 1.2
    xor bx, bx
    mov cx, 0x0102
    int 0x15
    say "bye\n"
    mov ax, 0x5307
    mov bx, 1                   # all devices
    mov cx, 3                   # off
    int 0x15
    say "still on\n"
    inc dword ptr [failures]
    finish
