//! The built-in firmware's tick, and who looks at what it changes.

use std::ops::Range;

use hako_firmware::Service;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, Cr0, Gpr, SegReg};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// What the tick handler writes in the BIOS data area: the tick count with its midnight flag.
pub(super) const TICK_BYTES: Range<u64> = 0x46c..0x471;
/// The stack below and the motor timer beside it are the handler's own business.
const ROM_SEGMENT: u16 = 0xf000;

/// Services whose answer does not depend on the time.
const TIMELESS: [Service; 9] = [
    Service::Video,
    Service::Equipment,
    Service::MemorySize,
    Service::Serial,
    Service::Keyboard,
    Service::Printer,
    Service::NoBoot,
    Service::Tick,
    Service::Key,
];

/// Whether a set of services is made of timeless ones.
pub(super) fn timeless(services: u32) -> bool {
    services & !TIMELESS.iter().fold(0, |set, s| set | 1 << *s as u32) == 0
}

/// Whether the CPU executes the firmware's stubs.
pub(super) fn in_firmware(state: &CpuState) -> bool {
    state.segment(SegReg::Cs).base == u64::from(ROM_SEGMENT) << 4 && state.cr0 & Cr0::PE.bits() == 0
}

/// Whether IRQ 0 goes to the firmware's handler and from there to its own INT 1Ch: nobody has hooked them.
pub(super) fn handled_by_firmware(state: &CpuState, memory: &GuestMemory) -> bool {
    let vector = |n: u64| memory.load::<u32>(Gpa(n * 4)).is_ok_and(|v| (v >> 16) as u16 == ROM_SEGMENT);
    state.cr0 & Cr0::PE.bits() == 0 && state.idtr.base == 0 && vector(0x08) && vector(0x1c)
}

/// Whether the next instruction, in real mode, reads the tick count; when in doubt, yes.
pub(super) fn reads_tick_count(state: &CpuState, memory: &GuestMemory) -> bool {
    let mut bytes = [0; 15];
    let at = Gpa(state.linear_rip());
    if state.cr0 & Cr0::PE.bits() != 0 || memory.read(at, &mut bytes).is_err() {
        return true;
    }
    let instruction = Decoder::with_ip(16, &bytes, state.rip, DecoderOptions::NONE).decode();
    // Prefixed string instructions read whole ranges, and bit strings and frames are far away: they are not followed.
    let far = match instruction.mnemonic() {
        Mnemonic::Bt | Mnemonic::Btc | Mnemonic::Btr | Mnemonic::Bts => {
            instruction.op1_kind() == OpKind::Register
        }
        Mnemonic::Enter => instruction.immediate8_2nd() != 0,
        _ => instruction.has_rep_prefix() || instruction.has_repne_prefix(),
    };
    if instruction.is_invalid() || far {
        return true;
    }
    let hit =
        |address: u64, len: u64| address < TICK_BYTES.end && address.saturating_add(len) > TICK_BYTES.start;
    if reads_stack(&instruction) {
        let stack = if instruction.mnemonic() == Mnemonic::Leave { Gpr::Rbp } else { Gpr::Rsp };
        let offset = u64::from(state.gpr[stack as usize] as u16);
        if hit(state.segment(SegReg::Ss).base.wrapping_add(offset), POPPED) {
            return true;
        }
    }
    (0..instruction.op_count()).filter(|&i| reads_memory(&instruction, i)).any(|i| {
        let address = instruction.virtual_address(i, 0, |register, _, _| value(state, register));
        address.is_none_or(|a| hit(a, instruction.memory_size().size().max(1) as u64))
    })
}

/// The most bytes that an instruction takes from the stack: POPAD.
const POPPED: u64 = 32;

/// Whether an instruction reads the stack without an operand that says so.
fn reads_stack(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    matches!(
        instruction.mnemonic(),
        M::Pop | M::Popa | M::Popad | M::Popf | M::Popfd | M::Ret | M::Retf | M::Iret | M::Iretd | M::Leave
    )
}

/// Whether an operand is in memory and not known to be only written.
fn reads_memory(instruction: &Instruction, operand: u32) -> bool {
    use Mnemonic as M;
    let in_memory = matches!(
        instruction.op_kind(operand),
        OpKind::Memory
            | OpKind::MemorySegSI
            | OpKind::MemorySegESI
            | OpKind::MemorySegDI
            | OpKind::MemorySegEDI
            | OpKind::MemoryESDI
            | OpKind::MemoryESEDI
    );
    let written = matches!(
        instruction.mnemonic(),
        M::Mov
            | M::Movsb
            | M::Movsw
            | M::Movsd
            | M::Stosb
            | M::Stosw
            | M::Stosd
            | M::Insb
            | M::Insw
            | M::Insd
            | M::Pop
    );
    in_memory && !matches!(instruction.mnemonic(), M::Lea | M::Nop) && !(written && operand == 0)
}

