//! A processor of a guest: its task, its state page, and the CPU that completes its instructions.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hako_cpu::{Completed, Cpu, Stop, Work};
use hako_engine::Bus;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{
    CpuState, Cr0, Cr4, Efer, Events, PendingException, PendingInterrupt, SegAttr, SegReg, Segment,
    StateError, Vector,
};
use hakoniwa_abi::guest::{NMI, PDPTES, State, VECTORS, VECTORS_PRESENT, more};
use hakoniwa_abi::label::RESUME;
use hakoniwa_abi::{Call, Message, TaskId};
use hakoniwa_runtime as rt;

use crate::msr::Msrs;
use crate::state;

/// What a processor is doing, as far as its server has to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It waits for a SIPI.
    WaitsForSipi,
    /// It runs, or waits for an interrupt in the kernel.
    Runs,
    /// It halted with interrupts off: its message stays without an answer.
    Stopped,
}

/// A processor.
pub struct Vcpu {
    /// Its task; that of the first is the guest's.
    pub id: TaskId,
    /// Its number, which is its APIC ID.
    pub number: u8,
    /// Completes what the processor leaves.
    cpu: Box<Cpu>,
    /// MSRs that neither the kernel nor the board keeps.
    pub msrs: Msrs,
    /// What it is doing.
    pub life: Life,
    /// The kernel was asked to tell when it can take an interrupt.
    pub asked: bool,
    page: *mut State,
    /// What the CPU has been told for plain instructions, unless it has had a whole state since.
    told: Option<Box<State>>,
}

/// Bytes of the XSAVE area for x87 and SSE: the legacy part and the header.
const VECTOR_BYTES: usize = 576;
/// XCR0 of a processor that has XSAVE's two first components.
const X87_AND_SSE: u64 = 3;

impl Vcpu {
    /// A processor whose task exists, with a state page of this server's that nobody else uses.
    pub fn new(id: TaskId, number: u8, cpus: u8, page: *mut State) -> Vcpu {
        // The guest writes its memory without leaving marks: nothing that is decoded can be kept.
        let config = hako_cpu::Config { uncached: true, ..hako_cpu::Config::of(number, cpus) };
        Vcpu {
            id,
            number,
            cpu: Box::new(Cpu::new(config)),
            msrs: Msrs::new(),
            life: Life::WaitsForSipi,
            asked: false,
            page,
            told: None,
        }
    }

    /// Completes an instruction that changes general registers, RIP and flags alone, or a part of it, if that is what it is,
    /// without a look at the rest of the state. If not, nothing has happened.
    pub fn complete_plain(&mut self, bus: &mut dyn Bus) -> bool {
        const ENABLED: u64 = 0xff;
        if self.word(more::DEBUG + 5) & ENABLED != 0 || self.word(more::PENDING_DEBUG) != 0 {
            return false;
        }
        // SAFETY: the page is this task's, and nobody else uses it while the processor waits.
        let page = unsafe { &mut *self.page };
        if !state::is_open(page) {
            return false;
        }
        if !self.told.as_deref().is_some_and(|told| state::is_alike(told, page)) {
            let mut state = CpuState::reset();
            state::from_page(page, &mut state);
            state.events = Events::default();
            if self.cpu.set_registers(&state).is_err() {
                self.told = None;
                return false;
            }
            self.told = Some(Box::new(*page));
        }
        let work = Work { gpr: &mut page.registers, rip: &mut page.rip, rflags: &mut page.rflags };
        let done = self.cpu.complete(bus, work);
        if done != Completed::Yes {
            self.told = None;
        }
        done != Completed::No
    }

    /// Completes any instruction; before it the event that the state has.
    pub fn complete_any(
        &mut self,
        bus: &mut dyn Bus,
        before: &CpuState,
    ) -> Result<(Stop, CpuState), StateError> {
        self.told = None;
        self.cpu.set_state(before)?;
        let stop = self.cpu.step(bus);
        let after = self.cpu.state();
        self.set_whole_state(&after);
        self.keep_trap(&after);
        Ok((stop, after))
    }

    /// A single step or breakpoint that the instruction met is delivered before the next one.
    fn keep_trap(&self, after: &CpuState) {
        const BREAKPOINTS: u64 = 0xf;
        const STEP: u64 = 1 << 14;
        /// One of the breakpoints is enabled.
        const ENABLED: u64 = 1 << 12;
        if after.events.exception.is_some_and(|e| e.vector == Vector::DB.0 && !e.injected) {
            let met = after.dr6 & (BREAKPOINTS | STEP);
            let enabled = if met & BREAKPOINTS != 0 { ENABLED } else { 0 };
            self.set_word(more::PENDING_DEBUG, met | enabled);
        }
    }

    /// A word of the state page.
    pub fn word(&self, index: usize) -> u64 {
        // SAFETY: the page is mapped for good, and every index used is below 512.
        unsafe { self.page.cast::<u64>().add(index).read_volatile() }
    }

