//! Registers that the kernel keeps for a guest: debug registers, XCR0 and AVX, control registers, MSRs; and NMIs.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .rodata
    .balign 16
    .code16
    // Debug registers: a breakpoint on an instruction, one on data, single steps over an instruction that exits; then one
    // at an address where the server runs code, which only the guest may meet.
debug_start:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x1000
    mov word ptr [4], offset debug_handler_at
    mov word ptr [6], 0
    mov eax, offset debug_stop_at
    mov dr0, eax
    mov eax, 1
    mov dr7, eax
debug_stop:
    nop
    mov eax, [0x744]
    out 0x80, eax
    mov dword ptr [0x744], 0
    mov eax, 0x740
    mov dr1, eax
    mov eax, 0x100004
    mov dr7, eax
    mov byte ptr [0x740], 1
    mov eax, [0x744]
    out 0x80, eax
    mov dword ptr [0x744], 0
    mov byte ptr [0x748], 0
    pushf
    pushf
    pop ax
    or ax, 0x100
    push ax
    popf
    nop
    cpuid
    popf
    mov eax, [0x744]
    out 0x80, eax
    mov al, [0x748]
    out 0x80, al
    mov eax, [0x730]
    mov dr3, eax
    mov eax, 0x40
    mov dr7, eax
    mov cx, 10
15: out 0x81, al
    loop 15b
    mov eax, dr3
    out 0x80, eax
debug_handler:
    push eax
    mov eax, dr6
    or [0x744], eax
    inc byte ptr [0x748]
    mov eax, 0xffff0ff0
    mov dr6, eax
    mov eax, 0x400
    mov dr7, eax
    pop eax
    iret
debug_end:
    .set debug_handler_at, debug_handler - debug_start + 0x1000
    .set debug_stop_at, debug_stop - debug_start + 0x1000

    // XSETBV: what it must refuse, then AVX registers that nobody else sees or changes.
extended_start:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x1000
    mov word ptr [13 * 4], offset extended_fault_at
    mov word ptr [13 * 4 + 2], 0
    mov eax, 0x40600
    mov cr4, eax
    xor edx, edx
    xor ecx, ecx
    xor eax, eax
    xsetbv
    mov al, 2
    xsetbv
    mov al, 5
    xsetbv
    mov eax, 0x80000007
    xsetbv
    mov eax, 7
    inc cx
    xsetbv
    dec cx
    xsetbv
    xgetbv
    out 0x80, al
    mov al, [0x720]
    out 0x80, al
    mov eax, 1
    cpuid
    mov eax, ecx
    out 0x80, eax
    lgdt [extended_gdt_pointer_at]
    mov eax, cr0
    inc ax
    mov cr0, eax
    .byte 0xea                  // far jump
    .word extended_32_at, 8
extended_fault:
    push bp
    mov bp, sp
    add word ptr [bp + 2], 3
    inc byte ptr [0x720]
    pop bp
    iret
    .balign 8
extended_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
extended_gdt_pointer:
    .word 23
    .long extended_gdt_at
    .code32
extended_32:
    mov eax, 16
    mov ds, eax
    // Zero in a new guest, both halves.
    vextractf128 xmm7, ymm6, 1
    vpor xmm7, xmm7, xmm6
    vmovd eax, xmm7
    out 0x80, eax
    mov esi, [0x730]
    vmovd xmm0, esi
    vinsertf128 ymm6, ymm0, xmm0, 1
    mov ecx, 50
16: out 0x81, al
    vextractf128 xmm7, ymm6, 1
    vmovd ebx, xmm7
    cmp ebx, esi
    jne 17f
    loop 16b
    // Without AVX for a while: what it had stays.
    xor edx, edx
    mov eax, 3
    xsetbv
    out 0x81, al
    mov al, 7
    xsetbv
    vextractf128 xmm7, ymm6, 1
    vmovd eax, xmm7
    xor eax, esi
    out 0x80, eax
17: mov al, 0xff
    out 0x80, al
    .code16
extended_end:
    .set extended_fault_at, extended_fault - extended_start + 0x1000
    .set extended_gdt_at, extended_gdt - extended_start + 0x1000
    .set extended_gdt_pointer_at, extended_gdt_pointer - extended_start + 0x1000
    .set extended_32_at, extended_32 - extended_start + 0x1000

    // NMIs: one with interrupts off; one that comes while another is handled, after IRET; one that ends a halt.
nmi_start:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x1000
    mov word ptr [8], offset nmi_handler_at
    mov word ptr [10], 0
    cli
    mov al, 1
    out 0x80, al
    mov al, [0x750]
    out 0x80, al
    hlt
    mov al, [0x750]
    out 0x80, al
nmi_handler:
    push ax
    mov al, [0x750]
    inc byte ptr [0x750]
    cmp al, 0
    jne 20f
    // The first: another is asked for here, and does not come in here.
    mov al, 2
    out 0x80, al
    mov al, [0x750]
    out 0x80, al
20: pop ax
    iret
nmi_end:
    .set nmi_handler_at, nmi_handler - nmi_start + 0x1000

    // Every MSR of both ranges written with ones and read; every bit of CR0, CR4, EFER and XCR0 set alone.
crimes_start:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x1000
    mov word ptr [13 * 4], offset crimes_fault_at
    mov word ptr [13 * 4 + 2], 0
    mov word ptr [6 * 4], offset crimes_fault_at
    mov word ptr [6 * 4 + 2], 0
    // Skipped instructions have two bytes here, then three.
    mov byte ptr [0x764], 2
    xor ecx, ecx
21: mov eax, -1
    mov edx, -1
    wrmsr
    rdmsr
    inc ecx
    cmp ecx, 0x2000
    jne 22f
    mov ecx, 0xc0000000
22: cmp ecx, 0xc0002000
    jne 21b
    mov byte ptr [0x764], 3
    xor ecx, ecx
23: mov esi, 1
    shl esi, cl
    mov eax, esi
    mov cr0, eax
    mov eax, 0x10
    mov cr0, eax
    mov eax, esi
    mov cr4, eax
    xor eax, eax
    mov cr4, eax
    mov eax, 0x40000
    mov cr4, eax
    push ecx
    xor ecx, ecx
    mov eax, esi
    xor edx, edx
    xsetbv
    mov byte ptr [0x764], 2
    mov ecx, 0xc0000080
    mov eax, esi
    wrmsr
    xor eax, eax
    wrmsr
    mov byte ptr [0x764], 3
    pop ecx
    inc cl
    cmp cl, 32
    jne 23b
    mov eax, [0x760]
    out 0x80, eax
crimes_fault:
    push bp
    mov bp, sp
    push ax
    mov al, [0x764]
    xor ah, ah
    add [bp + 2], ax
    inc dword ptr [0x760]
    pop ax
    pop bp
    iret
crimes_end:
    .set crimes_fault_at, crimes_fault - crimes_start + 0x1000
    .code64
    .text
"#
);

samples! {
    debug debug_start debug_end "Breakpoints and single steps.",
    extended extended_start extended_end "XSETBV and AVX registers.",
    nmi nmi_start nmi_end "NMIs.",
    crimes crimes_start crimes_end "Every register that a guest might break something with.",
}
