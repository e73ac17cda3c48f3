//! INT 14h: serial ports. UART registers: NS16550A data sheet.

use crate::bda;
use crate::call::Call;

const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const MODEM_STATUS: u16 = 6;

/// Line status: a byte has come.
const DATA_READY: u8 = 0x01;
/// Line status: the transmitter takes a byte.
const TRANSMITTER_EMPTY: u8 = 0x20;
/// In AH: the UART did not become ready.
const TIMEOUT: u8 = 0x80;

/// Divisors for 110, 150, 300, 600, 1200, 2400, 4800, 9600 baud at 115,200 Hz.
const DIVISORS: [u16; 8] = [1047, 768, 384, 192, 96, 48, 24, 12];

/// INT 14h: AH the function, DX the port.
pub(crate) fn serial(call: &mut Call<'_>) {
    let ports = bda::COM_PORTS.get(call).to_le_bytes();
    let at = usize::from(call.dx()) * 2;
    let port = ports.get(at..at + 2).map_or(0, |p| u16::from_le_bytes([p[0], p[1]]));
    if port == 0 || call.ah() > 3 {
        return call.set_ah(TIMEOUT);
    }
    match call.ah() {
        0 => {
            let al = call.al();
            let [low, high] = DIVISORS[usize::from(al >> 5)].to_le_bytes();
            call.outb(port.wrapping_add(LINE_CONTROL), 0x80);
            call.outb(port, low);
            call.outb(port.wrapping_add(1), high);
            call.outb(port.wrapping_add(LINE_CONTROL), al & 0x1f);
            call.outb(port.wrapping_add(1), 0); // no interrupts
            status(call, port);
        }
        1 => {
            call.outb(port.wrapping_add(MODEM_CONTROL), 0x03);
            let line = call.inb(port.wrapping_add(LINE_STATUS));
            let ready = line & TRANSMITTER_EMPTY != 0;
            if ready {
                let al = call.al();
                call.outb(port, al);
            }
            call.set_ah(line & 0x7f | if ready { 0 } else { TIMEOUT });
        }
        2 => {
            call.outb(port.wrapping_add(MODEM_CONTROL), 0x01);
            let line = call.inb(port.wrapping_add(LINE_STATUS));
            let ready = line & DATA_READY != 0;
            if ready {
                let byte = call.inb(port);
                call.set_al(byte);
            }
            call.set_ah(line & 0x1e | if ready { 0 } else { TIMEOUT });
        }
        _ => status(call, port),
    }
}

/// AH the line's, AL the modem's status.
fn status(call: &mut Call<'_>, port: u16) {
    let line = call.inb(port.wrapping_add(LINE_STATUS));
    let modem = call.inb(port.wrapping_add(MODEM_STATUS));
    call.set_ax(u16::from_be_bytes([line, modem]));
}
