//! The guests: 16-bit code for address 0x1000, begun in real mode.
//!
//! `sample_start` goes through the phases that the server expects, announces each at port 0x80, and ends in a triple
//! fault from long mode. The others are single crimes.

use core::arch::global_asm;

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

pub mod memory;
pub mod processors;
pub mod registers;

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

    .set policy_handler_at, policy_handler - policy_start + 0x1000
    .code64
    .text
"#
);

samples! {
    tour sample_start sample_end "Every phase.",
    runaway runaway_start runaway_end "Interrupts off, for ever.",
    wild wild_start wild_end "Reads memory that it does not have.",
    policy policy_start policy_end "CPUID a thousand times, then HLT.",
    storm storm_start storm_end "Every kind of port, then a string instruction.",
}
