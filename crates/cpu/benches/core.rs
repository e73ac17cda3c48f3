//! What the interpreter costs: small guests in long mode with paging on, timed per instruction or per event.
//!
//! `cargo bench -p hako-cpu` (add `-- NAME` to run those whose name contains it).

use std::arch::global_asm;
use std::sync::Arc;

use hako_cpu::{Config, Cpu, StopKind};
use hako_engine::Bus;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, DescTable, RFlags, SegAttr, SegReg, Segment};

/// RAM alone.
struct Flat(GuestMemory);

impl Bus for Flat {
    fn memory(&self) -> &GuestMemory {
        &self.0
    }
}

// The guests. Each begins at CODE, has RBX = number of rounds, RSI = DATA, and ends with HLT.
global_asm!(
    r#"
    .section .text.guests, "ax"
    .global guest_compute, guest_calls, guest_indirect, guest_memory, guest_ports, guest_pages, guest_smc, guest_cr3
    .global guest_x87, guest_elementary
    .global guest_int, guest_fault, guest_strings, guest_packed, guest_copy, guest_singles, guest_doubles, guest_end
guest_compute:
    xor     edx, edx
    xor     r8d, r8d
    mov     r9d, 12345
1:  mov     eax, [rsi + rdx*4]
    add     eax, r8d
    imul    eax, eax, 0x9e37
    xor     r9d, eax
    shr     eax, 3
    and     eax, 0xff
    add     r8d, [rsi + rax*4 + 8192]
    mov     [rsi + rax*4 + 8192], r9d
    inc     edx
    and     edx, 0x3ff
    test    r9d, 1
    jz      2f
    lea     r10, [r10 + r9*2 + 1]
2:  dec     ebx
    jnz     1b
    hlt
guest_calls:
1:  call    2f
    call    2f
    dec     ebx
    jnz     1b
    hlt
2:  push    rax
    mov     eax, 7
    pop     rax
    ret
guest_indirect:
    lea     r8, [rip + 2f]
    lea     r9, [rip + 3f]
1:  mov     rax, r8
    test    ebx, 1
    cmovz   rax, r9
    jmp     rax
2:  inc     edx
    dec     ebx
    jnz     1b
    hlt
3:  inc     ecx
    dec     ebx
    jnz     1b
    hlt
guest_memory:
1:  mov     rax, [rsi]
    mov     [rsi + 64], rax
    add     rax, [rsi + 128]
    mov     [rsi + 8], rax
    mov     rcx, [rsi + 256]
    mov     [rsi + 16], rcx
    dec     ebx
    jnz     1b
    hlt
guest_ports:
    mov     edx, 0x80
1:  out     dx, al
    dec     ebx
    jnz     1b
    hlt
guest_pages:
    xor     eax, eax
1:  add     rax, [rsi + rdi]
    lea     rdi, [rdi + rax + 4096]
    and     edi, 0xffffff
    dec     ebx
    jnz     1b
    hlt
guest_smc:
    lea     rdi, [rip + 3f]
1:  mov     [rdi + 1], ebx
    call    3f
    dec     ebx
    jnz     1b
    hlt
    .balign 64
3:  mov     eax, 0
    add     ecx, eax
    ret
guest_cr3:
    mov     rax, cr3
1:  mov     cr3, rax
    .set    i, 0
    .rept   16
    mov     rcx, [rsi + i*4096]
    .set    i, i + 1
    .endr
    dec     ebx
    jnz     1b
    hlt
guest_int:
1:  int     0x80
    dec     ebx
    jnz     1b
    hlt
guest_fault:
    mov     rdi, 0x40000000
1:  mov     rax, [rdi]
    dec     ebx
    jnz     1b
    hlt
guest_strings:
    mov     r8, rsi
1:  mov     rsi, r8
    lea     rdi, [r8 + 65536]
    mov     ecx, 1024
    rep     movsq
    dec     ebx
    jnz     1b
    hlt
guest_packed:
1:  movdqa  xmm0, [rsi]
    paddd   xmm0, [rsi + 16]
    paddd   xmm1, xmm0
    paddusb xmm2, xmm1
    pxor    xmm3, xmm2
    pshufd  xmm4, xmm3, 0x1b
    pcmpeqb xmm4, xmm0
    pmovmskb eax, xmm4
    dec     ebx
    jnz     1b
    hlt
guest_copy:
1:  movaps  xmm0, [rsi]
    movaps  xmm1, [rsi + 16]
    movaps  xmm2, [rsi + 32]
    movaps  xmm3, [rsi + 48]
    movaps  [rsi + 4096], xmm0
    movaps  [rsi + 4112], xmm1
    movups  [rsi + 4129], xmm2
    movups  [rsi + 4145], xmm3
    dec     ebx
    jnz     1b
    hlt
guest_singles:
    mov     eax, 0x3f8ccccd
    movd    xmm0, eax
    shufps  xmm0, xmm0, 0
    movaps  xmm1, xmm0
    movaps  xmm3, xmm0
1:  movaps  xmm2, xmm0
    addps   xmm2, xmm1
    mulps   xmm2, xmm3
    subps   xmm2, xmm1
    divps   xmm2, xmm1
    maxps   xmm2, xmm0
    dec     ebx
    jnz     1b
    hlt
guest_doubles:
    mov     rax, 0x3ff199999999999a
    movq    xmm0, rax
    movapd  xmm1, xmm0
1:  movapd  xmm2, xmm0
    mulsd   xmm2, xmm1
    addsd   xmm2, xmm1
    mulsd   xmm2, xmm1
    subsd   xmm2, xmm0
    ucomisd xmm2, xmm0
    cvtsi2sd xmm3, ebx
    cvttsd2si eax, xmm3
    dec     ebx
    jnz     1b
    hlt
guest_x87:
    fninit
    fld1
    fldpi
1:  fld     qword ptr [rsi]
    fadd    st, st(1)
    fmul    st, st(2)
    fadd    st, st(1)
    fmul    st, st(2)
    fstp    qword ptr [rsi + 8]
    dec     ebx
    jnz     1b
    hlt
guest_elementary:
    fninit
    fldpi
1:  fld     st(0)
    fsincos
    fpatan
    fld1
    fxch
    fyl2x
    fstp    st(0)
    dec     ebx
    jnz     1b
    hlt
guest_end:
    .text
"#
);

