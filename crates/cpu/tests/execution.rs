//! How instructions are fetched, counted and interrupted, and what self-modifying code sees.

mod common;

use common::{Random, TestBus, flat, long_mode, protected_mode};
use hako_cpu::{Config, Cpu, StopKind, Why};
use hako_engine::Attention;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, DescTable, Gpr, RFlags, SegReg, Vector};

const CODE: u64 = 0x1_0000;
const RSP: usize = Gpr::Rsp as usize;

struct Guest {
    cpu: Cpu,
    bus: TestBus,
}

impl Guest {
    fn new(state: impl FnOnce(&GuestMemory) -> CpuState, at: u64, code: &[u8]) -> Guest {
        let memory = GuestMemory::flat(0x20_0000);
        let mut s = state(&memory);
        memory.write(Gpa(at), code).unwrap();
        s.rip = at;
        s.gpr[RSP] = 0x8000;
        let mut g = Guest { cpu: Cpu::new(Config::default()), bus: TestBus::new(memory) };
        g.set(&s);
        g
    }

    fn long(code: &[u8]) -> Guest {
        Guest::new(long_mode, CODE, code)
    }

    fn set(&mut self, s: &CpuState) {
        self.cpu.set_state(s).unwrap();
    }

    fn with(mut self, change: impl FnOnce(&mut CpuState)) -> Guest {
        let mut s = self.cpu.state();
        change(&mut s);
        self.set(&s);
        self
    }

    /// Runs to HLT or another stop.
    fn run(&mut self) -> StopKind {
        let until = self.cpu.count() + 100_000;
        self.cpu.run(&mut self.bus, until).kind
    }

    fn reg(&self, r: Gpr) -> u64 {
        self.cpu.state().reg(r)
    }

    /// The first exception since the start: vector, error code, check.
    fn first_fault(&mut self) -> (Vector, Option<u32>, Option<Why>) {
        self.run();
        let f = self.cpu.faults().iter().next().expect("an exception");
        (f.vector, f.error, f.why)
    }
}

#[test]
fn a_patch_of_the_next_instruction_takes_effect_at_once() {
    // mov byte [rip + 1], 7; mov al, 0; hlt
    let mut g = Guest::long(&[0xc6, 0x05, 1, 0, 0, 0, 7, 0xb0, 0, 0xf4]);
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.reg(Gpr::Rax) & 0xff, 7);
}

#[test]
fn a_patch_by_push_call_and_string_is_seen_too() {
    // mov esp, CODE+12; mov rax, 0xf4..; push rax (overwrites what follows with inc ebx; hlt)
    let mut code = vec![0xbc, 0x1a, 0, 1, 0];
    code.extend([0x48, 0xb8, 0xff, 0xc3, 0xff, 0xc3, 0xf4, 0, 0, 0, 0x50]);
    code.resize(0x12, 0x90);
    code.extend([0x90; 8]);
    code.push(0xf4);
    let mut g = Guest::long(&code);
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.reg(Gpr::Rbx), 2);
    // mov edi, CODE+14; mov al, 0x43 (rex.XB, harmless) ; mov ecx, 3; rep stosb over "inc eax" -> REX REX REX, hlt
    let mut g =
        Guest::long(&[0xbf, 0x0e, 0, 1, 0, 0xb0, 0x90, 0xb9, 2, 0, 0, 0, 0xf3, 0xaa, 0xff, 0xc3, 0xf4]);
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.reg(Gpr::Rbx), 0);
}

#[test]
fn code_that_is_patched_again_and_again_is_as_written_each_time() {
    // 1: mov edx, ecx; and edx, 1; mov rax, [rsi+rdx*8]; mov [rdi], rax; call rdi; dec ecx; jnz 1b; hlt
    let code = [
        0x89, 0xca, 0x83, 0xe2, 1, 0x48, 0x8b, 0x04, 0xd6, 0x48, 0x89, 0x07, 0xff, 0xd7, 0xff, 0xc9, 0x75,
        0xee, 0xf4,
    ];
    let mut g = Guest::long(&code);
    // add ebx, 5; ret -- inc ebx; inc ebx; ret
    g.bus.memory.write(Gpa(0x2_0000), &[0x83, 0xc3, 5, 0xc3, 0, 0, 0, 0]).unwrap();
    g.bus.memory.write(Gpa(0x2_0008), &[0xff, 0xc3, 0xff, 0xc3, 0xc3, 0, 0, 0]).unwrap();
    let mut state = g.cpu.state();
    state.gpr[Gpr::Rcx as usize] = 600;
    state.gpr[Gpr::Rsi as usize] = 0x2_0000;
    state.gpr[Gpr::Rdi as usize] = 0x1_0800;
    g.cpu.set_state(&state).unwrap();
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.reg(Gpr::Rbx), 300 * 7);
}

