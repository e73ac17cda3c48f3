//! Small guests under VT-x: what they must be able to do, and what they must not.

#![no_std]
#![no_main]

mod memory;
mod processors;
mod registers;
mod sample;

use hakoniwa_abi::guest::{self, State, label};
use hakoniwa_abi::label::{EXITED, RESUME};
use hakoniwa_abi::{Access, Call, Error, Info, LARGE, Message, PAGE, TaskId, layout};
use hakoniwa_runtime::{self as rt, now, println};

hakoniwa_runtime::entry!(main);

/// The guest's RAM in this task.
const RAM: u64 = layout::WINDOWS;
/// Pages of it.
const PAGES: u64 = 16;
/// The page that appears when the guest touches it.
const LATE: u64 = RAM + PAGES * PAGE;
/// The state page.
const STATE: u64 = LATE + PAGE;
/// The state page of a guest's second processor.
const STATE_2: u64 = STATE + PAGE;
/// How long a guest spins before the host's timer changes something.
const WHILE: u64 = 20_000_000;

/// Whether everything went as it must.
type Test = fn() -> Result<bool, Error>;

fn main(_: u64) -> u64 {
    match rt::info(Info::HvMissing) {
        0 => {}
        reason => {
            println!("no guests on this machine (reason {reason}): nothing to test");
            println!("verdict: ok");
            return 0;
        }
    }
    let memory = rt::page_alloc(RAM, Access::WRITE, PAGES + 3);
    let tests: [(&str, Test); 15] = [
        ("tour", tour),
        ("a runaway with interrupts off", runaway),
        ("memory that is not there", wild),
        ("a storm of ports", storm),
        ("answers of the kernel", policy),
        ("two processors", processors::pair),
        ("debug registers", registers::debug),
        ("XCR0", registers::extended),
        ("a large page", memory::large),
        ("ports", memory::ports),
        ("NMIs", processors::nmi),
        ("registers that break things", registers::crimes),
        ("page tables that change", memory::tables),
        ("a state that is none", invalid),
        ("wrong calls", wrong_calls),
    ];
    let mut failed = u64::from(memory.is_err());
    for (what, test) in tests {
        let result = test();
        if result != Ok(true) {
            println!("{what}: {result:?}");
            failed += 1;
        }
    }
    println!("verdict: {}", if failed == 0 { "ok" } else { "FAILED" });
    failed
}

/// A byte of the guest's memory.
fn ram(at: usize) -> *mut u8 {
    (RAM as usize + at) as *mut u8
}

fn count() -> u16 {
    // SAFETY: the page is mapped; the guest is the only other writer.
    unsafe { ram(sample::COUNTER).cast::<u16>().read_volatile() }
}

/// A guest with this code in fresh memory, started.
fn start(code: &[u8], state: &State) -> Result<TaskId, Error> {
    start_with(code, state, 0)
}

/// The same with a policy.
fn start_with(code: &[u8], state: &State, policy: u64) -> Result<TaskId, Error> {
    let id = create(code, state, policy)?;
    rt::task_start(id, 0, 0, 0)?;
    Ok(id)
}

/// Not started yet.
fn create(code: &[u8], state: &State, policy: u64) -> Result<TaskId, Error> {
    // SAFETY: these pages are mapped, and no guest runs.
    unsafe {
        core::ptr::write_bytes(ram(0), 0, (PAGES * PAGE) as usize);
        core::ptr::copy_nonoverlapping(code.as_ptr(), ram(sample::ADDRESS as usize), code.len());
        (STATE as *mut State).write(*state);
    }
    let name = rt::name_word("guest");
    let id = TaskId(rt::raw(Call::GuestCreate, [STATE, 3, 40, name, policy, 0])? as u32);
    rt::page_map(id, RAM, 0, Access::GUEST, PAGES)?;
    Ok(id)
}

fn real_mode() -> State {
    State::real_mode(0, sample::ADDRESS)
}

fn inject(id: TaskId) -> Result<(), Error> {
    rt::raw(Call::GuestInject, [id.0.into(), sample::VECTOR, 0, 0, 0, 0]).map(drop)
}

// A guest's breakpoint is set here.
#[inline(never)]
fn go_on(id: TaskId, words: &[u64]) -> Result<(), Error> {
    rt::reply(id, Message::new(RESUME, words))
}

/// Answers a guest's exits until `step` says how it went.
fn serve(id: TaskId, mut step: impl FnMut(&Message) -> Result<Option<bool>, Error>) -> Result<bool, Error> {
    loop {
        let received = rt::receive()?;
        if received.sender != id && received.sender != TaskId::KERNEL {
            continue;
        }
        if let Some(done) = step(&received.message)? {
            rt::timer(0, 0)?;
            rt::task_destroy(id)?;
            return Ok(done);
        }
    }
}

