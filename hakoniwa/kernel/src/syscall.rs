//! The table of system calls, on the kernel's side: from registers to functions.

use crate::Kernel;
use crate::kernel::LINES;
use crate::platform::Platform;
use crate::task::State;
use hakoniwa_abi::{Call, Error, Info, PAGE, TaskId, layout, rights};

/// The interrupt controllers' ports, which are the kernel's own.
pub(crate) const KERNEL_PORTS: [u16; 4] = [0x20, 0x21, 0xa0, 0xa1];

impl<P: Platform> Kernel<'_, P> {
    pub(crate) fn system_call(&mut self, me: usize) {
        let number = self.tasks[me].context.rax;
        // Success is written first: a call that delivers a message or waits sets more registers, now or later.
        self.tasks[me].context.rax = 0;
        let done = match Call::from_number(number) {
            Some(call) => self.dispatch(me, call),
            None => Err(Error::BadCall),
        };
        if let Err(error) = done {
            self.tasks[me].context.rax = error as u64;
        }
    }

    fn dispatch(&mut self, me: usize, call: Call) -> Result<(), Error> {
        let c = &self.tasks[me].context;
        let (a, b, d, e, f) = (c.rdi, c.rsi, c.rdx, c.r8, c.r9);
        let id = TaskId(a as u32);
        match call {
            Call::Call => self.ipc_call(me),
            Call::Reply => self.ipc_reply(me),
            Call::Receive => self.ipc_receive(me, id, b & 1 == 0),
            Call::ReplyReceive => {
                self.ipc_reply(me)?;
                self.ipc_receive(me, TaskId::KERNEL, true)
            }
            Call::Notify => self.ipc_notify(me, id, b),
            Call::Window => self.set_window(me, a),
            Call::Timer => self.set_timer(me, a, b),
            Call::Yield => {
                self.slice_end = 0;
                Ok(())
            }
            Call::Exit => {
                self.end(me, a);
                Ok(())
            }
            Call::TaskCreate => self.task_create(me),
            Call::TaskStart => self.task_start(me),
            Call::TaskDestroy => self.task_destroy(me, id),
            Call::TaskAllow => self.task_allow(me, id, TaskId(b as u32)),
            Call::PageAlloc => self.page_alloc(me, a, b, d),
            Call::PageMap => self.page_map(me, id, b, d, e, f),
            Call::PageUnmap => self.page_unmap(me, id, b, d),
            Call::IrqBind => self.irq_bind(me, a),
            Call::IrqDone => self.irq_done(me, a),
            Call::PortRead => {
                let port = self.port(me, a, b)?;
                let value = self.platform.port_read(port, b);
                self.tasks[me].context.rdi = value.into();
                Ok(())
            }
            Call::PortWrite => {
                let port = self.port(me, a, b)?;
                self.platform.port_write(port, b, d as u32);
                Ok(())
            }
            Call::Log => self.log(me, a),
            Call::Info => self.info(me, a),
            Call::GuestCreate => self.guest_create(me),
            Call::GuestInject => self.guest_inject(me, id, b),
            Call::GuestCpu => self.guest_cpu(me, id),
            Call::GuestStop => self.guest_stop(me, id),
            Call::GuestPorts => {
                self.need(me, rights::PORTS)?;
                self.guest_ports(me, id, b, d)
            }
        }
    }

    fn set_window(&mut self, me: usize, at: u64) -> Result<(), Error> {
        if at != 0 && (!at.is_multiple_of(PAGE) || !(layout::LOWEST..layout::END).contains(&at)) {
            return Err(Error::BadArgument);
        }
        self.tasks[me].window = at;
        Ok(())
    }

    fn set_timer(&mut self, me: usize, first: u64, period: u64) -> Result<(), Error> {
        /// The shortest period: a task cannot keep the kernel busy with its timer alone.
        const SHORTEST: u64 = 100_000;
        if period != 0 && period < SHORTEST {
            return Err(Error::BadArgument);
        }
        (self.tasks[me].timer, self.tasks[me].period) = (first, period);
        self.rearm();
        Ok(())
    }

    fn need(&self, me: usize, right: u64) -> Result<(), Error> {
        if self.tasks[me].rights & right != 0 { Ok(()) } else { Err(Error::Denied) }
    }

    fn irq_bind(&mut self, me: usize, line: u64) -> Result<(), Error> {
        self.need(me, rights::IRQS)?;
        let index = usize::try_from(line).ok().filter(|l| *l < LINES).ok_or(Error::BadArgument)?;
        match self.lines[index] {
            0 => self.lines[index] = me,
            owner if owner == me => {}
            _ => return Err(Error::Denied),
        }
        self.platform.irq_mask(index as u32, false);
        Ok(())
    }

    fn irq_done(&mut self, me: usize, line: u64) -> Result<(), Error> {
        let index = usize::try_from(line).ok().filter(|l| *l < LINES).ok_or(Error::BadArgument)?;
        if self.lines[index] != me {
            return Err(Error::Denied);
        }
        self.platform.irq_mask(index as u32, false);
        Ok(())
    }

    fn port(&self, me: usize, port: u64, width: u64) -> Result<u16, Error> {
        self.need(me, rights::PORTS)?;
        let first = u16::try_from(port).map_err(|_| Error::BadArgument)?;
        let last = first.checked_add((width as u16).wrapping_sub(1)).ok_or(Error::BadArgument)?;
        if !matches!(width, 1 | 2 | 4) {
            return Err(Error::BadArgument);
        }
        if KERNEL_PORTS.iter().any(|p| (first..=last).contains(p)) {
            return Err(Error::Denied);
        }
        Ok(first)
    }

    fn log(&mut self, me: usize, length: u64) -> Result<(), Error> {
        let c = &self.tasks[me].context;
        let words = [c.rsi, c.rdx, c.r8, c.r9, c.r10, c.r12];
        if length > 8 * words.len() as u64 {
            return Err(Error::BadArgument);
        }
        for byte in words.iter().flat_map(|w| w.to_le_bytes()).take(length as usize) {
            let task = &mut self.tasks[me];
            if byte != b'\n' {
                // Control characters could disguise whose line it is.
                let shown = if byte == b' ' || byte.is_ascii_graphic() { byte } else { b'?' };
                if let Some(place) = task.line.get_mut(task.line_length) {
                    *place = shown;
                    task.line_length += 1;
                }
            }
            if byte == b'\n' || task.line_length == task.line.len() {
                self.flush_line(me);
            }
        }
        Ok(())
    }

    fn flush_line(&mut self, me: usize) {
        let task = &mut self.tasks[me];
        self.platform.log(b"[");
        self.platform.log(task.name());
        self.platform.log(b"] ");
        self.platform.log(task.line.get(..task.line_length).unwrap_or_default());
        self.platform.log(b"\n");
        task.line_length = 0;
    }

    fn info(&mut self, me: usize, what: u64) -> Result<(), Error> {
        let task = &self.tasks[me];
        let value = match Info::from_number(what).ok_or(Error::BadArgument)? {
            Info::Me => task.id.0.into(),
            Info::Now => self.now,
            Info::Quota => task.quota.saturating_sub(task.used).into(),
            Info::FreePages => self.frames.free().into(),
            Info::Tasks => self.tasks.iter().filter(|t| t.state != State::Free).count() as u64,
            Info::HvMissing => self.hv_missing,
            Info::TscHz => self.tsc_hz,
            Info::LogWaiting => self.platform.log_waiting(),
        };
        self.tasks[me].context.rdi = value;
        Ok(())
    }
}