#[test]
fn a_write_across_a_page_boundary_drops_code_on_both_sides() {
    // The function spans the boundary at 11000h: mov eax, imm32; ret.
    let caller = [
        0xe8, 0xf8, 0x0f, 0, 0, // call 10ffd
        0x89, 0xc3, // mov ebx, eax
        0xc7, 0x05, 0xee, 0x0f, 0, 0, 0x44, 0x33, 0x22, 0x11, // mov dword [10fff], 11223344h
        0xe8, 0xe7, 0x0f, 0, 0, // call 10ffd
        0xf4,
    ];
    let mut g = Guest::long(&caller);
    g.bus.memory.write(Gpa(0x10ffd), &[0x90, 0xb8, 1, 0, 0, 0, 0xc3]).unwrap();
    assert_eq!(g.run(), StopKind::Halt, "{:?}", g.cpu.faults().last());
    assert_eq!(g.reg(Gpr::Rbx), 1);
    assert_eq!(g.reg(Gpr::Rax), 0x1122_3344);
}

#[test]
fn data_beside_code_in_one_page_does_not_disturb_it() {
    // mov ecx, 1000; 1: inc dword [rip + 200h]; dec ecx; jnz 1b; hlt
    let mut g = Guest::long(&[0xb9, 0xe8, 3, 0, 0, 0xff, 0x05, 0, 2, 0, 0, 0xff, 0xc9, 0x75, 0xf6, 0xf4]);
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.bus.memory.load::<u32>(Gpa(CODE + 11 + 0x200)), Ok(1000));
}

#[test]
fn code_written_by_others_between_runs_is_seen() {
    // 1: mov al, 1; out 80h, al; jmp 1b
    let mut g = Guest::long(&[0xb0, 1, 0xe6, 0x80, 0xeb, 0xfa]);
    g.cpu.run(&mut g.bus, 10);
    assert_eq!(g.reg(Gpr::Rax) & 0xff, 1);
    g.bus.memory.store(Gpa(CODE + 1), 2u8).unwrap();
    g.cpu.run(&mut g.bus, 20);
    assert_eq!(g.reg(Gpr::Rax) & 0xff, 2);
    g.bus.memory.slab().reset();
    g.bus.memory.write(Gpa(0x1000), &0x2003u64.to_le_bytes()).unwrap();
    g.bus.memory.write(Gpa(0x2000), &0x83u64.to_le_bytes()).unwrap();
    g.bus.memory.write(Gpa(CODE), &[0xb0, 3, 0xeb, 0xfe]).unwrap();
    let g = &mut g.with(|s| s.rip = CODE);
    g.cpu.run(&mut g.bus, 30);
    assert_eq!(g.reg(Gpr::Rax) & 0xff, 3);
}

#[test]
fn until_is_exact_wherever_it_falls() {
    // 1: inc eax; inc ebx; inc ecx; jmp 1b
    let code = [0xff, 0xc0, 0xff, 0xc3, 0xff, 0xc1, 0xeb, 0xf8];
    let mut random = Random(7);
    let mut g = Guest::long(&code);
    let mut n = 0;
    for _ in 0..500 {
        n += random.below(7);
        let stop = g.cpu.run(&mut g.bus, n);
        assert_eq!((stop.kind, g.cpu.count()), (StopKind::Deadline, n));
        assert_eq!(g.reg(Gpr::Rax), n.div_ceil(4));
        assert_eq!(g.reg(Gpr::Rcx), (n + 1) / 4);
        assert_eq!(g.cpu.state().rip, CODE + n % 4 * 2);
    }
}

