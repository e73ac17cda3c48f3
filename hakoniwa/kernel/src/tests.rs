//! The kernel's rules, one test each, on a machine made of a vector.

extern crate std;

use crate::task::State;
use crate::testing::{World, call, child, init, pages_in_use, received, send, status, world};
use hakoniwa_abi::message::{Grant, exit, notify};
use hakoniwa_abi::{Access, Call, Error, Message, TaskId, label, layout, rights};
use std::vec::Vec;

mod guests;

const HELLO: u64 = label::USER;
const PAGE_AT: u64 = layout::WINDOWS;

fn receive(world: &mut World, id: TaskId) {
    call(world, id, Call::Receive, &[0, 0]).unwrap();
}

/// init, a server and a client that may send to it.
fn pair(world: &mut World) -> (TaskId, TaskId, TaskId) {
    let init = init(world);
    let (server, client) = (child(world, init, 5), child(world, init, 5));
    call(world, init, Call::TaskAllow, &[client.0.into(), server.0.into()]).unwrap();
    (init, server, client)
}

#[test]
fn a_call_reaches_a_waiting_receiver_with_the_senders_name() {
    let mut world = world();
    let (_, server, client) = pair(&mut world);
    receive(&mut world, server);
    let message = Message::new(HELLO, &[1, 2, 3, 4, 5, 6, 7]);
    send(&mut world, client, Call::Call, server, message, 0).unwrap();
    assert_eq!(received(&world, server), (client, message, 0));
    assert_eq!(world.tasks[client.slot()].state, State::Waiting(server));
}

#[test]
fn a_reply_reaches_the_caller_and_only_once() {
    let mut world = world();
    let (_, server, client) = pair(&mut world);
    receive(&mut world, server);
    send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), 0).unwrap();
    let answer = Message::new(HELLO + 1, &[42]);
    send(&mut world, server, Call::Reply, client, answer, 0).unwrap();
    assert_eq!(received(&world, client), (server, answer, 0));
    assert_eq!(send(&mut world, server, Call::Reply, client, answer, 0), Err(Error::NotWaiting));
}

#[test]
fn nobody_else_can_reply() {
    let mut world = world();
    let (init, server, client) = pair(&mut world);
    let stranger = child(&mut world, init, 5);
    receive(&mut world, server);
    send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), 0).unwrap();
    let forged = Message::new(HELLO, &[666]);
    assert_eq!(send(&mut world, stranger, Call::Reply, client, forged, 0), Err(Error::NotWaiting));
}

#[test]
fn callers_queue_and_are_served_in_turn() {
    let mut world = world();
    let (init, server, first) = pair(&mut world);
    let second = child(&mut world, init, 5);
    call(&mut world, init, Call::TaskAllow, &[second.0.into(), server.0.into()]).unwrap();
    for client in [second, first] {
        send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), 0).unwrap();
    }
    let mut served = Vec::new();
    for _ in 0..2 {
        receive(&mut world, server);
        let (client, ..) = received(&world, server);
        served.push(client);
        send(&mut world, server, Call::Reply, client, Message::new(HELLO, &[]), 0).unwrap();
        send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), 0).unwrap();
    }
    served.sort_by_key(|id| id.0);
    assert_eq!(served, [first, second], "one cannot be served twice before the other");
}

#[test]
fn without_the_right_nothing_is_sent() {
    let mut world = world();
    let init = init(&world);
    let (a, b) = (child(&mut world, init, 5), child(&mut world, init, 5));
    let message = Message::new(HELLO, &[]);
    assert_eq!(send(&mut world, a, Call::Call, b, message, 0), Err(Error::Denied));
    assert_eq!(call(&mut world, a, Call::Notify, &[b.0.into(), 1]), Err(Error::Denied));
    assert_eq!(call(&mut world, a, Call::TaskAllow, &[a.0.into(), b.0.into()]), Err(Error::Denied));
}

#[test]
fn the_kernels_labels_are_its_own() {
    let mut world = world();
    let (_, server, client) = pair(&mut world);
    let fault = Message::new(label::PAGE_FAULT, &[]);
    assert_eq!(send(&mut world, client, Call::Call, server, fault, 0), Err(Error::BadArgument));
}