/// Announcements at port 0x80, in order: value and width.
const ANNOUNCED: [(u64, u64); 13] = [
    (3, 1),
    (101, 2),
    (0x1234, 2),
    (6, 1),
    (101, 2),
    (102, 2),
    (7, 1),
    (8, 1),
    (9, 1),
    (0x1000, 4),
    (0x4321, 4),
    (0x1234_5678, 4),
    (0, 0),
];

fn tour() -> Result<bool, Error> {
    let id = start(sample::tour(), &real_mode())?;
    let (mut announced, mut halts, mut cpuid, mut late) = (0, 0u64, 0u64, 0);
    let mut greeting = false;
    serve(id, |message| {
        let [a, b, c, d, ..] = message.words;
        match message.label {
            hakoniwa_abi::label::NOTIFICATION => {
                late = now();
                if announced == 0 {
                    inject(id)?;
                } else {
                    // SAFETY: as for `count`.
                    unsafe { ram(sample::FLAG).write_volatile(1) };
                }
            }
            label::IO if (a, b, c) == (0x3f8, 1, 0) => {
                greeting = d == u64::from(b'H');
                go_on(id, &[])?;
            }
            label::IO if (a, b, c) == (0x3f8, 1, 1) => go_on(id, &[0xff5a])?,
            label::IO if a == 0x80 => {
                if ANNOUNCED[announced] != (d, b) {
                    println!("announcement {announced} is {d:#x} of {b} bytes");
                    return Ok(Some(false));
                }
                announced += 1;
                match announced {
                    4 => inject(id)?,
                    7 => rt::timer(now() + WHILE, 0)?,
                    _ => {}
                }
                go_on(id, &[])?;
            }
            label::CPUID => {
                cpuid = a;
                rt::timer(now() + WHILE, 0)?;
                go_on(id, &[0x4000_0000, u64::from(u32::from_le_bytes(*b"hako")), 0, 0])?;
            }
            label::HALT => {
                halts += 1;
                inject(id)?;
                go_on(id, &[])?;
            }
            label::FAULT if a == 0x2_0010 && b & 2 != 0 => {
                rt::page_map(id, LATE, 0x2_0000, Access::GUEST, 1)?;
                go_on(id, &[])?;
            }
            label::TRIPLE_FAULT => {
                // SAFETY: the state page is mapped, and the guest waits.
                let state = unsafe { (STATE as *const State).read() };
                println!("tour: {announced} announcements, {halts} halts, {} interrupts", count());
                let long = state.efer & 0x400 != 0 && state.control[0] & 0x8000_0001 == 0x8000_0001;
                println!("tour: EFER {:#x}, CR0 {:#x}, RIP {:#x}", state.efer, state.control[0], state.rip);
                return Ok(Some(
                    announced == 12 && halts == 100 && greeting && cpuid == 0x4000_0000 && late > 0 && long,
                ));
            }
            other => {
                println!("tour: message {other:#x} {a:#x} {b:#x} {c:#x} after {announced} announcements");
                return Ok(Some(false));
            }
        }
        Ok(None)
    })
}

/// The host's timer still comes, and the guest can be destroyed.
fn runaway() -> Result<bool, Error> {
    let id = start(sample::runaway(), &real_mode())?;
    rt::timer(now() + WHILE, 0)?;
    serve(id, |message| Ok(Some(message.label == hakoniwa_abi::label::NOTIFICATION)))
}

/// An access outside its memory is told; a server that refuses ends the guest.
fn wild() -> Result<bool, Error> {
    let id = start(sample::wild(), &real_mode())?;
    let mut told = false;
    serve(id, |message| match message.label {
        label::FAULT => {
            told = message.words[..2] == [0xf_1234, 1];
            rt::reply(id, Message::default()).map(|()| None)
        }
        EXITED => Ok(Some(told)),
        _ => Ok(Some(false)),
    })
}

/// Every access arrives with its port and width, the string instruction with its state.
fn storm() -> Result<bool, Error> {
    let id = start(sample::storm(), &real_mode())?;
    let (mut accesses, mut wrong, begin) = (0u64, 0, now());
    serve(id, |message| {
        let [port, width, reads, _, string, ..] = message.words;
        if message.label != label::IO {
            return Ok(Some(false));
        }
        if string == 1 {
            println!("storm: {accesses} accesses, {} ns each", (now() - begin) / accesses.max(1));
            return Ok(Some(accesses == 1001 && wrong == 0));
        }
        if accesses < 1000 {
            let expected = ((accesses / 2 * 0x83) & 0xffff, 2 - accesses % 2, accesses % 2);
            wrong += u64::from((port, width, reads) != expected);
        }
        accesses += 1;
        go_on(id, &[0]).map(|()| None)
    })
}

