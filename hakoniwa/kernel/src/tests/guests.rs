//! Guests among the other tasks: their memory, their processors, who may do what to them.

use super::*;
use crate::hv::check::tests::real_mode;
use crate::hv::exit::Action;
use crate::hv::reason;
use crate::hv::vmcs::{Field, Vmcs};
use crate::paging::{self, Ept};
use crate::platform::Platform;
use crate::testing::world_of;
use hakoniwa_abi::LARGE;

/// A guest of init with one page of memory at 0, its state page at `PAGE_AT`.
fn guest(world: &mut World) -> TaskId {
    let init = init(world);
    call(world, init, Call::PageAlloc, &[PAGE_AT, Access::WRITE.0, 2]).unwrap();
    let id = TaskId(call(world, init, Call::GuestCreate, &[PAGE_AT, 3, 30, 0, 0]).unwrap() as u32);
    let map = [id.0.into(), PAGE_AT + 0x1000, 0, Access::GUEST.0, 1];
    call(world, init, Call::PageMap, &map).unwrap();
    id
}

#[test]
fn a_guests_memory_is_its_servers_and_comes_back() {
    let mut world = world();
    let init = init(&world);
    call(&mut world, init, Call::PageAlloc, &[PAGE_AT + 0x10_0000, Access::WRITE.0, 1]).unwrap();
    call(&mut world, init, Call::PageUnmap, &[0, PAGE_AT + 0x10_0000, 1]).unwrap();
    let (before, used) = (pages_in_use(&world), world.tasks[init.slot()].used);
    let id = guest(&mut world);
    call(&mut world, init, Call::PageUnmap, &[0, PAGE_AT, 2]).unwrap();
    assert_eq!(
        pages_in_use(&world),
        before + 4 + 2 + 3,
        "two tables of its own kinds, its objects, its pages"
    );
    call(&mut world, init, Call::TaskDestroy, &[id.0.into()]).unwrap();
    assert_eq!(pages_in_use(&world), before);
    assert_eq!(world.tasks[init.slot()].used, used);
}

#[test]
fn a_guests_page_goes_only_after_the_processor_forgot_it() {
    let mut world = world();
    let id = guest(&mut world);
    let init = init(&world);
    assert_eq!(world.platform.guest_flushes, 0);
    call(&mut world, init, Call::PageUnmap, &[id.0.into(), 0, 1]).unwrap();
    assert_eq!(world.platform.guest_flushes, 1);
    call(&mut world, init, Call::TaskDestroy, &[id.0.into()]).unwrap();
    assert_eq!(world.platform.guest_flushes, 2);
}

#[test]
fn nobody_but_its_server_maps_or_injects_into_a_guest() {
    let mut world = world();
    let id = guest(&mut world);
    let init = init(&world);
    let stranger = child(&mut world, init, 5);
    call(&mut world, stranger, Call::PageAlloc, &[PAGE_AT, Access::WRITE.0, 1]).unwrap();
    let map = [id.0.into(), PAGE_AT, 0x1000, Access::GUEST.0, 1];
    assert_eq!(call(&mut world, stranger, Call::PageMap, &map), Err(Error::Denied));
    assert_eq!(call(&mut world, stranger, Call::GuestInject, &[id.0.into(), 32]), Err(Error::Denied));
    assert_eq!(call(&mut world, stranger, Call::GuestCreate, &[PAGE_AT, 3, 10]), Err(Error::Denied));
}

#[test]
fn without_vt_x_there_are_no_guests() {
    let mut world = world();
    world.hv_missing = 1;
    let init = init(&world);
    call(&mut world, init, Call::PageAlloc, &[PAGE_AT, Access::WRITE.0, 1]).unwrap();
    assert_eq!(call(&mut world, init, Call::GuestCreate, &[PAGE_AT, 3, 30]), Err(Error::Unsupported));
}

#[test]
fn a_guest_that_halted_is_woken_by_an_injection() {
    let mut world = world();
    let id = guest(&mut world);
    let init = init(&world);
    world.block(id.slot(), State::Halted);
    call(&mut world, init, Call::GuestInject, &[id.0.into(), 32]).unwrap();
    assert_eq!(world.tasks[id.slot()].state, State::Ready);
    assert_eq!(call(&mut world, init, Call::GuestInject, &[id.0.into(), 33]), Err(Error::BadState));
}

