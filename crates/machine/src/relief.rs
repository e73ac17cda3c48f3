//! Interrupts that an emulating KVM never lets in: our own CPU takes the guest to where it takes interrupts.
//!
//! KVM looks for interrupts before it executes anything, so it only has to be handed the state at an instruction
//! boundary where the guest takes one. Our CPU stops before that in front of whatever is KVM's: the chips inside the
//! kernel, CPUID, MSRs, HLT, all state that is more than the core, locked accesses, since other CPUs run on, and paging,
//! because KVM keeps translations that do not hear of what another CPU writes to page tables.

use hako_cpu::{Cpu, StopKind};
use hako_engine::{At, Attention, Bus, EngineError, Exit, ExitKind, Lines};
use hako_engine_kvm::{Inside, KvmVcpu, Parts};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{Activity, CpuState, Cr0, RFlags, Shadow, Width};
use iced_x86::{Decoder, DecoderOptions, Mnemonic};

use crate::engine::exit;
use crate::rescue::Rescuer;
use crate::{report, rescue};

/// Instructions that our CPU executes at most: some rounds of a waiting loop.
const MOST: usize = 1000;
/// The longest instruction (SDM Vol. 2A 2.3.11).
const LONGEST: usize = 15;

/// DR7's bits that make breakpoints.
const BREAKPOINTS: u64 = 0xff;

/// The bus as far as it can be reached from outside KVM.
struct Reach<'a> {
    bus: &'a mut dyn Bus,
    inside: Inside,
    /// The instruction wanted more: nothing has come of it.
    refused: bool,
}

impl Reach<'_> {
    /// Whether an access is refused.
    fn refuse(&mut self, inside: bool) -> bool {
        self.refused |= inside;
        self.refused
    }
}

impl Bus for Reach<'_> {
    fn port_in(&mut self, at: At, port: u16, width: Width, data: &mut [u8]) -> Attention {
        if self.refuse(self.inside.has_port(port, width)) {
            data.fill(0xff);
            return Attention::empty();
        }
        self.bus.port_in(at, port, width, data)
    }
    fn port_out(&mut self, at: At, port: u16, width: Width, data: &[u8]) -> Attention {
        if self.refuse(self.inside.has_port(port, width)) {
            return Attention::empty();
        }
        self.bus.port_out(at, port, width, data)
    }
    fn mmio_read(&mut self, at: At, gpa: Gpa, data: &mut [u8]) -> Attention {
        if self.refuse(self.inside.has_memory(gpa)) {
            data.fill(0xff);
            return Attention::empty();
        }
        self.bus.mmio_read(at, gpa, data)
    }
    fn mmio_write(&mut self, at: At, gpa: Gpa, data: &[u8]) -> Attention {
        if self.refuse(self.inside.has_memory(gpa)) {
            return Attention::empty();
        }
        self.bus.mmio_write(at, gpa, data)
    }
    fn lines(&mut self, at: At) -> Lines {
        self.bus.lines(at)
    }
    fn tsc(&mut self, at: At) -> u64 {
        self.bus.tsc(at)
    }
    fn memory(&self) -> &GuestMemory {
        self.bus.memory()
    }
}

/// Whether the guest takes an interrupt before its next instruction.
fn takes_interrupts(state: &CpuState) -> bool {
    let events = &state.events;
    state.rflags.contains(RFlags::IF)
        && events.shadow == Shadow::None
        && events.exception.is_none()
        && events.interrupt.is_none()
}

/// Whether our CPU may execute the next instruction in KVM's place.
fn is_ours(state: &CpuState, memory: &GuestMemory) -> bool {
    if state.cr0 & Cr0::PG.bits() != 0 {
        return false;
    }
    let bytes = report::read_linear(state, memory, state.linear_rip(), LONGEST);
    let instruction = Decoder::with_ip(report::bits(state), &bytes, state.rip, DecoderOptions::NONE).decode();
    let locked = instruction.has_lock_prefix() || instruction.mnemonic() == Mnemonic::Xchg;
    match instruction.mnemonic() {
        Mnemonic::Cpuid | Mnemonic::Hlt => false,
        Mnemonic::Rdtsc => true,
        _ => !locked && rescue::parts(&instruction, state) == Parts::CORE,
    }
}