unsafe extern "C" {
    static guest_compute: u8;
    static guest_calls: u8;
    static guest_indirect: u8;
    static guest_memory: u8;
    static guest_ports: u8;
    static guest_pages: u8;
    static guest_smc: u8;
    static guest_cr3: u8;
    static guest_int: u8;
    static guest_fault: u8;
    static guest_strings: u8;
    static guest_packed: u8;
    static guest_copy: u8;
    static guest_singles: u8;
    static guest_doubles: u8;
    static guest_x87: u8;
    static guest_elementary: u8;
    static guest_end: u8;
}

/// The bytes from `from` to the end of the guests.
fn bytes(from: &'static u8) -> Vec<u8> {
    // SAFETY: both symbols lie in one section, `guest_end` last.
    unsafe {
        let (a, b) = (from as *const u8, &raw const guest_end);
        std::slice::from_raw_parts(a, b.offset_from(a) as usize).to_vec()
    }
}

const CODE: u64 = 0x10_0000;
const DATA: u64 = 0x200_0000;
const RAM: u64 = 0x400_0000;
const HANDLERS: u64 = 0x8000;

/// A CPU in 64-bit mode, ring 0, with 4 KiB pages mapping RAM one to one.
fn machine(code: &[u8], rounds: u64) -> (Cpu, Flat) {
    let mem = GuestMemory::flat(RAM);
    let w = |at: u64, v: u64| mem.store(Gpa(at), v).unwrap();
    w(0x1000, 0x2003);
    w(0x2000, 0x3003);
    for i in 0..RAM >> 21 {
        w(0x3000 + i * 8, (0xe_0000 + (i << 12)) | 3);
        for j in 0..512 {
            w(0xe_0000 + (i << 12) + j * 8, ((i << 21) + (j << 12)) | 3);
        }
    }
    // IDT at 5000h: all vectors lead to IRETQ, 14 to a handler that skips the faulting 3-byte MOV.
    for v in 0..256 {
        let at = if v == 14 { HANDLERS + 16 } else { HANDLERS };
        w(0x5000 + v * 16, at & 0xffff | 8 << 16 | 0x8e00 << 32 | (at & 0xffff_0000) << 32);
        w(0x5008 + v * 16, 0);
    }
    w(0x6008, 0x00af_9b00_0000_ffff);
    w(0x6010, 0x00cf_9300_0000_ffff);
    mem.write(Gpa(HANDLERS), &[0x48, 0xcf]).unwrap();
    // add rsp, 8; add qword [rsp], 3; iretq
    mem.write(Gpa(HANDLERS + 16), &[0x48, 0x83, 0xc4, 8, 0x48, 0x83, 0x04, 0x24, 3, 0x48, 0xcf]).unwrap();
    mem.write(Gpa(CODE), code).unwrap();
    let mut s = CpuState::reset();
    let seg =
        |selector, attr| Segment { selector, attr: SegAttr::from_bits_retain(attr), limit: !0, base: 0 };
    s.seg = [seg(0x10, 0xc093); 6];
    s.seg[SegReg::Cs as usize] = seg(8, 0xa09b);
    (s.cr0, s.cr3, s.cr4, s.efer) = (0x8001_0031, 0x1000, 0x620, 0x500);
    s.gdtr = DescTable { base: 0x6000, limit: 0x17 };
    s.idtr = DescTable { base: 0x5000, limit: 0xfff };
    s.rip = CODE;
    s.gpr[3] = rounds;
    s.gpr[4] = 0x9_0000;
    s.gpr[6] = DATA;
    s.rflags = RFlags::FIXED;
    let mut cpu = Cpu::new(Config::default());
    cpu.set_state(&s).unwrap();
    (cpu, Flat(mem))
}