#[test]
fn notifications_add_up_and_come_before_messages() {
    let mut world = world();
    let (_, server, client) = pair(&mut world);
    for bit in [1, 4] {
        call(&mut world, client, Call::Notify, &[server.0.into(), bit]).unwrap();
    }
    send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), 0).unwrap();
    receive(&mut world, server);
    assert_eq!(received(&world, server).1, Message::new(label::NOTIFICATION, &[5]));
    receive(&mut world, server);
    assert_eq!(received(&world, server).0, client);
}

#[test]
fn a_granted_page_appears_in_the_window_once() {
    let mut world = world();
    let (_, server, client) = pair(&mut world);
    call(&mut world, client, Call::PageAlloc, &[PAGE_AT, Access::WRITE.0, 1]).unwrap();
    let grant = Grant::to_word(Some(Grant { address: PAGE_AT, access: Access::READ }));
    receive(&mut world, server);
    let sent = send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), grant);
    assert_eq!(sent, Err(Error::Denied), "no window");
    assert_eq!(world.tasks[server.slot()].state, State::Receiving(None));
    call(&mut world, server, Call::Window, &[PAGE_AT + 0x5000]).unwrap();
    receive(&mut world, server);
    send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), grant).unwrap();
    assert_eq!(received(&world, server).2, (PAGE_AT + 0x5000) | Access::READ.0);
    assert_eq!(world.tasks[server.slot()].window, 0);
}

#[test]
fn nobody_grants_more_than_it_has() {
    let mut world = world();
    let (_, server, client) = pair(&mut world);
    call(&mut world, client, Call::PageAlloc, &[PAGE_AT, Access::READ.0, 1]).unwrap();
    call(&mut world, server, Call::Window, &[PAGE_AT]).unwrap();
    receive(&mut world, server);
    for address in [PAGE_AT, PAGE_AT + 0x1000, 0xffff_8000_0000_0000] {
        let grant = Grant::to_word(Some(Grant { address, access: Access::WRITE }));
        let sent = send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), grant);
        assert_eq!(sent, Err(Error::NotMapped), "{address:#x}");
    }
}

#[test]
fn a_peer_that_ends_releases_who_waits_for_it() {
    let mut world = world();
    let (_, server, client) = pair(&mut world);
    receive(&mut world, server);
    send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), 0).unwrap();
    call(&mut world, server, Call::Exit, &[0]).unwrap();
    assert_eq!(status(&world, client), Err(Error::Dead));
    assert_eq!(world.tasks[client.slot()].state, State::Ready);
}

#[test]
fn a_fault_asks_the_pager_and_goes_on_when_it_says_so() {
    let mut world = world();
    let init = init(&world);
    let task = child(&mut world, init, 5);
    receive(&mut world, init);
    world.current = task.slot();
    world.tasks[task.slot()].context.vector = 14;
    world.tasks[task.slot()].context.error = 6;
    world.exception(0, 0x1234_5000);
    let expected = Message::new(label::PAGE_FAULT, &[0x1234_5000, 0x40_0000, 6]);
    assert_eq!(received(&world, init), (task, expected, 0));
    send(&mut world, init, Call::Reply, task, Message::new(label::RESUME, &[]), 0).unwrap();
    assert_eq!(world.tasks[task.slot()].state, State::Ready);
}

#[test]
fn a_fault_that_is_not_mended_ends_the_task() {
    let mut world = world();
    let init = init(&world);
    let task = child(&mut world, init, 5);
    receive(&mut world, init);
    world.current = task.slot();
    world.tasks[task.slot()].context.vector = 6;
    world.exception(0, 0);
    send(&mut world, init, Call::Reply, task, Message::default(), 0).unwrap();
    receive(&mut world, init);
    assert_eq!(received(&world, init), (task, Message::new(label::EXITED, &[exit::FAULT]), 0));
    assert!(world.platform.log.contains("child: ended by exception 6"), "{}", world.platform.log);
}

#[test]
fn a_pager_that_waits_for_the_faulting_task_does_not_deadlock_it() {
    let mut world = world();
    let (init, server, _) = pair(&mut world);
    receive(&mut world, server);
    send(&mut world, init, Call::Call, server, Message::new(HELLO, &[]), 0).unwrap();
    world.current = server.slot();
    world.tasks[server.slot()].context.vector = 13;
    world.exception(0, 0);
    assert_eq!(status(&world, init), Err(Error::Dead));
}

