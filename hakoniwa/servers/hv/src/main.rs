//! Guests under VT-x on hako's board. The kernel enters the guests and turns their exits into messages; this task
//! answers them with the chips that hako has on Linux, and no right but to run guests.
//!
//! The argument is the task manager's name and, in its upper half, the server's number: its guests are described by the
//! file `hvN.cfg` of the boot archive.

#![no_std]
#![no_main]

extern crate alloc;

mod bus;
mod clock;
mod config;
mod cpuid;
mod disk;
mod files;
mod guest;
mod machine;
mod memory;
mod msr;
mod state;
mod terminal;
mod vcpu;

use alloc::vec::Vec;
use clock::Clock;
use files::Files;
use guest::{Guest, Step};
use hakoniwa_abi::message::notify;
use hakoniwa_abi::{Info, Message, TaskId, label};
use hakoniwa_runtime::console::COME;
use hakoniwa_runtime::{self as rt, println, vm};

hakoniwa_runtime::entry!(main);

fn main(argument: u64) -> u64 {
    if rt::info(Info::HvMissing) != 0 {
        println!("no guests: VT-x is missing, as the kernel's log says");
        return 1;
    }
    let (vm, number) = (TaskId(argument as u32), argument >> 32);
    match start(Files { vm }, number) {
        Ok(guests) => serve(guests),
        Err(why) => {
            println!("{why}");
            1
        }
    }
}

fn start(files: Files, number: u64) -> Result<Vec<Guest>, alloc::string::String> {
    let text = files.text(&alloc::format!("hv{number}.cfg"))?;
    let configs = config::parse(&text)?;
    // Without a console there is no input.
    let console = vm::meet(files.vm, "console").ok();
    (0..).zip(configs).map(|(place, config)| Guest::start(files, console, place, config)).collect()
}

/// Answers exits until every guest has ended; the number of those that did not end as expected.
fn serve(mut guests: Vec<Guest>) -> u64 {
    let (mut failed, mut armed, clock) = (0, u64::MAX, Clock::new());
    // The answer that goes along with the next wait.
    let mut answered: Option<(TaskId, Message)> = None;
    while !guests.is_empty() {
        let received = match answered.take() {
            // A processor that is gone or stopped needs no answer.
            Some((to, answer)) => rt::reply_receive(to, answer),
            None => rt::receive(),
        };
        let Ok(received) = received else { continue };
        let mut over = None;
        let find = |(place, guest): (usize, &Guest)| Some((place, guest.cpu(received.sender)?));
        match guests.iter().enumerate().find_map(find) {
            Some((place, cpu)) => {
                let guest = &mut guests[place];
                let (step, quiet) = guest.exit(cpu, &received.message);
                match step {
                    Step::Go(answer) => {
                        answered = Some((received.sender, answer));
                        if quiet {
                            continue;
                        }
                    }
                    Step::Wait => {}
                    Step::End(end) => over = Some((place, end)),
                }
            }
            None if received.sender == TaskId::KERNEL => {
                let bits = received.message.words[0];
                if bits & notify::TIMER != 0 {
                    armed = u64::MAX;
                }
                if bits & COME != 0 {
                    guests.iter_mut().for_each(Guest::come);
                }
            }
            // Nobody else has anything to say to this task.
            None => drop(rt::reply(received.sender, Message::new(label::RESUME, &[]))),
        }
        let next = |guests: &[Guest]| guests.iter().map(Guest::next_event).min().unwrap_or(u64::MAX);
        let mut first = next(&guests);
        if over.is_some() || first <= clock.boot_time() {
            // What chips do now comes after the answer, with which a window that was asked for before is closed.
            if let Some((to, answer)) = answered.take() {
                let _ = rt::reply(to, answer);
            }
            let late = |(place, guest): (usize, &mut Guest)| Some((place, guest.tick()?));
            if let Some((place, end)) = over.or_else(|| guests.iter_mut().enumerate().find_map(late)) {
                let guest = guests.swap_remove(place);
                println!("{}: {end}", guest.name());
                failed += u64::from(!guest.is_expected(&end));
                guest.finish();
            }
            first = next(&guests);
        }
        if first != armed {
            armed = first;
            let first = if first == u64::MAX { 0 } else { first.max(1) };
            // A timer is never refused.
            let _ = rt::timer(first, 0);
        }
    }
    println!("all guests have ended, {failed} of them badly");
    failed
}
