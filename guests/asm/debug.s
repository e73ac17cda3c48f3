# debug: single steps and breakpoints by the CPU's own means.
#
# Shows:    EFLAGS.TF and what it steps over; debug registers for code, writes, reads and writes, and I/O; DR6; the resume
#           flag; general detect; INT1; the shadow of MOV SS.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "protected.inc"

.text
bits16
main:
    in al, 0x21
    mov al, 0xff
    out 0x21, al
    enter_protected
    set_gate 1, on_debug
    xor eax, eax
    mov dr7, eax
    mov dr6, eax

    # Steps.
    call watch
    pushf
    or dword ptr [esp], 0x100
    popf                                # TF is set here; the step comes after the next instruction
1:  nop
2:  inc eax
3:  pushf
    and dword ptr [esp], 0xfffffeff
4:  popf
5:  nop
    mov eax, [hits]
    check "POPF with TF, then one #DB after each instruction", 5
    mov eax, [where]
    check "the first after the first", "offset 2b"
    mov eax, [where + 4]
    check "the second after the second", "offset 3b"
    mov eax, [status]
    and eax, 0x400f
    check "DR6.BS says single step", 0x4000

    # REP steps after each iteration; the debugged program sees TF in pushed flags.
    call watch
    mov ecx, 4
    mov edi, offset buffer
    mov al, 'x'
    call step_on
1:  rep stosb
2:  call step_off
    mov eax, [where]
    check "stepping REP STOSB stays on it", "offset 1b"
    mov eax, [where + 12]
    check "and leaves it after the last", "offset 2b"

    # INT n clears TF in the handler and brings it back.
    set_gate 0x60, nothing
    call watch
    call step_on
    int 0x60
2:  nop
3:  call step_off
    mov eax, [where]
    check "INT n is one step", "offset 3b"

    # A load of SS holds the step back until after the next instruction.
    call watch
    mov eax, ss
    call step_on
1:  mov ss, eax
2:  nop
3:  call step_off
    mov eax, [where]
    check "MOV SS is not stepped on", "offset 3b"

    # Breakpoints on code: a fault before the instruction, once if RF is set on return.
    call watch
    mov eax, offset 1f
    mov dr0, eax
    mov eax, 0x00000002                 # G0, on execution
    mov dr7, eax
    nop
1:  inc ecx
    nop
    xor eax, eax
    mov dr7, eax
    mov eax, [hits]
    check "a code breakpoint hits once, then RF lets it pass", 1
    mov eax, [where]
    check "before its instruction", "offset 1b"
    mov eax, [status]
    and eax, 0x400f
    check "DR6.B0", 1

    # Breakpoints on data: a trap after the instruction.
    call watch
    mov eax, offset buffer
    mov dr1, eax
    mov eax, 0x00d00008                 # G1, 4 bytes, on writes
    mov dr7, eax
    mov ecx, [buffer]
1:  mov [buffer + 3], cl
2:  mov [buffer + 4], cl
    xor eax, eax
    mov dr7, eax
    mov eax, [hits]
    check "a write breakpoint hits writes in its 4 bytes, no reads", 1
    mov eax, [where]
    check "after its instruction", "offset 2b"
    mov eax, [status]
    and eax, 0x400f
    check "DR6.B1", 2

    call watch
    mov eax, offset buffer + 2
    mov dr2, eax
    mov eax, 0x07000020                 # G2, 2 bytes, on reads and writes
    mov dr7, eax
    mov cl, [buffer + 1]
    mov cl, [buffer + 2]
1:  mov [buffer + 3], cl
    mov ecx, [buffer]
    mov cl, [buffer + 4]
    xor eax, eax
    mov dr7, eax
    mov eax, [hits]
    check "a data breakpoint hits reads and writes that touch its 2 bytes", 3
    mov eax, [where]
    check "the read first", "offset 1b"

    # Breakpoints on ports want CR4.DE.
    call watch
    mov eax, cr4
    or al, 8
    mov cr4, eax
    mov eax, 0x80
    mov dr3, eax
    mov eax, 0x20000080                 # G3, 1 byte, on I/O
    mov dr7, eax
    out 0x81, al
    out 0x80, al
1:  in al, 0x80
    xor eax, eax
    mov dr7, eax
    mov eax, [hits]
    check "an I/O breakpoint hits IN and OUT of its port", 2
    mov eax, [where]
    check "after the instruction", "offset 1b"
    mov eax, [status]
    and eax, 0x400f
    check "DR6.B3", 8
    try 1f
    mov eax, dr4
1:  raised "with CR4.DE, DR4 is #UD", 0x00060000

    # General detect: the debug registers guard themselves.
    call watch
    mov eax, 0x2000
    mov dr7, eax
1:  mov eax, dr0                        # the handler lets it pass: #DB clears GD
    mov eax, [hits]
    check "general detect hits a debug register access", 1
    mov eax, [where]
    check "before it", "offset 1b"
    mov eax, [status]
    and eax, 0x2000
    check "DR6.BD", 0x2000
    mov eax, dr7
    and eax, 0x2000
    check "and DR7.GD is clear", 0
    xor eax, eax
    mov dr7, eax

    call watch
    .byte 0xf1                          # INT1
1:  nop
    mov eax, [hits]
    check "INT1 is #DB", 1
    mov eax, [where]
    check "after it", "offset 1b"
    mov eax, dr7
    check "DR7 bit 10 reads 1", 0x400
    finish

# Forgets the hits so far.
watch:
    mov dword ptr [hits], 0
    mov dword ptr [status], 0
    ret

# TF on; the first instruction of the caller that follows is the first to be stepped.
step_on:
    mov dword ptr [hits], -1            # the RET below is a step as well
    pushf
    or dword ptr [esp], 0x100
    popf
    ret
step_off:
    pushf
    and dword ptr [esp], 0xfffffeff
    popf
    ret

on_debug:
    push eax
    push ebx
    mov ebx, [hits]
    cmp ebx, 7
    jae 1f
    mov eax, [esp + 8]
    mov [where + ebx * 4], eax
1:  inc dword ptr [hits]
    mov eax, dr6
    or [status], eax
    xor eax, eax
    mov dr6, eax
    or byte ptr [esp + 18], 1           # RF: not again for the same instruction
    pop ebx
    pop eax
    iretd

nothing:
    iretd

.data
    .balign 4
buffer: .fill 16, 1, 0
hits:   .long 0
status: .long 0
        .long 0                         # where[-1], for the step that does not count
where:  .fill 8, 4, 0