#[test]
fn one_run_and_many_steps_end_in_the_same_state() {
    // mov ecx, 20; 1: push rcx; rep movsb (2); pop rcx; dec ecx; jnz 1b; hlt
    let code = [
        0xb9, 20, 0, 0, 0, 0x51, 0xbe, 0, 3, 0, 0, 0xbf, 0, 4, 0, 0, 0xf3, 0xa4, 0x59, 0xff, 0xc9, 0x75,
        0xee, 0xf4,
    ];
    let (mut a, mut b) = (Guest::long(&code), Guest::long(&code));
    assert_eq!(a.run(), StopKind::Halt);
    let mut steps = 0;
    while b.cpu.step(&mut b.bus).kind == StopKind::Deadline {
        steps += 1;
        assert_eq!(b.cpu.count(), steps);
    }
    assert_eq!(a.cpu.state(), b.cpu.state());
    assert_eq!(a.cpu.count(), b.cpu.count());
}

#[test]
fn the_count_is_exact_at_each_bus_access() {
    // nop; out 80h, al; nop; nop; in al, 60h; mov ecx, 3; rep outsb (in one call); mov eax, [300000h] (no RAM); hlt
    let mut g = Guest::long(&[
        0x90, 0xe6, 0x80, 0x90, 0x90, 0xe4, 0x60, 0xb9, 3, 0, 0, 0, 0xf3, 0x6e, 0x90, 0x8b, 0x04, 0x25, 0, 0,
        0x30, 0, 0xf4,
    ]);
    assert_eq!(g.run(), StopKind::Halt);
    let counts: Vec<u64> = g.bus.log.iter().map(|l| l.0).collect();
    assert_eq!(counts, [1, 4, 6, 10], "{:?}", g.bus.log);
    assert_eq!(g.cpu.count(), 12);
}

#[test]
fn a_repeated_instruction_is_interrupted_between_iterations() {
    // rep stosb with an interrupt that rises at the tenth instruction (handler: hlt).
    let mut g = Guest::new(|_| CpuState::reset(), 0x7000, &[0xf3, 0xaa, 0xf4]).with(|s| {
        s.seg = [hako_x86::Segment::real(0); 6];
        s.seg[SegReg::Es as usize] = hako_x86::Segment::real(0x2000);
        s.gpr[Gpr::Rcx as usize] = 0x100;
        s.rflags |= RFlags::IF;
    });
    g.bus.memory.store(Gpa(0x20 * 4), 0x6000u32).unwrap();
    g.bus.memory.store(Gpa(0x6000), 0xf4u8).unwrap();
    g.cpu.run(&mut g.bus, 10);
    assert_eq!(g.reg(Gpr::Rcx), 0xf6);
    assert_eq!(g.cpu.state().rip, 0x7000);
    g.bus.lines.intr = true;
    assert_eq!(g.run(), StopKind::Halt);
    let s = g.cpu.state();
    assert_eq!((s.rip, s.reg(Gpr::Rcx), s.reg(Gpr::Rdi)), (0x6001, 0xf6, 10));
    // The frame leads back to the instruction itself.
    assert_eq!(g.bus.memory.load::<u16>(Gpa(0x8000 - 6)), Ok(0x7000));
}

#[test]
fn sti_holds_interrupts_off_for_one_instruction() {
    let mut g = Guest::new(|_| CpuState::reset(), 0x7000, &[0xfb, 0x40, 0x40, 0xf4]).with(|s| {
        s.seg = [hako_x86::Segment::real(0); 6];
        s.gpr[0] = 0;
    });
    g.bus.memory.store(Gpa(0x20 * 4), 0x6000u32).unwrap();
    g.bus.memory.store(Gpa(0x6000), 0xf4u8).unwrap();
    g.bus.lines.intr = true;
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.cpu.state().rip, 0x6001);
    assert_eq!(g.reg(Gpr::Rax), 1);
    assert_eq!(g.bus.log, [(2, "acknowledge".into())]);
}

