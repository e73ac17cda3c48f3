# init: the first and only process of a Linux guest.
#
# Shows:    that a kernel has found its disk and its root file system, and that what it writes is kept: the file
#           /written is there after the guest has switched off.
# Expected: hello from /sbin/init, synced, and the power goes off.

.intel_syntax noprefix

.equ SYS_WRITE, 1
.equ SYS_OPEN, 2
.equ SYS_CLOSE, 3
.equ SYS_FSYNC, 74
.equ SYS_PAUSE, 34
.equ SYS_SYNC, 162
.equ SYS_REBOOT, 169
.equ CREATE_AND_WRITE, 0x41
.equ POWER_OFF, 0x4321fedc

# call number, arguments that are already in place: a system call.
.macro call_kernel number
    mov eax, \number
    syscall
.endm

.macro print text, len
    mov edi, 1
    lea rsi, [rip + \text]
    mov edx, offset \len
    call_kernel SYS_WRITE
.endm

.globl _start
_start:
    print hello, hello_len
    lea rdi, [rip + path]
    mov esi, CREATE_AND_WRITE
    mov edx, 0644
    call_kernel SYS_OPEN
    test eax, eax
    js 1f                       # a root that is mounted read-only
    mov ebx, eax
    mov edi, eax
    lea rsi, [rip + text]
    mov edx, offset text_len
    call_kernel SYS_WRITE
    mov edi, ebx
    call_kernel SYS_FSYNC
    mov edi, ebx
    call_kernel SYS_CLOSE
1:  call_kernel SYS_SYNC
    print synced, synced_len
    mov edi, 0xfee1dead
    mov esi, 672274793
    mov edx, POWER_OFF
    call_kernel SYS_REBOOT
2:  call_kernel SYS_PAUSE
    jmp 2b

.section .rodata
hello:  .ascii "hello from /sbin/init\n"
.equ hello_len, . - hello
synced: .ascii "synced\n"
.equ synced_len, . - synced
text:   .ascii "by the guest\n"
.equ text_len, . - text
path:   .asciz "/written"
