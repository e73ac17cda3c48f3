//! INT 15h/53h: Advanced Power Management 1.2, the real-mode interface, as far as switching off needs it.

use super::UNSUPPORTED;
use crate::Outcome;
use crate::call::Call;

/// Error codes in AH.
mod error {
    pub const NOT_16_BIT: u8 = 0x06;
    pub const NOT_32_BIT: u8 = 0x08;
    pub const UNKNOWN_DEVICE: u8 = 0x09;
    pub const BAD_VALUE: u8 = 0x0a;
    pub const NO_EVENT: u8 = 0x80;
}

/// Answers the function in AL.
pub(crate) fn apm(call: &mut Call<'_>) -> Outcome {
    let (device, value) = (call.bx(), call.cx());
    let result = match call.al() {
        0x00 if device == 0 => {
            call.set_bx(u16::from_be_bytes(*b"PM"));
            call.set_cx(0); // no protected-mode interface, CPU not slowed by idle calls, enabled
            call.set_ax(0x0102);
            call.set_carry(false);
            return Outcome::Resume;
        }
        0x01 if device == 0 => Ok(()),
        0x02 => Err(error::NOT_16_BIT),
        0x03 => Err(error::NOT_32_BIT),
        // Disconnect, idle, busy, enable, engage: nothing to do.
        0x04 | 0x05 | 0x06 | 0x08 | 0x0d | 0x0f => Ok(()),
        0x07 => match (device, value) {
            (0x0001, 0x0003) => return Outcome::PowerOff,
            (0x0000 | 0x0001 | 0x0100..=0x06ff, 0x0000..=0x0003) => Ok(()),
            (0x0000 | 0x0001 | 0x0100..=0x06ff, _) => Err(error::BAD_VALUE),
            _ => Err(error::UNKNOWN_DEVICE),
        },
        0x0a => {
            call.set_bx(0x01ff); // on line, battery unknown
            call.set_cx(0xffff);
            call.set_dx(0xffff);
            Ok(())
        }
        0x0b => Err(error::NO_EVENT),
        0x0c => {
            call.set_cx(0); // enabled
            Ok(())
        }
        0x0e => {
            call.set_ax(0x0102);
            call.set_carry(false);
            return Outcome::Resume;
        }
        0x00 | 0x01 => Err(error::UNKNOWN_DEVICE),
        _ => Err(UNSUPPORTED),
    };
    call.set_ah(result.err().unwrap_or(0));
    call.set_carry(result.is_err());
    Outcome::Resume
}
