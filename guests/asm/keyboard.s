# keyboard: typed text by the firmware.
#
# Shows:    INT 16h: waiting for a key (AH=00h), looking without taking (AH=01h), the shift state (AH=02h), and
#           echoing by INT 10h until Enter.
# Expected: the line on the screen as it is typed; on COM1 "type> ", "you typed: ..." and PASS.

.include "boot.inc"

main:
    mov ah, 1
    int 0x16
    setz al
    movzx eax, al
    check "INT 16h/01h: nothing typed yet", 1
    say "type> \n"

    mov edi, offset line
next_key:
    mov ah, 0
    int 0x16
    cmp al, '\r'
    je entered
    cmp edi, offset line_end
    jae next_key
    stosb
    mov bx, 7
    mov ah, 0x0e
    int 0x10
    jmp next_key

entered:
    movzx eax, ah
    check "the scan code of Enter", 0x1c
    mov byte ptr [edi], 0
    say "you typed: "
    mov esi, offset line
    call puts16
    say "\n"
    mov ah, 2
    int 0x16
    and eax, 0x0f
    check "INT 16h/02h: no shift key is down", 0
    mov ah, 1
    int 0x16
    setz al
    movzx eax, al
    check "INT 16h/01h: nothing left", 1
    finish

.data
line:     .fill 64, 1, 0
line_end: .byte 0
