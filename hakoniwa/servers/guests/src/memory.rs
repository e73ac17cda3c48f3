//! Large pages, page tables that change, and the machine's ports.

use super::*;

/// Flat 32-bit protected mode.
fn flat() -> State {
    let mut state = real_mode();
    state.control[0] |= 1;
    for (number, access) in [(0, 0xc093), (1, 0xc09b), (2, 0xc093), (3, 0xc093), (4, 0xc093), (5, 0xc093)] {
        state.segments[number].limit = 0xffff_ffff;
        state.segments[number].access = access;
    }
    state
}

/// Memory that the guest has as one large page: the server's, all of it, and gone where a page of it was taken away.
pub fn large() -> Result<bool, Error> {
    /// Its words in this task, the first four of which the guest reads.
    const BIG: u64 = layout::WINDOWS + LARGE;
    const AT: u64 = LARGE;
    let word = |offset: u64| (BIG + offset) as *mut u32;
    rt::page_alloc(BIG, Access::WRITE, LARGE / PAGE)?;
    for (offset, value) in [(0, 1), (0x3f_f000 - AT, 2), (0x4000, 3)] {
        // SAFETY: just mapped.
        unsafe { word(offset).write_volatile(value) };
    }
    let id = start(sample::memory::large(), &flat())?;
    rt::page_map(id, BIG, AT, Access::GUEST, LARGE / PAGE)?;
    let (mut announced, mut missed) = (0, 0);
    let result = serve(id, |message| {
        let [port, access, _, value, ..] = message.words;
        match (message.label, announced) {
            (label::IO, 0) if value == 1 => {}
            (label::IO, 1) if value == 2 => rt::page_unmap(id, AT + 0x3000, 1)?,
            (label::IO, 2) if value == 3 => {}
            (label::IO, 3) => return Ok(Some(value == 0x1234 && missed == 1)),
            (label::FAULT, 3) if port == AT + 0x3000 && access & 1 != 0 => {
                missed += 1;
                rt::page_map(id, BIG + 0x3000, AT + 0x3000, Access::GUEST, 1)?;
                return go_on(id, &[]).map(|()| None);
            }
            (other, _) => {
                println!("a large page: message {other:#x} {port:#x} {value:#x} after {announced}");
                return Ok(Some(false));
            }
        }
        announced += 1;
        go_on(id, &[]).map(|()| None)
    });
    rt::page_unmap(TaskId::KERNEL, BIG, LARGE / PAGE)?;
    result
}

/// Port 80h is the machine's, where this task has the right to it: what the guest writes, it reads. Others still exit.
pub fn ports() -> Result<bool, Error> {
    const DELAY: u16 = 0x80;
    let mine = rt::port_read(DELAY) != Err(Error::Denied);
    let id = create(sample::memory::ports(), &real_mode(), 0)?;
    let opened = rt::guest_ports(id, DELAY, 1);
    if !mine {
        rt::task_destroy(id)?;
        return Ok(opened == Err(Error::Denied));
    }
    opened?;
    rt::task_start(id, 0, 0, 0)?;
    serve(id, |message| {
        let [port, _, _, value, ..] = message.words;
        println!("ports: {port:#x} tells {value:#x}");
        Ok(Some((message.label, port, value) == (label::IO, 0x81, 0x5a)))
    })
}

/// It ends in a triple fault, in memory that it does not have, or not at all, which is its server's to end.
pub fn tables() -> Result<bool, Error> {
    let id = start(sample::memory::tables(), &flat())?;
    rt::timer(now() + 3 * WHILE, 0)?;
    serve(id, |message| {
        let ends = [label::TRIPLE_FAULT, label::FAULT, hakoniwa_abi::label::NOTIFICATION];
        println!("tables: ended by message {:#x} {:#x}", message.label, message.words[0]);
        Ok(Some(ends.contains(&message.label)))
    })
}