#[test]
fn an_event_due_after_an_access_is_taken_before_the_next_instruction() {
    // out 80h, al; inc eax; hlt
    let mut g = Guest::new(|_| CpuState::reset(), 0x7000, &[0xe6, 0x80, 0x40, 0xf4]).with(|s| {
        s.seg = [hako_x86::Segment::real(0); 6];
        s.gpr[0] = 0;
        s.rflags |= RFlags::IF;
    });
    g.bus.memory.store(Gpa(0x20 * 4), 0x6000u32).unwrap();
    g.bus.memory.store(Gpa(0x6000), 0xf4u8).unwrap();
    g.bus.rises_at = Some(1);
    g.bus.attention = Attention::LINES;
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.reg(Gpr::Rax), 0);
}

#[test]
fn a_wish_leaves_right_after_its_instruction() {
    let mut g = Guest::long(&[0xe6, 0xf4, 0xff, 0xc3, 0xf4]);
    g.bus.attention = Attention::WISH;
    let stop = g.cpu.run(&mut g.bus, 100);
    assert_eq!((stop.kind, stop.rip), (StopKind::Wish, CODE));
    assert_eq!((g.cpu.count(), g.reg(Gpr::Rbx)), (1, 0));
    g.bus.attention = Attention::empty();
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.reg(Gpr::Rbx), 1);
}

#[test]
fn an_instruction_across_pages_faults_at_the_second_page() {
    // One 4 KiB page is mapped at CODE; the next is not present.
    let mut g = Guest::new(
        |m| {
            let s = long_mode(m);
            m.store(Gpa(0x2000), 0x3003u64).unwrap();
            m.store(Gpa(0x3000), 0x4003u64).unwrap();
            for i in 0..0x20u64 {
                m.store(Gpa(0x4000 + i * 8), i << 12 | 3).unwrap();
            }
            m.store(Gpa(0x4000 + 0x11 * 8), 0u64).unwrap();
            s
        },
        CODE + 0xffd,
        &[0xb8, 1, 2],
    );
    let f = g.first_fault();
    assert_eq!(f, (Vector::PF, Some(0), Some(Why::PageNotPresent)));
    let log = g.cpu.faults().iter().next().unwrap();
    assert_eq!((log.cr2, log.rip), (CODE + 0x1000, CODE + 0xffd));
}

#[test]
fn an_instruction_of_more_than_15_bytes_is_gp() {
    let mut code = vec![0x66; 15];
    code.push(0x90);
    assert_eq!(Guest::long(&code).first_fault(), (Vector::GP, Some(0), Some(Why::TooLong)));
    let mut g = Guest::long(&[[0x66; 14].as_slice(), &[0x90, 0xf4]].concat());
    assert_eq!(g.run(), StopKind::Halt);
}

#[test]
fn fetching_past_the_limit_of_cs_is_gp() {
    let state = |_: &GuestMemory| {
        let mut s = protected_mode();
        s.seg[SegReg::Cs as usize].limit = 0x1_0003;
        s
    };
    // Two whole instructions, then one that sticks out.
    let mut g = Guest::new(state, CODE, &[0x40, 0x40, 0xb8, 1, 0, 0, 0]);
    assert_eq!(g.first_fault(), (Vector::GP, Some(0), Some(Why::FetchBeyondLimit)));
    assert_eq!(g.cpu.faults().iter().next().unwrap().rip, CODE + 2);
    // The same block with room.
    let mut g = Guest::new(|_| protected_mode(), CODE, &[0x40, 0x40, 0xb8, 1, 0, 0, 0, 0xf4]);
    assert_eq!(g.run(), StopKind::Halt);
}

#[test]
fn one_block_serves_two_code_segments_with_different_limits() {
    let mut g = Guest::new(|_| protected_mode(), CODE, &[0x40, 0x40, 0x40, 0xf4]);
    assert_eq!(g.run(), StopKind::Halt);
    let mut g = g.with(|s| {
        s.rip = CODE;
        s.activity = hako_x86::Activity::Running;
        s.seg[SegReg::Cs as usize].limit = CODE as u32 + 1;
    });
    assert_eq!(g.first_fault(), (Vector::GP, Some(0), Some(Why::FetchBeyondLimit)));
    assert_eq!(g.cpu.faults().iter().next().unwrap().rip, CODE + 2);
}

