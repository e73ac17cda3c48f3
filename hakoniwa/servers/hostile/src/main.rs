//! Everything that the kernel and its peers must refuse. The argument's upper half chooses: 0, calls with wrong
//! arguments, each of which must come back with its error; above, one crime that must end the task.

#![no_std]
#![no_main]

use core::arch::asm;
use hakoniwa_abi::{Access, Call, Error, Info, Message, PAGE, TASKS, TaskId, label, layout, rights};
use hakoniwa_runtime::{self as rt, println, vm};

hakoniwa_runtime::entry!(main);

/// The kernel's half of the address space.
const KERNEL: u64 = 0xffff_8000_0000_0000;

fn main(argument: u64) -> u64 {
    match argument >> 32 {
        0 => refused(TaskId(argument as u32)),
        crime => commit(crime),
    }
}

/// Calls, arguments, and the error that must come back.
fn refused(server: TaskId) -> u64 {
    let me = rt::info(Info::Me);
    let vm = u64::from(server.0);
    let page = layout::WINDOWS;
    let own = layout::IMAGE;
    let stale = vm + 0x100;
    let wrong: &[(&str, Call, [u64; 6], Error)] = &[
        ("reply to a task that does not wait", Call::Reply, [vm, 0x100, 0, 0, 0, 0], Error::NotWaiting),
        ("reply to init", Call::Reply, [0x101, 0x100, 0, 0, 0, 0], Error::NotWaiting),
        ("reply to nobody", Call::Reply, [0, 0x100, 0, 0, 0, 0], Error::BadTask),
        ("call init without the right", Call::Call, [0x101, 0x100, 0, 0, 0, 0], Error::Denied),
        ("notify init without the right", Call::Notify, [0x101, 1, 0, 0, 0, 0], Error::Denied),
        ("call myself", Call::Call, [me, 0x100, 0, 0, 0, 0], Error::Denied),
        ("call an old name", Call::Call, [stale, 0x100, 0, 0, 0, 0], Error::BadTask),
        ("call a slot beyond the table", Call::Call, [0x1ff, 0x100, 0, 0, 0, 0], Error::BadTask),
        ("claim to be a fault", Call::Call, [vm, label::PAGE_FAULT, own, 0, 0, 0], Error::BadArgument),
        ("claim to have exited", Call::Call, [vm, label::EXITED, 0, 0, 0, 0], Error::BadArgument),
        ("notify with the timer's bit", Call::Notify, [vm, 1 << 63, 0, 0, 0, 0], Error::BadArgument),
        ("receive from an old name", Call::Receive, [stale, 0, 0, 0, 0, 0], Error::BadTask),
        ("receive from nobody without waiting", Call::Receive, [0, 1, 0, 0, 0, 0], Error::Empty),
        ("a window in the kernel", Call::Window, [KERNEL, 0, 0, 0, 0, 0], Error::BadArgument),
        ("a window off a page", Call::Window, [page + 8, 0, 0, 0, 0, 0], Error::BadArgument),
        ("a timer that never sleeps", Call::Timer, [1, 1, 0, 0, 0, 0], Error::BadArgument),
        ("a child", Call::TaskCreate, [0, 1, 0, 8, 0, 0], Error::Denied),
        ("start vm", Call::TaskStart, [vm, 0, 0, 0, 0, 0], Error::Denied),
        ("destroy vm", Call::TaskDestroy, [vm, 0, 0, 0, 0, 0], Error::Denied),
        ("destroy myself", Call::TaskDestroy, [me, 0, 0, 0, 0, 0], Error::Denied),
        ("let vm send to me", Call::TaskAllow, [vm, me, 0, 0, 0, 0], Error::Denied),
        ("pages in the kernel", Call::PageAlloc, [KERNEL, 3, 1, 0, 0, 0], Error::BadArgument),
        ("pages up to the hole", Call::PageAlloc, [layout::END, 3, 1, 0, 0, 0], Error::BadArgument),
        ("pages across the end", Call::PageAlloc, [layout::END - PAGE, 3, 2, 0, 0, 0], Error::BadArgument),
        ("pages that wrap", Call::PageAlloc, [u64::MAX - 4095, 3, 2, 0, 0, 0], Error::BadArgument),
        ("too many pages at once", Call::PageAlloc, [page, 3, 513, 0, 0, 0], Error::BadArgument),
        ("2^64 - 1 pages", Call::PageAlloc, [page, 3, u64::MAX, 0, 0, 0], Error::BadArgument),
        ("no pages", Call::PageAlloc, [page, 3, 0, 0, 0, 0], Error::BadArgument),
        ("the null page", Call::PageAlloc, [0, 3, 1, 0, 0, 0], Error::BadArgument),
        ("pages off a page", Call::PageAlloc, [page + 1, 3, 1, 0, 0, 0], Error::BadArgument),
        ("writable code", Call::PageAlloc, [page, 7, 1, 0, 0, 0], Error::BadArgument),
        ("unreadable pages", Call::PageAlloc, [page, 2, 1, 0, 0, 0], Error::BadArgument),
        ("more pages than the quota", Call::PageAlloc, [page, 3, 400, 0, 0, 0], Error::Quota),
        ("over what is mapped", Call::PageAlloc, [own, 3, 1, 0, 0, 0], Error::Mapped),
        ("map into vm", Call::PageMap, [vm, own, page, 1, 1, 0], Error::Denied),
        ("map what is not there", Call::PageMap, [me, page, page + PAGE, 1, 1, 0], Error::NotMapped),
        ("map the kernel's memory", Call::PageMap, [me, KERNEL, page, 1, 1, 0], Error::BadArgument),
        ("map code writable", Call::PageMap, [me, own, page, 3, 1, 0], Error::NotMapped),
        (
            "map the stack executable",
            Call::PageMap,
            [me, layout::STACK_TOP - PAGE, page, 5, 1, 0],
            Error::NotMapped,
        ),
        ("unmap vm's code", Call::PageUnmap, [vm, own, 1, 0, 0, 0], Error::Denied),
        ("unmap what is not there", Call::PageUnmap, [me, page, 1, 0, 0, 0], Error::NotMapped),
        ("an interrupt", Call::IrqBind, [1, 0, 0, 0, 0, 0], Error::Denied),
        ("somebody's interrupt", Call::IrqDone, [8, 0, 0, 0, 0, 0], Error::Denied),
        ("interrupt 2^32", Call::IrqDone, [1 << 32, 0, 0, 0, 0, 0], Error::BadArgument),
        ("read a port", Call::PortRead, [0x64, 1, 0, 0, 0, 0], Error::Denied),
        ("write a port", Call::PortWrite, [0x64, 1, 0xfe, 0, 0, 0], Error::Denied),
        ("a long line", Call::Log, [49, 0, 0, 0, 0, 0], Error::BadArgument),
        ("a very long line", Call::Log, [u64::MAX, 0, 0, 0, 0, 0], Error::BadArgument),
        ("unknown knowledge", Call::Info, [99, 0, 0, 0, 0, 0], Error::BadArgument),
    ];
    let mut failed = 0;
    for (what, call, arguments, error) in wrong {
        let got = rt::raw(*call, *arguments);
        if got != Err(*error) {
            println!("{what}: {got:?} instead of {error:?}");
            failed += 1;
        }
    }
    let more = [
        ("names", every_name(vm)),
        ("call numbers", unknown_calls()),
        ("requests to vm", peer_refuses(server)),
    ];
    for (what, _) in more.iter().filter(|(_, good)| !good) {
        println!("not all wrong {what} were refused");
        failed += 1;
    }
    println!("{} calls refused", wrong.len());
    println!("verdict: {}", if failed == 0 { "ok" } else { "FAILED" });
    failed
}

