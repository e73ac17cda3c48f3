# virtio-blk: a driver of virtio disks, of both kinds of registers, that works by interrupts.
#
# Shows:    PCI configuration space; the registers of virtio functions; a queue; the interrupt pin through the 8259A,
#           and messages through the local APIC; what becomes of a disk that is reset while it works, whose registers
#           move, whose interrupts are masked, whose driver breaks the rules.
# Expected: OK lines, PASS. With "=k" on the command line it writes sector 5, flushes, says "kept", and runs on. With "=sN" on the command line it only reads N pieces of 256 KiB in sequence, with "=rN"
#           N pieces of 4 KiB from all over the disk: for measuring.

.include "kernel.inc"

.section .note, "a"
    .long 4, 4, 18                      # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start

.equ CODE32, 8
.equ DATA32, 16

# Where things are: queue (descriptors, available ring; used ring on a page of its own), request, data.
.equ QUEUE, 0x400000
.equ QUEUE_SIZE, 256
.equ AVAIL, QUEUE + 16 * QUEUE_SIZE
.equ USED, QUEUE + 0x2000
.equ HEADER, 0x500000
.equ STATUS, 0x500010
.equ DATA, 0x600000

.equ CONFIG_ADDRESS, 0xcf8
.equ CONFIG_DATA, 0xcfc
.equ LAPIC, 0xfee00000
.equ MESSAGE_VECTOR, 0x50
.equ PIC_VECTOR, 0x20

# Request types, and device status bits.
.equ IN, 0
.equ OUT, 1
.equ FLUSH, 4
.equ NEEDS_RESET, 0x40

.text
bits32
.globl start
start:
    kernel_start
    lgdt [gdt_pointer]
    ljmp CODE32, offset 1f
1:  mov ax, DATA32
    mov ds, ax
    mov es, ax
    mov ss, ax
    call fill_idt
    call start_pics
    # The local APIC on: messages come from there. LINT0 takes the 8259A's.
    mov dword ptr [LAPIC + 0xf0], 0x1ff
    mov dword ptr [LAPIC + 0x350], 0x700

    call find_disk
    mov eax, [disk]
    test eax, eax
    setnz al
    movzx eax, al
    check "there is a disk", 1
    cmp dword ptr [disk], 0
    jz over
    call find_registers
    mov eax, 4
    call config_at
    mov ax, 7                           # ports, memory, bus mastering
    out dx, ax

    mov ebx, [given_ebx]
    mov esi, [ebx + 24]
    test esi, esi
    jz tests
1:  mov al, [esi]
    inc esi
    test al, al
    jz tests
    cmp al, '='
    jne 1b
    jmp measure

tests:
    call set_up
    call write_and_read
    check "a sector is what was written there", 1
    mov eax, [interrupts]
    check "an interrupt for each of three requests", 3
    mov eax, [isr_seen]
    check "and the ISR status said so", 3

    call set_up_messages
    call write_and_read
    check "the same by messages", 1
    mov eax, [messages]
    check "a message for each request", 3
    mov eax, [interrupts]
    check "and no interrupt pin", 3

    mov eax, 1
    call mask_message
    mov eax, 7
    call read_sector
    call poll
    mov eax, [messages]
    check "a masked vector sends nothing", 3
    xor eax, eax
    call mask_message
    sti
    mov ecx, 1000000
1:  pause
    cmp dword ptr [messages], 4
    loopne 1b
    cli
    mov eax, [messages]
    check "until it is open again", 4

    # Reset with a request on its way, 20 times.
    mov ecx, 20
1:  push ecx
    mov eax, 3
    call read_sector
    call set_up
    pop ecx
    loop 1b
    call write_and_read
    check "a disk that was reset while it worked works again", 1

    call move_registers
    call write_and_read
    check "with its registers elsewhere it works too", 1

    mov dword ptr [AVAIL + 4], 999      # no descriptor has that number
    mov word ptr [AVAIL + 2], 0x8000    # nor does the queue have so many entries
    call notify
    mov ecx, 3000000
1:  call read_status
    test al, NEEDS_RESET
    jnz 2f
    pause
    loop 1b
2:  and eax, NEEDS_RESET
    check "a disk whose driver broke the rules says so", NEEDS_RESET
    call set_up
    call write_and_read
    check "and works after a reset", 1
over:
    finish

