# a20: the gate that keeps addresses below 1 MiB as on the 8086.
#
# Shows:    with the gate closed bit 20 of every address is 0, so that FFFF:0510 is 0000:0500. The gate
#           is moved in the three usual ways: INT 15h/24xxh, port 0x92, and the keyboard controller.
# Expected: OK lines, PASS.

.include "boot.inc"

.equ LOW, 0x0500                # 0000:0500
.equ HIGH, 0x0510               # FFFF:0510 = 0x100500

main:
    cli
    mov ax, 0xffff
    mov fs, ax

    mov ax, 0x2403              # which ways are there?
    int 0x15
    setc al
    movzx eax, al
    check "INT 15h/2403h succeeds", 0

    mov ax, 0x2400
    int 0x15
    cli
    call is_open
    check "closed by INT 15h/2400h", 0
    mov ax, 0x2402
    int 0x15
    cli
    movzx eax, al
    check "INT 15h/2402h says closed", 0
    mov ax, 0x2401
    int 0x15
    cli
    call is_open
    check "opened by INT 15h/2401h", 1
    mov ax, 0x2402
    int 0x15
    cli
    movzx eax, al
    check "INT 15h/2402h says open", 1

    in al, 0x92                 # bit 1 is the gate, bit 0 would reset the machine
    and al, 0xfc
    out 0x92, al
    call is_open
    check "closed by port 92h", 0
    in al, 0x92
    and eax, 2
    check "port 92h reads back closed", 0
    in al, 0x92
    or al, 2
    and al, 0xfe
    out 0x92, al
    call is_open
    check "opened by port 92h", 1
    in al, 0x92
    and eax, 2
    check "port 92h reads back open", 2

    mov bl, 0xdd                # the controller's output port with bit 1 clear
    call output_port
    call is_open
    check "closed by the keyboard controller", 0
    mov bl, 0xdf
    call output_port
    call is_open
    check "opened by the keyboard controller", 1
    finish

# EAX = 1 if FFFF:0510 is another byte than 0000:0500.
is_open:
    mov byte ptr [LOW], 0x11
    mov byte ptr fs:[HIGH], 0xee
    xor eax, eax
    cmp byte ptr [LOW], 0x11
    sete al
    ret

# BL to the output port of the 8042.
output_port:
    call ready
    mov al, 0xd1
    out 0x64, al
    call ready
    mov al, bl
    out 0x60, al
    call ready
    ret

# Waits until the 8042 has taken what it was given.
ready:
    in al, 0x64
    test al, 2
    jnz ready
    ret
