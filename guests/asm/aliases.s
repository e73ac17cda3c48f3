# aliases: self-modifying code behind page tables.
#
# Shows:    code that is changed through another address than the one it runs at; the same address with another frame; pages
#           that become code, data and code again.
# Expected: OK lines, PASS.

.include "boot.inc"
.include "long.inc"

.equ PT, 0x26000                        # 2 MiB from WINDOW on
.equ WINDOW, 0x200000
.equ FRAME, 0x30000

# routine at, value: puts MOV EAX, value; RET there.
.macro routine at, value
    mov byte ptr [\at], 0xb8
    mov dword ptr [\at + 1], \value
    mov byte ptr [\at + 5], 0xc3
.endm

.text
bits16
main:
    enter_long
    mov dword ptr [PD + 8], PT + 7
    mov edi, PT
    mov ecx, 512
    xor eax, eax
    rep stosq
    mov dword ptr [PT], FRAME + 7
    mov dword ptr [PT + 8], FRAME + 7   # the same frame twice
    mov dword ptr [PT + 16], FRAME + 0x1000 + 7

    routine FRAME, 5
    mov edx, FRAME
    call rdx
    check "at its physical address", 5
    mov dword ptr [WINDOW + 1], 6
    call rdx
    check "changed through another address", 6
    mov edx, WINDOW
    call rdx
    check "executed through another address", 6
    mov dword ptr [FRAME + 1], 7
    call rdx
    check "and changed through the first", 7
    mov dword ptr [WINDOW + 0x1001], 8
    call rdx
    check "changed through a third", 8
    mov edx, WINDOW + 0x1000
    call rdx
    check "which executes it too", 8

    # The same address, another frame.
    routine FRAME+0x1000, 9
    mov edx, WINDOW
    call rdx
    check "first frame", 8
    mov dword ptr [PT], FRAME + 0x1000 + 7
    invlpg [WINDOW]
    call rdx
    check "second frame after INVLPG", 9
    mov dword ptr [PT], FRAME + 7
    mov rax, cr3
    mov cr3, rax
    call rdx
    check "first frame after loading CR3", 8

    # An instruction across two pages whose second half comes from another frame.
    mov byte ptr [FRAME + 0xffd], 0xb8
    mov word ptr [FRAME + 0xffe], 0x1111
    mov word ptr [FRAME + 0x1000], 0x2222
    mov byte ptr [FRAME + 0x1002], 0xc3
    mov dword ptr [PT + 8], FRAME + 0x1000 + 7
    mov dword ptr [PT + 16], FRAME + 7
    invlpg [WINDOW + 0x1000]
    mov edx, WINDOW + 0xffd
    call rdx
    check "an instruction across two pages", 0x22221111
    mov word ptr [FRAME + 0x2000], 0x3333
    mov byte ptr [FRAME + 0x2002], 0xc3
    mov dword ptr [PT + 8], FRAME + 0x2000 + 7
    invlpg [WINDOW + 0x1000]
    call rdx
    check "its second half from another frame", 0x33331111
    mov word ptr [FRAME + 0x2000], 0x4444
    call rdx
    check "which is then changed", 0x44441111

    # A page that is data, then code, then data.
    mov dword ptr [PT + 24], FRAME + 0x3000 + 7
    mov ecx, 100
    xor esi, esi
    mov edx, WINDOW + 0x3000
1:  routine FRAME+0x3000, 0
    mov [FRAME + 0x3001], ecx
    call rdx
    add esi, eax
    mov dword ptr [rdx + 0x100], esi    # data beside the code
    dec ecx
    jnz 1b
    mov eax, [FRAME + 0x3100]
    check "code and data in one page, 100 times", 5050
    finish