#[test]
fn a_limit_of_4_gib_lets_a_16_bit_segment_run_past_64_kib() {
    let state = |_: &GuestMemory| {
        let mut s = protected_mode();
        s.seg[SegReg::Cs as usize] = flat(8, 0x809b);
        s
    };
    let mut g = Guest::new(state, CODE - 2, &[0x40, 0x40, 0x40, 0xf4]);
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.cpu.state().rip, CODE + 2);
}

#[test]
fn undefined_and_unlockable_instructions_are_ud() {
    for (code, why) in [
        (&[0x0f, 0x0b][..], Why::UndefinedOpcode),
        (&[0xf0, 0x90], Why::LockNotAllowed),
        (&[0xf0, 0x01, 0xc0], Why::LockNotAllowed),
        (&[0xf0, 0x39, 0x00], Why::LockNotAllowed),
        (&[0x8d, 0xc0], Why::NeedsMemoryOperand),
        (&[0x06], Why::NotIn64Bit),
        (&[0x0f, 0x10, 0xc0], Why::SseDisabled),
    ] {
        assert_eq!(Guest::long(code).first_fault(), (Vector::UD, None, Some(why)), "{code:x?}");
    }
}

#[test]
fn memory_faults_name_the_failed_check() {
    // mov eax, [rbx]
    let read = |rbx: u64| Guest::long(&[0x8b, 0x03]).with(|s| s.gpr[3] = rbx).first_fault();
    assert_eq!(read(1 << 47), (Vector::GP, Some(0), Some(Why::NotCanonical)));
    assert_eq!(read((1 << 47) - 2), (Vector::GP, Some(0), Some(Why::NotCanonical)));
    assert_eq!(read(1 << 30), (Vector::PF, Some(0), Some(Why::PageNotPresent)));
    // mov [rbx], eax
    let write = |rbx: u64| Guest::long(&[0x89, 0x03]).with(|s| s.gpr[3] = rbx).first_fault();
    assert_eq!(write(1 << 30), (Vector::PF, Some(2), Some(Why::PageNotPresent)));
    // push rax
    let push = Guest::long(&[0x50]).with(|s| s.gpr[RSP] = 1 << 47 | 8).first_fault();
    assert_eq!(push, (Vector::SS, Some(0), Some(Why::StackNotCanonical)));
}

/// 32-bit code with DS as given: the fault of `mov eax, [ebx]` or `mov [ebx], eax`, or none.
fn through_ds(attr: u32, limit: u32, ebx: u64, write: bool) -> Option<Why> {
    let code = [if write { 0x89 } else { 0x8b }, 0x03, 0xf4];
    let mut g = Guest::new(|_| protected_mode(), CODE, &code).with(|s| {
        let ds = &mut s.seg[SegReg::Ds as usize];
        *ds = flat(0x18, attr);
        ds.limit = limit;
        s.gpr[3] = ebx;
    });
    match g.run() {
        StopKind::Halt => None,
        _ => g.cpu.faults().iter().next().and_then(|f| f.why),
    }
}

#[test]
fn segment_limits_and_rights_are_exact() {
    assert_eq!(through_ds(0xc093, 0x1003, 0x1000, true), None);
    assert_eq!(through_ds(0xc093, 0x1003, 0x1001, true), Some(Why::BeyondLimit));
    assert_eq!(through_ds(0xc093, 0x1003, 0xffff_ffff, false), Some(Why::BeyondLimit));
    assert_eq!(through_ds(0xc091, 0x1_0000, 0x1000, false), None);
    assert_eq!(through_ds(0xc091, 0x1_0000, 0x1000, true), Some(Why::NotWritable));
    assert_eq!(through_ds(0xc099, 0x1_0000, 0x1000, false), Some(Why::NotReadable));
    assert_eq!(through_ds(0xc09b, 0x1_0000, 0x1000, false), None);
    assert_eq!(through_ds(0xc09b, 0x1_0000, 0x1000, true), Some(Why::NotWritable));
    assert_eq!(through_ds(0x1_0000, 0, 0x1000, false), Some(Why::NullSegment));
}

