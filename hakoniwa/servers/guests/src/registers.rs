//! Registers that the kernel keeps or switches for guests.

use super::*;

/// Runs a guest that announces these values in order at port 0x80, and writes to port 0x81 in between. `word` lies in its
/// memory.
fn announces(code: &[u8], policy: u64, word: u32, expected: &[u64]) -> Result<bool, Error> {
    let id = start_with(code, &real_mode(), policy)?;
    // SAFETY: the page is mapped, and the guest has not run yet.
    unsafe { ram(sample::WORD).cast::<u32>().write_volatile(word) };
    let mut announced = 0;
    serve(id, |message| {
        let [port, _, _, value, ..] = message.words;
        if message.label != label::IO || port == 0x80 && expected.get(announced) != Some(&value) {
            println!("announcement {announced}: {:#x} {port:#x} {value:#x}", message.label);
            return Ok(Some(false));
        }
        announced += usize::from(port == 0x80);
        if announced == expected.len() {
            return Ok(Some(true));
        }
        go_on(id, &[]).map(|()| None)
    })
}

/// The causes in DR6: a fetch, a write, three steps of which one is an instruction that exits. A breakpoint on this
/// server's code is never met.
pub fn debug() -> Result<bool, Error> {
    let here = go_on as *const () as u32;
    let expected = [0xffff_0ff1, 0xffff_0ff2, 0xffff_4ff0, 3, here.into()];
    announces(sample::registers::debug(), guest::policy::CPUID, here, &expected)
}

/// Five refusals; OSXSAVE in CPUID; registers that are zero in a new guest and stay what they are.
pub fn extended() -> Result<bool, Error> {
    if !has_avx() {
        return Ok(true);
    }
    let table = [1, 1 | guest::ANY_SUBLEAF << 32, 0, 0];
    // SAFETY: as in `policy`.
    unsafe {
        let place = (STATE as *mut u64).add(guest::CPUID_COUNT);
        table.iter().enumerate().for_each(|(n, word)| place.add(n).write(*word));
    }
    let pattern = now() as u32 | 1;
    announces(sample::registers::extended(), guest::policy::CPUID, pattern, &[7, 5, 1 << 27, 0, 0])
}

/// It goes on, with as many faults as it is told; nobody else notices.
pub fn crimes() -> Result<bool, Error> {
    let id = start(sample::registers::crimes(), &real_mode())?;
    serve(id, |message| {
        let [port, _, _, value, ..] = message.words;
        println!("crimes: {value} faults");
        Ok(Some((message.label, port) == (label::IO, 0x80) && value > 0x4000))
    })
}

fn has_avx() -> bool {
    core::arch::x86_64::__cpuid(1).ecx >> 28 & 1 == 1
}
