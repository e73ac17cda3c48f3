# Boot sectors that do their worst. `--defsym CRIME=n` chooses; `cargo xtask hakoniwa test` runs them under the hv server beside
# guests and a clock that must not notice. A guest that survives its crime says so at the debug-exit port.

.intel_syntax noprefix
.code16
.globl _start

.equ MSRS, 1            # every MSR, read and written with ones and zeros
.equ CONTROL, 2         # control and debug registers, every bit; XSETBV; at last paging with tables that are none
.equ MEMORY, 3          # addresses that are not memory, by many instructions; at last code there
.equ PORTS, 4           # every port, every width, strings
.equ TABLES, 5          # page tables that map themselves elsewhere under the instruction that uses them; at last in a device
.equ RUNAWAY, 6         # interrupts off, for ever
.equ BUSY, 7            # interrupts on, for ever
.equ STACK, 8           # interrupts that push to a device, by a table that is in one

.equ EXIT, 0xf4
.equ SURVIVED, 0x10

_start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7000
    cli
    cld

# Vectors 0 to 15 go to a handler that skips [skip] bytes.
    mov di, 0
    mov cx, 16
1:  mov ax, offset skipping
    stosw
    xor ax, ax
    stosw
    loop 1b

.macro skips bytes
    mov byte ptr [skip], \bytes
.endm

.macro survived
    mov al, SURVIVED
    out EXIT, al
2:  hlt
    jmp 2b
.endm

# GS reaches all 4 GiB, DS too.
.macro everywhere
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov bx, 8
    mov gs, bx
    mov ds, bx
    and al, 0xfe
    mov cr0, eax
    xor ax, ax
    mov ds, ax
.endm

.if CRIME == MSRS
    skips 2
    mov ecx, 0
1:  rdmsr
    mov eax, -1
    mov edx, -1
    wrmsr
    xor eax, eax
    xor edx, edx
    wrmsr
    inc ecx
    cmp cx, 0x900
    jb 1b
    mov cx, 0
    add ecx, 0x40000000         # 4000xxxx, 8000xxxx, C000xxxx
    jnc 1b
    survived

.elseif CRIME == CONTROL
    skips 3
    mov edi, 1
1:  mov ebx, cr0
    mov eax, ebx
    xor eax, edi
    and eax, 0x7fffffff         # paging comes last
    mov cr0, eax
    mov cr0, ebx
    mov ebx, cr4
    mov eax, ebx
    xor eax, edi
    mov cr4, eax
    mov cr4, ebx
    mov cr3, edi
    mov cr2, edi
    mov dr0, edi
    mov dr6, edi
    mov dr7, edi
    xor eax, eax
    mov dr7, eax
    mov ecx, edi
    .byte 0x0f, 0x01, 0xd1      # XSETBV
    .byte 0x0f, 0x01, 0xc1      # VMCALL
    .byte 0x0f, 0x01, 0xc2      # VMLAUNCH
    .byte 0x0f, 0x01, 0xc8      # MONITOR
    .byte 0x0f, 0x01, 0xc9      # MWAIT
    shl edi, 1
    jnz 1b
    mov eax, -1
    mov cr0, eax
    mov cr4, eax
    xor eax, eax
    mov cr4, eax
    mov eax, 0x12345000
    mov cr3, eax
    mov eax, 0x80000011
    mov cr0, eax
    survived

.elseif CRIME == MEMORY
    everywhere
    skips 0
    mov eax, cr4
    or eax, 0x600
    mov cr4, eax
    fninit
    mov ebp, 80
    mov esi, 0x12345678
