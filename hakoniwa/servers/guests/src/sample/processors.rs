//! Two processors of one guest.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .rodata
    .balign 16
    .code16
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
    .code64
    .text
"#
);

samples! {
    first first_start first_end "A processor that asks for another and takes turns with it.",
    second second_start second_end "The other.",
    again again_start again_end "What the other does after it was stopped: tells, then spins.",
}