impl Rescuer {
    /// KVM starves its CPU of interrupts: executes the guest up to where it takes one, or as far as our CPU may go. The
    /// exit is what there is to say then.
    pub fn relieve(&mut self, vcpu: &mut KvmVcpu, bus: &mut dyn Bus) -> Result<Exit, EngineError> {
        let before = vcpu.partial_state(Parts::CORE.and(Parts::MSRS).and(Parts::DEBUG))?;
        let mut bus = Reach { bus, inside: vcpu.inside(), refused: false };
        let (after, exit) = execute(self.cpu(), &mut bus, before)?;
        vcpu.set_partial_state(&after, Parts::CORE)?;
        vcpu.relieved(!takes_interrupts(&after));
        Ok(exit)
    }
}

/// The state at the first boundary where the guest takes interrupts, or as far as our CPU may go.
fn execute(cpu: &mut Cpu, bus: &mut Reach<'_>, before: CpuState) -> Result<(CpuState, Exit), EngineError> {
    let cr8 = before.cr8;
    let mut state = before;
    if state.activity == Activity::Running && state.dr7 & BREAKPOINTS == 0 {
        cpu.reset();
        cpu.set_state(&state)?;
        for _ in 0..MOST {
            if takes_interrupts(&state) || !is_ours(&state, bus.memory()) {
                break;
            }
            let stop = cpu.step(bus);
            if bus.refused || rescue::unknown(cpu) {
                break;
            }
            state = CpuState { cr8, ..cpu.state() };
            if stop.kind != StopKind::Deadline {
                return Ok((state, stop.into()));
            }
        }
    }
    let exit = exit(ExitKind::Deadline, state.rip);
    Ok((state, exit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hako_x86::{Gpr, SegReg, Segment};

    /// RAM alone, and how many accesses there were beside it.
    struct Ram(GuestMemory, u32);

    impl Bus for Ram {
        fn port_in(&mut self, _: At, _: u16, _: Width, data: &mut [u8]) -> Attention {
            self.1 += 1;
            data.fill(0x5a);
            Attention::empty()
        }
        fn memory(&self) -> &GuestMemory {
            &self.0
        }
    }

    /// Where real-mode code at 1000h is left, and how many accesses there were.
    fn left_at(code: &[u8]) -> (u64, u32) {
        let memory = GuestMemory::flat(0x1_0000);
        memory.write(Gpa(0x1000), code).unwrap();
        let mut ram = Ram(memory, 0);
        let mut state = CpuState { rip: 0x1000, ..CpuState::reset() };
        let cs = state.segment(SegReg::Cs).attr;
        state.seg = [Segment::real(0); 6];
        state.seg[SegReg::Cs as usize].attr = cs;
        state.seg[SegReg::Ds as usize].limit = !0;
        state.gpr[Gpr::Rsp as usize] = 0x8000;
        let mut bus = Reach { bus: &mut ram, inside: Inside { apic: 0xfee0_0000 }, refused: false };
        let (after, exit) = execute(Rescuer::default().cpu(), &mut bus, state).unwrap();
        assert_eq!(exit.rip, Some(after.rip));
        (after.rip, ram.1)
    }

    #[test]
    fn interrupts_are_taken_behind_the_instruction_that_follows_sti() {
        // in al, 60h; sti; nop; cli; jmp
        assert_eq!(left_at(&[0xe4, 0x60, 0xfb, 0x90, 0xfa, 0xeb, 0xf9]), (0x1004, 1));
    }

    #[test]
    fn a_guest_that_never_takes_one_is_left_after_a_while() {
        // nop; jmp
        assert_eq!(left_at(&[0x90, 0xeb, 0xfd]), (0x1000, 0));
    }

    #[test]
    fn what_is_inside_kvm_or_known_to_it_alone_is_left_to_it() {
        let kvms = [
            &[0xe4, 0x21][..],                  // in al, 21h
            &[0xe7, 0x1f],                      // out 1fh, ax
            &[0xf4],                            // hlt
            &[0x0f, 0xa2],                      // cpuid
            &[0x0f, 0x32],                      // rdmsr
            &[0xd9, 0xe8],                      // fld1
            &[0xf0, 0xff, 0x06, 0, 0x20],       // lock inc word [2000h]
            &[0x87, 0x06, 0, 0x20],             // xchg [2000h], ax
            &[0x67, 0xa1, 0xb0, 0, 0xe0, 0xfe], // mov ax, [fee000b0h]
        ];
        for code in kvms {
            let code = [&[0x90], code, &[0xfb, 0x90]].concat();
            assert_eq!(left_at(&code), (0x1001, 0), "{code:x?}");
        }
    }
}
