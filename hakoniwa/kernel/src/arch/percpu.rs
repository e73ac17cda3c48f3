//! What one processor has: its tables, clock, timer, and the kernel. Reached from GS; nothing else is global.

use super::apic::{self, Apic};
use super::clock::Clock;
use super::cpu::{self, Features};
use super::entry::{self, SYSCALL};
use super::hardware::Hardware;
use super::memory::{self, Setup};
use super::pic;
use super::serial::{self, Serial};
use super::tables::Tables;
use super::vmx::{self, Host, Vmx};
use core::arch::asm;
use hakoniwa_kernel::context::{Context, USER_FLAGS};
use hakoniwa_kernel::hv::exit::{self, Action};
use hakoniwa_kernel::task::State;
use hakoniwa_kernel::{Kernel, task::Task};

/// A processor. The entry code knows the first seven fields by their offsets, [`serial`] the eighth.
#[repr(C)]
pub struct PerCpu {
    me: *mut PerCpu,
    context_end: u64,
    scratch: u64,
    stack: u64,
    vectors: u64,
    xsave: u64,
    /// XCR0 of the guest that was entered last, for the way out of it.
    guest_xcr0: u64,
    serial: *mut Serial,
    root: u64,
    armed: u64,
    clock: Clock,
    apic: Apic,
    kernel: Option<Kernel<'static, Hardware>>,
    vmx: Option<Vmx>,
    /// Interrupts have to be let in before the guest goes on.
    open: bool,
    tables: Tables,
}

unsafe extern "C" {
    static stack_top: u8;
}

const GS_BASE: u32 = 0xc000_0101;

impl PerCpu {
    /// Prepares the processor that boots and makes GS lead here.
    pub fn create(setup: &mut Setup, features: Features, clock: Clock, apic: Apic) -> &'static mut PerCpu {
        const KERNEL_GS_BASE: u32 = 0xc000_0102;
        /// Some six seconds of 115200 baud.
        const LOG: usize = 1 << 16;
        let room = setup.room(LOG);
        let serial = setup.object(Serial::new(room));
        let percpu = setup.object(PerCpu {
            me: core::ptr::null_mut(),
            context_end: 0,
            scratch: 0,
            stack: &raw const stack_top as u64,
            vectors: 0,
            xsave: features.xsave.unwrap_or(0),
            guest_xcr0: 0,
            serial,
            root: cpu::root(),
            armed: u64::MAX,
            clock,
            apic,
            kernel: None,
            vmx: None,
            open: false,
            tables: Tables::new(),
        });
        percpu.me = percpu;
        percpu.tables.load();
        // SAFETY: the entry code expects exactly this.
        unsafe {
            cpu::set_msr(GS_BASE, percpu.me as u64);
            cpu::set_msr(KERNEL_GS_BASE, 0);
        }
        percpu
    }

    /// The registers of the idle loop: in the kernel, interrupts on.
    pub fn idle_context(&self) -> Context {
        Context {
            rip: entry::idle_address(),
            cs: 8,
            ss: 16,
            rflags: USER_FLAGS,
            rsp: self.stack,
            ..Context::ZERO
        }
    }

    /// Takes the kernel and runs its tasks.
    pub fn run(&mut self, kernel: Kernel<'static, Hardware>, vmx: Option<Vmx>) -> ! {
        self.kernel = Some(kernel);
        self.vmx = vmx;
        self.leave()
    }

    /// Handles why the kernel was entered.
    fn handle(&mut self) {
        let PerCpu { kernel: Some(kernel), clock, apic, armed, open, .. } = self else {
            panic!("an interrupt before there is a kernel");
        };
        let Context { mut vector, cs, rip, error, .. } = kernel.tasks[kernel.current].context;
        if vector == vmx::EXIT {
            if let Some(guest) = &mut kernel.tasks[kernel.current].guest {
                guest.cr2 = cpu::fault_address();
            }
            match kernel.guest_exit(&mut vmx::Current) {
                Action::Interrupt(host) => vector = host,
                Action::Open => {
                    *open = true;
                    return;
                }
                // Nothing changed but the guest, and whatever ends its time comes as an interrupt.
                Action::Resume => self.again(),
                Action::Halt | Action::Yield | Action::Ask(..) => return,
            }
        }
        let now = clock.now();
        match vector {
            vmx::FAILED => kernel.guest_failed(&vmx::Current),
            entry::OPEN => {}
            SYSCALL => kernel.call(now),
            0..32 if cs & 3 == 0 => {
                panic!(
                    "exception {vector} in the kernel at {rip:#x}, error {error:#x}, CR2 {:#x}",
                    cpu::fault_address()
                )
            }
            0..32 => kernel.exception(now, cpu::fault_address()),
            apic::TIMER => {
                *armed = u64::MAX;
                apic.end_of_interrupt();
            }
            apic::SPURIOUS => {}
            line if (pic::BASE..pic::BASE + 16).contains(&line) => {
                let line = (line - pic::BASE) as u32;
                if pic::acknowledge(line) {
                    kernel.interrupt(now, line);
                }
            }
            other => panic!("interrupt {other}, which nobody asked for"),
        }
    }

    /// Enters the guest that just left, once more.
    fn again(&mut self) -> ! {
        let PerCpu { kernel: Some(kernel), vmx: Some(vmx), armed, clock, .. } = self else {
            panic!("no guest to go back to");
        };
        let stay = |clock: &Clock| stay(clock, *armed, clock.now());
        vmx.again(&mut kernel.tasks[kernel.current], &mut Hardware, || stay(clock))
    }

    /// Chooses a task and continues it.
    fn leave(&mut self) -> ! {
        let PerCpu { kernel: Some(kernel), clock, apic, armed, .. } = self else {
            panic!("no kernel to leave");
        };
        let now = clock.now();
        let mut slot = kernel.pick(now);
        let deadline = kernel.deadline().min(log_due(now));
        if deadline != *armed {
            *armed = deadline;
            apic.arm(deadline, now);
        }
        if kernel.tasks[1].state == State::Dead {
            serial::line(format_args!("[kernel] init has ended: nothing is left to do"));
            serial::flush();
            cpu::halt();
        }
        if core::mem::take(&mut self.open) {
            kernel.current = 0;
            kernel.tasks[0].context.rip = entry::window_address();
            slot = 0;
        }
        let own_root = kernel.root;
        let task: &mut Task = &mut kernel.tasks[slot];
        let context = &raw const task.context;
        // The idle loop touches no user memory: it runs on whatever tables are loaded, as long as they exist.
        let root = if task.guest.is_some() { own_root } else { task.root };
        self.context_end = context as u64 + size_of::<Context>() as u64;
        self.vectors = memory::address(task.vectors);
        self.tables.set_context_end(self.context_end);
        if root != self.root {
            self.root = root;
            // SAFETY: every task's tables share the kernel's half.
            unsafe { cpu::set_root(root) };
        }
        if let (Some(vmx), true) = (&self.vmx, task.guest.is_some()) {
            let [task_state, gdt, idt] = self.tables.addresses();
            let host = Host { root: own_root, percpu: self.me as u64, task: task_state, gdt, idt };
            vmx.enter(task, slot, &host, &mut Hardware, || stay(&self.clock, deadline, now));
        }
        // SAFETY: the context is that of the chosen task, in user mode, or the idle loop's.
        unsafe { entry::resume(context) }
    }
}

