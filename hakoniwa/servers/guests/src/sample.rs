//! The guests: 16-bit code for address 0x1000, begun in real mode.
//!
//! `sample_start` goes through the phases that the server expects, announces each at port 0x80, and ends in a triple
//! fault from long mode. The others are single crimes.

use core::arch::global_asm;

/// Where the code goes.
pub const ADDRESS: u64 = 0x1000;
/// The vector that the server injects; its handler counts at [`COUNTER`].
pub const VECTOR: u64 = 0x40;
/// Where the handler counts.
pub const COUNTER: usize = 0x500;
/// A word that the server chooses.
pub const WORD: usize = 0x730;
/// What ends the loop with interrupts off.
pub const FLAG: usize = 0x600;

global_asm!(
    r#"
    .section .rodata
    .balign 16
    .code16
sample_start:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x1000
    mov word ptr [0x100], offset handler_at
    mov word ptr [0x102], 0
    // 1: OUT, then IN of what the server chose.
    mov dx, 0x3f8
    mov al, 'H'
    out dx, al
    in al, dx
    cmp al, 0x5a
    jne fail
    // 2: CPUID of the server's own leaf.
    mov eax, 0x40000000
    xor ecx, ecx
    cpuid
    cmp ebx, 0x6f6b6168
    jne fail
    // 3: spin until the host's timer lets the server inject.
    sti
1:  cmp word ptr [0x500], 0
    je 1b
    mov al, 3
    out 0x80, al
    // 4: a hundred times woken from HLT.
    mov cx, 100
2:  hlt
    loop 2b
    mov ax, [0x500]
    out 0x80, ax
    // 5: memory that the server maps when it is touched.
    mov ax, 0x2000
    mov es, ax
    mov word ptr es:[0x10], 0x1234
    mov ax, es:[0x10]
    out 0x80, ax
    // 6: an interrupt injected while interrupts are off waits for STI.
    cli
    mov al, 6
    out 0x80, al
    mov cx, 1000
3:  loop 3b
    mov ax, [0x500]
    out 0x80, ax
    sti
    nop
    nop
    mov ax, [0x500]
    out 0x80, ax
    // 7: interrupts off until the server, woken by the host's timer, changes memory.
    cli
    mov al, 7
    out 0x80, al
4:  cmp byte ptr [0x600], 0
    je 4b
    mov al, 8
    out 0x80, al
    // 9: an MSR that guests have not is a fault that the guest handles.
    mov word ptr [13 * 4], offset protection_at
    mov word ptr [13 * 4 + 2], 0
    mov ecx, 0x3a
    xor eax, eax
    xor edx, edx
    wrmsr
fail:
    mov al, 0xff
    out 0x80, al
    hlt
protection:
    add sp, 6
    mov al, 9
    out 0x80, al
    // 10: long mode, by tables at 0x4000 with one 2 MiB page.
    mov dword ptr [0x4000], 0x5003
    mov dword ptr [0x5000], 0x6003
    mov dword ptr [0x6000], 0x83
    mov eax, 0x4000
    mov cr3, eax
    mov eax, 0x620
    mov cr4, eax
    mov ecx, 0xc0000080
    mov eax, 0x100
    xor edx, edx
    wrmsr
    lgdt [gdt_pointer_at]
    mov eax, 0x80000001
    mov cr0, eax
    .byte 0xea                  // far jump
    .word long_mode_at, 8
handler:
    inc word ptr [0x500]
    iret
    .balign 8
gdt:
    .quad 0, 0x00af9b000000ffff
gdt_pointer:
    .word 15
    .long gdt_at

    .code64
long_mode:
    // A GS base set by WRMSR and swapped twice; a 64-bit register tells that this is long mode.
    mov ecx, 0xc0000102
    mov eax, 0x1000
    xor edx, edx
    wrmsr
    swapgs
    mov ecx, 0xc0000101
    rdmsr
    out 0x80, eax
    // A debug register keeps its value.
    mov eax, 0x4321
    mov dr1, rax
    xor eax, eax
    mov rax, dr1
    out 0x80, eax
    mov rax, 0x1234567800000000
    shr rax, 32
    out 0x80, eax
    // 11: a triple fault.
    lidt [no_gates_at]
    int3
    .balign 8
no_gates:
    .word 0
    .quad 0
sample_end:
    .set handler_at, handler - sample_start + 0x1000
    .set protection_at, protection - sample_start + 0x1000
    .set gdt_pointer_at, gdt_pointer - sample_start + 0x1000
    .set long_mode_at, long_mode - sample_start + 0x1000
    .set gdt_at, gdt - sample_start + 0x1000
    .set no_gates_at, no_gates - sample_start + 0x1000

    .code16
runaway_start:
    cli
5:  jmp 5b
runaway_end:

wild_start:
    mov ax, 0xf000
    mov ds, ax
    mov al, [0x1234]
    hlt
wild_end:

storm_start:
    mov cx, 500
    xor dx, dx
6:  out dx, ax
    in al, dx
    add dx, 0x83
    loop 6b
    mov dx, 0x80
    mov al, 1
    out dx, al
    mov cx, 3
    rep outsb
    hlt
storm_end:

policy_start:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x1000
    mov word ptr [0x100], offset policy_handler_at
    mov word ptr [0x102], 0
    sti
    rdtsc
    mov esi, eax
    mov di, 1000
7:  mov eax, 1
    cpuid
    dec di
    jnz 7b
    rdtsc
    sub eax, esi
    out 0x80, eax
    mov eax, ebx
    out 0x80, eax
    hlt
    mov al, 2
    out 0x80, al
policy_handler:
    iret
policy_end:

    // Two processors hand a turn to and fro; each compares its time-stamp counter with what the other saw last.
first_start:
    xor ax, ax
    mov ds, ax
    mov al, 1
    out 0x80, al
    mov cx, 20
8:  rdtsc
    mov ebx, eax
    sub ebx, [0x704]
    js 10f
    mov [0x708], eax
    mov byte ptr [0x700], 1
9:  pause
    cmp byte ptr [0x700], 0
    jne 9b
    loop 8b
    mov al, 2
    out 0x80, al
11: pause
    cmp byte ptr [0x710], 0
    je 11b
    mov al, 3
    out 0x80, al
10: mov al, 0xff
    out 0x80, al
    hlt
first_end:

second_start:
    xor ax, ax
    mov ds, ax
    mov al, 1
    out 0x81, al
12: pause
    cmp byte ptr [0x700], 1
    jne 12b
    rdtsc
    mov ebx, eax
    sub ebx, [0x708]
    js 13f
    mov [0x704], eax
    mov byte ptr [0x700], 0
    jmp 12b
13: mov al, 0xff
    out 0x81, al
    hlt
second_end:

again_start:
    xor ax, ax
    mov ds, ax
    inc byte ptr [0x710]
14: jmp 14b
again_end:

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

    // Ports that do not exit, then one that does.
ports_start:
    mov al, 0x5a
    out 0x80, al
    mov al, 0
    in al, 0x80
    out 0x81, al
ports_end:
    .set extended_fault_at, extended_fault - extended_start + 0x1000
    .set extended_gdt_at, extended_gdt - extended_start + 0x1000
    .set extended_gdt_pointer_at, extended_gdt_pointer - extended_start + 0x1000
    .set extended_32_at, extended_32 - extended_start + 0x1000
    .set policy_handler_at, policy_handler - policy_start + 0x1000
    .code64
    .text
"#
);

macro_rules! samples {
    ($($name:ident $start:ident $end:ident $what:literal,)*) => {
        unsafe extern "C" {
            $(static $start: u8; static $end: u8;)*
        }

        $(#[doc = $what]
        pub fn $name() -> &'static [u8] {
            let (start, end) = (&raw const $start, &raw const $end);
            // SAFETY: both are labels around bytes of this program's read-only data.
            unsafe { core::slice::from_raw_parts(start, end as usize - start as usize) }
        })*
    };
}

samples! {
    tour sample_start sample_end "Every phase.",
    runaway runaway_start runaway_end "Interrupts off, for ever.",
    wild wild_start wild_end "Reads memory that it does not have.",
    policy policy_start policy_end "CPUID a thousand times, then HLT.",
    first first_start first_end "A processor that asks for another and takes turns with it.",
    second second_start second_end "The other.",
    again again_start again_end "What the other does after it was stopped: tells, then spins.",
    debug debug_start debug_end "Breakpoints and single steps.",
    extended extended_start extended_end "XSETBV and AVX registers.",
    large large_start large_end "Memory of a large page.",
    ports ports_start ports_end "A port of the machine's own.",
    storm storm_start storm_end "Every kind of port, then a string instruction.",
}
