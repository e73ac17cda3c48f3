//! An instruction that the engine refuses is executed by our own CPU on the exchanged state, and the engine goes on.
//!
//! All CPUs stand still meanwhile: where the guest pages, which every guest with several CPUs does, our CPU sets accessed
//! and dirty bits by a read and a write of the entry, and another CPU may change the entry in between. The same holds for a
//! locked operand that is misaligned, crosses a page or has 16 bytes.

use hako_cpu::{Cpu, Stop, StopKind, Why};
use hako_engine::{EngineError, ExitKind, Refusal, Time};
use hako_engine_kvm::Parts;
use hako_x86::cpuid::MAX;
use hako_x86::{CpuState, RFlags};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::core::Core;
use crate::engine::{Engine, exit};
use crate::machine::Machine;
use crate::outcome::Ended;
use crate::report;
use crate::xstate;

/// What our CPU made of the instruction.
struct Executed {
    stop: Stop,
    after: CpuState,
    /// It is one of those that our CPU has not got.
    unknown: bool,
}

/// XCR0: x87 and SSE, whose state our CPU has.
const OURS: u64 = 3;
/// The legacy area of an XSAVE image, and where in the header behind it XSTATE_BV is (SDM Vol. 1 13.4).
const LEGACY: std::ops::Range<usize> = 0..512;
const PRESENT: std::ops::Range<usize> = 512..520;
/// Where the header ends.
const HEADER_END: usize = 576;