/// No name but vm's leads anywhere, whatever its bits.
fn every_name(vm: u64) -> bool {
    (0..TASKS as u64 * 16).filter(|name| *name != vm).all(|name| {
        let reply = rt::raw(Call::Reply, [name << 4 | name & 15, 0x100, 0, 0, 0, 0]);
        let destroy = rt::raw(Call::TaskDestroy, [name, 0, 0, 0, 0, 0]);
        matches!(reply, Err(Error::BadTask | Error::NotWaiting))
            && matches!(destroy, Err(Error::BadTask | Error::Denied))
    })
}

/// Numbers outside the table are refused.
fn unknown_calls() -> bool {
    [Call::TABLE.len() as u64, 255, 1 << 32, u64::MAX].into_iter().all(|number| {
        let status: u64;
        // SAFETY: the kernel refuses the number and changes only the status.
        unsafe {
            asm!("syscall", inlateout("rax") number => status, lateout("rcx") _, lateout("r11") _, options(nostack));
        }
        Error::from_status(status) == Err(Error::BadCall)
    })
}

/// vm refuses programs that do not exist, tasks that are not ours, pages beyond a file; a grant of what we have not is
/// refused by the kernel.
fn peer_refuses(server: TaskId) -> bool {
    let grant = |address| hakoniwa_abi::message::Grant { address, access: Access::WRITE };
    let send = |address| rt::call_with(server, Message::new(vm::PING, &[]), grant(address)).err();
    let answers = [
        vm::spawn(server, "nothing", 1, 0, 8, 0).is_err(),
        vm::spawn(server, "hello", 7, rights::ALL, 8, 0).is_err(),
        vm::spawn(server, "hello", 1, 0, u64::MAX, 0).is_err(),
        vm::wait(server, TaskId(0x101)).is_err(),
        vm::kill(server, server).is_err(),
        vm::file(server, "motd", 1).is_err(),
        vm::meet(server, "vm").is_err(),
        vm::meet(server, "init").is_err(),
        vm::meet(server, "nobody").is_err(),
        vm::file(server, "motd", u64::MAX).is_err(),
        send(layout::IMAGE) == Some(Error::NotMapped),
        send(KERNEL) == Some(Error::NotMapped),
        send(layout::STACK_TOP - PAGE) == Some(Error::Denied),
    ];
    answers
        .iter()
        .enumerate()
        .filter(|(_, good)| !**good)
        .for_each(|(n, _)| println!("request {n} was granted"));
    answers.iter().all(|good| *good)
}

