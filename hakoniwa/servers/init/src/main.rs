//! The first task: starts vm from the archive, then either the guests that the archive describes, each `hvN.cfg` with a
//! server of its own, or the tasks of the self test; counts their verdicts, checks that every page came back, and turns
//! the machine off.

#![no_std]
#![no_main]

use hakoniwa_abi::archive::Archive;
use hakoniwa_abi::elf::Program;
use hakoniwa_abi::message::exit;
use hakoniwa_abi::{Access, Error, Info, PAGE, TaskId, layout, rights};
use hakoniwa_runtime::{self as rt, load, now, println, vm};

hakoniwa_runtime::entry!(main);

/// Crimes that `hostile` can commit, but for the one that never ends.
const CRIMES: u64 = 19;
const RUNAWAY: u64 = 7;

fn main(length: u64) -> u64 {
    let verdict = match start_vm(length) {
        Ok(vm) => {
            let test = Test { vm, passed: 0, failed: 0 };
            match servers(length) {
                0 => test.run(),
                count => test.guests(count),
            }
        }
        Err(why) => {
            println!("vm cannot start: {why:?}");
            false
        }
    };
    println!("hakoniwa: verdict: {}", if verdict { "ok" } else { "FAILED" });
    power_off(verdict)
}

/// Starts the pager of all others, whole, because nobody pages it in.
fn start_vm(length: u64) -> Result<TaskId, Error> {
    let bytes = load::archive(length);
    let program =
        Archive::new(bytes).and_then(|a| a.file("vm")).and_then(Program::new).ok_or(Error::BadArgument)?;
    let quota = rt::info(Info::Quota) / 4 * 3;
    let id = rt::task_create(TaskId::KERNEL, 6, rights::ALL, quota, "vm")?;
    load::everything(id, &program)?;
    let pages = length.div_ceil(PAGE);
    for first in (0..pages).step_by(512) {
        let at = layout::ARCHIVE + first * PAGE;
        rt::page_map(id, at, at, Access::READ, (pages - first).min(512))?;
    }
    rt::task_start(id, program.entry, layout::STACK_TOP, length)?;
    Ok(id)
}

/// Servers of guests that the archive describes.
fn servers(length: u64) -> u64 {
    let Some(archive) = Archive::new(load::archive(length)) else { return 0 };
    archive.files().filter(|(name, _)| name.starts_with("hv") && name.ends_with(".cfg")).count() as u64
}

struct Test {
    vm: TaskId,
    passed: u32,
    failed: u32,
}

impl Test {
    fn expect(&mut self, what: &str, good: bool) {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
            println!("failed: {what}");
        }
    }

    fn spawn(&mut self, name: &str, priority: u64, rights: u64, argument: u64) -> TaskId {
        // Servers of guests try a large page.
        let quota = if rights & rights::HV != 0 { 800 } else { 150 };
        let spawned = vm::spawn(self.vm, name, priority, rights, quota, argument);
        self.expect(name, spawned.is_ok());
        spawned.unwrap_or_default()
    }

    fn exits(&mut self, name: &str, id: TaskId, code: u64) {
        let got = vm::wait(self.vm, id);
        if got != Ok(code) {
            println!("{name} ended with {got:x?} instead of {code:#x}");
        }
        self.expect(name, got == Ok(code));
    }

    /// Runs servers of guests, each with its share of memory, beside a clock that prints on time.
    fn guests(mut self, servers: u64) -> bool {
        const CLOCK: u64 = 250 << 32 | 8;
        let me = u64::from(self.vm.0);
        let share = rt::info(Info::FreePages) * 2 / 3 / servers;
        let clock = self.spawn("clock", 5, rights::PORTS | rights::IRQS, CLOCK);
        // First, so that the servers find it.
        let console = self.spawn("console", 5, rights::PORTS | rights::IRQS, me);
        let mut started = [TaskId::default(); 8];
        for (number, place) in (0..servers).zip(&mut started) {
            let spawned = vm::spawn(self.vm, "hv", 4, rights::HV, share, me | number << 32);
            self.expect("hv", spawned.is_ok());
            *place = spawned.unwrap_or_default();
        }
        for id in started.into_iter().take(servers as usize) {
            self.exits("hv", id, 0);
        }
        self.exits("clock", clock, 0);
        let killed = vm::kill(self.vm, console).is_ok();
        self.expect("the console is ended", killed);
        println!("{} checks passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }

    fn run(mut self) -> bool {
        let me = u64::from(self.vm.0);
        // The first task lets vm's heap grow to what it needs.
        let first = self.spawn("hello", 3, 0, me);
        self.exits("hello", first, 0);
        // Alone, so that what it counts is repeatable.
        let alone = self.spawn("guests", 4, rights::HV | rights::PORTS, 0);
        self.exits("guests", alone, 0);
        let free = rt::info(Info::FreePages);
        let tasks = rt::info(Info::Tasks);

        let guests = [(); 2].map(|()| self.spawn("guests", 4, rights::HV, 0));
        let clock = self.spawn("clock", 5, rights::PORTS | rights::IRQS, 0);
        let runaway = self.spawn("hostile", 3, 0, RUNAWAY << 32);
        let hellos = [(); 3].map(|()| self.spawn("hello", 3, 0, me));
        let hostile = self.spawn("hostile", 3, 0, me);
        hellos.into_iter().for_each(|id| self.exits("hello", id, 0));
        self.exits("hostile", hostile, 0);
        guests.into_iter().for_each(|id| self.exits("guests", id, 0));
        self.exits("clock", clock, 0);
        let killed = vm::kill(self.vm, runaway).is_ok();
        self.expect("a runaway is ended", killed);
        for crime in (1..=CRIMES).filter(|c| *c != RUNAWAY) {
            let id = self.spawn("hostile", 3, 0, crime << 32);
            self.exits("crime", id, exit::FAULT);
        }
        self.round_trips();
        let after = rt::info(Info::FreePages);
        if after != free {
            println!("{free} free pages before, {after} after");
        }
        self.expect("every page came back", after == free);
        let left = rt::info(Info::Tasks);
        self.expect("every task is gone", left == tasks);
        println!("{} checks passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }

    /// How long a call and its reply take; only the answers are checked.
    fn round_trips(&mut self) {
        const COUNT: u64 = 1000;
        let start = now();
        let good = (0..COUNT).all(|n| vm::ping(self.vm, n) == Ok(n));
        println!("a call and its reply take {} ns", (now() - start) / COUNT);
        self.expect("round trips", good);
    }
}

/// By the ways that emulators know, then by ACPI as QEMU's board has it. A machine without any stays on.
fn power_off(good: bool) -> u64 {
    // Let the last line leave the kernel, then the serial port.
    while rt::info(Info::LogWaiting) != 0 {}
    while rt::port_read(0x3fd).is_ok_and(|status| status & 0x40 == 0) {}
    for letter in b"Shutdown" {
        let _ = rt::port_write(0x8900, 1, (*letter).into());
    }
    let _ = rt::port_write(0xf4, 1, if good { 0x10 } else { 0x11 });
    let _ = rt::port_write(0x604, 2, 0x2000);
    u64::from(!good)
}
