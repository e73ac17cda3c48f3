# pvh: what a kernel finds that is started by Xen's PVH entry point.
#
# Shows:    the note; the CPU's state; the start info with command line, module, and memory map.
# Expected: OK lines, PASS.

.include "kernel.inc"

.section .note, "a"
    .long 4, 4, 18                      # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start

.text
bits32
.globl start
start:
    kernel_start
    mov eax, cr0
    check "only protection is on", 0x11
    mov eax, cr4
    check "CR4", 0
    pushfd
    pop eax
    and eax, 0x20300
    check "no interrupts, no traps, not virtual 8086", 0

    mov ebx, [given_ebx]
    mov eax, [ebx]
    check "magic", 0x336ec578
    mov eax, [ebx + 4]
    check "version", 1
    mov eax, [ebx + 24]
    check_text "command line", "one two"
    mov eax, [ebx + 12]
    check "modules", 1
    mov esi, [ebx + 16]
    mov eax, [esi + 8]
    check "the module's size", 41
    mov eax, [esi]
    movzx eax, word ptr [eax + 39]
    check "the module's end", 0xf401
    mov eax, [esi + 16]
    check_text "the module's command line", "first"

    # ACPI's root pointer
    mov esi, [ebx + 32]
    mov eax, [esi]
    check "root pointer", 0x20445352    # "RSD "

    mov esi, [ebx + 40]
    mov ecx, [ebx + 48]
    xor eax, eax
1:  cmp dword ptr [esi + 16], 1
    jne 2f
    add eax, [esi + 8]
2:  add esi, 24
    dec ecx
    jnz 1b
    check_usable
    finish
