//! The smallest task, and what an honest task relies on: heap, vector registers that others do not touch, a file's
//! page lent by vm. Its argument is vm's name.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::{string::String, vec::Vec};
use hakoniwa_abi::{TaskId, layout};
use hakoniwa_runtime::{self as rt, now, println, vm};

hakoniwa_runtime::entry!(main);

fn main(argument: u64) -> u64 {
    println!("Hello, World!");
    let checks =
        [("heap", heap()), ("vector registers", vectors()), ("a lent page", lent(TaskId(argument as u32)))];
    let failed = checks.iter().filter(|(_, good)| !good).count() as u64;
    checks.iter().filter(|(_, good)| !good).for_each(|(what, _)| println!("wrong: {what}"));
    println!("verdict: {}", if failed == 0 { "ok" } else { "FAILED" });
    failed
}

fn heap() -> bool {
    let mut words: Vec<String> = (0..500).map(|n| alloc::format!("{n}")).collect();
    words.retain(|w| w.len() == 3);
    let more: Vec<u64> = (0..20_000).collect();
    words.iter().map(String::len).sum::<usize>() == 1200 && more.iter().sum::<u64>() == 199_990_000
}

/// Several tasks of this kind run at once, each with other values in its registers, longer than a time slice.
fn vectors() -> bool {
    let mine = now() | 1;
    let end = now() + 25_000_000;
    let mut good = true;
    while now() < end {
        good &= keep(mine, mine.wrapping_mul(3));
        rt::yield_now();
    }
    good
}

/// Holds two values in XMM registers through a loop that is long enough to be interrupted.
fn keep(a: u64, b: u64) -> bool {
    let (mut x, mut y) = (a, b);
    // SAFETY: only registers.
    unsafe {
        core::arch::asm!(
            "movq xmm6, {x}", "movq xmm15, {y}",
            "mov {n}, 100000", "2: dec {n}", "jnz 2b",
            "movq {x}, xmm6", "movq {y}, xmm15",
            x = inout(reg) x, y = inout(reg) y, n = out(reg) _,
            out("xmm6") _, out("xmm15") _, options(nostack, nomem)
        );
    }
    (x, y) == (a, b)
}

fn lent(server: TaskId) -> bool {
    let at = layout::WINDOWS;
    let borrowed = rt::window(at).and_then(|()| vm::file(server, "motd", 0));
    let Ok(length) = borrowed else { return false };
    // SAFETY: the page was mapped by the reply.
    let text = unsafe { core::slice::from_raw_parts(at as *const u8, length as usize) };
    let good = text == b"a garden in a box\n";
    good && rt::page_unmap(TaskId::KERNEL, at, 1).is_ok()
}
