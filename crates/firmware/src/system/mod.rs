//! INT 15h: system services.

mod apm;
mod memory;

pub use memory::memory_map;

use hako_x86::{Gpr, SegReg};

use crate::bda;
use crate::call::Call;
use crate::{Outcome, clock, rom};

/// AH for a function that is not there.
const UNSUPPORTED: u8 = 0x86;

/// INT 15h.
pub(crate) fn system(call: &mut Call<'_>) -> Outcome {
    match (call.ah(), call.al()) {
        (0x24, _) => a20(call),
        (0x4f, _) => call.set_carry(true), // keyboard hook: take the key as it is
        (0x53, _) => return apm::apm(call),
        // SysReq, device busy, interrupt complete: for multitasking programs to hook.
        (0x85 | 0x90 | 0x91, _) => succeed(call),
        (0x83, _) => clock::event_wait(call),
        (0x86, _) => clock::wait(call),
        (0x87, _) => memory::block_move(call),
        (0x88, _) => memory::extended_kb(call),
        (0xc0, _) => {
            call.set_segment(SegReg::Es, rom::SEGMENT);
            call.set_bx(rom::CONFIG_TABLE);
            succeed(call);
        }
        (0xc1, _) => {
            let segment = bda::EBDA_SEGMENT.get(call);
            call.set_segment(SegReg::Es, segment);
            succeed(call);
        }
        (0xe8, 0x01) => memory::sizes(call, false),
        (0xe8, 0x81) => memory::sizes(call, true),
        (0xe8, 0x20) => memory::map(call),
        _ => unsupported(call),
    }
    Outcome::Resume
}

fn succeed(call: &mut Call<'_>) {
    call.set_ah(0);
    call.set_carry(false);
}

fn unsupported(call: &mut Call<'_>) {
    call.set_ah(UNSUPPORTED);
    call.set_carry(true);
}

/// Opens or closes the A20 gate: at port 92h, whose bit 0 resets the machine and is never written back, and at the 8042
/// (commands DDh and DFh), since either of the two keeps it open.
pub(crate) fn set_a20(call: &mut Call<'_>, open: bool) {
    let port = call.inb(0x92);
    call.outb(0x92, port & !3 | u8::from(open) << 1);
    call.outb(0x64, if open { 0xdf } else { 0xdd });
}

/// AH=24h: the A20 gate.
fn a20(call: &mut Call<'_>) {
    match call.al() {
        0x00 => set_a20(call, false),
        0x01 => set_a20(call, true),
        0x02 => {
            let open = call.platform.a20();
            call.set_al(open.into());
            call.set_word(Gpr::Rcx, 0);
        }
        0x03 => call.set_bx(3), // by the keyboard controller and by port 92h
        _ => return unsupported(call),
    }
    succeed(call);
}
