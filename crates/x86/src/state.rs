//! The engine-neutral CPU state: what is exchanged between engines, firmware services, snapshots and debuggers.
//! Complete or refused; an engine's live CPU is its own struct and is converted to and from this one.

use alloc::vec;
use alloc::vec::Vec;

use crate::cpuid::X86_64_V2;
use crate::{DescTable, Gpr, RFlags, SegAttr, SegReg, Segment};

/// What the CPU does between instructions (SDM Vol. 3C 24.4.2, activity state).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Activity {
    /// Executes instructions.
    #[default]
    Running,
    /// HLT was executed; an interrupt wakes it.
    Halted,
    /// A triple fault happened.
    Shutdown,
    /// An application processor that waits for SIPI.
    WaitForSipi,
}

/// Interrupts are held off for one instruction (SDM Vol. 3C 24.4.2, interruptibility state).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Shadow {
    /// Not held off.
    #[default]
    None,
    /// By STI.
    Sti,
    /// By MOV SS or POP SS.
    MovSs,
}

/// An exception that has been raised but not yet delivered, or was interrupted during delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingException {
    /// Its vector.
    pub vector: u8,
    /// Its error code, for vectors that have one.
    pub error_code: Option<u32>,
    /// Delivery has begun (VMX: IDT-vectoring): it must be re-injected, not raised anew.
    pub injected: bool,
}

/// An interrupt whose delivery has begun and must be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingInterrupt {
    /// Its vector.
    pub vector: u8,
    /// Raised by INT n rather than by a wire.
    pub soft: bool,
}

/// Events in flight at an instruction boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Events {
    /// An exception to deliver.
    pub exception: Option<PendingException>,
    /// An interrupt already acknowledged, to deliver.
    pub interrupt: Option<PendingInterrupt>,
    /// An NMI waits.
    pub nmi_pending: bool,
    /// NMIs are blocked until IRET.
    pub nmi_masked: bool,
    /// Interrupts are held off for one instruction.
    pub shadow: Shadow,
}

/// The whole architectural state of one virtual CPU at an instruction boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuState {
    /// General-purpose registers by encoding.
    pub gpr: [u64; 16],
    /// Instruction pointer (offset in CS).
    pub rip: u64,
    /// Flags.
    pub rflags: RFlags,
    /// ES, CS, SS, DS, FS, GS.
    pub seg: [Segment; 6],
    /// Local descriptor table.
    pub ldtr: Segment,
    /// Task register.
    pub tr: Segment,
    /// Global descriptor table.
    pub gdtr: DescTable,
    /// Interrupt descriptor table.
    pub idtr: DescTable,
    /// CR0.
    pub cr0: u64,
    /// CR2: the last page-fault address.
    pub cr2: u64,
    /// CR3: the page-table root.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8: the task priority, where no chip owns it.
    pub cr8: u64,
    /// IA32_EFER.
    pub efer: u64,
    /// XCR0.
    pub xcr0: u64,
    /// DR0 to DR3.
    pub dr: [u64; 4],
    /// DR6.
    pub dr6: u64,
    /// DR7.
    pub dr7: u64,
    /// XSAVE image in standard format; at least the 512-byte legacy area and the 64-byte header, or empty
    /// (= initial state).
    pub xsave: Vec<u8>,
    /// Further MSRs as (index, value), without EFER, TSC and what segment registers already hold.
    pub msrs: Vec<(u32, u64)>,
    /// Events in flight.
    pub events: Events,
    /// Running, halted, ...
    pub activity: Activity,
    /// The time-stamp counter.
    pub tsc: u64,
}

impl CpuState {
    /// The state after power-up or RESET (SDM Vol. 3A 9.1.1, table 9-1): real mode, CS base FFFF0000h, IP FFF0h.
    pub fn reset() -> CpuState {
        let data = Segment::real(0);
        let mut seg = [data; 6];
        seg[SegReg::Cs as usize] = Segment {
            selector: 0xf000,
            base: 0xffff_0000,
            limit: 0xffff,
            attr: SegAttr::from_bits_retain(0x9b),
        };
        let system = |ty: u32| Segment {
            attr: SegAttr::from_bits_retain(0x80 | ty),
            limit: 0xffff,
            ..Segment::default()
        };
        let mut gpr = [0; 16];
        gpr[Gpr::Rdx as usize] = u64::from(X86_64_V2.signature);
        CpuState {
            gpr,
            rip: 0xfff0,
            rflags: RFlags::FIXED,
            seg,
            ldtr: system(2),
            tr: system(0xb),
            gdtr: DescTable { base: 0, limit: 0xffff },
            idtr: DescTable { base: 0, limit: 0xffff },
            cr0: 0x6000_0010,
            cr2: 0,
            cr3: 0,
            cr4: 0,
            cr8: 0,
            efer: 0,
            xcr0: 1,
            dr: [0; 4],
            dr6: 0xffff_0ff0,
            dr7: 0x400,
            xsave: reset_image(),
            msrs: Vec::new(),
            events: Events::default(),
            activity: Activity::Running,
            tsc: 0,
        }
    }

    /// One general-purpose register.
    pub fn reg(&self, r: Gpr) -> u64 {
        self.gpr[r as usize]
    }

    /// One segment register.
    pub fn segment(&self, s: SegReg) -> &Segment {
        &self.seg[s as usize]
    }

    /// The linear address of the next instruction.
    pub fn linear_rip(&self) -> u64 {
        self.segment(SegReg::Cs).base.wrapping_add(self.rip)
    }

    /// The value of an MSR in `msrs`.
    pub fn msr(&self, index: u32) -> Option<u64> {
        self.msrs.iter().find(|m| m.0 == index).map(|m| m.1)
    }
}

/// x87 and SSE after RESET as an XSAVE image: the control word 40h, all x87 registers zero and not empty, MXCSR 1F80h.
fn reset_image() -> Vec<u8> {
    let mut image = vec![0; 576];
    for (at, byte) in [(0, 0x40), (4, 0xff), (24, 0x80), (25, 0x1f), (28, 0xff), (29, 0xff), (512, 3)] {
        if let Some(to) = image.get_mut(at) {
            *to = byte;
        }
    }
    image
}

/// Why an engine refuses a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A value no CPU can hold, such as a reserved control-register bit.
    #[error("the CPU state holds an impossible {field}: {value:#x}")]
    Impossible {
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// Something that this engine cannot carry, such as an unknown XSAVE component.
    #[error("this engine cannot carry {field} = {value:#x}")]
    Unsupported {
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: u64,
    },
}