/// A world with two blocks of frames, a guest in it, and memory of a large page at `BIG` in init.
fn with_large_memory() -> (World, TaskId) {
    let mut world = world_of(3 * 512, 1400);
    world.large_pages = true;
    let init = init(&world);
    call(&mut world, init, Call::PageAlloc, &[BIG, Access::WRITE.0, 512]).unwrap();
    let id = guest(&mut world);
    (world, id)
}

const BIG: u64 = layout::WINDOWS + 8 * LARGE;

fn large_at(world: &World, guest: TaskId, at: u64) -> bool {
    paging::lookup_large::<Ept>(&world.platform, world.tasks[guest.slot()].root, at).is_some()
}

#[test]
fn aligned_memory_that_lies_together_is_one_large_page() {
    let (mut world, id) = with_large_memory();
    let init = init(&world);
    let map = |to, from, count| [u64::from(id.0), from, to, Access::GUEST.0, count];
    call(&mut world, init, Call::PageMap, &map(LARGE, BIG, 512)).unwrap();
    assert!(large_at(&world, id, LARGE));
    call(&mut world, init, Call::PageMap, &map(2 * LARGE + 0x1000, BIG, 512)).unwrap();
    assert!(!large_at(&world, id, 2 * LARGE + 0x1000), "not aligned");
    let again = call(&mut world, init, Call::PageMap, &map(LARGE, BIG, 512));
    assert_eq!(again, Err(Error::Mapped));
    call(&mut world, init, Call::PageUnmap, &[id.0.into(), LARGE, 512]).unwrap();
    assert!(!large_at(&world, id, LARGE));
    world.large_pages = false;
    call(&mut world, init, Call::PageMap, &map(LARGE, BIG, 512)).unwrap();
    assert!(!large_at(&world, id, LARGE), "the processor has none");
}

#[test]
fn a_large_page_is_of_what_its_server_has_and_nothing_else() {
    let (mut world, id) = with_large_memory();
    let init = init(&world);
    let map = [id.0.into(), BIG, LARGE, Access::GUEST.0, 512];
    call(&mut world, init, Call::PageUnmap, &[0, BIG + 0x5000, 1]).unwrap();
    assert_eq!(call(&mut world, init, Call::PageMap, &map), Err(Error::NotMapped));
    assert_eq!(world.tasks[id.slot()].used, 4 + 3 + 1, "a table stays");
    call(&mut world, init, Call::PageAlloc, &[BIG + 0x5000, Access::READ.0, 1]).unwrap();
    assert_eq!(call(&mut world, init, Call::PageMap, &map), Err(Error::NotMapped), "one is read-only");
}

#[test]
fn a_part_of_a_large_page_goes_alone_and_all_comes_back() {
    let (mut world, id) = with_large_memory();
    let init = init(&world);
    let flushes = world.platform.guest_flushes;
    let map = |to, from, count| [u64::from(id.0), from, to, Access::GUEST.0, count];
    call(&mut world, init, Call::PageMap, &map(LARGE, BIG, 512)).unwrap();
    let used = world.tasks[id.slot()].used;
    call(&mut world, init, Call::PageUnmap, &[id.0.into(), LARGE + 0x3000, 2]).unwrap();
    assert_eq!(world.tasks[id.slot()].used, used + 1, "the guest pays for the table");
    assert_eq!(world.platform.guest_flushes, flushes + 2);
    let root = world.tasks[id.slot()].root;
    let there = |world: &World, at| paging::lookup::<Ept>(&world.platform, root, at).is_some();
    let expected = [(0x2000, true), (0x3000, false), (0x4000, false), (0x5000, true)];
    for (offset, is) in expected {
        assert_eq!(there(&world, LARGE + offset), is, "{offset:#x}");
    }
    call(&mut world, init, Call::PageMap, &map(LARGE + 0x3000, PAGE_AT + 0x1000, 1)).unwrap();
    call(&mut world, init, Call::PageMap, &map(2 * LARGE, BIG, 512)).unwrap();
    call(&mut world, init, Call::PageUnmap, &[0, BIG, 512]).unwrap();
    let free = world.frames.free();
    call(&mut world, init, Call::TaskDestroy, &[id.0.into()]).unwrap();
    assert!(world.frames.free() >= free + 512, "the memory was the guest's alone");
    assert_eq!(1536 - 2 - world.frames.free(), world.tasks[init.slot()].used);
}

