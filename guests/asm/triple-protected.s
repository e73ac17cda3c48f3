# triple-protected: a triple fault in protected mode.
#
# Shows:    a general protection fault whose gate is absent gives a double fault; that one's gate names no
#           segment: the third fault ends it.
# Expected: "going down" on COM1, then a triple fault.

.include "boot.inc"
.include "protected.inc"

.text
bits16
main:
    say "going down\n"
    enter_protected
    mov byte ptr [IDT + 13 * 8 + 5], 0x0e       # absent: #NP while delivering #GP is #DF
    mov word ptr [IDT + 8 * 8 + 2], 0x7f8       # past the GDT: #GP while delivering #DF
    mov ax, 0x1230
    mov fs, ax
    finish
