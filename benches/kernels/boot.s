# The frame of every benchmark kernel: an MBR that loads the rest of itself by INT 13h, enters long mode with 4 KiB
# pages over the first 64 MiB (identity), an IDT, and calls `kernel` with interrupts off.
#
# The build sets ITERATIONS; `kernel` runs its operation that often. With ITERATIONS = 0 only the frame runs, which
# is the baseline that the harness subtracts. The end is told to every monitor there is: debug-exit port 0xf4
# (QEMU, hako), then "Shutdown" on port 0x8900 (Bochs).
.intel_syntax noprefix

.set PML4, 0x100000
.set PDPT, 0x101000
.set PD, 0x102000
.set PT, 0x110000              # 32 tables, 64 MiB
.set STACK, 0x90000
.set ARENA, 0x1000000          # 48 MiB of room for the kernels

.code16
.section .text
.globl start
start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    mov si, offset packet
    mov ah, 0x42
    int 0x13
    jc failed
    cli
    in al, 0x92
    or al, 2
    out 0x92, al
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0xea                  # jmp 0x08:protected
    .word protected
    .word 0x08
failed:
    hlt
    jmp failed

.balign 4
packet:
    .byte 16, 0
    .word 24                    # sectors
    .word 0x7e00, 0
    .quad 1

.balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    # 0x08 32-bit code
    .quad 0x00cf93000000ffff    # 0x10 data
    .quad 0x00af9b000000ffff    # 0x18 64-bit code
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt

.code32
protected:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, STACK
    mov edi, PML4
    mov ecx, 0x30000 / 4
    xor eax, eax
    cld
    rep stosd
    mov dword ptr [PML4], PDPT + 3
    mov dword ptr [PDPT], PD + 3
    mov edi, PD
    mov eax, PT + 3
    mov ecx, 32
1:  mov [edi], eax
    add eax, 0x1000
    add edi, 8
    loop 1b
    mov edi, PT
    mov eax, 3
    mov ecx, 32 * 512
2:  mov [edi], eax
    add eax, 0x1000
    add edi, 8
    loop 2b
    mov eax, PML4
    mov cr3, eax
    mov eax, cr4
    or eax, 0x20                # PAE
    mov cr4, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100               # EFER.LME
    wrmsr
    mov eax, cr0
    or eax, 0x80010000          # PG, WP
    mov cr0, eax
    .byte 0xea                  # jmp 0x18:long_mode
    .long long_mode
    .word 0x18

.org 510
.word 0xaa55

.code64
long_mode:
    mov rsp, STACK
    # IDT: vectors 14 (page fault) and 64 (software interrupt), set by kernels that use them
    lidt [rip + idt_pointer]
    mov r15, ITERATIONS
    test r15, r15
    jz 1f
    call kernel
1:  mov al, 0x10
    out 0xf4, al
    mov dx, 0x8900
    lea rsi, [rip + goodbye]
    mov ecx, 8
    cld
2:  lodsb
    out dx, al
    loop 2b
3:  cli
    hlt
    jmp 3b
goodbye:
    .ascii "Shutdown"

.balign 8
idt_pointer:
    .word 65 * 16 - 1
    .quad IDT
.set IDT, 0x98000

# set_gate: rax = handler, rdi = vector
set_gate:
    shl rdi, 4
    add rdi, IDT
    mov [rdi], ax
    mov word ptr [rdi + 2], 0x18
    mov word ptr [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    shr rax, 16
    mov [rdi + 8], eax
    mov dword ptr [rdi + 12], 0
    ret

# What follows is the kernel; it may use every register but r15 (the iterations to go) and rsp.