# =sN or =rN at ESI.
measure:
    movzx eax, byte ptr [esi]
    mov [kind], eax
    inc esi
    xor ecx, ecx
    cmp al, 'k'
    je keep
1:  movzx eax, byte ptr [esi]
    inc esi
    sub eax, '0'
    jc 2f
    cmp eax, 9
    ja 2f
    imul ecx, ecx, 10
    add ecx, eax
    jmp 1b
2:  mov [rounds], ecx
    call set_up
    call sectors
    mov [size], eax
    mov ecx, [rounds]
    jecxz over
    xor ebx, ebx                        # the next piece
3:  cmp dword ptr [kind], 's'
    jne 4f
    mov ecx, 0x40000
    mov eax, ebx
    shl eax, 9
    inc ebx
    jmp 5f
4:  imul ebx, ebx, 1103515245
    add ebx, 12345
    mov ecx, 0x1000
    mov eax, ebx
    shr eax, 3
    and eax, 0x0fffffff
    shl eax, 3
5:  xor edx, edx
    div dword ptr [size]
    mov eax, edx
    and eax, 0xfffffff8
    mov edx, IN
    call submit
    call await
    cmp byte ptr [STATUS], 0
    jne 6f
    dec dword ptr [rounds]
    jnz 3b
    jmp over
6:  movzx eax, byte ptr [STATUS]
    check "status", 0
    jmp over

# =k: what is said to be kept has to survive whatever happens to the machine from here on.
keep:
    call set_up
    call write_and_read
    check "a sector is what was written there", 1
    say "kept\n"
1:  pause
    jmp 1b

# --- Requests ---------------------------------------------------------------------------------------------------------

# Writes a pattern that is another each time to sector 5, flushes, reads it back; EAX: whether it came back.
write_and_read:
    add dword ptr [pattern], 0x01010101
    mov eax, [pattern]
    mov edi, DATA
    mov ecx, 128
    rep stosd
    mov eax, 5
    mov edx, OUT
    mov ecx, 512
    call submit
    call await
    cmp byte ptr [STATUS], 0
    jne 1f
    mov edi, DATA
    mov ecx, 128
    xor eax, eax
    rep stosd
    mov edx, FLUSH
    xor ecx, ecx
    call submit
    call await
    cmp byte ptr [STATUS], 0
    jne 1f
    mov eax, 5
    call read_sector
    call await
    cmp byte ptr [STATUS], 0
    jne 1f
    mov eax, [pattern]
    mov edi, DATA
    mov ecx, 128
    repe scasd
    jne 1f
    mov eax, 1
    ret
1:  xor eax, eax
    ret

# Asks for sector EAX.
read_sector:
    mov edx, IN
    mov ecx, 512
# A request of type EDX for ECX bytes from sector EAX on. Keeps EBX.
submit:
    mov [HEADER], edx
    mov dword ptr [HEADER + 4], 0
    mov [HEADER + 8], eax
    mov dword ptr [HEADER + 12], 0
    mov byte ptr [STATUS], 0xff
    mov dword ptr [QUEUE + 12], 0x00020001          # NEXT, 2
    jecxz 1f
    mov dword ptr [QUEUE + 12], 0x00010001          # NEXT, 1
    mov [QUEUE + 16 + 8], ecx
    mov dword ptr [QUEUE + 16 + 12], 0x00020003     # NEXT, WRITE, 2
    cmp edx, OUT
    jne 1f
    mov dword ptr [QUEUE + 16 + 12], 0x00020001
1:  inc dword ptr [expected]
    movzx eax, word ptr [AVAIL + 2]
    and eax, QUEUE_SIZE - 1
    mov word ptr [AVAIL + 4 + 2 * eax], 0
    inc word ptr [AVAIL + 2]
notify:
    cmp dword ptr [modern], 0
    jne 1f
    mov edx, [registers]
    add edx, 16
    xor eax, eax
    out dx, ax
    ret
1:  mov edx, [registers]
    mov word ptr [edx + 0x3000], 0
    ret

# Waits by HLT until all that was asked for has been returned, and an interrupt has come for each request.
await:
    cli
    mov ax, [USED + 2]
    cmp ax, [AVAIL + 2]
    jne 1f
    mov eax, [interrupts]
    add eax, [messages]
    sub eax, [expected]
    jns 2f
1:  sti
    hlt
    jmp await
2:  ret

# The same by looking.
poll:
    mov ax, [USED + 2]
    cmp ax, [AVAIL + 2]
    pause
    jne poll
    ret