#[test]
fn a_large_page_is_not_split_without_a_page_for_the_table() {
    let (mut world, id) = with_large_memory();
    let init = init(&world);
    call(&mut world, init, Call::PageMap, &[id.0.into(), BIG, LARGE, Access::GUEST.0, 512]).unwrap();
    world.tasks[id.slot()].quota = world.tasks[id.slot()].used;
    let unmap = call(&mut world, init, Call::PageUnmap, &[id.0.into(), LARGE, 1]);
    assert_eq!(unmap, Err(Error::Quota));
    assert!(large_at(&world, id, LARGE));
}

/// One more processor of a guest, with its own state page.
fn more(world: &mut World, guest: TaskId, at: u64) -> TaskId {
    let init = init(world);
    call(world, init, Call::PageAlloc, &[at, Access::WRITE.0, 1]).unwrap();
    TaskId(call(world, init, Call::GuestCpu, &[guest.0.into(), at, 0]).unwrap() as u32)
}

#[test]
fn a_guests_processors_share_its_map_priority_and_time() {
    let mut world = world();
    world.platform.ticks = 1000;
    let first = guest(&mut world);
    world.platform.ticks = 2000;
    let second = more(&mut world, first, PAGE_AT + 0x8000);
    let [a, b] = [first, second].map(|id| &world.tasks[id.slot()]);
    assert_eq!((a.root, a.priority, a.pager), (b.root, b.priority, b.pager));
    assert_ne!(a.vectors, b.vectors);
    let [a, b] = [a, b].map(|t| t.guest.as_ref().unwrap());
    assert_eq!((a.zero, b.zero), (1000, 1000));
    assert!(a.vmcs != b.vmcs && a.msrs != b.msrs && a.state != b.state);
}

#[test]
fn a_processor_waits_until_its_server_starts_it_and_again_after_it_was_stopped() {
    let mut world = world();
    let first = guest(&mut world);
    let second = more(&mut world, first, PAGE_AT + 0x8000);
    let init = init(&world);
    assert_eq!(world.tasks[second.slot()].state, State::Created);
    let start = [second.0.into(), 0, 0, 0];
    call(&mut world, init, Call::TaskStart, &start).unwrap();
    assert_eq!(call(&mut world, init, Call::TaskStart, &start), Err(Error::BadState));
    assert_eq!(world.tasks[second.slot()].state, State::Ready);
    let guest = world.tasks[second.slot()].guest.as_mut().unwrap();
    (guest.answer, guest.pending) = (None, Some(32));
    call(&mut world, init, Call::GuestStop, &[second.0.into()]).unwrap();
    assert_eq!(world.tasks[second.slot()].state, State::Created);
    let guest = world.tasks[second.slot()].guest.as_ref().unwrap();
    assert!(guest.answer.is_some() && guest.pending.is_none(), "it begins anew");
    call(&mut world, init, Call::TaskStart, &start).unwrap();
}

#[test]
fn what_a_stopped_processor_was_about_to_say_is_void() {
    let mut world = world();
    let id = guest(&mut world);
    let init = init(&world);
    world.tasks[id.slot()].reason = crate::task::Reason::Guest;
    world.send(id.slot(), init.slot());
    assert_eq!(world.tasks[id.slot()].state, State::Sending(init));
    call(&mut world, init, Call::GuestStop, &[id.0.into()]).unwrap();
    assert_eq!(call(&mut world, init, Call::Receive, &[0, 1]), Err(Error::Empty));
    let answer = send(&mut world, init, Call::Reply, id, Message::new(label::RESUME, &[]), 0);
    assert_eq!(answer, Err(Error::NotWaiting));
}

