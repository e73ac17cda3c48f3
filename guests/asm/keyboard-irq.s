# keyboard-irq: the keyboard without the firmware.
#
# Shows:    the 8042's self-test and command byte, commands to the keyboard itself,
#           and scan codes taken by a handler for IRQ 1.
# Expected: "ready", then one line "scan xx" for each code, until Esc is released; OK lines, PASS.

.include "boot.inc"

main:
    cli
    mov al, 0xff                # no interrupts while we ask
    out 0x21, al

1:  in al, 0x64                 # empty the output buffer
    test al, 1
    jz 2f
    in al, 0x60
    jmp 1b
2:
    mov al, 0xaa
    call command
    call answer
    check "the controller's self-test", 0x55
    mov al, 0xab
    call command
    call answer
    check "the test of the keyboard port", 0
    mov al, 0x20
    call command
    call answer
    mov ecx, eax
    and eax, 0x10
    check "the keyboard's clock runs", 0
    mov al, 0x60                # the command byte: translation and IRQ 1 on
    call command
    mov eax, ecx
    and al, 0xef
    or al, 0x41
    call data
    mov al, 0xae
    call command

    mov al, 0xf4                # to the keyboard: begin to scan
    call data
    call answer
    check "the keyboard acknowledges", 0xfa
    mov al, 0xee                # echo
    call data
    call answer
    check "the keyboard echoes", 0xee

    mov dword ptr [0x09 * 4], offset on_key
    mov al, 0xfd                # IRQ 1 alone
    out 0x21, al
    say "ready\n"
    sti
1:  hlt
    cmp byte ptr [done], 0
    je 1b
    cli
    finish

# AL to the controller, as a command.
command:
    call ready
    out 0x64, al
    ret
# AL to port 60h.
data:
    call ready
    out 0x60, al
    ret
ready:
    push eax
1:  in al, 0x64
    test al, 2
    jnz 1b
    pop eax
    ret
# EAX = the next byte from port 60h.
answer:
    in al, 0x64
    test al, 1
    jz answer
    in al, 0x60
    movzx eax, al
    ret

on_key:
    push eax
    in al, 0x64
    test al, 1                  # a request left over from the questions above
    jz 2f
    in al, 0x60
    cmp al, 0x81                # Esc goes up
    jne 1f
    mov byte ptr [done], 1
1:  say "scan "
    rol al, 4
    call digit
    rol al, 4
    call digit
    say "\n"
2:  mov al, 0x20
    out 0x20, al
    pop eax
    iret

# The low four bits of AL.
digit:
    push eax
    and al, 15
    add al, '0'
    cmp al, '9'
    jbe 1f
    add al, 'a' - '0' - 10
1:  call putc16
    pop eax
    ret

.data
done: .byte 0
