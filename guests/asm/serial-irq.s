# serial-irq: COM1 by interrupts.
#
# Shows:    the 16550A: scratch register, FIFOs, loopback, the interrupt identification register, and an
#           echo in capital letters by a handler for IRQ 4.
# Expected: "ready"; then every line that is sent comes back in capitals; an empty line ends it. OK lines, PASS.

.include "boot.inc"

.equ IER, COM1 + 1
.equ IIR, COM1 + 2              # read; FIFO control when written
.equ LCR, COM1 + 3
.equ MCR, COM1 + 4
.equ LSR, COM1 + 5
.equ MSR, COM1 + 6
.equ SCRATCH, COM1 + 7

.macro get port
    mov dx, \port
    in al, dx
    movzx eax, al
.endm
.macro put port, value
    mov dx, \port
    mov al, \value
    out dx, al
.endm

main:
    cli
    put SCRATCH, 0x5a
    get SCRATCH
    check "the scratch register keeps a byte", 0x5a
    put IIR, 0x07               # FIFOs on, both cleared
    get IIR
    and eax, 0xc0
    check "a 16550A shows its FIFOs", 0xc0
    get IIR
    and eax, 0x0f
    check "no interrupt is pending", 1
    get LSR
    and eax, 0x60
    check "the transmitter is empty", 0x60

    # Loopback: what is sent comes back, modem outputs appear at the modem inputs. Nothing can be reported
    # meanwhile, so what came is kept for later.
    put MCR, 0x1f
    get MSR
    mov [modem_all], al
    put MCR, 0x12
    get MSR
    mov [modem_rts], al
    put COM1, 0xa5
    mov ecx, 0xffff
1:  get LSR
    test al, 1
    loopz 1b
    mov [status_before], al
    get COM1
    mov [came_back], al
    get LSR
    mov [status_after], al
    get MSR                     # forget the deltas
    put MCR, 0x0b               # DTR, RTS, OUT2: interrupts reach the bus

    # The empty transmitter interrupts as soon as it may, and reading IIR takes it back.
    put IER, 2
    get IIR
    mov [cause_first], al
    get IIR
    mov [cause_second], al
    put IER, 0

    movzx eax, byte ptr [modem_all]
    and eax, 0xf0
    check "loopback: DTR, RTS, OUT1, OUT2 come back", 0xf0
    movzx eax, byte ptr [modem_rts]
    and eax, 0xf0
    check "loopback: RTS alone is CTS", 0x10
    movzx eax, byte ptr [status_before]
    and eax, 1
    check "loopback: the byte has come", 1
    movzx eax, byte ptr [came_back]
    check "loopback: the byte", 0xa5
    movzx eax, byte ptr [status_after]
    and eax, 1
    check "loopback: no more", 0
    movzx eax, byte ptr [cause_first]
    and eax, 0x0f
    check "IIR: transmitter empty", 2
    movzx eax, byte ptr [cause_second]
    and eax, 0x0f
    check "IIR: reading it took it back", 1

    # Echo.
    mov dword ptr [0x0c * 4], offset on_byte
    in al, 0x21
    and al, 0xef
    or al, 0x01
    out 0x21, al
    say "ready\n"
    put IER, 1                  # received data
    sti
1:  hlt
    cmp byte ptr [done], 0
    je 1b
    cli
    put IER, 0
    movzx eax, byte ptr [wrong_cause]
    check "no interrupt but for received data", 0
    finish

on_byte:
    push eax
    push edx
    get IIR
    and al, 0x0f
    cmp al, 4                   # data available
    je next_byte
    cmp al, 0x0c                # data have waited (time-out)
    je next_byte
    cmp al, 1                   # left over from before
    je next_byte
    mov [wrong_cause], al
next_byte:
    get LSR
    test al, 1
    jz 3f
    get COM1
    cmp al, '\n'
    jne 1f
    cmp byte ptr [column], 0
    jne 2f
    mov byte ptr [done], 1
2:  mov byte ptr [column], 0
    jmp echo
1:  inc byte ptr [column]
    cmp al, 'a'
    jb echo
    cmp al, 'z'
    ja echo
    sub al, 'a' - 'A'
echo:
    call putc16
    jmp next_byte
3:  mov al, 0x20
    out 0x20, al
    pop edx
    pop eax
    iret

.data
wrong_cause:   .byte 0
modem_all:     .byte 0
modem_rts:     .byte 0
status_before: .byte 0
came_back:     .byte 0
status_after:  .byte 0
cause_first:   .byte 0
cause_second:  .byte 0
column:        .byte 0
done:          .byte 0
