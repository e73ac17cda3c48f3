# multiboot: what a Multiboot kernel finds.
#
# Shows:    the header; the CPU as the loader leaves it; the information with memory sizes, command line, a module, and
#           the memory map.
# Expected: OK lines, PASS.

.include "kernel.inc"

.equ MAGIC, 0x1badb002
.equ FLAGS, 3                           # modules on pages, memory sizes

.section .header, "a"
    .long MAGIC, FLAGS, -(MAGIC + FLAGS)

.text
bits32
.globl start
start:
    kernel_start
    mov eax, [given_eax]
    check "magic in EAX", 0x2badb002
    mov eax, cr0
    and eax, 0x80000001
    check "protection on, paging off", 1
    pushfd
    pop eax
    and eax, 0x20200
    check "no interrupts, not virtual 8086", 0

    mov ebx, [given_ebx]
    mov eax, [ebx]
    and eax, 0x4d
    check "memory, command line, modules and map are there", 0x4d
    mov eax, [ebx + 4]
    check "KiB of low memory", 639
    mov eax, [ebx + 8]
    check_upper
    mov eax, [ebx + 16]
    check_text "command line", "kernel one two"

    mov eax, [ebx + 20]
    check "modules", 1
    mov esi, [ebx + 24]
    mov eax, [esi]
    and eax, 0xfff
    check "the module is on a page", 0
    mov eax, [esi + 4]
    sub eax, [esi]
    check "the module's size", 41
    mov eax, [esi]
    movzx eax, word ptr [eax + 39]
    check "the module's end", 0xf401
    mov eax, [esi + 8]
    check_text "the module's string", "builtin:hello first"

    # The usable ranges of the map together are what the sizes say.
    mov esi, [ebx + 48]
    mov ecx, [ebx + 44]
    add ecx, esi
    xor eax, eax
1:  cmp dword ptr [esi + 20], 1
    jne 2f
    add eax, [esi + 12]
2:  add esi, [esi]
    add esi, 4
    cmp esi, ecx
    jb 1b
    check_usable
    finish
