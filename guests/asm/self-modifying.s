# self-modifying: code that changes code.
#
# Shows:    the CPU executes what memory holds when it gets there, even if the instruction before has just
#           written it. Nothing has to be flushed. The cases are those that caches of decoded code get wrong.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "protected.inc"

.equ ARENA, 0x30000                     # where code is written to

.text
bits16
main:
    # In real mode: the very next instruction.
    mov byte ptr [1f], 0x40             # INC AX instead of NOP
    xor eax, eax
    mov byte ptr [1f], 0x40
1:  nop
    check "real mode: the next instruction", 1

    enter_protected

    xor eax, eax
    mov byte ptr [1f], 0x40             # INC EAX
1:  nop
    check "the next instruction", 1

    xor eax, eax
    mov byte ptr [1f + 1], 7            # an operand
1:  add al, 1
    check "the next instruction's operand", 7

    xor eax, eax
    mov dword ptr [1f], 0x40404040
    nop
1:  nop
    nop
    nop
    nop
    check "four instructions at once", 4

    # A loop that changes its own body each time round: adds 1 + 2 + ... + 200.
    xor eax, eax
    mov ecx, 200
    mov byte ptr [1f + 2], 0
2:  inc byte ptr [1f + 2]
    movzx ebx, byte ptr [1f + 2]
1:  .byte 0x8d, 0x50, 0                 # LEA EDX, [EAX + 0]
    add eax, ebx
    loop 2b
    check "a loop over its own operand", 20100
    mov eax, edx
    sub eax, 20100 - 200
    movsx ebx, byte ptr [1b + 2]
    sub eax, ebx
    check "the last operand was used", 0

    # A routine replaced again and again: MOV EAX, n; RET.
    xor esi, esi
    mov ecx, 1000
1:  mov byte ptr [ARENA], 0xb8
    mov [ARENA + 1], ecx
    mov byte ptr [ARENA + 5], 0xc3
    mov eax, ARENA
    call eax
    add esi, eax
    loop 1b
    mov eax, esi
    check "a routine written 1000 times", 500500

    # A write that ends in the middle of an instruction.
    mov byte ptr [ARENA + 0x0ffd], 0xb8         # MOV EAX, imm32 across two pages
    mov dword ptr [ARENA + 0x0ffe], 0x11111111
    mov byte ptr [ARENA + 0x1002], 0xc3
    mov edx, ARENA + 0x0ffd
    call edx
    check "an instruction across two pages", 0x11111111
    mov byte ptr [ARENA + 0x1001], 0x22
    call edx
    check "its part in the second page changed", 0x22111111
    mov byte ptr [ARENA + 0x0ffe], 0x33
    call edx
    check "its part in the first page changed", 0x22111133

    # Written by string instructions.
    mov esi, offset snippet_a
    mov edi, ARENA + 0x2000
    mov ecx, 6
    rep movsb
    mov edx, ARENA + 0x2000
    call edx
    check "copied by REP MOVSB", 0xaaaa
    mov esi, offset snippet_b
    mov edi, ARENA + 0x2000
    mov ecx, 6
    rep movsb
    call edx
    check "copied over it", 0xbbbb
    mov edi, ARENA + 0x3000
    mov ecx, 4096
    mov al, 0x40
    rep stosb
    mov byte ptr [ARENA + 0x3000 + 100], 0xc3
    xor eax, eax
    mov edx, ARENA + 0x3000
    call edx
    check "100 instructions made by REP STOSB", 100

    # REP STOSB over the instruction that follows it.
    xor eax, eax
    mov edi, offset 1f
    mov ecx, 3
    mov al, 0x43                        # INC EBX
    xor ebx, ebx
    rep stosb
1:  nop
    nop
    nop
    mov eax, ebx
    check "REP STOSB over what follows it", 3

    # A push onto code.
    mov edx, ARENA + 0x5000
    mov byte ptr [edx], 0xb8
    mov byte ptr [edx + 5], 0xc3
    mov ebp, esp
    mov esp, ARENA + 0x5005
    push 0x1234
    mov esp, ebp
    call edx
    check "an operand written by PUSH", 0x1234
    mov esp, ARENA + 0x5005
    push 0x5678
    mov esp, ebp
    call edx
    check "and again", 0x5678

    # Behind a branch that has been taken before.
    mov dword ptr [ARENA + 0x6000], 0x90909090
    mov byte ptr [ARENA + 0x6004], 0xe9         # JMP +0x1ff7: to ARENA + 0x8000
    mov dword ptr [ARENA + 0x6005], 0x8000 - 0x6009
    mov dword ptr [ARENA + 0x8000], 0x90c301b0  # MOV AL, 1; RET
    mov edx, ARENA + 0x6000
    xor eax, eax
    call edx
    check "across a jump", 1
    mov byte ptr [ARENA + 0x8001], 2
    call edx
    check "the jump's target changed", 2
    mov dword ptr [ARENA + 0x9000], 0x90c303b0
    mov dword ptr [ARENA + 0x6005], 0x9000 - 0x6009
    call edx
    check "the jump itself changed", 3

    # Data next to code: written often, and the code still runs.
    mov dword ptr [ARENA + 0xa000], 0xc3
    mov edx, ARENA + 0xa000
    mov ecx, 1000
1:  mov [edx + 4], ecx
    call edx
    loop 1b
    mov eax, [edx + 4]
    check "data beside code", 1

    finish

.data
snippet_a: .byte 0xb8, 0xaa, 0xaa, 0, 0, 0xc3
snippet_b: .byte 0xb8, 0xbb, 0xbb, 0, 0, 0xc3
