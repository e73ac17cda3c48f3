//! Prints on time while others run, by its timer; then counts interrupts of the real-time clock chip. The argument is how
//! often it prints, and in its upper half the period in milliseconds; 0 is ten times, every 20 ms.

#![no_std]
#![no_main]

use hakoniwa_abi::Error;
use hakoniwa_abi::message::notify;
use hakoniwa_runtime::{self as rt, now, println};

hakoniwa_runtime::entry!(main);

/// Ten times, every 20 ms.
const DEFAULT: u64 = 20 << 32 | 10;
/// The RTC's line.
const LINE: u64 = 8;

fn main(argument: u64) -> u64 {
    let how = if argument == 0 { DEFAULT } else { argument };
    let (count, period) = (how & 0xffff_ffff, (how >> 32) * 1_000_000);
    let good = ticks(count, period) && interrupts();
    println!("verdict: {}", if good { "ok" } else { "FAILED" });
    u64::from(!good)
}

/// A periodic timer is never early, and no tick is lost while others keep the processor busy.
fn ticks(count: u64, period: u64) -> bool {
    let start = now() + period;
    if rt::timer(start, period).is_err() {
        return false;
    }
    let mut latest = 0;
    for tick in 0..count {
        if rt::wait() != notify::TIMER {
            return false;
        }
        let due = start + tick * period;
        let time = now();
        if time < due {
            println!("tick {tick} came {} ns early", due - time);
            return false;
        }
        latest = latest.max(time - due);
        println!("tick {tick} at {} ms", time / 1_000_000);
    }
    println!("the latest tick was {} us late", latest / 1000);
    // Late as it was, the next tick may have come by now.
    rt::timer(0, 0).is_ok() && matches!(rt::poll(), Ok(_) | Err(Error::Empty))
}

/// Reads or writes a register of the clock chip.
fn cmos(register: u8, value: Option<u8>) -> Option<u8> {
    rt::port_write(0x70, 1, register.into()).ok()?;
    match value {
        Some(value) => rt::port_write(0x71, 1, value.into()).ok().map(|()| value),
        None => rt::port_read(0x71).ok(),
    }
}

/// Eight periodic interrupts, 1/64 s apart, each acknowledged at the chip and then at the kernel.
fn interrupts() -> bool {
    const PERIODIC: u8 = 0x40;
    let run = || -> Option<()> {
        let (a, b) = (cmos(0x0a, None)?, cmos(0x0b, None)?);
        cmos(0x0a, Some(a & 0xf0 | 0x0a))?;
        // The flag may stand from before: it would interrupt as soon as that is allowed.
        cmos(0x0c, None)?;
        cmos(0x0b, Some(b | PERIODIC))?;
        rt::irq_bind(LINE).ok()?;
        for _ in 0..8 {
            let bits = rt::wait();
            let flags = cmos(0x0c, None)?;
            rt::irq_done(LINE).ok()?;
            (bits == 1 << (u64::from(notify::IRQ) + LINE) && flags & PERIODIC != 0).then_some(())?;
        }
        cmos(0x0b, Some(b)).map(drop)
    };
    let good = run().is_some();
    println!("interrupts of line {LINE}: {}", if good { "8 of 8" } else { "not as they should be" });
    good
}