# --- The function -----------------------------------------------------------------------------------------------------

# Register EAX of the function into CONFIG_ADDRESS; DX: where it is. Keeps the others.
config_at:
    push eax
    and eax, 0xfc
    or eax, [disk]
    mov dx, CONFIG_ADDRESS
    out dx, eax
    pop eax
    mov dx, CONFIG_DATA
    ret

# The first virtio disk of bus 0, as CONFIG_ADDRESS has it; 0 for none.
find_disk:
    mov ecx, 0x80000000
1:  mov eax, ecx
    mov dx, CONFIG_ADDRESS
    out dx, eax
    mov dx, CONFIG_DATA
    in eax, dx
    xor ebx, ebx
    cmp eax, 0x10011af4
    je 2f
    inc ebx
    cmp eax, 0x10421af4
    je 2f
    add ecx, 0x800
    test ecx, 0x10000
    jz 1b
    ret
2:  mov [disk], ecx
    mov [modern], ebx
    ret

# Where BAR 0 is, and the table of messages.
find_registers:
    mov eax, 0x10
    call config_at
    in eax, dx
    and eax, 0xfffffffc
    mov [registers], eax
    mov eax, 0x14
    call config_at
    in eax, dx
    and eax, 0xfffffff0
    mov [table], eax
    ret

# Moves BAR 0 by 1 MiB or, where it is ports, by 256 of them.
move_registers:
    mov eax, 0x10
    call config_at
    mov eax, [registers]
    cmp dword ptr [modern], 0
    jne 1f
    add eax, 0x100
    jmp 2f
1:  add eax, 0x100000
2:  mov [registers], eax
    out dx, eax
    ret

# Reset, features, queue 0, ready; by the interrupt pin.
set_up:
    xor ecx, ecx
    jmp 1f
# The same by messages.
set_up_messages:
    mov ecx, 0x8000
1:  cli
    xor eax, eax
    call write_status
2:  call read_status
    test al, al
    jnz 2b
    # MSI-X on or off. Its capability is the first of ID 11h.
    mov eax, 0x34
    call config_at
    in al, dx
    movzx ebx, al
3:  test ebx, ebx
    jz 5f
    mov eax, ebx
    call config_at
    in eax, dx
    cmp al, 0x11
    je 4f
    movzx ebx, ah
    jmp 3b
4:  mov eax, ebx
    call config_at
    add dx, 2
    mov eax, ecx
    out dx, ax
5:  jecxz 6f
    mov ebx, [table]
    mov dword ptr [ebx + 16], LAPIC
    mov dword ptr [ebx + 20], 0
    mov dword ptr [ebx + 24], MESSAGE_VECTOR
    mov dword ptr [ebx + 28], 0
6:
    push ecx
    mov edi, QUEUE
    mov ecx, 0x4000 / 4
    xor eax, eax
    rep stosd
    mov dword ptr [QUEUE], HEADER
    mov dword ptr [QUEUE + 8], 16
    mov dword ptr [QUEUE + 16], DATA
    mov dword ptr [QUEUE + 32], STATUS
    mov dword ptr [QUEUE + 32 + 8], 1
    mov dword ptr [QUEUE + 32 + 12], 2              # WRITE
    pop ecx
    mov al, 1
    call write_status
    mov al, 3
    call write_status
    mov ebx, [registers]
    cmp dword ptr [modern], 0
    jne 7f

    lea edx, [ebx + 4]                  # features: FLUSH
    mov eax, 1 << 9
    out dx, eax
    lea edx, [ebx + 14]
    xor eax, eax
    out dx, ax
    lea edx, [ebx + 8]
    mov eax, QUEUE >> 12
    out dx, eax
    jecxz 8f
    lea edx, [ebx + 22]
    mov ax, 1
    out dx, ax
    jmp 8f

7:  mov dword ptr [ebx + 8], 0
    mov dword ptr [ebx + 0xc], 1 << 9
    mov dword ptr [ebx + 8], 1
    mov dword ptr [ebx + 0xc], 1        # VERSION_1
    mov al, 11
    call write_status
    mov word ptr [ebx + 0x16], 0
    mov word ptr [ebx + 0x18], QUEUE_SIZE
    mov dword ptr [ebx + 0x20], QUEUE
    mov dword ptr [ebx + 0x24], 0
    mov dword ptr [ebx + 0x28], AVAIL
    mov dword ptr [ebx + 0x2c], 0
    mov dword ptr [ebx + 0x30], USED
    mov dword ptr [ebx + 0x34], 0
    mov word ptr [ebx + 0x1a], 0xffff
    jecxz 9f
    mov word ptr [ebx + 0x1a], 1
