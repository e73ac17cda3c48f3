//! Messages: a sender and a receiver meet, eight words and perhaps a page change hands, the sender waits for its reply.

use crate::Kernel;
use crate::kernel::frame;
use crate::paging::{self, User};
use crate::platform::Platform;
use crate::sched::after;
use crate::task::{Reason, State};
use hakoniwa_abi::message::{Grant, exit, notify};
use hakoniwa_abi::{Error, Message, TaskId, label};

impl<P: Platform> Kernel<'_, P> {
    /// The slot of a task that `me` may send to.
    pub(crate) fn peer(&self, me: usize, id: TaskId) -> Result<usize, Error> {
        let slot = self.find(id).ok_or(Error::BadTask)?;
        if self.tasks[me].peers & 1 << slot == 0 {
            return Err(Error::Denied);
        }
        if self.tasks[slot].state == State::Dead { Err(Error::Dead) } else { Ok(slot) }
    }

    /// The message and grant in the caller's registers, if a task may send such.
    fn outgoing(&self, me: usize) -> Result<(Message, Option<Grant>), Error> {
        let context = &self.tasks[me].context;
        let message = context.message();
        let grant = Grant::from_word(context.r15)?;
        Ok((message, grant))
    }

    pub(crate) fn ipc_call(&mut self, me: usize) -> Result<(), Error> {
        let to = self.peer(me, TaskId(self.tasks[me].context.rdi as u32))?;
        let (message, grant) = self.outgoing(me)?;
        if to == me || message.label < label::USER {
            return Err(Error::BadArgument);
        }
        let task = &mut self.tasks[me];
        (task.outgoing, task.grant, task.reason) = (message, grant, Reason::Call);
        if self.receives(to, me) {
            self.deliver(me, to)?;
            self.hint = Some(to);
        } else {
            self.queue(me, to);
        }
        Ok(())
    }

    /// Sends what the kernel put into the task's `outgoing`; such messages carry no page and so always arrive.
    pub(crate) fn send(&mut self, from: usize, to: usize) {
        if self.receives(to, from) && self.deliver(from, to).is_ok() {
            self.hint = Some(to);
        } else {
            self.queue(from, to);
        }
    }

    fn queue(&mut self, from: usize, to: usize) {
        self.tasks[to].senders |= 1 << from;
        self.block(from, State::Sending(self.tasks[to].id));
    }

    fn receives(&self, to: usize, from: usize) -> bool {
        match self.tasks[to].state {
            State::Receiving(None) => true,
            State::Receiving(Some(only)) => only == self.tasks[from].id,
            _ => false,
        }
    }

    /// Hands the message of `from` to `to`, which wants it. On an error `from` has not sent and `to` still waits.
    fn deliver(&mut self, from: usize, to: usize) -> Result<(), Error> {
        let grant = self.pass(self.tasks[from].grant, from, to)?;
        let (id, message, reason) = (self.tasks[from].id, self.tasks[from].outgoing, self.tasks[from].reason);
        self.tasks[to].context.set_message(id.0.into(), &message, grant);
        self.wake(to);
        let state = if reason == Reason::Exit { State::Dead } else { State::Waiting(self.tasks[to].id) };
        self.block(from, state);
        Ok(())
    }

    /// Maps a granted page of `from` in the window of `to`; returns the grant as the receiver sees it.
    fn pass(&mut self, grant: Option<Grant>, from: usize, to: usize) -> Result<u64, Error> {
        let Some(Grant { address, access }) = grant else {
            return Ok(0);
        };
        let leaf = paging::lookup::<User>(&self.platform, self.tasks[from].root, address)
            .filter(|leaf| leaf.access.covers(access))
            .ok_or(Error::NotMapped)?;
        let window = self.tasks[to].window;
        if window == 0 {
            return Err(Error::Denied);
        }
        self.map_shared(to, window, frame(leaf.physical), access)?;
        self.tasks[to].window = 0;
        Ok(Grant::to_word(Some(Grant { address: window, access })))
    }

    pub(crate) fn ipc_reply(&mut self, me: usize) -> Result<(), Error> {
        let to = self.find(TaskId(self.tasks[me].context.rdi as u32)).ok_or(Error::BadTask)?;
        if self.tasks[to].state != State::Waiting(self.tasks[me].id) {
            return Err(Error::NotWaiting);
        }
        let (message, grant) = self.outgoing(me)?;
        match self.tasks[to].reason {
            Reason::Call => {
                let grant = self.pass(grant, me, to)?;
                let id = self.tasks[me].id.0.into();
                self.tasks[to].context.set_message(id, &message, grant);
                self.wake(to);
            }
            Reason::Fault if message.label == label::RESUME => self.wake(to),
            Reason::Fault => {
                let fault = self.tasks[to].outgoing;
                self.end_by_fault(to, fault);
            }
            Reason::Guest => self.guest_answer(to, message),
            Reason::Exit => return Err(Error::NotWaiting),
        }
        self.hint = Some(to);
        Ok(())
    }

    pub(crate) fn ipc_receive(&mut self, me: usize, from: TaskId, wait: bool) -> Result<(), Error> {
        let only = match from {
            TaskId::KERNEL => None,
            id => Some(self.find(id).filter(|s| self.tasks[*s].state != State::Dead).ok_or(Error::BadTask)?),
        };
        if only.is_none() && self.tasks[me].notifications != 0 {
            self.deliver_notifications(me);
            return Ok(());
        }
        loop {
            let wanted = self.tasks[me].senders & only.map_or(!0, |slot| 1 << slot);
            let Some(sender) = after(wanted, self.tasks[me].last_sender) else { break };
            self.tasks[me].senders &= !(1 << sender);
            self.tasks[me].last_sender = sender;
            match self.deliver(sender, me) {
                Ok(()) => return Ok(()),
                Err(error) => self.fail(sender, error),
            }
        }
        if !wait {
            return Err(Error::Empty);
        }
        self.block(me, State::Receiving(only.map(|slot| self.tasks[slot].id)));
        Ok(())
    }

    /// Ends a waiting call with an error.
    fn fail(&mut self, slot: usize, error: Error) {
        self.tasks[slot].context.rax = error as u64;
        self.wake(slot);
    }

    /// Sets bits in a task's notification word.
    pub(crate) fn notify(&mut self, slot: usize, bits: u64) {
        if matches!(self.tasks[slot].state, State::Free | State::Dead) {
            return;
        }
        self.tasks[slot].notifications |= bits;
        if self.tasks[slot].state == State::Receiving(None) {
            self.deliver_notifications(slot);
            self.wake(slot);
        }
    }

    pub(crate) fn ipc_notify(&mut self, me: usize, id: TaskId, bits: u64) -> Result<(), Error> {
        let to = self.peer(me, id)?;
        if bits & !notify::USER != 0 {
            return Err(Error::BadArgument);
        }
        self.notify(to, bits);
        Ok(())
    }

    fn deliver_notifications(&mut self, slot: usize) {
        let task = &mut self.tasks[slot];
        let message = Message::new(label::NOTIFICATION, &[task.notifications]);
        task.context.set_message(TaskId::KERNEL.0.into(), &message, 0);
        task.notifications = 0;
    }

    /// Ends a task because of a fault that nobody mended, with a line in the log.
    pub(crate) fn end_by_fault(&mut self, slot: usize, fault: Message) {
        let [a, rip, error, ..] = fault.words;
        match fault.label {
            label::PAGE_FAULT => self.report(
                slot,
                format_args!("ended by a page fault at {a:#x} (error {error:#x}), instruction {rip:#x}"),
            ),
            _ => self.report(
                slot,
                format_args!("ended by exception {a} (error {error:#x}), instruction {rip:#x}"),
            ),
        }
        self.end(slot, exit::FAULT);
    }

    /// Ends a task: everybody who waits for it hears that, and its creator gets its exit code.
    /// A guest ends with all its processors, and by the name of its first.
    pub(crate) fn end(&mut self, slot: usize, code: u64) {
        let slot = self.first_cpu(slot);
        for cpu in 1..self.tasks.len() {
            if cpu != slot && self.first_cpu(cpu) == slot {
                self.block(cpu, State::Dead);
                self.leave(cpu);
            }
        }
        self.block(slot, State::Dead);
        self.leave(slot);
        self.tasks[slot].timer = 0;
        self.rearm();
        if let Some(parent) =
            self.find(self.tasks[slot].parent).filter(|p| self.tasks[*p].state != State::Dead)
        {
            let task = &mut self.tasks[slot];
            (task.outgoing, task.grant, task.reason) =
                (Message::new(label::EXITED, &[code]), None, Reason::Exit);
            self.send(slot, parent);
        }
    }

    /// Takes a task out of everybody's waiting.
    pub(crate) fn leave(&mut self, slot: usize) {
        let id = self.tasks[slot].id;
        self.tasks[slot].senders = 0;
        for other in 1..self.tasks.len() {
            self.tasks[other].senders &= !(1 << slot);
            let reason = match self.tasks[other].state {
                State::Receiving(Some(peer)) if peer == id => Reason::Call,
                State::Sending(peer) | State::Waiting(peer) if peer == id => self.tasks[other].reason,
                _ => continue,
            };
            match reason {
                Reason::Call => self.fail(other, Error::Dead),
                Reason::Fault => {
                    let fault = self.tasks[other].outgoing;
                    self.block(other, State::Dead);
                    self.end_by_fault(other, fault);
                }
                Reason::Guest => {
                    self.report(other, format_args!("ended with its server"));
                    self.end(other, exit::FAULT);
                }
                Reason::Exit => self.block(other, State::Dead),
            }
        }
    }
}