#[test]
fn a_destroyed_task_gives_everything_back() {
    let mut world = world();
    let init = init(&world);
    let (before, used) = (pages_in_use(&world), world.tasks[init.slot()].used);
    let name = u64::from_le_bytes(*b"parent\0\0");
    let all = rights::CREATE;
    let parent = TaskId(call(&mut world, init, Call::TaskCreate, &[0, 5, all, 60, name]).unwrap() as u32);
    call(&mut world, init, Call::TaskStart, &[parent.0.into(), 0x40_0000, 0x7f_0000_0000]).unwrap();
    let grandchild = child(&mut world, parent, 5);
    call(&mut world, grandchild, Call::PageAlloc, &[PAGE_AT, 3, 4]).unwrap();
    call(&mut world, parent, Call::PageAlloc, &[PAGE_AT, 3, 4]).unwrap();
    call(&mut world, parent, Call::PageMap, &[grandchild.0.into(), PAGE_AT, PAGE_AT + 0x8000, 1, 4]).unwrap();
    call(&mut world, init, Call::TaskDestroy, &[parent.0.into()]).unwrap();
    assert_eq!(pages_in_use(&world), before);
    assert_eq!(world.tasks[init.slot()].used, used);
    assert_eq!(call(&mut world, init, Call::Notify, &[grandchild.0.into(), 1]), Err(Error::BadTask));
}

#[test]
fn a_page_outlives_the_task_that_paid_while_another_maps_it() {
    let mut world = world();
    let init = init(&world);
    let task = child(&mut world, init, 5);
    let before = world.tasks[init.slot()].used;
    call(&mut world, task, Call::PageAlloc, &[PAGE_AT, 3, 1]).unwrap();
    call(&mut world, init, Call::Window, &[PAGE_AT]).unwrap();
    receive(&mut world, init);
    let grant = Grant::to_word(Some(Grant { address: PAGE_AT, access: Access::WRITE }));
    send(&mut world, task, Call::Call, init, Message::new(HELLO, &[]), grant).unwrap();
    call(&mut world, init, Call::TaskDestroy, &[task.0.into()]).unwrap();
    assert_eq!(world.tasks[init.slot()].used, before - 20 + 1 + 3, "the page and three tables of init's own");
    call(&mut world, init, Call::PageUnmap, &[0, PAGE_AT, 1]).unwrap();
    assert_eq!(world.tasks[init.slot()].used, before - 20 + 3);
}

#[test]
fn a_quota_bounds_pages_tables_and_children() {
    let mut world = world();
    let init = init(&world);
    let task = child(&mut world, init, 5);
    assert_eq!(call(&mut world, task, Call::PageAlloc, &[PAGE_AT, 3, 16]), Err(Error::Quota), "tables count");
    assert_eq!(world.tasks[task.slot()].used, 2 + 3, "pages went back, tables stay");
    call(&mut world, task, Call::PageAlloc, &[PAGE_AT, 3, 15]).unwrap();
    assert_eq!(call(&mut world, init, Call::TaskCreate, &[0, 1, 0, 10_000, 0]), Err(Error::Quota));
}

#[test]
fn a_childs_rights_and_priority_are_never_more_than_its_creators() {
    let mut world = world();
    let init = init(&world);
    let task =
        TaskId(call(&mut world, init, Call::TaskCreate, &[0, 3, rights::CREATE, 60, 0]).unwrap() as u32);
    assert_eq!(call(&mut world, task, Call::TaskCreate, &[0, 3, rights::PORTS, 8, 0]), Err(Error::Denied));
    assert_eq!(call(&mut world, task, Call::TaskCreate, &[0, 4, 0, 8, 0]), Err(Error::Denied));
    assert!(call(&mut world, task, Call::TaskCreate, &[0, 3, rights::CREATE, 8, 0]).is_ok());
}

#[test]
fn no_page_is_writable_and_executable() {
    let mut world = world();
    let init = init(&world);
    assert_eq!(call(&mut world, init, Call::PageAlloc, &[PAGE_AT, 7, 1]), Err(Error::BadArgument));
    call(&mut world, init, Call::PageAlloc, &[PAGE_AT, 3, 1]).unwrap();
    let alias = [0, PAGE_AT, PAGE_AT + 0x1000, Access::EXECUTE.0, 1];
    assert_eq!(call(&mut world, init, Call::PageMap, &alias), Err(Error::NotMapped));
    let task = child(&mut world, init, 5);
    let load = [task.0.into(), PAGE_AT, PAGE_AT, Access::EXECUTE.0, 1];
    call(&mut world, init, Call::PageMap, &load).unwrap();
}