/// CPUID from the table and HLT cost no message; an injection wakes the guest.
fn policy() -> Result<bool, Error> {
    let table = [1, 1 | guest::ANY_SUBLEAF << 32, 0x1234_5678 << 32, 0];
    // SAFETY: the table's place in the state page, which is mapped; no guest runs.
    unsafe {
        let place = (STATE as *mut u64).add(guest::CPUID_COUNT);
        table.iter().enumerate().for_each(|(n, word)| place.add(n).write(*word));
    }
    let id = start_with(sample::policy(), &real_mode(), guest::policy::ALL)?;
    let (mut announced, mut woken) = (0, false);
    serve(id, |message| {
        let [port, _, _, value, ..] = message.words;
        match message.label {
            hakoniwa_abi::label::NOTIFICATION => {
                woken = true;
                inject(id)?;
            }
            label::IO if port == 0x80 => {
                announced += 1;
                match announced {
                    1 => println!("policy: a CPUID answered by the kernel takes {} ticks", value / 1000),
                    2 if value != 0x1234_5678 => return Ok(Some(false)),
                    2 => rt::timer(now() + WHILE, 0)?,
                    _ => return Ok(Some(woken && value == 2)),
                }
                go_on(id, &[])?;
            }
            _ => return Ok(Some(false)),
        }
        Ok(None)
    })
}

/// A state that VT-x refuses is the server's problem, with the reason, and nobody else's.
fn invalid() -> Result<bool, Error> {
    /// VM-entry failure due to invalid guest state.
    const REASON: u64 = 1 << 31 | 33;
    let mut state = real_mode();
    state.segments[1].access = 0xffff;
    let id = start(sample::tour(), &state)?;
    serve(id, |message| Ok(Some(message.label == label::OTHER && message.words[0] == REASON)))
}

/// What the kernel must refuse.
fn wrong_calls() -> Result<bool, Error> {
    let me = rt::info(Info::Me);
    let create = |at, priority, quota| rt::raw(Call::GuestCreate, [at, priority, quota, 0, 0, 0]).err();
    let id = TaskId(rt::raw(Call::GuestCreate, [STATE, 3, 30, 0, 0, 0])? as u32);
    let map =
        |from, to, access, count| rt::raw(Call::PageMap, [id.0.into(), from, to, access, count, 0]).err();
    let answers = [
        create(0xffff_8000_0000_0000, 3, 30) == Some(Error::NotMapped),
        create(layout::IMAGE, 3, 30) == Some(Error::NotMapped),
        create(STATE, 7, 30) == Some(Error::Denied),
        rt::raw(Call::GuestCreate, [STATE, 3, 30, 0, 8, 0]) == Err(Error::BadArgument),
        create(STATE, 3, 1 << 20) == Some(Error::Quota),
        map(0xffff_8000_0000_0000, 0, 7, 1) == Some(Error::BadArgument),
        map(RAM - PAGE, 0, 7, 1) == Some(Error::NotMapped),
        map(layout::IMAGE, 0, 7, 1) == Some(Error::NotMapped),
        map(RAM, 1 << 36, 7, 1) == Some(Error::BadArgument),
        map(RAM, u64::MAX - 4095, 7, 1) == Some(Error::BadArgument),
        map(RAM, 0, 2, 1) == Some(Error::BadArgument),
        rt::raw(Call::GuestInject, [me, 0x40, 0, 0, 0, 0]) == Err(Error::Denied),
        rt::raw(Call::GuestInject, [id.0.into(), 257, 0, 0, 0, 0]) == Err(Error::BadArgument),
        inject(id).is_ok() && inject(id) == Err(Error::BadState),
        rt::page_map(TaskId::KERNEL, RAM, RAM + 0x100_0000, Access::GUEST, 1) == Err(Error::BadArgument),
        rt::guest_cpu(id, layout::IMAGE, "") == Err(Error::NotMapped),
        rt::guest_cpu(id, u64::MAX, "") == Err(Error::NotMapped),
        rt::guest_cpu(TaskId(me as u32), STATE_2, "") == Err(Error::Denied),
        rt::guest_cpu(TaskId(u32::MAX), STATE_2, "") == Err(Error::BadTask),
        rt::guest_stop(TaskId(me as u32)) == Err(Error::Denied),
        rt::guest_ports(id, 0x20, 1) == Err(Error::Denied),
        rt::guest_ports(id, 0, 0x1_0000) == Err(Error::Denied),
    ];
    answers
        .iter()
        .enumerate()
        .filter(|(_, good)| !**good)
        .for_each(|(n, _)| println!("call {n} was not refused"));
    rt::task_destroy(id)?;
    Ok(answers.iter().all(|good| *good))
}