/// What iced asks of the registers: segment bases, and general registers in their widths.
fn value(state: &CpuState, register: Register) -> Option<u64> {
    if register.is_segment_register() {
        let index = register.number();
        return state.seg.get(index).map(|s| s.base);
    }
    let full = register.full_register();
    let index = full.is_gpr64().then(|| full.number())?;
    let all = state.gpr.get(index).copied()?;
    Some(match register.size() {
        1 if register.is_gpr8()
            && matches!(register, Register::AH | Register::BH | Register::CH | Register::DH) =>
        {
            all >> 8 & 0xff
        }
        1 => all & 0xff,
        2 => all & 0xffff,
        4 => all & 0xffff_ffff,
        _ => all,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(code: &[u8], change: impl FnOnce(&mut CpuState)) -> bool {
        let memory = GuestMemory::flat(0x10000);
        memory.write(Gpa(0x7c00), code).unwrap();
        let mut state = CpuState::reset();
        state.seg = [hako_x86::Segment::real(0); 6];
        state.rip = 0x7c00;
        change(&mut state);
        reads_tick_count(&state, &memory)
    }

    #[test]
    fn a_compare_with_the_tick_count_reads_it() {
        assert!(reads(&[0x3b, 0x1e, 0x6c, 0x04], |_| ())); // cmp bx, [46c]
        assert!(reads(&[0xa1, 0x6e, 0x04], |_| ())); // mov ax, [46e]
        assert!(!reads(&[0xa1, 0x72, 0x04], |_| ())); // mov ax, [472]
    }

    #[test]
    fn segments_and_index_registers_count() {
        let cmp = [0x26, 0x3b, 0x4f, 0x0c]; // cmp cx, es:[bx+0c]
        let set = |es: u16, bx: u64| {
            move |s: &mut CpuState| {
                s.seg[SegReg::Es as usize] = hako_x86::Segment::real(es);
                s.gpr[Gpr::Rbx as usize] = bx;
            }
        };
        assert!(reads(&cmp, set(0x40, 0x60)));
        assert!(!reads(&cmp, set(0x40, 0x10)));
    }

    #[test]
    fn what_is_only_written_or_only_addressed_is_not_read() {
        assert!(!reads(&[0xa3, 0x6c, 0x04], |_| ())); // mov [46c], ax
        assert!(!reads(&[0x8d, 0x1e, 0x6c, 0x04], |_| ())); // lea bx, [46c]
        assert!(reads(&[0x01, 0x06, 0x6c, 0x04], |_| ())); // add [46c], ax
        assert!(reads(&[0xff, 0x36, 0x6c, 0x04], |_| ())); // push word [46c]
    }

    #[test]
    fn strings_are_read_by_si_and_written_by_di() {
        let set = |register: Gpr| move |s: &mut CpuState| s.gpr[register as usize] = 0x46c;
        assert!(reads(&[0xad], set(Gpr::Rsi))); // lodsw
        assert!(reads(&[0xaf], set(Gpr::Rdi))); // scasw
        assert!(reads(&[0xa5], set(Gpr::Rsi)) && !reads(&[0xa5], set(Gpr::Rdi))); // movsw
        assert!(!reads(&[0xab], set(Gpr::Rdi))); // stosw
    }

    #[test]
    fn a_stack_over_the_tick_count_is_read_by_what_pops() {
        let stack = |register: Gpr| move |s: &mut CpuState| s.gpr[register as usize] = 0x46c;
        assert!(reads(&[0x58], stack(Gpr::Rsp)) && reads(&[0xc3], stack(Gpr::Rsp))); // pop ax; ret
        assert!(reads(&[0xc9], stack(Gpr::Rbp)) && !reads(&[0xc9], stack(Gpr::Rsp))); // leave
        assert!(!reads(&[0x50], stack(Gpr::Rsp)) && !reads(&[0x58], |s| s.gpr[Gpr::Rsp as usize] = 0x7c00)); // push ax
    }

    #[test]
    fn a_jump_reads_no_memory() {
        assert!(!reads(&[0xeb, 0xfe], |_| ()));
    }
}