#[test]
fn the_timer_notifies_and_is_never_early() {
    let mut world = world();
    let init = init(&world);
    call(&mut world, init, Call::Timer, &[1_000_000, 2_000_000]).unwrap();
    receive(&mut world, init);
    assert_eq!(world.deadline(), 1_000_000);
    assert_eq!(world.pick(999_999), 0);
    assert_eq!(world.pick(1_000_000), init.slot());
    assert_eq!(received(&world, init).1.words[0], notify::TIMER);
    assert_eq!(world.deadline(), 3_000_000);
}

#[test]
fn an_interrupt_is_held_back_until_it_is_done() {
    let mut world = world();
    let init = init(&world);
    call(&mut world, init, Call::IrqBind, &[5]).unwrap();
    receive(&mut world, init);
    world.interrupt(0, 5);
    assert_eq!(received(&world, init).1.words[0], 1 << (32 + 5));
    assert_ne!(world.platform.masked & 1 << 5, 0);
    call(&mut world, init, Call::IrqDone, &[5]).unwrap();
    assert_eq!(world.platform.masked & 1 << 5, 0);
}

#[test]
fn equals_share_the_processor_and_the_higher_has_it() {
    let mut world = world();
    let init = init(&world);
    let (a, b) = (child(&mut world, init, 5), child(&mut world, init, 5));
    receive(&mut world, init);
    let first = world.pick(0);
    assert_eq!(world.pick(9_999_999), first, "within its slice");
    let second = world.pick(10_000_000);
    assert_eq!([first, second].map(|s| world.tasks[s].id).iter().filter(|id| [a, b].contains(id)).count(), 2);
    assert_ne!(first, second);
    call(&mut world, a, Call::Notify, &[init.0.into(), 1]).unwrap();
    assert_eq!(world.pick(10_000_001), init.slot());
}

#[test]
fn who_waits_leaves_its_slice_to_whom_it_answered() {
    let mut world = world();
    let (init, server, client) = pair(&mut world);
    let _other = child(&mut world, init, 5);
    receive(&mut world, server);
    receive(&mut world, init);
    while world.pick(0) != client.slot() {
        world.current = 0;
    }
    send(&mut world, client, Call::Call, server, Message::new(HELLO, &[]), 0).unwrap();
    assert_eq!(world.pick(1), server.slot());
    send(&mut world, server, Call::Reply, client, Message::new(HELLO, &[]), 0).unwrap();
    assert_eq!(world.pick(2), server.slot(), "it still runs");
    receive(&mut world, server);
    assert_eq!(world.pick(3), client.slot());
}

#[test]
fn a_sequence_of_random_calls_never_breaks_the_accounts() {
    let mut world = world();
    let init = init(&world);
    let mut tasks = std::vec![init];
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..20_000u64 {
        let id = tasks[random() as usize % tasks.len()];
        if world.tasks[id.slot()].id != id || world.tasks[id.slot()].state != State::Ready {
            continue;
        }
        if id != init || round % 8 == 0 {
            let which = Call::from_number(random() % Call::TABLE.len() as u64).unwrap();
            if which == Call::Exit && id == init {
                continue;
            }
            let peer = tasks[random() as usize % tasks.len()].0.into();
            let small = [0, peer, 1, 3, PAGE_AT, PAGE_AT + 0x1000, 8, random(), random() % 64];
            let arguments: [u64; 6] = core::array::from_fn(|_| small[random() as usize % small.len()]);
            if let Ok(value) = call(&mut world, id, which, &arguments)
                && which == Call::TaskCreate
            {
                tasks.push(TaskId(value as u32));
            }
        } else {
            let made = call(&mut world, id, Call::TaskCreate, &[0, 3, rights::CREATE, 12, 0]);
            if let Ok(id) = made {
                tasks.push(TaskId(id as u32));
                call(&mut world, init, Call::TaskStart, &[id, 0x40_0000, 0x7f_0000_0000]).unwrap();
            }
        }
        world.pick(round * 1000);
        for task in world.tasks.iter().filter(|t| t.state != State::Free) {
            assert!(task.used <= task.quota, "round {round}: {task:?}");
        }
    }
    // Whoever still waits hears of the end of init's children; then nothing but init's pages are in use.
    let children: Vec<_> = tasks.iter().copied().filter(|id| *id != init).collect();
    for id in children {
        let _ = call(&mut world, init, Call::TaskDestroy, &[id.0.into()]);
    }
    assert_eq!(pages_in_use(&world), world.tasks[init.slot()].used);
}
