//! Memory and ports: a large page, page tables that change, a port of the machine.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .rodata
    .balign 16
    .code16
    // Entered in flat 32-bit mode: memory of a large page at 2 MiB, of which the server takes a part away.
    .code32
large_start:
    mov eax, [0x200000]
    out 0x80, eax
    mov dword ptr [0x203000], 0x1234
    mov eax, [0x3ff000]
    out 0x80, eax
    mov eax, [0x204000]
    out 0x80, eax
    mov eax, [0x203000]
    out 0x80, eax
    .code16
large_end:

    // Page tables that map themselves, filled with whatever the counter says, by code that runs on them.
tables_start:
    .code32
    mov edi, 0x4000
    mov ecx, 0x400
    mov eax, 0x83
24: mov [edi], eax
    add edi, 4
    add eax, 0x400000
    loop 24b
    mov eax, 0x10
    mov cr4, eax
    mov eax, 0x4000
    mov cr3, eax
    mov eax, 0x80000011
    mov cr0, eax
    mov ebx, 12345
25: imul ebx, ebx, 1103515245
    add ebx, 12345
    mov edi, ebx
    shr edi, 16
    and edi, 0xffc
    mov [edi + 0x4000], ebx
    mov eax, cr3
    mov cr3, eax
    mov eax, [ebx]
    jmp 25b
    .code16
tables_end:

    // Ports that do not exit, then one that does.
ports_start:
    mov al, 0x5a
    out 0x80, al
    mov al, 0
    in al, 0x80
    out 0x81, al
ports_end:
    .code64
    .text
"#
);

samples! {
    large large_start large_end "Memory of a large page.",
    tables tables_start tables_end "Page tables that change under their user.",
    ports ports_start ports_end "A port of the machine's own.",
}
