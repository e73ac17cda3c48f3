//! Descriptor tables of one processor.

use super::cpu::set_msr;
use core::arch::asm;

const KERNEL_CODE: u16 = 8;
const TASK: u16 = 0x28;

/// Descriptors, interrupt gates and the task state segment.
#[repr(C, align(16))]
pub struct Tables {
    gates: [[u64; 2]; 256],
    segments: [u64; 7],
    state: State,
}

/// The 64-bit task state segment (SDM Vol. 3A, 8.7).
#[repr(C, packed(4))]
struct State {
    reserved: u32,
    rsp: [u64; 3],
    reserved2: u64,
    ist: [u64; 7],
    reserved3: u64,
    reserved4: u16,
    ports: u16,
}

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

unsafe extern "C" {
    static interrupt_stubs: u8;
    static fatal_top: u8;
    static nmi_top: u8;
    fn nmi_entry();
    fn double_fault_entry();
    fn machine_check_entry();
    fn syscall_entry();
}

/// A present interrupt gate on an interrupt stack. Tasks may use none of them with INT n but 3 and 4.
fn gate(handler: u64, stack: u64, privilege: u64) -> [u64; 2] {
    let low = handler & 0xffff
        | u64::from(KERNEL_CODE) << 16
        | stack << 32
        | (0x8e | privilege << 5) << 40
        | (handler >> 16 & 0xffff) << 48;
    [low, handler >> 32]
}

impl Tables {
    /// Tables whose interrupt stack 1 is not set yet.
    pub fn new() -> Tables {
        let stubs = &raw const interrupt_stubs as u64;
        let mut gates = [[0; 2]; 256];
        for (vector, place) in gates.iter_mut().enumerate() {
            let privilege = if matches!(vector, 3 | 4) { 3 } else { 0 };
            *place = gate(stubs + 16 * vector as u64, 1, privilege);
        }
        gates[2] = gate(nmi_entry as *const () as u64, 3, 0);
        gates[8] = gate(double_fault_entry as *const () as u64, 2, 0);
        gates[18] = gate(machine_check_entry as *const () as u64, 2, 0);
        let (fatal, nmi) = (&raw const fatal_top as u64, &raw const nmi_top as u64);
        Tables {
            gates,
            segments: [
                0,
                0x00af_9b00_0000_ffff,
                0x00cf_9300_0000_ffff,
                0x00cf_f300_0000_ffff,
                0x00af_fb00_0000_ffff,
                0,
                0,
            ],
            state: State {
                reserved: 0,
                rsp: [fatal, 0, 0],
                reserved2: 0,
                ist: [0, fatal, nmi, 0, 0, 0, 0],
                reserved3: 0,
                reserved4: 0,
                ports: size_of::<State>() as u16,
            },
        }
    }

    /// The addresses of the task state segment, the segment descriptors and the gates.
    pub fn addresses(&self) -> [u64; 3] {
        [&raw const self.state as u64, &raw const self.segments as u64, &raw const self.gates as u64]
    }

    /// Sets where the processor pushes when it is interrupted.
    pub fn set_context_end(&mut self, end: u64) {
        self.state.ist[0] = end;
    }

    /// Loads the tables and the entry of system calls.
    pub fn load(&mut self) {
        const STAR: u32 = 0xc000_0081;
        const LSTAR: u32 = 0xc000_0082;
        const FMASK: u32 = 0xc000_0084;
        /// Every flag that user code can set is clear in the kernel.
        const CLEARED: u64 = 0x25_7fd5;
        let base = &raw const self.state as u64;
        let limit = size_of::<State>() as u64 - 1;
        self.segments[5] = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
        self.segments[6] = base >> 32;
        let gdt =
            Pointer { limit: size_of_val(&self.segments) as u16 - 1, base: &raw const self.segments as u64 };
        let idt = Pointer { limit: size_of_val(&self.gates) as u16 - 1, base: &raw const self.gates as u64 };
        // SAFETY: the tables live as long as the processor's state, keep the code segment of the boot tables at the
        // same selector, and the segments loaded are flat or null.
        unsafe {
            asm!(
                "lgdt [{gdt}]",
                "lidt [{idt}]",
                "mov ss, {data:e}",
                "mov ds, {null:e}",
                "mov es, {null:e}",
                "ltr {task:x}",
                gdt = in(reg) &gdt,
                idt = in(reg) &idt,
                data = in(reg) 0x10,
                null = in(reg) 0,
                task = in(reg) TASK,
                options(nostack)
            );
            set_msr(STAR, u64::from(KERNEL_CODE) << 32);
            set_msr(LSTAR, syscall_entry as *const () as u64);
            set_msr(FMASK, CLEARED);
        }
    }
}
