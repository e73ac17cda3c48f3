//! Where KVM is wrong: the table of exceptions.
//!
//! Each was judged by the SDM. Nothing here ever changes soft; an entry only lets a comparison go on. Most are faults
//! of KVM's instruction emulator, which hardware KVM uses rarely and a KVM without hardware always.

use hako_fuzz::modes::{HANDLERS, Mode, PAGE_TABLES};
use hako_x86::{CpuState, Gpr, SegReg};

/// An instruction that KVM gets wrong.
struct Fault {
    /// What it gets wrong, and what the SDM says.
    #[expect(dead_code, reason = "it is there to be read")]
    why: &'static str,
    /// The bytes behind the prefixes.
    opcode: &'static [u8],
    /// Only with an operand-size prefix.
    prefixed: bool,
}

const FAULTS: &[Fault] = &[
    Fault {
        why: "AAM sets SF, ZF and PF as if by a wider result; SDM Vol. 2A: according to the result in AL",
        opcode: &[0xd4],
        prefixed: false,
    },
    Fault {
        why: "AAD sets SF, ZF and PF as if by a wider result; SDM Vol. 2A: according to the result in AL",
        opcode: &[0xd5],
        prefixed: false,
    },
    Fault {
        why: "ENTER ignores the operand-size prefix; SDM Vol. 2A: with it EBP is pushed and loaded in 16-bit code",
        opcode: &[0xc8],
        prefixed: true,
    },
    Fault {
        why: "CMPXCHG r32 that fails clears bits 63:32 of its destination; SDM Vol. 2A: only EAX is written",
        opcode: &[0x0f, 0xb1],
        prefixed: false,
    },
];

/// Whether the instruction is in the table.
pub fn fault_of_kvm(bytes: &[u8]) -> bool {
    let (prefixes, opcode) = split(bytes);
    FAULTS.iter().any(|f| opcode.starts_with(f.opcode) && (!f.prefixed || prefixes > 0))
}

/// Prefixes counted, and what is behind them.
fn split(bytes: &[u8]) -> (usize, &[u8]) {
    let prefixes = bytes.iter().take_while(|b| **b == 0x66 || (0x48..=0x4f).contains(*b)).count();
    (prefixes, &bytes[prefixes..])
}

/// The exception whose handler the CPU has just entered.
pub fn exception(state: &CpuState) -> Option<u8> {
    let into = state.linear_rip().checked_sub(HANDLERS)?;
    (into < 0x100).then_some((into / 8) as u8)
}

/// Whether a program ends here because soft has raised an exception that KVM is known to miss, or to lose itself in:
/// - its emulator does not check segment limits: a string or stack access that runs over the end of a segment goes on
///   (SDM Vol. 3A 5.3: #GP, or #SS for the stack);
/// - in protected mode with a stack segment whose base is not 0 it writes frames as if it were, and may find no memory.
pub fn missed_exception(mode: Mode, bytes: &[u8], soft: &CpuState) -> bool {
    let Some(vector) = exception(soft) else { return false };
    let limit = match split(bytes).1 {
        [0x50..=0x61 | 0x68 | 0x6a | 0x9c | 0xa4..=0xa7 | 0xaa..=0xaf | 0xc8 | 0xe8, ..] => true,
        [0xff, modrm, ..] => modrm >> 3 & 7 == 6,
        _ => false,
    };
    mode == Mode::Protected16 || !mode.is_long() && limit && matches!(vector, 12 | 13)
}

/// The longest frame of an exception.
const FRAME: u64 = 48;

/// Makes the frame of the exception that ended a program the same in `kvm`'s memory as in `soft`'s, where KVM is known
/// to write another one:
/// - while the host single-steps, the flags in the frame have TF set, which is the host's and not the guest's;
/// - in protected mode with a stack segment whose base is not 0, its emulator writes the frame as if it were.
pub fn excuse_frame(mode: Mode, state: &CpuState, soft: &[u8], kvm: &mut [u8]) {
    if exception(state).is_none() {
        return;
    }
    let sp = state.reg(Gpr::Rsp);
    let base = state.segment(SegReg::Ss).base;
    let frame =
        |base: u64| (base + sp..base + sp + FRAME).map(|at| at as usize).filter(|at| *at < soft.len());
    for at in frame(base) {
        let moved = mode == Mode::Protected16;
        if moved || soft[at] ^ kvm[at] == 1 {
            kvm[at] = soft[at];
        }
    }
    if mode == Mode::Protected16 {
        for at in frame(0) {
            kvm[at] = soft[at];
        }
    }
}

/// A KVM that runs ring 3 on the host's CPU translates for itself: no accessed and dirty bits in the guest's tables.
pub fn excuse_page_tables(soft: &[u8], kvm: &mut [u8]) {
    const BITS: u8 = 0x60;
    for at in (PAGE_TABLES..PAGE_TABLES + 0x4000).map(|at| at as usize) {
        kvm[at] |= soft[at] & BITS;
    }
}

/// A KVM that runs ring 3 on the host's CPU does not learn which selectors were loaded there.
pub fn excuse_ring_3_segments(soft: &CpuState, kvm: &mut CpuState) {
    for seg in [SegReg::Es, SegReg::Ds, SegReg::Fs, SegReg::Gs] {
        kvm.seg[seg as usize] = soft.seg[seg as usize];
    }
}
