# reset: starting the machine again, in every way a PC offers.
#
# Shows:    the keyboard controller's pulse (FEh to port 64h), the reset control register (port CF9h) and port 92h bit 0.
#           CMOS memory survives a reset, so it counts the boots.
# Expected: "boot 0" to "boot 3" on COM1, each once; PASS.

.include "boot.inc"

.equ MAGIC, 0x72                # CMOS bytes that no firmware uses
.equ BOOTS, 0x73

main:
    cli
    mov al, MAGIC
    out 0x70, al
    in al, 0x71
    cmp al, 0xb0
    je 1f
    mov al, MAGIC               # the first time
    out 0x70, al
    mov al, 0xb0
    out 0x71, al
    mov al, BOOTS
    out 0x70, al
    xor al, al
    out 0x71, al
1:  mov al, BOOTS
    out 0x70, al
    in al, 0x71
    mov bl, al
    mov al, BOOTS
    out 0x70, al
    mov al, bl
    inc al
    out 0x71, al

    say "boot "
    mov al, bl
    add al, '0'
    call putc16
    say "\n"

    cmp bl, 1
    jb by_keyboard_controller
    je by_reset_control
    cmp bl, 3
    jb by_port_92
    mov al, MAGIC               # so that it can be run again
    out 0x70, al
    xor al, al
    out 0x71, al
    finish

by_keyboard_controller:
    in al, 0x64
    test al, 2
    jnz by_keyboard_controller
    mov al, 0xfe
    out 0x64, al
    jmp still_here

by_reset_control:
    mov dx, 0xcf9
    mov al, 2                   # a hard reset ...
    out dx, al
    mov al, 6                   # ... now
    out dx, al
    jmp still_here

by_port_92:
    in al, 0x92
    and al, 0xfe
    out 0x92, al
    or al, 1
    out 0x92, al

still_here:
    mov ecx, 0x10000            # a reset may take a moment
1:  in al, 0x80
    loop 1b
    say "no reset\n"
    inc dword ptr [failures]
    finish
