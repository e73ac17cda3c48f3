//! INT 1Ah/B1h: PCI BIOS 2.1 over configuration mechanism #1 (PCI Local Bus Specification 2.1, 3.7.4.1).

use hako_x86::{Gpr, Width};

use crate::call::Call;

/// Return codes in AH (PCI BIOS Specification 2.1, table 3).
mod code {
    pub const OK: u8 = 0x00;
    pub const UNSUPPORTED: u8 = 0x81;
    pub const BAD_VENDOR: u8 = 0x83;
    pub const NOT_FOUND: u8 = 0x86;
    pub const BAD_REGISTER: u8 = 0x87;
}

/// A function's bus, device and function number, as BX holds it.
type Function = u16;

fn select(call: &mut Call<'_>, function: Function, register: u16) -> u16 {
    let address = 0x8000_0000 | u32::from(function) << 8 | u32::from(register & 0xfc);
    call.platform.port_out(0xcf8, Width::B4, address);
    0xcfc + (register & 3)
}

fn read(call: &mut Call<'_>, function: Function, register: u16, width: Width) -> u32 {
    let port = select(call, function, register);
    call.platform.port_in(port, width)
}

/// Calls `found` for each function of bus 0 until it says yes `index` + 1 times.
fn find(
    call: &mut Call<'_>,
    index: u16,
    mut found: impl FnMut(&mut Call<'_>, Function) -> bool,
) -> Option<Function> {
    let mut left = index;
    for device in 0..32u16 {
        let first = device << 3;
        if read(call, first, 0, Width::B4) == !0 {
            continue;
        }
        let functions = if read(call, first, 0x0e, Width::B1) & 0x80 != 0 { 8 } else { 1 };
        for function in first..first + functions {
            if found(call, function) {
                if left == 0 {
                    return Some(function);
                }
                left -= 1;
            }
        }
    }
    None
}

/// Answers the function in AL.
pub(crate) fn pci_bios(call: &mut Call<'_>) {
    let status = match call.al() {
        0x01 => present(call),
        0x02 => {
            let (vendor, device, index) = (call.dx(), call.cx(), call.word(Gpr::Rsi));
            if vendor == 0xffff {
                code::BAD_VENDOR
            } else {
                let id = u32::from(device) << 16 | u32::from(vendor);
                let hit = find(call, index, |call, f| read(call, f, 0, Width::B4) == id);
                report(call, hit)
            }
        }
        0x03 => {
            let (class, index) = (call.ecx() & 0xff_ffff, call.word(Gpr::Rsi));
            let hit = find(call, index, |call, f| {
                read(call, f, 0, Width::B2) != 0xffff && read(call, f, 8, Width::B4) >> 8 == class
            });
            report(call, hit)
        }
        al @ 0x08..=0x0d => access(call, al),
        _ => code::UNSUPPORTED,
    };
    call.set_ah(status);
    call.set_carry(status != code::OK);
}

fn present(call: &mut Call<'_>) -> u8 {
    if read(call, 0, 0, Width::B4) == !0 {
        return code::UNSUPPORTED;
    }
    call.set_edx(u32::from_le_bytes(*b"PCI "));
    call.set_al(1); // mechanism #1, no special cycles
    call.set_bx(0x0210);
    call.set_cl(0); // the last bus
    call.cpu.gpr[Gpr::Rdi as usize] = 0; // no protected-mode entry
    code::OK
}

fn report(call: &mut Call<'_>, hit: Option<Function>) -> u8 {
    match hit {
        Some(function) => {
            call.set_bx(function);
            code::OK
        }
        None => code::NOT_FOUND,
    }
}

/// 08h to 0Ah read, 0Bh to 0Dh write a byte, word or dword of BX's register DI.
fn access(call: &mut Call<'_>, al: u8) -> u8 {
    let width = [Width::B1, Width::B2, Width::B4][usize::from(al - 8) % 3];
    let register = call.word(Gpr::Rdi);
    if register > 0xff || !usize::from(register).is_multiple_of(width.bytes()) {
        return code::BAD_REGISTER;
    }
    let port = select(call, call.bx(), register);
    if al >= 0x0b {
        let value = call.ecx();
        call.platform.port_out(port, width, value & width.mask() as u32);
    } else {
        let value = call.platform.port_in(port, width);
        match width {
            Width::B1 => call.set_cl(value as u8),
            Width::B2 => call.set_cx(value as u16),
            _ => call.set_ecx(value),
        }
    }
    code::OK
}