/// Ends in a fault, whatever the crime; a value that comes back is the evidence of a kernel that let it happen.
fn commit(crime: u64) -> u64 {
    let write = |at: u64| {
        // SAFETY: there is none: the address is forbidden, and the kernel has to end this task.
        unsafe { (at as *mut u64).write_volatile(0xc3) }
    };
    let jump = |at: u64| {
        // SAFETY: as above.
        unsafe { asm!("jmp {}", in(reg) at, options(noreturn)) }
    };
    // SAFETY: as above, for every instruction in here.
    unsafe {
        match crime {
            1 => write(0xffff_ffff_8010_0000),
            2 => write(layout::IMAGE),
            3 => jump(layout::STACK_TOP - PAGE + 8),
            4 => write(layout::STACK_TOP - layout::STACK_SIZE - 8),
            5 => asm!("cli"),
            6 => jump(0x8000_0000_0000),
            7 => loop {
                core::hint::spin_loop();
            },
            8 => asm!("xor edx, edx", "xor ecx, ecx", "div ecx", out("eax") _, out("edx") _, out("ecx") _),
            9 => asm!("int 0x80"),
            10 => asm!("mov rax, cr3", out("rax") _),
            11 => asm!("xor rsp, rsp", "push rax", options(noreturn)),
            12 => asm!("ud2"),
            13 => {
                asm!("pushfq", "or dword ptr [rsp], 0x100", "popfq", "nop", "syscall", in("rax") 7, out("rcx") _, out("r11") _)
            }
            14 => asm!("mov ax, 0x28", "mov ss, ax", out("ax") _),
            15 => asm!("rdmsr", in("ecx") 0x1b, out("eax") _, out("edx") _),
            16 => write(0),
            17 => asm!("hlt"),
            18 => asm!("in al, 0x64", out("al") _),
            _ => asm!("int3"),
        }
    }
    println!("crime {crime} was not punished");
    0
}