#[test]
fn expand_down_segments_are_valid_above_their_limit() {
    assert_eq!(through_ds(0xc097, 0xfff, 0x1000, true), None);
    assert_eq!(through_ds(0xc097, 0xfff, 0xfff, true), Some(Why::BeyondLimit));
    assert_eq!(through_ds(0xc097, 0xfff, 0, false), Some(Why::BeyondLimit));
    // B = 0: up to FFFFh.
    assert_eq!(through_ds(0x0097, 0xfff, 0xfffc, true), None);
    assert_eq!(through_ds(0x0097, 0xfff, 0xfffd, true), Some(Why::BeyondLimit));
}

#[test]
fn sixteen_bit_addresses_wrap_inside_the_segment() {
    // mov ax, [bx + si] with BX + SI = 10010h; DS base 1000h.
    let mut g = Guest::new(|_| CpuState::reset(), 0x7000, &[0x8b, 0x00, 0xf4]).with(|s| {
        s.seg = [hako_x86::Segment::real(0); 6];
        s.seg[SegReg::Ds as usize] = hako_x86::Segment::real(0x100);
        (s.gpr[3], s.gpr[6]) = (0xfff0, 0x20);
    });
    g.bus.memory.store(Gpa(0x1010), 0xbeefu16).unwrap();
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.reg(Gpr::Rax) & 0xffff, 0xbeef);
    // A word at FFFFh does not wrap: #GP.
    let mut g = Guest::new(|_| CpuState::reset(), 0x7000, &[0x8b, 0x07, 0xf4]).with(|s| {
        s.seg = [hako_x86::Segment::real(0); 6];
        s.gpr[3] = 0xffff;
        s.idtr = DescTable { base: 0, limit: 0 };
    });
    assert_eq!(g.first_fault().0, Vector::GP);
}

#[test]
fn a_16_bit_stack_wraps() {
    let mut g = Guest::new(|_| CpuState::reset(), 0x7000, &[0x50, 0xf4]).with(|s| {
        s.seg = [hako_x86::Segment::real(0); 6];
        s.gpr[RSP] = 0xabcd_0000;
        s.gpr[0] = 0x1234;
    });
    assert_eq!(g.run(), StopKind::Halt);
    assert_eq!(g.bus.memory.load::<u16>(Gpa(0xfffe)), Ok(0x1234));
    assert_eq!(g.reg(Gpr::Rsp), 0xabcd_fffe);
}

#[test]
fn a_faulting_pusha_changes_nothing() {
    let mut g = Guest::new(|_| protected_mode(), CODE, &[0x60]).with(|s| {
        s.seg[SegReg::Ss as usize].limit = 0x7fff_ffff;
        s.gpr[RSP] = 16;
    });
    g.bus.memory.write(Gpa(0), &[0xaa; 16]).unwrap();
    assert_eq!(g.first_fault(), (Vector::SS, Some(0), Some(Why::BeyondLimit)));
    let mut low = [0; 16];
    g.bus.memory.read(Gpa(0), &mut low).unwrap();
    assert_eq!(low, [0xaa; 16]);
}

#[test]
fn a_page_written_for_the_first_time_becomes_dirty() {
    let tables = |m: &GuestMemory| {
        let s = long_mode(m);
        m.store(Gpa(0x2000), 0x3003u64).unwrap();
        m.store(Gpa(0x3000), 0x4003u64).unwrap();
        for i in 0..0x20u64 {
            m.store(Gpa(0x4000 + i * 8), i << 12 | 3).unwrap();
        }
        s
    };
    // mov eax, [9000h]; mov [a000h], eax; hlt
    let mut g = Guest::new(tables, CODE, &[0x8b, 4, 0x25, 0, 0x90, 0, 0, 0x89, 4, 0x25, 0, 0xa0, 0, 0, 0xf4]);
    assert_eq!(g.run(), StopKind::Halt);
    let entry = |page: u64| g.bus.memory.load::<u64>(Gpa(0x4000 + page * 8)).unwrap();
    assert_eq!((entry(9), entry(0xa), entry(0xb)), (0x9023, 0xa063, 0xb003));
}