/// Seconds of CPU time of this process: other processes disturb it least.
fn cpu_time() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place for the result.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

fn time(name: &str, code: Vec<u8>, rounds: u64, per: &str) {
    if std::env::args().skip(1).any(|a| !a.starts_with('-') && !name.contains(&a)) {
        return;
    }
    let mut best = f64::MAX;
    let mut count = 0;
    for _ in 0..5 {
        let (mut cpu, mut bus) = machine(&code, rounds);
        let t = cpu_time();
        let stop = cpu.run(&mut bus, u64::MAX);
        best = best.min(cpu_time() - t);
        count = cpu.count();
        if !matches!(stop.kind, StopKind::Halt | StopKind::TripleFault) {
            println!("{name:10} stopped: {:?} {:?}", stop, cpu.faults().last());
            return;
        }
    }
    println!(
        "{name:10} {:8.1} MIPS {:10.1} ns per {per}",
        count as f64 / best / 1e6,
        best * 1e9 / rounds as f64
    );
}

/// Functions of 12 instructions, each called once.
fn cold(functions: usize) -> Vec<u8> {
    let mut code = Vec::new();
    // call f0; call f1; ...; hlt
    let start = (functions * 5 + 1).next_multiple_of(64);
    for i in 0..functions {
        let rel = (start + i * 64) as i32 - (i * 5 + 5) as i32;
        code.push(0xe8);
        code.extend(rel.to_le_bytes());
    }
    code.push(0xf4);
    code.resize(start, 0x90);
    for i in 0..functions {
        let at = code.len();
        code.extend([0x8b, 0x06]); // mov eax, [rsi]
        code.extend([0x05, i as u8, 1, 0, 0]); // add eax, imm
        code.extend([0x89, 0xc1, 0xc1, 0xe1, 3]); // mov ecx, eax; shl ecx, 3
        code.extend([0x31, 0xc8, 0x8d, 0x54, 0x08, 5]); // xor eax, ecx; lea edx, [rax+rcx+5]
        code.extend([0x83, 0xfa, 9, 0x0f, 0x95, 0xc1]); // cmp edx, 9; setne cl
        code.extend([0x0f, 0xb6, 0xc9, 0x01, 0xc8]); // movzx ecx, cl; add eax, ecx
        code.extend([0x89, 0x46, 8, 0xc3]); // mov [rsi+8], eax; ret
        code.resize(at + 64, 0x90);
    }
    code
}

/// How fast the host is just now: independent integer work, in nanoseconds per round.
fn host() -> f64 {
    let mut best = f64::MAX;
    for _ in 0..3 {
        let mut x = [1u64, 2, 3, 4];
        let t = cpu_time();
        for i in 0..2_000_000u64 {
            for v in &mut x {
                *v = std::hint::black_box((*v ^ i).wrapping_mul(0x9e37_79b9).rotate_left(9));
            }
        }
        std::hint::black_box(x);
        best = best.min(cpu_time() - t);
    }
    best * 1e9 / 2e6
}

fn main() {
    println!("host {:.2} ns per round of native work", host());
    // SAFETY: the symbols are the labels above.
    let g = unsafe {
        [
            ("compute", &guest_compute, 3_000_000, "round"),
            ("calls", &guest_calls, 1_000_000, "2 calls"),
            ("indirect", &guest_indirect, 2_000_000, "jump"),
            ("memory", &guest_memory, 3_000_000, "round"),
            ("ports", &guest_ports, 3_000_000, "out"),
            ("pages", &guest_pages, 1_000_000, "page"),
            ("smc", &guest_smc, 500_000, "patch and call"),
            ("cr3", &guest_cr3, 100_000, "reload and 16 pages"),
            ("int", &guest_int, 1_000_000, "int and iretq"),
            ("fault", &guest_fault, 500_000, "fault and iretq"),
            ("strings", &guest_strings, 50_000, "8 KiB"),
            ("packed", &guest_packed, 1_000_000, "round"),
            ("copy", &guest_copy, 1_000_000, "128 bytes"),
            ("singles", &guest_singles, 1_000_000, "round"),
            ("doubles", &guest_doubles, 1_000_000, "round"),
            ("x87", &guest_x87, 1_000_000, "round"),
            ("elementary", &guest_elementary, 100_000, "round"),
        ]
    };
    for (name, from, rounds, per) in g {
        time(name, bytes(from), rounds, per);
    }
    time("cold", cold(5000), 5000, "function");
    let (mut cpu, mut bus) = machine(&[0xf4], 1);
    let state = CpuState { rip: CODE, ..CpuState::reset() };
    let t = cpu_time();
    for _ in 0..10_000 {
        cpu.reset();
        cpu.set_state(&state).unwrap();
        cpu.run(&mut bus, 10);
    }
    println!("reset and a tiny run {:.0} ns", (cpu_time() - t) * 1e9 / 1e4);
    let _ = Arc::strong_count(bus.0.slab());
}
