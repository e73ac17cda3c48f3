# multiboot2: what a Multiboot 2 kernel finds.
#
# Shows:    the header with a request for information; the tags that answer it.
# Expected: OK lines, PASS.

.include "kernel.inc"

.equ MAGIC, 0xe85250d6
.equ COMMAND_LINE, 1
.equ MODULE, 3
.equ BASIC_MEMORY, 4
.equ MEMORY_MAP, 6

.section .header, "a"
    .balign 8
header:
    .long MAGIC, 0, header_end - header, -(MAGIC + (header_end - header))
    .word 1, 0                          # the kernel requires this information
    .long 24
    .long COMMAND_LINE, MODULE, BASIC_MEMORY, MEMORY_MAP
    .word 0, 0
    .long 8
header_end:

# tag type: EBX = the tag's address, 0 if there is none.
.macro tag type
    mov edx, \type
    call find
.endm

.text
bits32
.globl start
start:
    kernel_start
    mov eax, [given_eax]
    check "magic in EAX", 0x36d76289
    mov eax, [given_ebx]
    and eax, 7
    check "the information is on 8 bytes", 0

    tag COMMAND_LINE
    lea eax, [ebx + 8]
    check_text "command line", "one two"
    tag BASIC_MEMORY
    mov eax, [ebx + 8]
    check "KiB of low memory", 639
    mov eax, [ebx + 12]
    check_upper
    tag MODULE
    mov eax, [ebx + 12]
    sub eax, [ebx + 8]
    check "the module's size", 41
    lea eax, [ebx + 16]
    check_text "the module's string", "first"

    tag MEMORY_MAP
    mov ecx, [ebx + 4]
    add ecx, ebx
    lea esi, [ebx + 16]
    xor eax, eax
1:  cmp dword ptr [esi + 16], 1
    jne 2f
    add eax, [esi + 8]
2:  add esi, [ebx + 8]
    cmp esi, ecx
    jb 1b
    check_usable
    tag 0
    mov eax, [ebx + 4]
    check "the end", 8
    finish

# The tag of type EDX.
find:
    mov ebx, [given_ebx]
    add ebx, 8
1:  cmp [ebx], edx
    je 2f
    mov eax, [ebx + 4]
    lea ebx, [ebx + eax + 7]
    and ebx, -8
    cmp dword ptr [ebx], 0
    jne 1b
    cmp edx, 0
    je 2f
    say "a tag is missing\n"
    inc dword ptr [failures]
    finish
2:  ret