#[test]
fn a_reset_cpu_is_as_new() {
    let mut g = Guest::long(&[0xff, 0xc0, 0xe6, 0x80, 0xf4]);
    g.run();
    g.cpu.reset();
    let new = Cpu::new(Config::default());
    assert_eq!(g.cpu.state(), new.state());
    assert_eq!((g.cpu.count(), g.cpu.faults().total()), (0, 0));
    assert_eq!(g.cpu.counters(), Default::default());
}

#[test]
fn ram_writes_show_in_the_counters_once_they_are_asked_for() {
    // 1: mov [8000h], eax; jmp 1b
    let mut g = Guest::long(&[0x89, 4, 0x25, 0, 0x80, 0, 0, 0xeb, 0xf7]);
    let mut last = g.cpu.counters();
    for n in 1..5 {
        g.cpu.run(&mut g.bus, n * 100);
        let now = g.cpu.counters();
        assert_ne!(now.ram_writes, last.ram_writes);
        last = now;
    }
}

#[test]
fn handlers_that_cannot_be_fetched_do_not_hang_the_host() {
    // Every vector leads to a non-present page, on an interrupt stack that is always good.
    let mut g = Guest::long(&[0x0f, 0x0b]).with(|s| {
        s.gdtr = DescTable { base: 0x5000, limit: 0x1f };
        s.idtr = DescTable { base: 0x6000, limit: 0xfff };
        s.tr.base = 0x7000;
        s.tr.limit = 0x67;
    });
    g.bus.memory.store(Gpa(0x5008), 0x00af_9b00_0000_ffffu64).unwrap();
    g.bus.memory.store(Gpa(0x7024), 0x9000u64).unwrap();
    for v in 0..256 {
        let at = 0x4000_0000u64;
        let gate = at & 0xffff | 8 << 16 | 0x8e01 << 32 | (at & 0xffff_0000) << 32;
        g.bus.memory.store(Gpa(0x6000 + v * 16), gate).unwrap();
    }
    let stop = g.cpu.run(&mut g.bus, 1000);
    assert_eq!(stop.kind, StopKind::Deadline);
}

#[test]
fn invlpg_drops_the_whole_of_a_large_page() {
    let tables = |m: &GuestMemory| {
        let s = long_mode(m);
        // 0 to 2 MiB as it is; 2 to 4 MiB shows the same.
        m.store(Gpa(0x2000), 0x3003u64).unwrap();
        m.store(Gpa(0x3000), 0x83u64).unwrap();
        m.store(Gpa(0x3008), 0x83u64).unwrap();
        s
    };
    // mov eax, [209000h]; and byte [3008h], ~1; invlpg [20a000h]; mov eax, [209000h]
    let code = [
        0x8b, 4, 0x25, 0, 0x90, 0x20, 0, 0x80, 0x24, 0x25, 8, 0x30, 0, 0, 0xfe, 0x0f, 0x01, 0x3c, 0x25, 0,
        0xa0, 0x20, 0, 0x8b, 4, 0x25, 0, 0x90, 0x20, 0,
    ];
    let mut g = Guest::new(tables, CODE, &code);
    assert_eq!(g.first_fault(), (Vector::PF, Some(0), Some(Why::PageNotPresent)));
    assert_eq!(g.cpu.faults().iter().next().unwrap().rip, CODE + 23);
}

#[test]
fn a_cpu_without_a_cache_sees_writes_that_leave_no_marks() {
    // mov eax, 1; hlt
    let mut g = Guest::long(&[0xb8, 1, 0, 0, 0, 0xf4]);
    g.cpu = Cpu::new(Config { uncached: true, ..Config::default() });
    let mut state = long_mode(&g.bus.memory);
    state.rip = CODE;
    for value in [1u8, 2, 3] {
        // As another processor would write: past every mark.
        let at = g.bus.memory.lookup(Gpa(CODE + 1)).unwrap().offset.0;
        g.bus.memory.slab().store(at, value);
        g.set(&state);
        g.cpu.step(&mut g.bus);
        assert_eq!((g.reg(Gpr::Rax), g.cpu.count()), (value.into(), value.into()));
    }
}
