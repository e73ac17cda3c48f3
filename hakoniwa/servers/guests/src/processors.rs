//! Several processors of one guest, and NMIs.

use super::*;

/// Lets the second processor begin at `address` in real mode, as SIPI does.
fn sipi(id: TaskId, code: &[u8], address: u64) -> Result<(), Error> {
    // SAFETY: these pages are mapped; the processor does not run, and the other one not there.
    unsafe {
        core::ptr::copy_nonoverlapping(code.as_ptr(), ram(address as usize), code.len());
        (STATE_2 as *mut State).write(State::real_mode(0, address));
    }
    rt::task_start(id, 0, 0, 0)
}

/// Two processors of one guest share its memory and its time; one is stopped and started again.
pub fn pair() -> Result<bool, Error> {
    let id = start(sample::processors::first(), &real_mode())?;
    let other = rt::guest_cpu(id, STATE_2, "guest.1")?;
    let mut told = 0;
    loop {
        let received = rt::receive()?;
        let (sender, [port, _, _, value, ..]) = (received.sender, received.message.words);
        if received.message.label != label::IO {
            continue;
        }
        match (sender, port, value) {
            (from, 0x80, 1) if from == id => sipi(other, sample::processors::second(), 0x2000)?,
            (from, 0x81, 1) if from == other => told += 1,
            (from, 0x80, 2) if from == id => {
                rt::guest_stop(other)?;
                sipi(other, sample::processors::again(), 0x2800)?;
            }
            (from, 0x80, last) if from == id => {
                let refused = rt::task_destroy(other) == Err(Error::Denied);
                rt::task_destroy(id)?;
                println!("two processors took turns: {}", last == 3);
                return Ok(told == 1 && last == 3 && refused && rt::guest_stop(other) == Err(Error::BadTask));
            }
            _ => {
                println!("two processors: port {port:#x}, value {value:#x}");
                rt::task_destroy(id)?;
                return Ok(false);
            }
        }
        go_on(sender, &[])?;
    }
}

/// Two NMIs, the second while the first is handled: it waits for IRET. The third ends a halt.
pub fn nmi() -> Result<bool, Error> {
    let id = start(sample::registers::nmi(), &real_mode())?;
    let nmi = || rt::raw(Call::GuestInject, [id.0.into(), guest::NMI, 0, 0, 0, 0]);
    // 1: asks for the first; 2: in its handler, asks for the second; 1: one handled so far; 2: both; then the third.
    let expected = [1, 2, 1, 2, 3];
    let mut announced = 0;
    serve(id, |message| {
        let [port, _, _, value, ..] = message.words;
        match (message.label, port) {
            (label::IO, 0x80) if expected.get(announced) == Some(&value) => announced += 1,
            (label::HALT, 0) => {
                nmi()?;
                return go_on(id, &[]).map(|()| None);
            }
            (other, _) => {
                println!("NMIs: message {other:#x} {port:#x} {value:#x} after {announced}");
                return Ok(Some(false));
            }
        }
        if announced <= 2 {
            nmi()?;
        }
        if announced == expected.len() {
            return Ok(Some(true));
        }
        go_on(id, &[]).map(|()| None)
    })
}
