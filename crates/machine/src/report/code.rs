//! The bytes and instructions at rip.

use hako_mem::GuestMemory;
use hako_x86::{CpuState, Cr0, Efer, RFlags, SegReg};
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, NasmFormatter};

use super::walk;

/// Instructions shown.
const SHOWN: usize = 4;

/// The width of code that the CPU is about to execute.
pub(crate) fn bits(state: &CpuState) -> u32 {
    let cs = state.segment(SegReg::Cs).attr.bits();
    let protected = state.cr0 & Cr0::PE.bits() != 0 && !state.rflags.contains(RFlags::VM);
    match (protected, state.efer & Efer::LMA.bits() != 0 && cs & 1 << 13 != 0, cs & 1 << 14 != 0) {
        (true, true, _) => 64,
        (true, false, true) => 32,
        _ => 16,
    }
}

/// Reads at most `len` bytes at a linear address, up to the first that is not there.
pub(crate) fn read_linear(state: &CpuState, memory: &GuestMemory, linear: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    for i in 0..len as u64 {
        let Ok(gpa) = walk::translate(state, memory, linear.wrapping_add(i)) else { break };
        let Ok(byte) = memory.load(gpa) else { break };
        bytes.push(byte);
    }
    bytes
}

/// One instruction as NASM writes it, with its bytes.
pub(crate) fn one(state: &CpuState, memory: &GuestMemory) -> String {
    let bytes = read_linear(state, memory, state.linear_rip(), 15);
    let mut decoder = Decoder::with_ip(bits(state), &bytes, state.rip, DecoderOptions::NONE);
    if bytes.is_empty() {
        return "(no memory)".into();
    }
    text(&decoder.decode())
}

fn text(instruction: &Instruction) -> String {
    let mut formatter = NasmFormatter::new();
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}

/// The instructions from rip on.
pub(super) fn lines(state: &CpuState, memory: &GuestMemory) -> Vec<String> {
    let linear = state.linear_rip();
    let bytes = read_linear(state, memory, linear, 15 * SHOWN);
    if bytes.is_empty() {
        return vec![format!("{linear:08x}  nothing can be read there")];
    }
    let mut decoder = Decoder::with_ip(bits(state), &bytes, state.rip, DecoderOptions::NONE);
    let mut lines = Vec::new();
    while decoder.can_decode() && lines.len() < SHOWN {
        let from = decoder.position();
        let instruction = decoder.decode();
        let raw = bytes.get(from..decoder.position()).unwrap_or(&[]);
        let hex: Vec<String> = raw.iter().map(|b| format!("{b:02x}")).collect();
        let mark = if from == 0 { "->" } else { "  " };
        lines.push(format!(
            "{mark} {:04x}:{:08x}  {:<30} {}",
            state.segment(SegReg::Cs).selector,
            instruction.ip(),
            hex.join(" "),
            text(&instruction)
        ));
    }
    lines
}