1:  imul esi, esi, 1664525      # a different address each time, above 2 MiB
    add esi, 1013904223
    mov ebx, esi
    or ebx, 0x200000
    mov ecx, esi
    shr ecx, 20
    mov eax, esi
    mov gs:[ebx], al
    mov ax, gs:[ebx + 1]
    mov eax, gs:[ebx + ecx * 2 + 3]
    add gs:[ebx + ecx * 4 - 5], eax
    lock xadd gs:[ebx], eax
    lock cmpxchg8b gs:[ebx]
    bts gs:[ebx], esi
    movups gs:[ebx + 0xff8], xmm0
    movups xmm1, gs:[ebx]
    shl ecx, 4
    fxsave gs:[0x7fff0000 + ecx]
    push dword ptr gs:[ebx]
    pop dword ptr gs:[ebx]
    fld qword ptr gs:[ebx]
    fstp tbyte ptr gs:[ebx]
    mov edi, 0x6000
    mov ecx, 20
    addr32 rep movsb es:[edi], gs:[esi]
    mov al, gs:[0xfee00000 + ebp]
    mov edx, 0xfec00010
    mov gs:[edx], eax
    mov gs:[0xfed00000 + ebp * 4], eax
    dec ebp
    jnz 1b
    mov dword ptr [6 * 4], offset 3f
    ljmp 0xd000, 0x0000         # nothing is there: ones
3:  survived

.elseif CRIME == PORTS
    skips 0
    xor edx, edx
1:  cmp dx, EXIT
    je 3f
    xor eax, eax
    out dx, al
    out dx, ax
    out dx, eax
    in al, dx
    in ax, dx
    in eax, dx
    mov di, 0x6000
    mov cx, 3
    rep insb
    mov cx, 3
    rep insw
    mov si, 0x6800              # zeros: nothing that turns the machine off
    mov cx, 2
    rep outsd
3:  inc dx
    cmp dx, 0x400
    jb 1b
    add dx, 99
    jnc 1b
    survived

.elseif CRIME == TABLES
    # A page directory at 1000h whose first table is at 2000h, which maps 4 MiB one to one.
    mov di, 0x1000
    mov cx, 0x800
    xor ax, ax
    rep stosw
    mov dword ptr [0x1000], 0x2007
    mov di, 0x2000
    mov eax, 7
    mov cx, 1024
1:  stosd
    add eax, 4096
    loop 1b
    lgdt [gdt_pointer]
    mov eax, 0x1000
    mov cr3, eax
    mov eax, 0x80000011
    mov cr0, eax
    jmp 1f
1:  mov bx, 8
    mov ds, bx
    mov es, bx
    # The page at 9000h is now RAM, now the local APIC, now itself a table, between two instructions and within one.
    mov ecx, 150
1:  mov dword ptr [0x2000 + 9 * 4], 0xfee00007
    mov eax, cr3
    mov cr3, eax
    mov eax, [0x9030]
    mov [0x8ffe], eax           # half RAM, half device
    mov dword ptr [0x2000 + 9 * 4], 0x2007
    mov eax, cr3
    mov cr3, eax
    mov dword ptr [0x9000 + 9 * 4], 0x9007  # the entry maps away itself
    mov eax, cr3
    mov cr3, eax
    mov [0x9000], eax
    dec ecx
    jnz 1b
    mov eax, 0xfee00000         # tables in a device
    mov cr3, eax
    mov eax, [0x9000]
    survived

.elseif CRIME == RUNAWAY
1:  jmp 1b

.elseif CRIME == BUSY
    sti
1:  jmp 1b

.elseif CRIME == STACK
    everywhere
    skips 0
    # Protected mode: the stack is in the local APIC, the interrupt table where nothing is.
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov bx, 8
    mov ss, bx
    mov esp, 0xfee00400
    pushad
    popad
    mov esp, 0xd0000800
    push eax
    pop eax
    lidt [idt_pointer]
    int 0x20
    survived
.endif

skipping:
    push bp
    mov bp, sp
    push ax
    xor ax, ax
    mov al, ss:[skip]
    add ss:[bp + 2], ax
    pop ax
    pop bp
    iret

skip: .byte 0
    .balign 8
gdt:
    .quad 0, 0x00cf93000000ffff
gdt_pointer:
    .word 15
    .long gdt
idt_pointer:
    .word 0x7ff
    .long 0xd0000000

    .org 510
    .word 0xaa55
