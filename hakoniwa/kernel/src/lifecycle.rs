//! The life of tasks: created from the creator's quota and rights, started, destroyed with everything they hold.

use crate::Kernel;
use crate::context::{Context, MXCSR, X87_CONTROL};
use crate::frames::BLOCK;
use crate::kernel::frame;
use crate::paging::{self, Ept, Format, Piece, User};
use crate::platform::Platform;
use crate::task::{State, Task};
use hakoniwa_abi::{Error, PAGE, TASKS, TaskId, layout, rights};

/// What a new task is.
pub struct Plan {
    /// Who handles its faults.
    pub pager: TaskId,
    /// Who created it.
    pub parent: TaskId,
    /// Its priority.
    pub priority: usize,
    /// Its rights.
    pub rights: u64,
    /// Its pages.
    pub quota: u32,
    /// Its name in the log.
    pub name: [u8; 8],
    /// Its address space.
    pub space: Space,
}

/// What a new task's page tables are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Space {
    /// Its own, with the kernel's half.
    Own,
    /// A guest's, its own.
    Guest,
    /// Those of the guest of which it is one more processor: their root.
    Shared(u64),
}

impl<P: Platform> Kernel<'_, P> {
    /// Makes a task with an empty address space. The quota is not taken from anybody: the caller did that.
    pub fn create(&mut self, plan: Plan) -> Result<usize, Error> {
        let slot = (1..TASKS).find(|s| self.tasks[*s].state == State::Free).ok_or(Error::NoSlot)?;
        let generation = (self.tasks[slot].id.0 >> 8).wrapping_add(1);
        self.tasks[slot] = Task {
            id: TaskId::new(slot, generation),
            name: plan.name.map(|b| if b == 0 || b.is_ascii_graphic() { b } else { b'?' }),
            state: State::Created,
            pager: plan.pager,
            parent: plan.parent,
            priority: plan.priority,
            rights: plan.rights,
            quota: plan.quota,
            peers: [plan.pager, plan.parent].iter().fold(0, |peers, id| peers | 1 << id.slot()),
            ..Task::EMPTY
        };
        let root = match plan.space {
            Space::Shared(root) => Ok(root),
            Space::Own | Space::Guest => self.take_kernel(slot),
        };
        let (root, vectors) = match (root, self.take_kernel(slot)) {
            (Ok(root), Ok(vectors)) => (root, vectors),
            (root, vectors) => {
                let own = root.ok().filter(|_| !matches!(plan.space, Space::Shared(_)));
                for taken in [own, vectors.ok()].into_iter().flatten() {
                    self.frames.release(frame(taken));
                }
                self.tasks[slot].state = State::Free;
                return Err(root.and(vectors).err().unwrap_or(Error::NoMemory));
            }
        };
        if plan.space == Space::Own {
            for entry in User::TOP..PAGE / 8 {
                let shared = self.platform.load(self.root + entry * 8);
                self.platform.store(root + entry * 8, shared);
            }
        }
        self.platform.store(vectors, X87_CONTROL);
        self.platform.store(vectors + 24, MXCSR);
        (self.tasks[slot].root, self.tasks[slot].vectors) = (root, vectors);
        Ok(slot)
    }

    pub(crate) fn task_create(&mut self, me: usize) -> Result<(), Error> {
        let context = &self.tasks[me].context;
        let (pager, priority, wanted, quota) =
            (TaskId(context.rdi as u32), context.rsi as usize, context.rdx, context.r8);
        let name = context.r9.to_le_bytes();
        let caller = &self.tasks[me];
        if caller.rights & rights::CREATE == 0 || wanted & !caller.rights != 0 {
            return Err(Error::Denied);
        }
        if priority > caller.priority {
            return Err(Error::Denied);
        }
        let quota = u32::try_from(quota).map_err(|_| Error::Quota)?;
        if quota > caller.quota - caller.used {
            return Err(Error::Quota);
        }
        let (parent, pager) = match pager {
            TaskId::KERNEL => (caller.id, caller.id),
            id => (caller.id, self.peer(me, id).map(|slot| self.tasks[slot].id)?),
        };
        let slot =
            self.create(Plan { pager, parent, priority, rights: wanted, quota, name, space: Space::Own })?;
        self.tasks[me].used += quota;
        self.tasks[me].peers |= 1 << slot;
        self.tasks[me].context.rdi = self.tasks[slot].id.0.into();
        Ok(())
    }

    /// The slot of a task that `me` created.
    fn child(&self, me: usize, id: TaskId) -> Result<usize, Error> {
        let slot = self.find(id).ok_or(Error::BadTask)?;
        if self.tasks[slot].parent == self.tasks[me].id { Ok(slot) } else { Err(Error::Denied) }
    }

    /// Lets a created task run.
    pub fn start(&mut self, slot: usize, entry: u64, stack: u64, argument: u64) -> Result<(), Error> {
        if self.tasks[slot].state != State::Created {
            return Err(Error::BadState);
        }
        if entry >= layout::END || stack > layout::END {
            return Err(Error::BadArgument);
        }
        self.tasks[slot].context = Context::start(entry, stack, argument);
        self.wake(slot);
        Ok(())
    }

    pub(crate) fn task_start(&mut self, me: usize) -> Result<(), Error> {
        let context = &self.tasks[me].context;
        let (id, entry, stack, argument) = (TaskId(context.rdi as u32), context.rsi, context.rdx, context.r8);
        let slot = match self.find(id).filter(|slot| self.tasks[*slot].guest.is_some()) {
            Some(_) => self.guest_of(me, id)?,
            None => self.child(me, id)?,
        };
        self.start(slot, entry, stack, argument)
    }

    pub(crate) fn task_allow(&mut self, me: usize, id: TaskId, peer: TaskId) -> Result<(), Error> {
        let slot = self.child(me, id)?;
        let to = if peer == self.tasks[me].id { me } else { self.peer(me, peer)? };
        self.tasks[slot].peers |= 1 << to;
        Ok(())
    }

    pub(crate) fn task_destroy(&mut self, me: usize, id: TaskId) -> Result<(), Error> {
        let slot = self.child(me, id)?;
        self.destroy(slot);
        Ok(())
    }

    /// Ends a task and all that it created; the leaves go first, so that quotas return step by step.
    pub(crate) fn destroy(&mut self, slot: usize) {
        loop {
            let mut victim = slot;
            while let Some(child) = self.child_of(victim) {
                victim = child;
            }
            self.remove(victim);
            if victim == slot {
                return;
            }
        }
    }

    fn child_of(&self, slot: usize) -> Option<usize> {
        let id = self.tasks[slot].id;
        (1..TASKS).find(|s| self.tasks[*s].state != State::Free && self.tasks[*s].parent == id)
    }

    fn remove(&mut self, slot: usize) {
        self.block(slot, State::Dead);
        self.leave(slot);
        for line in 0..self.lines.len() {
            if self.lines[line] == slot {
                self.lines[line] = 0;
                self.platform.irq_mask(line as u32, true);
            }
        }
        let is_guest = self.tasks[slot].guest.is_some();
        let shares = self.first_cpu(slot) != slot;
        self.guest_remove(slot);
        let Kernel { platform, frames, tasks, .. } = self;
        let root = tasks[slot].root;
        let mut refund = |payer: Option<usize>| {
            if let Some(payer) = payer {
                tasks[payer].used = tasks[payer].used.saturating_sub(1);
            }
        };
        let free = |piece| match piece {
            Piece::Page(page) => refund(frames.unshare(frame(page))),
            Piece::Large(first) => {
                (frame(first)..).take(BLOCK as usize).for_each(|page| refund(frames.unshare(page)));
            }
            Piece::Table(table) => refund(frames.release(frame(table))),
        };
        if shares {
            // The map goes with the guest's first processor.
        } else if is_guest {
            paging::dismantle::<Ept>(platform, root, free);
        } else {
            paging::dismantle::<User>(platform, root, free);
        }
        let payer = self.frames.release(frame(self.tasks[slot].vectors));
        self.refund(payer);
        let task = &mut self.tasks[slot];
        let quota = task.quota;
        let parent = task.parent.slot();
        task.state = State::Free;
        task.timer = 0;
        // What others still map outlives it, at the expense of its creator.
        let left = self.frames.bequeath(slot, parent);
        let parent = &mut self.tasks[parent];
        parent.used = (parent.used.saturating_sub(quota)).saturating_add(left);
        for other in self.tasks.iter_mut() {
            other.peers &= !(1 << slot);
        }
        self.rearm();
    }
}