#[test]
fn a_guest_is_destroyed_with_all_its_processors_and_everything_comes_back() {
    let mut world = world();
    let init = init(&world);
    call(&mut world, init, Call::PageAlloc, &[PAGE_AT + 0x10_0000, Access::WRITE.0, 1]).unwrap();
    call(&mut world, init, Call::PageUnmap, &[0, PAGE_AT + 0x10_0000, 1]).unwrap();
    let (before, used) = (pages_in_use(&world), world.tasks[init.slot()].used);
    let first = guest(&mut world);
    let others = [0x8000, 0x9000].map(|at| more(&mut world, first, PAGE_AT + at));
    for at in [PAGE_AT, PAGE_AT + 0x1000, PAGE_AT + 0x8000, PAGE_AT + 0x9000] {
        call(&mut world, init, Call::PageUnmap, &[0, at, 1]).unwrap();
    }
    assert_eq!(world.tasks[first.slot()].used, 4 + 3 + 2 * 3, "the guest pays for its processors");
    let destroyed = call(&mut world, init, Call::TaskDestroy, &[others[0].0.into()]);
    assert_eq!(destroyed, Err(Error::Denied), "not one by one");
    call(&mut world, init, Call::TaskDestroy, &[first.0.into()]).unwrap();
    assert!(others.iter().all(|id| world.find(*id).is_none()));
    assert_eq!(pages_in_use(&world), before);
    assert_eq!(world.tasks[init.slot()].used, used);
}

#[test]
fn a_guest_ends_with_any_of_its_processors_and_its_creator_hears_once() {
    let mut world = world();
    let first = guest(&mut world);
    let second = more(&mut world, first, PAGE_AT + 0x8000);
    let init = init(&world);
    world.end(second.slot(), 7);
    assert_eq!(world.tasks[second.slot()].state, State::Dead);
    call(&mut world, init, Call::Receive, &[0, 1]).unwrap();
    assert_eq!(received(&world, init), (first, Message::new(label::EXITED, &[7]), 0));
    assert_eq!(call(&mut world, init, Call::Receive, &[0, 1]), Err(Error::Empty));
    assert_eq!(call(&mut world, init, Call::GuestStop, &[second.0.into()]), Err(Error::BadState));
    assert_eq!(call(&mut world, init, Call::GuestStop, &[first.0.into()]), Err(Error::BadState));
    assert_eq!(call(&mut world, init, Call::GuestCpu, &[first.0.into(), PAGE_AT, 0]), Err(Error::BadState));
}

#[test]
fn only_its_server_adds_starts_and_stops_a_guests_processors() {
    let mut world = world();
    let first = guest(&mut world);
    let second = more(&mut world, first, PAGE_AT + 0x8000);
    let init = init(&world);
    let stranger = child(&mut world, init, 5);
    call(&mut world, stranger, Call::PageAlloc, &[PAGE_AT, Access::WRITE.0, 1]).unwrap();
    let [id, stranger_id] = [second, stranger].map(|id| u64::from(id.0));
    assert_eq!(call(&mut world, stranger, Call::GuestCpu, &[first.0.into(), PAGE_AT, 0]), Err(Error::Denied));
    assert_eq!(call(&mut world, stranger, Call::TaskStart, &[id, 0, 0, 0]), Err(Error::Denied));
    assert_eq!(call(&mut world, stranger, Call::GuestStop, &[id]), Err(Error::Denied));
    assert_eq!(call(&mut world, init, Call::GuestStop, &[stranger_id]), Err(Error::BadTask), "no guest");
    assert_eq!(
        call(&mut world, init, Call::GuestCpu, &[id, PAGE_AT, 0]),
        Err(Error::BadTask),
        "not the first"
    );
    let map = [id, PAGE_AT + 0x1000, 0x1000, Access::GUEST.0, 1];
    assert_eq!(call(&mut world, init, Call::PageMap, &map), Err(Error::BadTask), "memory is the first's");
    let quota = world.tasks[first.slot()].quota;
    world.tasks[first.slot()].used = quota - 2;
    assert_eq!(call(&mut world, init, Call::GuestCpu, &[first.0.into(), PAGE_AT, 0]), Err(Error::Quota));
}

