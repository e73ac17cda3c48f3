//! Guest tasks among the others: created and fed by their server, which is their pager.

use crate::Kernel;
use crate::hv::check::{self, Broken, before};
use crate::hv::exit::{self, Action};
use crate::hv::guest::{self, Ask};
use crate::hv::msr::SWITCHED;
use crate::hv::reason::{self, Counts};
use crate::hv::vmcs::{Field, Vmcs};
use crate::hv::{Guest, guest::HOST_MSRS};
use crate::hv::{debug, extended};
use crate::kernel::frame;
use crate::lifecycle::{Plan, Space};
use crate::paging::{self, User};
use crate::platform::Platform;
use crate::syscall::KERNEL_PORTS;
use crate::task::{Reason, State};
use hakoniwa_abi::guest::{
    ASK, CAN_TAKE, INJECT, NMI, TIME_ADDED, TIME_ZERO, VECTORS_PRESENT,
    label::{RESUME_WITH_REGISTERS, RESUME_WITH_STATE},
    more, policy,
};
use hakoniwa_abi::message::{exit as code, label};
use hakoniwa_abi::{Access, Error, Message, PAGE, TaskId, rights};

/// Pages that a further processor of a guest takes from the guest's quota: vector registers, VMCS, MSRs.
const CPU_PAGES: u32 = 3;

