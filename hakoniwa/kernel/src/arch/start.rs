//! From the boot loader to [`main`](crate::main): Multiboot 1 and PVH headers, first page tables, long mode.
//!
//! SSE is on before the first Rust instruction, because the prebuilt library uses it.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .boot, "awx"
    .balign 8
multiboot_header:
    .long 0x1badb002, 0x10003, -(0x1badb002 + 0x10003)
    .long multiboot_header_phys, image_start_phys, image_data_end_phys, image_end_phys, multiboot_entry_phys

    .code32
    .globl multiboot_entry, pvh_entry
pvh_entry:
    xor eax, eax
multiboot_entry:
    cli
    cld
    mov esi, ebx
    mov ebp, eax
    // Four directories map the first 4 GiB in 2 MiB pages.
    lea edi, [boot_tables_phys + 0x3000]
    mov eax, 0x83
    mov ecx, 2048
2:  mov [edi], eax
    mov dword ptr [edi + 4], 0
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz 2b
    // boot_tables: root, low (also the map of physical memory), high, 4 directories.
    lea edi, [boot_tables_phys]
    lea eax, [boot_tables_phys + 0x1003]
    mov [edi], eax
    mov [edi + 256 * 8], eax
    lea eax, [boot_tables_phys + 0x2003]
    mov [edi + 511 * 8], eax
    lea eax, [boot_tables_phys + 0x3003]
    mov [edi + 0x2000 + 510 * 8], eax
    lea edx, [edi + 0x1000]
    mov ecx, 4
3:  mov [edx], eax
    add eax, 0x1000
    add edx, 8
    dec ecx
    jnz 3b
    mov cr3, edi
    mov eax, 0x620              // PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov ecx, 0xc0000080
    mov eax, 0x901              // NXE, LME, SCE
    xor edx, edx
    wrmsr
    mov eax, 0x80010033         // PG, WP, NE, ET, MP, PE; EM and TS clear
    mov cr0, eax
    lgdt [boot_gdt_pointer_phys]
    jmp fword ptr [boot_far_phys]

    .balign 8
    .globl boot_far, boot_gdt_pointer, multiboot_header, start64
boot_far:
    .long start64_phys
    .word 8
    .balign 8
boot_gdt:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
boot_gdt_pointer:
    .word 23
    .long boot_gdt_phys
    .globl boot_gdt

    .code64
start64:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    mov edi, ebp
    mov esi, esi
    movabs rsp, offset stack_top
    xor ebp, ebp
    movabs rax, offset {main}
    call rax
    ud2

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long pvh_entry_phys

    .section .bss
    .balign 4096
    .globl boot_tables
boot_tables:
    .skip 7 * 4096
    .text
"#,
    main = sym crate::main,
);

// The stacks, each above a page that the final tables leave out.
global_asm!(
    r#"
    .section .stack, "aw", @nobits
    .balign 4096
    .globl stack_guard, stack_top, fatal_guard, fatal_top, nmi_guard, nmi_top
stack_guard:
    .skip 4096
    .skip 65536
stack_top:
fatal_guard:
    .skip 4096
    .skip 16384
fatal_top:
nmi_guard:
    .skip 4096
    .skip 4096
nmi_top:
    .text
"#
);