#[test]
fn a_server_opens_ports_that_are_its_own_and_before_the_guest_begins() {
    let mut world = world();
    let init = init(&world);
    let (before, id) = (pages_in_use(&world), guest(&mut world));
    let open =
        |world: &mut World, by, first, count| call(world, by, Call::GuestPorts, &[id.0.into(), first, count]);
    assert_eq!(open(&mut world, init, 0x21, 1), Err(Error::Denied), "the kernel's own");
    assert_eq!(open(&mut world, init, 0, 0x10000), Err(Error::Denied));
    for (first, count) in [(0x80, 0), (0xffff, 2), (0x10000, 1), (1, u64::MAX)] {
        assert_eq!(open(&mut world, init, first, count), Err(Error::BadArgument), "{first:#x} {count:#x}");
    }
    assert!(world.tasks[id.slot()].guest.as_ref().unwrap().ports.is_none());
    open(&mut world, init, 0x7fff, 2).unwrap();
    open(&mut world, init, 0x80, 1).unwrap();
    let [lower, upper] = world.tasks[id.slot()].guest.as_ref().unwrap().ports.unwrap();
    let closed = |page| (0..512).map(|word| world.platform.load(page + word * 8).count_ones()).sum::<u32>();
    assert_eq!((closed(lower), closed(upper)), (0x8000 - 2, 0x8000 - 1));
    assert_eq!(world.platform.load(lower + 0x80 / 8) & 1, 0);
    let second = more(&mut world, id, PAGE_AT + 0x8000);
    let shared = world.tasks[second.slot()].guest.as_ref().unwrap().ports;
    assert_eq!(shared, Some([lower, upper]));
    assert_eq!(open(&mut world, init, 0x81, 1), Err(Error::BadState), "it has a second processor");
    for at in [PAGE_AT, PAGE_AT + 0x1000, PAGE_AT + 0x8000] {
        call(&mut world, init, Call::PageUnmap, &[0, at, 1]).unwrap();
    }
    call(&mut world, init, Call::TaskDestroy, &[id.0.into()]).unwrap();
    assert_eq!(pages_in_use(&world), before + 3, "init's own tables");
}

#[test]
fn without_the_right_to_ports_nobody_gives_them_to_a_guest() {
    let mut world = world();
    let init = init(&world);
    let create = [0, 5, rights::HV, 60, 0];
    let server = TaskId(call(&mut world, init, Call::TaskCreate, &create).unwrap() as u32);
    call(&mut world, init, Call::TaskStart, &[server.0.into(), 0x40_0000, 0x7f_0000_0000]).unwrap();
    call(&mut world, server, Call::PageAlloc, &[PAGE_AT, Access::WRITE.0, 1]).unwrap();
    let id = call(&mut world, server, Call::GuestCreate, &[PAGE_AT, 3, 10]).unwrap();
    assert_eq!(call(&mut world, server, Call::GuestPorts, &[id, 0x80, 1]), Err(Error::Denied));
}

#[test]
fn a_processor_that_waits_in_a_loop_leaves_its_turn_to_the_other() {
    let mut world = world();
    let first = guest(&mut world);
    let second = more(&mut world, first, PAGE_AT + 0x8000);
    let init = init(&world);
    for id in [first, second] {
        call(&mut world, init, Call::TaskStart, &[id.0.into(), 0, 0, 0]).unwrap();
    }
    receive(&mut world, init);
    let waits = world.pick(0);
    assert_eq!(world.pick(1), waits, "within its slice");
    let mut vmcs = real_mode();
    vmcs.write(Field::ExitReason, reason::PAUSE);
    assert_eq!(world.guest_exit(&mut vmcs), Action::Yield);
    let other = world.pick(2);
    assert_ne!(waits, other);
    assert!([first, second].iter().any(|id| id.slot() == other));
}

#[test]
fn an_msr_that_an_entry_cannot_load_is_named() {
    let mut world = world();
    let id = guest(&mut world);
    let init = init(&world);
    call(&mut world, init, Call::TaskStart, &[id.0.into(), 0, 0, 0]).unwrap();
    receive(&mut world, init);
    world.current = id.slot();
    let mut vmcs = real_mode();
    vmcs.write(Field::ExitReason, 1 << 31 | reason::INVALID_MSR);
    vmcs.write(Field::Qualification, 2);
    assert!(matches!(world.guest_exit(&mut vmcs), Action::Ask(..)));
    assert!(world.platform.log.contains("MSR 0xc0000082 cannot be 0x0"), "{}", world.platform.log);
}

#[test]
fn a_vmcs_that_is_wrong_ends_its_guest_with_the_reason() {
    let mut world = world();
    let id = guest(&mut world);
    world.current = id.slot();
    let mut vmcs = real_mode();
    vmcs.write(Field::InstructionError, 8);
    world.guest_failed(&vmcs);
    assert!(
        world.platform.log.contains("VM instruction error 8: the host's state"),
        "{}",
        world.platform.log
    );
    assert!(world.platform.log.contains("the host's CR4 has VMXE, PAE, but HostCr4 = 0x0"));
    assert_ne!(world.tasks[id.slot()].state, State::Ready);
}