impl<P: Platform> Kernel<'_, P> {
    /// Makes a guest task of the caller. Its state page is one of the caller's, which the kernel keeps mapped.
    pub(crate) fn guest_create(&mut self, me: usize) -> Result<(), Error> {
        let c = &self.tasks[me].context;
        let (at, priority, quota, name, policy) = (c.rdi, c.rsi as usize, c.rdx, c.r8.to_le_bytes(), c.r9);
        let caller = &self.tasks[me];
        if caller.rights & rights::HV == 0 || priority > caller.priority {
            return Err(Error::Denied);
        }
        if policy & !policy::ALL != 0 {
            return Err(Error::BadArgument);
        }
        if self.hv_missing != 0 {
            return Err(Error::Unsupported);
        }
        let quota = u32::try_from(quota).map_err(|_| Error::Quota)?;
        if quota > caller.quota - caller.used {
            return Err(Error::Quota);
        }
        let id = caller.id;
        let state = self.state_page(me, at)?;
        let slot = self.create(Plan {
            pager: id,
            parent: id,
            priority,
            rights: 0,
            quota,
            name,
            space: Space::Guest,
        })?;
        self.tasks[me].used += quota;
        let zero = self.platform.time_stamp();
        self.furnish(me, slot, state, policy, zero)
    }

    /// Adds a processor to a guest of the caller.
    pub(crate) fn guest_cpu(&mut self, me: usize, id: TaskId) -> Result<(), Error> {
        let c = &self.tasks[me].context;
        let (at, name) = (c.rsi, c.rdx.to_le_bytes());
        let first = self.guest_of(me, id)?;
        if self.first_cpu(first) != first {
            return Err(Error::BadTask);
        }
        if self.tasks[first].state == State::Dead {
            return Err(Error::BadState);
        }
        let state = self.state_page(me, at)?;
        let guest = &self.tasks[first];
        if CPU_PAGES > guest.quota - guest.used {
            return Err(Error::Quota);
        }
        let plan = Plan {
            pager: guest.pager,
            parent: guest.id,
            priority: guest.priority,
            rights: 0,
            quota: CPU_PAGES,
            name,
            space: Space::Shared(guest.root),
        };
        let (policy, zero, ports) =
            guest.guest.as_ref().map(|g| (g.policy, g.zero, g.ports)).ok_or(Error::BadTask)?;
        let slot = self.create(plan)?;
        self.tasks[first].used += CPU_PAGES;
        self.furnish(me, slot, state, policy, zero)?;
        if let Some(guest) = &mut self.tasks[slot].guest {
            guest.ports = ports;
        }
        Ok(())
    }

    /// Makes a new task a guest's processor and tells its server its name.
    fn furnish(&mut self, me: usize, slot: usize, state: u64, policy: u64, zero: u64) -> Result<(), Error> {
        match self.guest_memory(slot, state, policy, zero) {
            Ok(guest) => {
                self.tasks[slot].guest = Some(guest);
                self.tasks[me].peers |= 1 << slot;
                self.tasks[me].context.rdi = self.tasks[slot].id.0.into();
                Ok(())
            }
            Err(error) => {
                self.destroy(slot);
                Err(error)
            }
        }
    }

    /// The physical address of a page of the caller's that can hold a state.
    fn state_page(&self, me: usize, at: u64) -> Result<u64, Error> {
        paging::lookup::<User>(&self.platform, self.tasks[me].root, at)
            .filter(|leaf| leaf.access.covers(Access::WRITE))
            .map(|leaf| leaf.physical)
            .ok_or(Error::NotMapped)
    }

    /// The slot of a guest's processor whose server is `me`.
    pub(crate) fn guest_of(&self, me: usize, id: TaskId) -> Result<usize, Error> {
        let slot = self.find(id).ok_or(Error::BadTask)?;
        if self.tasks[slot].pager != self.tasks[me].id {
            return Err(Error::Denied);
        }
        self.tasks[slot].guest.is_some().then_some(slot).ok_or(Error::BadTask)
    }

    /// The first processor of the guest that a task is a processor of, which has the guest's name and memory; any other
    /// task itself.
    pub(crate) fn first_cpu(&self, slot: usize) -> usize {
        let parent = self.tasks[slot].parent.slot();
        let several = self.tasks[slot].guest.is_some() && self.tasks[parent].guest.is_some();
        if several { parent } else { slot }
    }

    /// Opens ports of the machine to a guest that has not begun and has one processor: its bitmaps are set up with the
    /// first entry. The caller has the right to ports.
    pub(crate) fn guest_ports(&mut self, me: usize, id: TaskId, first: u64, count: u64) -> Result<(), Error> {
        let slot = self.guest_of(me, id)?;
        let alone = (1..self.tasks.len()).all(|cpu| cpu == slot || self.first_cpu(cpu) != slot);
        let fresh = self.tasks[slot].guest.as_ref().is_some_and(|guest| guest.fresh);
        if self.first_cpu(slot) != slot || !alone || !fresh {
            return Err(Error::BadState);
        }
        let last = first.checked_add(count).and_then(|end| end.checked_sub(1));
        let (Ok(first), Some(Ok(last))) = (u16::try_from(first), last.map(u16::try_from)) else {
            return Err(Error::BadArgument);
        };
        if count == 0 {
            return Err(Error::BadArgument);
        }
        if KERNEL_PORTS.iter().any(|port| (first..=last).contains(port)) {
            return Err(Error::Denied);
        }
        let bitmaps = self.port_bitmaps(slot)?;
        for port in first..=last {
            let at = bitmaps[usize::from(port >> 15)] + u64::from(port & 0x7fff) / 64 * 8;
            let word = self.platform.load(at);
            self.platform.store(at, word & !(1 << (port % 64)));
        }
        Ok(())
    }

    /// The bitmaps of a guest's own, in which every port exits at first.
    fn port_bitmaps(&mut self, slot: usize) -> Result<[u64; 2], Error> {
        if let Some(bitmaps) = self.tasks[slot].guest.as_ref().and_then(|guest| guest.ports) {
            return Ok(bitmaps);
        }
        let lower = self.take_kernel(slot)?;
        let upper = self.take_kernel(slot).inspect_err(|_| {
            let payer = self.frames.release(frame(lower));
            self.refund(payer);
        })?;
        for word in 0..PAGE / 8 {
            self.platform.store(lower + word * 8, u64::MAX);
            self.platform.store(upper + word * 8, u64::MAX);
        }
        if let Some(guest) = &mut self.tasks[slot].guest {
            guest.ports = Some([lower, upper]);
        }
        Ok([lower, upper])
    }

    /// Takes a guest's processor off its work, as INIT does. What it was about to say or to be told is void.
    pub(crate) fn guest_stop(&mut self, me: usize, id: TaskId) -> Result<(), Error> {
        let slot = self.guest_of(me, id)?;
        if self.tasks[slot].state == State::Dead || self.tasks[slot].reason == Reason::Exit {
            return Err(Error::BadState);
        }
        self.tasks[me].senders &= !(1 << slot);
        self.block(slot, State::Created);
        if let Some(guest) = &mut self.tasks[slot].guest {
            (guest.event, guest.pending, guest.wanted, guest.ask) = (None, None, false, Ask::Nothing);
            guest.brief = false;
            (guest.debug, guest.arm, guest.nmi) = (debug::RESET, false, false);
            for word in [VECTORS_PRESENT, more::PRESENT] {
                self.platform.store(guest.state + word as u64 * 8, 0);
            }
            guest.answer = Some(Message::new(RESUME_WITH_STATE, &[]));
        }
        Ok(())
    }

    /// The kernel's pages of a guest. Those taken before an error are freed with the task.
    fn guest_memory(&mut self, slot: usize, state: u64, policy: u64, zero: u64) -> Result<Guest, Error> {
        let vmcs = self.take_kernel(slot)?;
        let msrs = self.take_kernel(slot).inspect_err(|_| {
            let payer = self.frames.release(frame(vmcs));
            self.refund(payer);
        })?;
        if !self.frames.share(frame(state)) {
            for page in [vmcs, msrs] {
                let payer = self.frames.release(frame(page));
                self.refund(payer);
            }
            return Err(Error::NotMapped);
        }
        for (word, value) in [(TIME_ZERO, zero), (TIME_ADDED, 0)] {
            self.platform.store(state + word as u64 * 8, value);
        }
        for (number, index) in SWITCHED.into_iter().enumerate() {
            self.platform.store(msrs + number as u64 * 16, index.into());
            self.platform.store(msrs + HOST_MSRS + number as u64 * 16, index.into());
        }
        Ok(Guest {
            vmcs,
            state,
            vectors: self.tasks[slot].vectors,
            msrs,
            fresh: true,
            launched: false,
            policy,
            zero,
            ports: None,
            cr2: 0,
            debug: debug::RESET,
            arm: false,
            xcr0: extended::X87,
            xcr0_allowed: 0,
            osxsave: false,
            vpid: 0,
            stale: false,
            event: None,
            pending: None,
            nmi: false,
            nmi_window: false,
            wanted: false,
            window: false,
            timer: false,
            ask: Ask::Nothing,
            answer: Some(Message::new(RESUME_WITH_STATE, &[])),
            brief: false,
            exits: Counts::NONE,
        })
    }

    /// Gives back what [`guest_memory`](Self::guest_memory) took.
    pub(crate) fn guest_remove(&mut self, slot: usize) {
        let Some(guest) = self.tasks[slot].guest.take() else { return };
        self.report(slot, format_args!("a guest's {} exits", guest.exits.total()));
        for line in guest.exits.lines() {
            self.report(slot, format_args!("  {line}"));
        }
        self.platform.forget_guest(guest.vmcs, self.tasks[slot].root);
        let payer = self.frames.unshare(frame(guest.state));
        self.refund(payer);
        // The bitmaps of ports belong to all its processors: the first one took them.
        let parent = self.tasks[slot].parent.slot();
        if let Some(bitmaps) = guest.ports.filter(|_| self.tasks[parent].guest.is_none()) {
            for page in bitmaps {
                let payer = self.frames.release(frame(page));
                self.refund(payer);
            }
        }
        for page in [guest.vmcs, guest.msrs] {
            let payer = self.frames.release(frame(page));
            self.refund(payer);
        }
    }

    pub(crate) fn guest_inject(&mut self, me: usize, id: TaskId, vector: u64) -> Result<(), Error> {
        let slot = self.guest_of(me, id)?;
        let halted = self.tasks[slot].state == State::Halted;
        let guest = self.tasks[slot].guest.as_mut().ok_or(Error::BadTask)?;
        if vector == ASK {
            guest.wanted = !halted;
            self.tasks[me].context.rdi = halted.into();
            return Ok(());
        }
        if vector == NMI {
            guest.nmi = true;
            if halted {
                self.wake(slot);
            }
            return Ok(());
        }
        let vector = u8::try_from(vector).map_err(|_| Error::BadArgument)?;
        if guest.pending.is_some() {
            return Err(Error::BadState);
        }
        guest.pending = Some(vector);
        if halted {
            self.wake(slot);
        }
        Ok(())
    }

    /// The server answered a guest's exit.
    pub(crate) fn guest_answer(&mut self, slot: usize, message: Message) {
        match message.label {
            label::RESUME | RESUME_WITH_STATE | RESUME_WITH_REGISTERS => {
                if let Some(guest) = &mut self.tasks[slot].guest {
                    // What was asked before is answered; what is asked before the entry is not.
                    guest.wanted &= message.words[CAN_TAKE] & INJECT == 0;
                    guest.answer = Some(message);
                }
                self.wake(slot);
            }
            _ => {
                self.report(slot, format_args!("ended by its server"));
                self.end(slot, code::FAULT);
            }
        }
    }

    /// The running guest left; its VMCS is current, its registers are in its context. What is left to do for the
    /// processor comes back.
    pub fn guest_exit(&mut self, vmcs: &mut impl Vmcs) -> Action {
        let slot = self.current;
        let Kernel { platform, tasks, .. } = self;
        let task = &mut tasks[slot];
        let Some(guest) = &mut task.guest else {
            return Action::Resume;
        };
        let action = exit::handle(vmcs, platform, guest, &mut task.context);
        if action == Action::Halt {
            self.block(slot, State::Halted);
        } else if action == Action::Yield {
            self.slice_end = 0;
        } else if let Action::Ask(mut message, with_state) = action {
            message.words[CAN_TAKE] = guest::can_take(vmcs, guest).into();
            if with_state {
                guest::save_state(vmcs, platform, guest, &mut task.context, guest.ask != Ask::Enough);
            }
            (task.outgoing, task.grant, task.reason) = (message, None, Reason::Guest);
            if vmcs.read(Field::ExitReason) >> 31 & 1 == 1 {
                self.explain(slot, vmcs);
            }
            match self.find(self.tasks[slot].pager).filter(|p| self.tasks[*p].state != State::Dead) {
                Some(server) => self.send(slot, server),
                None => self.end(slot, code::FAULT),
            }
        }
        action
    }

    /// A VM entry failed because of the guest's state or the MSRs to load: says by which rules.
    fn explain(&mut self, slot: usize, vmcs: &impl Vmcs) {
        let reason = vmcs.read(Field::ExitReason) & 0xffff;
        if reason == reason::INVALID_MSR {
            let number = vmcs.read(Field::Qualification).wrapping_sub(1).min(SWITCHED.len() as u64);
            let at = self.tasks[slot].guest.as_ref().map_or(0, |guest| guest.msrs) + number * 16;
            let [index, value] = [at, at + 8].map(|at| self.platform.load(at));
            self.report(slot, format_args!("VM entry refused: MSR {index:#x} cannot be {value:#x}"));
        } else if !self.tell(slot, check::check(vmcs)) {
            let text = "by a rule not known here";
            self.report(slot, format_args!("VM entry refused with reason {reason}, {text}"));
        }
    }

    /// Writes broken rules to the log; false if there are none.
    fn tell(&mut self, slot: usize, rules: impl Iterator<Item = Broken>) -> bool {
        let mut known = false;
        for Broken { rule, field, value } in rules {
            known = true;
            self.report(slot, format_args!("VM entry refused: {rule}, but {field:?} = {value:#x}"));
        }
        known
    }

    /// A VM entry failed before it began: the VMCS is wrong, which is the kernel's fault, and only this guest's end.
    pub fn guest_failed(&mut self, vmcs: &impl Vmcs) {
        let slot = self.current;
        let error = vmcs.read(Field::InstructionError);
        self.report(slot, format_args!("VM instruction error {error}: {}", before::meaning(error)));
        self.tell(slot, before::check(vmcs));
        self.end(slot, code::FAULT);
    }
}