/// How long a guest stays with its interrupts off before the host looks at its own, in TSC ticks.
fn stay(clock: &Clock, deadline: u64, now: u64) -> u64 {
    const LONGEST: u64 = 1_000_000;
    clock.ticks(deadline.saturating_sub(now).min(LONGEST))
}

/// The log's way to the port; none before there is a processor's structure.
pub fn serial() -> Option<&'static mut Serial> {
    (cpu::msr(GS_BASE) != 0).then(own_serial)
}

fn own_serial() -> &'static mut Serial {
    let serial: *mut Serial;
    // SAFETY: GS leads to this processor's structure since `create`, whose eighth field leads to an object of its own;
    // whoever asks for it is done with it before anybody else asks.
    unsafe {
        asm!("mov {}, gs:[56]", out(reg) serial, options(nostack, preserves_flags, readonly));
        &mut *serial
    }
}

/// Gives the port what waits for it if it is time; when it is time again.
fn log_due(now: u64) -> u64 {
    let serial = own_serial();
    if serial.due <= now {
        serial.drain(now);
    }
    serial.due
}

/// This processor.
fn me() -> &'static mut PerCpu {
    let me: *mut PerCpu;
    // SAFETY: GS leads to this processor's structure since `create`; the entry code swapped it in. Entries do not nest,
    // and each asks once, so this is the only reference.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) me, options(nostack, preserves_flags, readonly));
        &mut *me
    }
}

/// Called by the entry code with all registers saved, on the kernel's stack, with interrupts off.
pub extern "C" fn enter() -> ! {
    let percpu = me();
    percpu.handle();
    percpu.leave()
}

/// The same after a VM exit. The shortest way first: back into the guest, with nothing looked at but what the exit
/// needs.
pub extern "C" fn left() -> ! {
    let percpu = me();
    if let Some(kernel) = &mut percpu.kernel
        && let Some(Task { context, guest: Some(guest), .. }) = kernel.tasks.get_mut(kernel.current)
        && exit::quick(&mut vmx::Current, &Hardware, guest, context)
    {
        // SAFETY: it left just now, and the way here touched none of that.
        unsafe { vmx::go_on(context, guest) }
    }
    percpu.handle();
    percpu.leave()
}
