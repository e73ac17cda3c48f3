# e820: asking the firmware for the memory map.
#
# Shows:    INT 15h, EAX=E820h with its continuation value, and the older ways to ask (INT 12h,
#           INT 15h/88h, INT 15h/E801h), which must agree with it.
# Expected: the map on COM1, one line "base length type" for each range, then OK lines and PASS.

.include "boot.inc"

.equ MAP_END, entry + 24

main:
    xor ebx, ebx
next_entry:
    mov edi, offset entry
    mov eax, 0xe820
    mov ecx, 24
    mov edx, 0x534d4150         # 'SMAP'
    int 0x15
    jc end_of_map
    inc dword ptr [entries]
    cmp eax, 0x534d4150
    je 1f
    inc dword ptr [bad_signatures]
1:  cmp ecx, 20
    jae 2f
    inc dword ptr [short_entries]
2:
    # Print it.
    mov eax, [entry + 4]
    report_call hex
    mov eax, [entry]
    report_call hex
    say " "
    mov eax, [entry + 12]
    report_call hex
    mov eax, [entry + 8]
    report_call hex
    say " "
    mov eax, [entry + 16]
    report_call hex
    say "\n"

    # Usable ranges: below 1 MiB none may reach into the hole for the display and the ROMs; the range at
    # 1 MiB is the one that the older calls speak of.
    cmp dword ptr [entry + 16], 1
    jne 5f
    cmp dword ptr [entry + 4], 0
    jne 5f
    mov eax, [entry]
    mov edx, eax
    add edx, [entry + 8]
    cmp eax, 0x100000
    jae 3f
    cmp edx, 0xa0000
    jbe 4f
    inc dword ptr [in_hole]
4:  test eax, eax
    jnz 5f
    mov [low_end], edx
    jmp 5f
3:  jne 5f
    mov [high_end], edx
5:  test ebx, ebx
    jnz next_entry
end_of_map:

    xor eax, eax
    cmp dword ptr [entries], 3
    setae al
    check "at least three ranges", 1
    mov eax, [bad_signatures]
    check "every answer signed SMAP", 0
    mov eax, [short_entries]
    check "every answer at least 20 bytes", 0
    mov eax, [in_hole]
    check "no usable memory in 640K-1M", 0
    mov eax, ebx
    check "the last answer continues with 0", 0

    xor eax, eax
    int 0x12                    # conventional memory in KiB
    movzx eax, ax
    shl eax, 10
    mov ecx, [low_end]
    and ecx, 0xfffffc00
    check "INT 12h agrees", ecx

    mov ah, 0x88                # KiB above 1 MiB, at most 63 MiB or 64 MiB of them
    int 0x15
    movzx eax, ax
    mov ecx, [high_end]
    sub ecx, 0x100000
    shr ecx, 10
    mov edx, ecx
    cmp ecx, 0xfc00
    jb 1f
    # A memory bigger than the answer can be: the firmware says 63 MiB or all that fits.
    mov edx, eax
1:  check "INT 15h/88h agrees", edx

    xor cx, cx
    xor dx, dx
    mov ax, 0xe801              # KiB from 1 to 16 MiB; 64 KiB blocks above
    int 0x15
    setc byte ptr [carry]
    jcxz 1f
    mov ax, cx
    mov bx, dx
1:  movzx eax, ax
    movzx ebx, bx
    shl ebx, 6
    add eax, ebx
    mov ecx, [high_end]
    sub ecx, 0x100000
    shr ecx, 10
    and ecx, 0xffffffc0
    and eax, 0xffffffc0
    check "INT 15h/E801h agrees", ecx
    movzx eax, byte ptr [carry]
    check "INT 15h/E801h succeeds", 0
    finish

.data
    .balign 8
entry:          .fill 24, 1, 0
entries:        .long 0
bad_signatures: .long 0
short_entries:  .long 0
in_hole:        .long 0
low_end:        .long 0
high_end:       .long 0
carry:          .byte 0
