//! A processor of a guest: its task, its state page, and the CPU that completes its instructions.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hako_cpu::Cpu;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, Cr0, Cr4, Efer, PendingException, PendingInterrupt, SegAttr, SegReg, Segment};
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
    pub cpu: Box<Cpu>,
    /// MSRs that neither the kernel nor the board keeps.
    pub msrs: Msrs,
    /// What it is doing.
    pub life: Life,
    /// The kernel was asked to tell when it can take an interrupt.
    pub asked: bool,
    page: *mut State,
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
        let mut state = state::from_page(&page);
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