9:  mov word ptr [ebx + 0x1c], 1

8:  mov eax, [interrupts]
    add eax, [messages]
    mov [expected], eax
    mov al, 15
    cmp dword ptr [modern], 0
    jne write_status
    mov al, 7
# The device status.
write_status:
    push ebx
    mov ebx, [registers]
    cmp dword ptr [modern], 0
    jne 1f
    lea edx, [ebx + 18]
    out dx, al
    pop ebx
    ret
1:  mov [ebx + 0x14], al
    pop ebx
    ret

read_status:
    push ebx
    mov ebx, [registers]
    cmp dword ptr [modern], 0
    jne 1f
    lea edx, [ebx + 18]
    in al, dx
    pop ebx
    ret
1:  mov al, [ebx + 0x14]
    pop ebx
    ret

# EAX: the disk's sectors but for the last 512, at most 2^32 - 1: a piece that begins there is within the disk. MSI-X is
# off.
sectors:
    mov ebx, [registers]
    cmp dword ptr [modern], 0
    jne 1f
    lea edx, [ebx + 20]
    in eax, dx
    sub eax, 512
    ret
1:  mov eax, [ebx + 0x2000]
    sub eax, 512
    ret

# The mask bit of vector 1.
mask_message:
    mov ebx, [table]
    mov [ebx + 28], eax
    ret

# --- Interrupts -------------------------------------------------------------------------------------------------------

# Gates of all vectors: those of the 8259A, the message's, and one for whatever else.
fill_idt:
    mov edi, offset idt
    xor ecx, ecx
1:  mov eax, offset other
    cmp ecx, MESSAGE_VECTOR
    jne 2f
    mov eax, offset message
2:  cmp ecx, PIC_VECTOR
    jb 3f
    cmp ecx, PIC_VECTOR + 16
    jae 3f
    mov eax, offset pin
3:  mov [edi], ax
    mov word ptr [edi + 2], CODE32
    mov word ptr [edi + 4], 0x8e00
    shr eax, 16
    mov [edi + 6], ax
    add edi, 8
    inc ecx
    cmp ecx, 256
    jb 1b
    lidt [idt_pointer]
    ret

# Both 8259A: vectors from PIC_VECTOR on. Only PCI's lines are open, 5, 9, 10 and 11, and sense levels.
start_pics:
    mov al, 0x11
    out 0x20, al
    out 0xa0, al
    mov al, PIC_VECTOR
    out 0x21, al
    mov al, PIC_VECTOR + 8
    out 0xa1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xa1, al
    mov al, 1
    out 0x21, al
    out 0xa1, al
    mov al, 0xdb
    out 0x21, al
    mov al, 0xf1
    out 0xa1, al
    mov dx, 0x4d0
    mov al, 0x20
    out dx, al
    inc dx
    mov al, 0x0e
    out dx, al
    ret

# The device's pin: reading the ISR status takes it back.
pin:
    push eax
    push edx
    mov edx, [registers]
    cmp dword ptr [modern], 0
    jne 1f
    add edx, 19
    in al, dx
    jmp 2f
1:  mov al, [edx + 0x1000]
2:  and eax, 1
    add [isr_seen], eax
    inc dword ptr [interrupts]
    mov al, 0x20
    out 0xa0, al
    out 0x20, al
    pop edx
    pop eax
    iretd

message:
    inc dword ptr [messages]
    mov dword ptr [LAPIC + 0xb0], 0
    iretd

other:
    mov eax, [esp]
    check "an interrupt that nobody asked for, with this on the stack", 0
    finish

.data
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff            # CODE32
    .quad 0x00cf93000000ffff            # DATA32
gdt_pointer:
    .word 3 * 8 - 1
    .long gdt
idt_pointer:
    .word 256 * 8 - 1
    .long idt
    .balign 4
disk:       .long 0
modern:     .long 0
registers:  .long 0
table:      .long 0
pattern:    .long 0x11223344
interrupts: .long 0
isr_seen:   .long 0
messages:   .long 0
expected:   .long 0
kind:       .long 0
rounds:     .long 0
size:       .long 0

.section .bss
    .balign 8
idt:        .skip 256 * 8
