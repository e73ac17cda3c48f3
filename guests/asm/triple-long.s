# triple-long: a triple fault in long mode, by page tables.
#
# Shows:    after a new CR3 with empty tables not even the next instruction can be fetched; the page fault
#           cannot read its gate, nor can the double fault.
# Expected: "going down" on COM1, then a triple fault with CR2 near the end of the code.

.include "boot.inc"
.include "long.inc"

.text
bits16
main:
    enter_long
    say "going down\n"
    mov edi, EMPTY_TABLE
    mov ecx, 512
    xor eax, eax
    rep stosq
    mov eax, EMPTY_TABLE
    mov cr3, rax
    finish

.equ EMPTY_TABLE, 0x60000
