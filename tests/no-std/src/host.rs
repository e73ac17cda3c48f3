//! What a program needs when nobody provides it: entry, exit, memory, panic, and what compilers call.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

// The kernel enters with the stack pointer 16-byte aligned; a function expects it 8 off, as after a call.
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "call {start}", "ud2", start = sym crate::rust_start);

// Compilers call these five whatever the program says.
global_asm!(
    ".globl memcpy, memmove, memset, memcmp, bcmp, rust_eh_personality, _Unwind_Resume",
    "memcpy:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "memmove:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "mov r8, rdi",
    "sub r8, rsi",
    "cmp r8, rdx",
    "jb 2f",
    "rep movsb",
    "ret",
    "2:",
    "lea rdi, [rdi + rdx - 1]",
    "lea rsi, [rsi + rdx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    "memset:",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    "memcmp:",
    "bcmp:",
    "xor eax, eax",
    "xor ecx, ecx",
    "2:",
    "cmp rcx, rdx",
    "je 3f",
    "movzx eax, byte ptr [rdi + rcx]",
    "movzx r8d, byte ptr [rsi + rcx]",
    "inc rcx",
    "sub eax, r8d",
    "je 2b",
    "3:",
    "ret",
    // Nothing unwinds: panic is abort.
    "rust_eh_personality:",
    "_Unwind_Resume:",
    "ud2",
);

const HEAP: usize = 96 << 20;

/// Hands out memory upwards and never takes it back: this program ends soon.
struct Bump {
    room: UnsafeCell<[u8; HEAP]>,
    used: AtomicUsize,
}

// SAFETY: every allocation is a range of its own, claimed by an atomic exchange.
unsafe impl Sync for Bump {}

// SAFETY: ranges do not overlap, are aligned as asked, and stay valid for ever.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.room.get() as usize;
        loop {
            let used = self.used.load(Ordering::Relaxed);
            let Some(at) = (base + used).checked_next_multiple_of(layout.align()) else { return null_mut() };
            let end = at - base + layout.size();
            if end > HEAP {
                return null_mut();
            }
            if self.used.compare_exchange(used, end, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return at as *mut u8;
            }
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { room: UnsafeCell::new([0; HEAP]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(2, "the core panicked\n")
}

/// Says something and ends the process.
pub fn exit(status: i32, what: &str) -> ! {
    // SAFETY: write(1, ptr, len) reads `what`, which is alive; rcx and r11 are what `syscall` changes.
    unsafe {
        asm!("syscall", inlateout("rax") 1usize => _, in("rdi") 1, in("rsi") what.as_ptr(), in("rdx") what.len(),
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    // SAFETY: exit(status) does not return.
    unsafe { asm!("syscall", in("rax") 60, in("rdi") status, options(noreturn, nostack)) }
}