fn present(image: &[u8]) -> u64 {
    image.get(PRESENT).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The state as our CPU can take it: without the XSAVE components that it has not got.
fn visible(state: &CpuState) -> CpuState {
    let mut seen = state.clone();
    if state.xcr0 & !OURS != 0 {
        seen.xcr0 &= OURS;
        seen.xsave.truncate(HEADER_END);
        let kept = present(&seen.xsave) & OURS;
        if let Some(header) = seen.xsave.get_mut(PRESENT) {
            header.copy_from_slice(&kept.to_le_bytes());
        }
    }
    seen
}

/// The x87 control word and MXCSR of the initial configuration, and where they are in the legacy area.
const FCW: (usize, [u8; 2]) = (0, 0x37fu16.to_le_bytes());
const MXCSR: (usize, [u8; 4]) = (24, 0x1f80u32.to_le_bytes());

/// The legacy area of our CPU's image, which is empty for the initial configuration.
fn legacy(image: &[u8]) -> Vec<u8> {
    let mut area = image.get(LEGACY).map_or_else(|| vec![0; LEGACY.end], <[u8]>::to_vec);
    if image.is_empty() {
        area[FCW.0..FCW.0 + 2].copy_from_slice(&FCW.1);
        area[MXCSR.0..MXCSR.0 + 4].copy_from_slice(&MXCSR.1);
    }
    area
}

/// Puts what `visible` left out back.
fn complete(before: &CpuState, after: &mut CpuState) {
    if before.xcr0 & !OURS == 0 {
        return;
    }
    after.xcr0 |= before.xcr0 & !OURS;
    if before.xsave.len() < HEADER_END {
        return;
    }
    let ours = std::mem::replace(&mut after.xsave, before.xsave.clone());
    let kept = present(&before.xsave) & !OURS | present(&ours) & OURS;
    if let Some(to) = after.xsave.get_mut(LEGACY) {
        to.copy_from_slice(&legacy(&ours));
    }
    if let Some(header) = after.xsave.get_mut(PRESENT) {
        header.copy_from_slice(&kept.to_le_bytes());
    }
}

/// Our CPU, in the place of one of KVM's. It is made when it is first needed.
#[derive(Default)]
pub(crate) struct Rescuer(Option<Box<Cpu>>);

impl Rescuer {
    /// It keeps no instructions: guests on KVM write memory without leaving marks.
    pub fn cpu(&mut self) -> &mut Cpu {
        let config = || hako_cpu::Config { model: MAX, uncached: true, ..hako_cpu::Config::default() };
        self.0.get_or_insert_with(|| Box::new(Cpu::new(config())))
    }
}

/// Whether the instruction executed last is one that our CPU has not got. Before the next one the CPU is reset.
pub(crate) fn unknown(cpu: &Cpu) -> bool {
    cpu.faults().last().is_some_and(|f| f.why == Some(Why::NotYetImplemented))
}

/// Executes one instruction. The CPU is as new each time: the engine's guest writes memory without leaving marks, so
/// nothing that was decoded before can be trusted.
fn execute(cpu: &mut Cpu, core: &mut Core, before: &CpuState, parts: Parts) -> Result<Executed, EngineError> {
    cpu.reset();
    cpu.set_state(&visible(before))?;
    let stop = cpu.step(core);
    let unknown = unknown(cpu);
    let mut after = cpu.state();
    // What our CPU does not own stays as the engine had it.
    for &(index, value) in &before.msrs {
        if after.msr(index).is_none() {
            after.msrs.push((index, value));
        }
    }
    if parts.has(Parts::FPU) {
        complete(before, &mut after);
    }
    (after.cr8, after.tsc) = (before.cr8, before.tsc);
    Ok(Executed { stop, after, unknown })
}

/// Whether an instruction touches x87, MMX, SSE, XCR0 or PKRU: its name or the register of an operand says so.
fn touches_fpu(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    let named = match instruction.mnemonic() {
        // The names of x87 instructions begin with F, as do FXSAVE and FXRSTOR; others' do not. They are in order.
        m if (M::F2xm1..=M::Fyl2xp1).contains(&m) => true,
        M::Emms | M::Wait | M::Ldmxcsr | M::Stmxcsr => true,
        M::Vldmxcsr | M::Vstmxcsr | M::Vzeroall | M::Vzeroupper => true,
        // PKRU is a component of the XSAVE state.
        M::Rdpkru | M::Wrpkru => true,
        _ => names_components(instruction),
    };
    let core = |r: Register| {
        r == Register::None || r.is_gpr() || r.is_segment_register() || r.is_cr() || r.is_dr() || r.is_tr()
    };
    named || (0..instruction.op_count()).any(|i| !core(instruction.op_register(i)))
}

/// The parts of the state that an instruction needs besides the core: most need none.
pub(crate) fn parts(instruction: &Instruction, before: &CpuState) -> Parts {
    if instruction.is_invalid() {
        return Parts::ALL;
    }
    let debug_registers = instruction
        .op_kinds()
        .zip(0..)
        .any(|(kind, i)| kind == OpKind::Register && instruction.op_register(i).is_dr());
    let mut parts = Parts::CORE;
    if before.rflags.contains(RFlags::TF) || debug_registers {
        parts = parts.and(Parts::DEBUG);
    }
    if touches_fpu(instruction) {
        parts = parts.and(Parts::FPU);
    }
    let msrs = matches!(
        instruction.mnemonic(),
        Mnemonic::Rdmsr
            | Mnemonic::Wrmsr
            | Mnemonic::Rdtsc
            | Mnemonic::Rdtscp
            | Mnemonic::Rdpid
            | Mnemonic::Swapgs
            | Mnemonic::Syscall
            | Mnemonic::Sysret
            | Mnemonic::Sysretq
            | Mnemonic::Sysenter
            | Mnemonic::Sysexit
            | Mnemonic::Sysexitq
    );
    if msrs { parts.and(Parts::MSRS) } else { parts }
}

/// Whether the instruction deals with XSAVE components as such.
fn names_components(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    matches!(
        instruction.mnemonic(),
        M::Xgetbv
            | M::Xsetbv
            | M::Xsave
            | M::Xsave64
            | M::Xsavec
            | M::Xsavec64
            | M::Xsaveopt
            | M::Xsaveopt64
            | M::Xsaves
            | M::Xsaves64
            | M::Xrstor
            | M::Xrstor64
            | M::Xrstors
            | M::Xrstors64
    )
}

impl Machine {
    /// Executes the refused instruction at rip. What our CPU cannot execute either ends the run.
    pub(crate) fn rescue(&mut self, refusal: Refusal) -> Result<(), Ended> {
        let failed = |e: EngineError| Ended::Failed(e.to_string());
        let Engine::Kvm(kvm) = &mut self.engine else {
            return Err(self.refused(&refusal, "the engine is our CPU"));
        };
        let core = kvm.cpus.vcpu().partial_state(Parts::CORE).map_err(failed)?;
        let bytes = refusal.bytes.get(..usize::from(refusal.len)).unwrap_or(&refusal.bytes);
        let instruction =
            Decoder::with_ip(report::bits(&core), bytes, core.rip, DecoderOptions::NONE).decode();
        let parts = parts(&instruction, &core);
        let before =
            if parts == Parts::CORE { core } else { kvm.cpus.vcpu().partial_state(parts).map_err(failed)? };
        if before.xcr0 & !OURS != 0 && names_components(&instruction) {
            if let Some(after) = xstate::execute(&instruction, &before, self.core.board.memory()) {
                self.rescued += 1;
                return kvm.cpus.vcpu().set_partial_state(&after, parts).map_err(failed);
            }
            let why = format!("XCR0 is {:#x}, and our CPU has the state of x87 and SSE alone", before.xcr0);
            return Err(self.refused(&refusal, &why));
        }
        let done = match execute(kvm.cpus.rescuer(), &mut self.core, &before, parts) {
            Ok(done) if !done.unknown => done,
            Ok(_) => return Err(self.refused(&refusal, "our CPU has not got it")),
            Err(why) => return Err(self.refused(&refusal, &why.to_string())),
        };
        self.rescued += 1;
        if let Some(t) = self.core.trace.as_mut().filter(|t| t.what.exits) {
            let now = self.core.clock.now(0);
            t.line(now, format_args!("exit rescued rip {:#x} -> {:#x}", before.rip, done.after.rip));
        }
        kvm.cpus.vcpu().set_partial_state(&done.after, parts).map_err(failed)?;
        let rip = done.stop.rip;
        match done.stop.kind {
            StopKind::Halt => self.handle(exit(ExitKind::Halt, rip), Time::NEVER),
            StopKind::TripleFault => self.handle(exit(ExitKind::TripleFault, rip), Time::NEVER),
            StopKind::Wish => self.grant_all(),
            StopKind::Deadline | StopKind::Debug(_) => Ok(()),
        }
    }

    fn refused(&mut self, refusal: &Refusal, why: &str) -> Ended {
        Ended::Refused(Box::new(self.refused_report(refusal, why)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state with AVX in use.
    fn state() -> CpuState {
        let mut state = CpuState { xcr0: 7, xsave: vec![0x5a; 832], ..CpuState::reset() };
        state.xsave[PRESENT].copy_from_slice(&7u64.to_le_bytes());
        state
    }

    #[test]
    fn our_cpu_sees_x87_and_sse_and_the_rest_comes_back() {
        let before = state();
        let mut after = visible(&before);
        assert_eq!((after.xcr0, after.xsave.len(), present(&after.xsave)), (3, HEADER_END, 3));
        after.xsave[160] = 1;
        complete(&before, &mut after);
        assert_eq!((after.xcr0, present(&after.xsave), after.xsave[160]), (7, 7, 1));
        assert_eq!(after.xsave[HEADER_END..], before.xsave[HEADER_END..]);
    }

    #[test]
    fn instructions_of_x87_mmx_sse_and_xsave_touch_the_fpu_and_no_others() {
        let touches = |code: &[u8]| touches_fpu(&Decoder::new(64, code, DecoderOptions::NONE).decode());
        let fpu: [&[u8]; 13] = [
            &[0xd9, 0xc0],             // fld st0
            &[0xd8, 0x00],             // fadd dword [rax]
            &[0x9b],                   // wait
            &[0x0f, 0x77],             // emms
            &[0x0f, 0x6f, 0x00],       // movq mm0, [rax]
            &[0x0f, 0x28, 0xc1],       // movaps xmm0, xmm1
            &[0x66, 0x0f, 0x7e, 0xc0], // movd eax, xmm0
            &[0x0f, 0xae, 0x10],       // ldmxcsr [rax]
            &[0x0f, 0xae, 0x00],       // fxsave [rax]
            &[0x0f, 0xae, 0x20],       // xsave [rax]
            &[0x0f, 0x01, 0xd1],       // xsetbv
            &[0x0f, 0x01, 0xef],       // wrpkru
            &[0xc5, 0xf8, 0x77],       // vzeroupper
        ];
        assert!(fpu.iter().all(|code| touches(code)));
        let others: [&[u8]; 10] = [
            &[0x90],                         // nop
            &[0x48, 0x89, 0x04, 0x24],       // mov [rsp], rax
            &[0x0f, 0xc7, 0x0f],             // cmpxchg8b [rdi]
            &[0xf3, 0x48, 0x0f, 0xb8, 0xc1], // popcnt rax, rcx
            &[0xc4, 0xe2, 0x78, 0xf2, 0xc1], // andn eax, eax, ecx
            &[0x8e, 0xd8],                   // mov ds, eax
            &[0x0f, 0x20, 0xc0],             // mov rax, cr0
            &[0x0f, 0x23, 0xc0],             // mov dr0, rax
            &[0x0f, 0x30],                   // wrmsr
            &[0xf3, 0xa4],                   // rep movsb
        ];
        assert!(!others.iter().any(|code| touches(code)));
    }

    #[test]
    fn the_rest_comes_back_to_the_initial_configuration_too() {
        let before = state();
        let mut after = CpuState { xsave: Vec::new(), ..visible(&before) };
        complete(&before, &mut after);
        assert_eq!((after.xcr0, present(&after.xsave)), (7, 4));
        assert_eq!((&after.xsave[0..2], &after.xsave[24..28]), (&FCW.1[..], &MXCSR.1[..]));
        assert_eq!(after.xsave[HEADER_END..], before.xsave[HEADER_END..]);
    }
}