    /// Writes a word of the state page.
    pub fn set_word(&self, index: usize, value: u64) {
        // SAFETY: as above; the kernel reads it with an answer or a start.
        unsafe { self.page.cast::<u64>().add(index).write_volatile(value) }
    }

    /// The state without vector registers.
    pub fn state(&self) -> CpuState {
        // SAFETY: the page is mapped for good; the kernel wrote it before the message, and the processor waits.
        let page = unsafe { self.page.read_volatile() };
        let mut state = CpuState::reset();
        state::from_page(&page, &mut state);
        if self.word(more::PRESENT) != 0 {
            let [a, b, c, d, status, control] = core::array::from_fn(|n| self.word(more::DEBUG + n));
            (state.dr, state.dr6, state.dr7) = ([a, b, c, d], status, control);
        }
        state
    }

    /// Writes the state; vector registers and PDPTEs stay.
    pub fn set_state(&self, state: &CpuState) {
        // SAFETY: as above; the kernel reads it with the answer.
        unsafe { self.page.write_volatile(state::to_page(state)) }
        self.set_word(VECTORS_PRESENT, 0);
        for (n, value) in state.dr.into_iter().chain([state.dr6, state.dr7]).enumerate() {
            self.set_word(more::DEBUG + n, value);
        }
    }

    /// The state with vector registers.
    pub fn whole_state(&self) -> CpuState {
        let words = (0..VECTOR_BYTES / 8).map(|n| self.word(VECTORS + n));
        let xsave: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        CpuState { xsave, xcr0: X87_AND_SSE, ..self.state() }
    }

    /// Writes the state with vector registers.
    pub fn set_whole_state(&self, state: &CpuState) {
        self.set_state(state);
        let (words, _) = state.xsave.as_chunks::<8>();
        for (n, word) in words.iter().take(VECTOR_BYTES / 8).enumerate() {
            self.set_word(VECTORS + n, u64::from_le_bytes(*word));
        }
        self.set_word(VECTORS_PRESENT, X87_AND_SSE);
    }

    /// After CR0, CR3 or CR4 have changed: the entries of PAE paging outside long mode, as the processor would read them
    /// (SDM Vol. 3A, 4.4.1).
    pub fn load_pdptes(&self, state: &CpuState, memory: &GuestMemory) {
        let paging = state.cr0 & Cr0::PG.bits() != 0 && state.cr4 & Cr4::PAE.bits() != 0;
        if !paging || state.efer & Efer::LME.bits() != 0 {
            return;
        }
        let mut bytes = [0; 32];
        // Entries outside memory are absent.
        let _ = memory.read(Gpa(state.cr3 & 0xffff_ffe0), &mut bytes);
        for (n, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
            self.set_word(PDPTES + n, u64::from_le_bytes(*word));
        }
    }

    /// INIT: it waits for a SIPI.
    pub fn stop(&mut self) {
        // It is this task's processor.
        let _ = rt::raw(Call::GuestStop, [self.id.0.into(), 0, 0, 0, 0, 0]);
        (self.life, self.asked) = (Life::WaitsForSipi, false);
    }

    /// SIPI: starts in real mode at the page of this number (SDM Vol. 3A, 8.4.3), if it waits for that.
    pub fn sipi(&mut self, vector: u8) {
        if self.life != Life::WaitsForSipi {
            return;
        }
        let mut state = CpuState::reset();
        let attr = SegAttr::from_bits_retain(0x9b);
        state.seg[SegReg::Cs as usize] = Segment { attr, ..Segment::real(u16::from(vector) << 8) };
        state.rip = 0;
        self.set_state(&state);
        self.start();
    }

    /// An NMI; it ends a halt with interrupts off.
    pub fn nmi(&mut self) {
        if self.life == Life::WaitsForSipi {
            return;
        }
        // It is this task's processor.
        let _ = rt::raw(Call::GuestInject, [self.id.0.into(), NMI, 0, 0, 0, 0]);
        if self.life == Life::Stopped {
            self.life = Life::Runs;
            // It waits for this.
            let _ = rt::reply(self.id, Message::new(RESUME, &[]));
        }
    }

    /// Lets it run from the state in its page.
    pub fn start(&mut self) {
        // It waits for this.
        let _ = rt::task_start(self.id, 0, 0, 0);
        self.life = Life::Runs;
    }
}

/// The event whose delivery an exit cut short, for the CPU that completes it. Those that an instruction causes come again
/// with it, because RIP is still on it (SDM Vol. 3C, 24.9.3).
pub fn resume_event(state: &mut CpuState, information: u64, error: u64) {
    const EXTERNAL: u64 = 0;
    const NMI: u64 = 2;
    const EXCEPTION: u64 = 3;
    if information >> 31 & 1 == 0 {
        return;
    }
    let vector = information as u8;
    match information >> 8 & 7 {
        EXTERNAL | NMI => state.events.interrupt = Some(PendingInterrupt { vector, soft: false }),
        EXCEPTION => {
            let error_code = (information >> 11 & 1 == 1).then_some(error as u32);
            state.events.exception = Some(PendingException { vector, error_code, injected: true });
        }
        _ => {}
    }
}
