# floppy-dma: a floppy driver of our own.
#
# Shows:    the 82077A controller with interrupts and channel 2 of the 8237A DMA controller: reset and its four
#           status changes, SPECIFY, RECALIBRATE, SEEK, READ ID, READ DATA and WRITE DATA ended by terminal count, and its refusals.
# Expected: OK lines, PASS. Cylinder 5 of the floppy is overwritten.

.include "boot.inc"

.equ DOR, 0x3f2
.equ MSR, 0x3f4
.equ FIFO, 0x3f5
.equ CCR, 0x3f7

.equ BUFFER, 0x3000             # below 16 MiB and within one 64 KiB page
.equ PATTERN, 0x2000

.macro put port, value
    mov dx, \port
    mov al, \value
    out dx, al
.endm
# command a, b, c ...: to the controller.
.macro command bytes:vararg
    .irp b, \bytes
    mov al, \b
    call send
    .endr
.endm

main:
    cli
    mov dword ptr [0x0e * 4], offset on_floppy
    in al, 0x21
    and al, 0xbf
    or al, 0x01
    out 0x21, al
    sti

    # Reset: the controller then reports a change of state for each of its four drives.
    put DOR, 0x00
    mov ecx, 100
1:  in al, 0x80
    loop 1b
    mov byte ptr [interrupts], 0
    put DOR, 0x1c               # drive 0, motor on, interrupts and DMA, no reset
    call wait_interrupt
    xor ebx, ebx
    mov ecx, 4
1:  command 0x08                # SENSE INTERRUPT STATUS
    call receive
    shl ebx, 8
    or ebx, eax
    call receive
    loop 1b
    mov eax, ebx
    check "reset: ST0 of the four drives", 0xc0c1c2c3
    put CCR, 0x00               # 500 kbit/s
    command 0x03, 0xdf, 0x02    # SPECIFY: step and head times, with DMA
    command 0x10                # VERSION
    call receive
    check "VERSION: an enhanced controller", 0x90
    command 0x1f                # no such command
    call receive
    check "an invalid command gives ST0 = 80h", 0x80

    mov byte ptr [interrupts], 0
    command 0x07, 0x00          # RECALIBRATE
    call wait_interrupt
    command 0x08
    call receive
    mov ebx, eax
    call receive
    shl eax, 8
    or eax, ebx
    check "RECALIBRATE: seek end, cylinder 0", 0x0020

    mov byte ptr [interrupts], 0
    command 0x0f, 0x04, 5       # SEEK with head 1 to cylinder 5
    call wait_interrupt
    command 0x08
    call receive
    and eax, 0xfb               # (some tell the head, some do not)
    mov ebx, eax
    call receive
    shl eax, 8
    or eax, ebx
    check "SEEK: seek end, cylinder 5", 0x0520

    mov byte ptr [interrupts], 0
    command 0x4a, 0x04          # READ ID
    call wait_interrupt
    call results
    mov eax, [result]
    and eax, 0xffffff00
    shr eax, 8
    mov ebx, [result]
    and ebx, 0xc0
    shl ebx, 24
    or eax, ebx
    check "READ ID: no error, cylinder 5", 0x00050000

    # Three sectors out.
    mov edi, PATTERN
    mov ecx, 1536
    mov eax, 0x777
1:  mov [edi], al
    inc edi
    imul eax, eax, 1103515245
    add eax, 12345
    rol eax, 3
    loop 1b
    mov esi, PATTERN
    mov edi, BUFFER
    mov ecx, 1536 / 4
    rep movsd
    mov bl, 0x4a                # single transfer, from memory, channel 2
    call dma
    mov byte ptr [interrupts], 0
    #       WRITE   head 1  C  H  R  N  EOT  GPL   DTL
    command 0xc5, 0x04, 5, 1, 3, 2, 18, 0x1b, 0xff
    call wait_interrupt
    call results
    mov eax, [result]
    and eax, 0x00ffffc0
    check "WRITE DATA: no error", 0
    mov eax, [result + 3]
    check "WRITE DATA: sector 6 would be next", 0x02060105

    # And back.
    mov edi, BUFFER
    mov ecx, 1536 / 4
    mov eax, 0xeeeeeeee
    rep stosd
    mov bl, 0x46                # single transfer, to memory, channel 2
    call dma
    mov byte ptr [interrupts], 0
    command 0xe6, 0x04, 5, 1, 3, 2, 18, 0x1b, 0xff
    call wait_interrupt
    call results
    mov eax, [result]
    and eax, 0x00ffffc0
    check "READ DATA: no error", 0
    mov eax, [result + 3]
    check "READ DATA: sector 6 would be next", 0x02060105
    mov esi, PATTERN
    mov edi, BUFFER
    mov ecx, 1536
    xor eax, eax
1:  mov dl, [esi]
    cmp dl, [edi]
    je 2f
    inc eax
2:  inc esi
    inc edi
    loop 1b
    check "bytes that differ", 0
    mov eax, [BUFFER + 1536]
    mov ebx, [guard]
    check "nothing behind them was touched", ebx
    in al, 0x08
    movzx eax, al
    and eax, 4
    check "the DMA controller saw its terminal count", 4

    # There is no sector 30.
    mov bl, 0x46
    call dma
    mov byte ptr [interrupts], 0
    command 0xe6, 0x04, 5, 1, 30, 2, 30, 0x1b, 0xff
    call wait_interrupt
    call results
    mov eax, [result]
    and eax, 0x04c0
    check "READ DATA of sector 30: abnormal end, no data", 0x0440

    put DOR, 0x0c               # motor off
    finish

# Channel 2 of the DMA controller: 1536 bytes at BUFFER, mode BL.
dma:
    mov eax, [BUFFER + 1536]
    mov [guard], eax
    mov al, 0x06
    out 0x0a, al                # masked while it changes
    out 0x0c, al                # low byte comes first
    mov al, bl
    out 0x0b, al
    mov al, BUFFER & 0xff
    out 0x04, al
    mov al, BUFFER >> 8
    out 0x04, al
    xor al, al
    out 0x81, al                # page
    mov ax, 1536 - 1
    out 0x05, al
    mov al, ah
    out 0x05, al
    mov al, 0x02
    out 0x0a, al
    ret

# AL to the controller, when it asks for a byte.
send:
    push eax
    push edx
    mov dx, MSR
1:  in al, dx
    and al, 0xc0
    cmp al, 0x80
    jne 1b
    pop edx
    pop eax
    push edx
    mov dx, FIFO
    out dx, al
    pop edx
    ret

# EAX = a byte from the controller.
receive:
    push edx
    mov dx, MSR
1:  in al, dx
    and al, 0xc0
    cmp al, 0xc0
    jne 1b
    mov dx, FIFO
    in al, dx
    movzx eax, al
    pop edx
    ret

# The seven bytes that end a transfer: ST0, ST1, ST2, C, H, R, N.
results:
    mov edi, offset result
    mov ecx, 7
1:  call receive
    stosb
    loop 1b
    ret

wait_interrupt:
    cli
1:  cmp byte ptr [interrupts], 0
    jne 2f
    sti
    hlt
    cli
    jmp 1b
2:  sti
    ret

on_floppy:
    push eax
    inc byte ptr [interrupts]
    mov al, 0x20
    out 0x20, al
    pop eax
    iret

.data
    .balign 4
guard:      .long 0
result:     .fill 8, 1, 0
interrupts: .byte 0
