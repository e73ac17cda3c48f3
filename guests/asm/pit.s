# pit: the timer and the interrupt controllers.
#
# Shows:    moving the 8259A pair to vectors 20h-2Fh, the 8254 at 1000 interrupts a second, HLT between
#           them, channel 2 as a stop watch through port 61h, latching and read-back, masking, and what the
#           controllers say about requests and services.
# Expected: OK lines, PASS.

.include "boot.inc"

.equ PIT_HZ, 1193182
.equ VECTOR, 0x20

main:
    cli
    mov dword ptr [VECTOR * 4], offset tick

    # ICW1: edge triggered, cascade, ICW4 follows; ICW2: first vector; ICW3: the slave is on line 2.
    mov al, 0x11
    out 0x20, al
    out 0xa0, al
    mov al, VECTOR
    out 0x21, al
    mov al, VECTOR + 8
    out 0xa1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xa1, al
    mov al, 1
    out 0x21, al
    out 0xa1, al
    mov al, 0xff                # all masked
    out 0x21, al
    out 0xa1, al
    in al, 0x21
    movzx eax, al
    check "the mask reads back", 0xff

    mov al, 0x34                # channel 0, both bytes, mode 2 (rate generator)
    out 0x43, al
    mov ax, PIT_HZ / 1000
    out 0x40, al
    mov al, ah
    out 0x40, al

    mov al, 0xe2                # read-back: status of channel 0, no count
    out 0x43, al
    in al, 0x40
    movzx eax, al
    and eax, 0x3f
    check "status: both bytes, mode 2, binary", 0x34

    # The counter counts down.
    call read_count
    mov ebx, eax
    mov ecx, 50
1:  call read_count
    cmp eax, ebx
    jne 2f
    loop 1b
2:  cmp eax, ebx
    setne al
    movzx eax, al
    check "the count moves", 1
    call read_count
    dec eax                     # 1 to 1193
    cmp eax, PIT_HZ / 1000
    setb al
    movzx eax, al
    check "the count stays within its period", 1

    # A tick arrives while masked: it waits in the request register and starts nothing.
    mov ecx, 0
1:  mov al, 0x0a                # OCW3: read the request register
    out 0x20, al
    in al, 0x20
    test al, 1
    jnz 2f
    loop 1b
2:  movzx eax, al
    and eax, 1
    check "a masked tick waits in IRR", 1
    sti
    nop
    nop
    cli
    mov eax, [ticks]
    check "masked ticks interrupt nobody", 0

    # Ten ticks, timed by channel 2 (mode 0, started by the gate in port 61h).
    in al, 0x61
    and al, 0xfc
    out 0x61, al
    mov al, 0xb0                # channel 2, both bytes, mode 0
    out 0x43, al
    mov al, 0xff
    out 0x42, al
    out 0x42, al
    mov al, 0xfe
    out 0x21, al
    sti
    hlt                         # begin at a tick
    in al, 0x61
    or al, 1
    out 0x61, al
    mov dword ptr [ticks], 0
1:  hlt
    cmp dword ptr [ticks], 10
    jb 1b
    mov al, 0x80                # latch channel 2
    out 0x43, al
    in al, 0x42
    mov ah, al
    in al, 0x42
    xchg al, ah
    cli
    movzx eax, ax
    xor eax, 0xffff             # elapsed
    mov [elapsed], eax
    # 10 ms are 11932 counts; where time is shared with others it may be more, hardly less.
    cmp eax, 10800
    setae al
    movzx eax, al
    check "ten ticks of 1 ms take 10 ms, not less", 1
    mov eax, [elapsed]
    cmp eax, 60000
    setb al
    movzx eax, al
    check "and not much more", 1

    movzx eax, byte ptr [service]
    check "in the handler ISR shows line 0", 1
    mov al, 0x0b
    out 0x20, al
    in al, 0x20
    movzx eax, al
    check "after the EOI ISR is empty", 0

    # Mode 0 of channel 2 ends with its output high: bit 5 of port 61h.
    mov al, 0xb0
    out 0x43, al
    mov al, 100
    out 0x42, al
    xor al, al
    out 0x42, al
    in al, 0x61
    mov ah, al
    mov ecx, 0xffff
1:  in al, 0x61
    test al, 0x20
    loopz 1b
    movzx eax, al
    and eax, 0x20
    check "channel 2 goes high at its end", 0x20
    finish

# EAX = channel 0's count, latched.
read_count:
    xor eax, eax
    out 0x43, al                # latch channel 0
    in al, 0x40
    mov ah, al
    in al, 0x40
    xchg al, ah
    ret

tick:
    push eax
    inc dword ptr [ticks]
    mov al, 0x0b                # OCW3: read the in-service register
    out 0x20, al
    in al, 0x20
    mov [service], al
    mov al, 0x20                # end of interrupt
    out 0x20, al
    pop eax
    iret

.data
    .balign 4
ticks:   .long 0
elapsed: .long 0
service: .byte 0
