//! What serves a device's queues, in line or on a thread of its own.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hako_mem::GuestMemory;

use crate::model::Serve;
use crate::queue::{Buffers, Fault, Queue};

/// Bytes that one call moves before it comes back: about ten milliseconds of copying.
const BYTES_PER_CALL: u64 = 32 << 20;

/// All queues of one device and its backend. One worker per device: its queues share one backend, so that serving two
/// of them at once would only add a lock.
pub struct Worker {
    queues: Vec<Option<Queue>>,
    serve: Box<dyn Serve>,
    buffers: Buffers,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The driver wants to be notified of what was returned.
    pub interrupt: bool,
    /// Buffers are left; call again.
    pub more: bool,
    /// The driver broke the rules.
    pub fault: Option<Fault>,
}

impl Worker {
    /// A worker for `queues` queues, none of them set up.
    pub(crate) fn new(queues: usize, serve: Box<dyn Serve>) -> Worker {
        let queues = core::iter::repeat_with(|| None).take(queues).collect();
        Worker { queues, serve, buffers: Buffers::default() }
    }

    /// Serves what waits in `queue`: no more than its entries, and no more than a bounded number of bytes.
    pub fn run(&mut self, queue: u16, memory: &GuestMemory) -> Served {
        let Some(Some(q)) = self.queues.get_mut(usize::from(queue)) else { return Served::default() };
        let mut served = Served::default();
        let done = pump(q, queue, &mut *self.serve, &mut self.buffers, memory);
        let wish = q.wants_interrupt(memory);
        served.interrupt = wish.unwrap_or(false);
        match (done, wish) {
            (Ok(more), Ok(_)) => served.more = more,
            (Err(fault), _) | (_, Err(fault)) => served.fault = Some(fault),
        }
        served
    }

    /// How many queues there are.
    pub fn queues(&self) -> u16 {
        self.queues.len() as u16
    }

    /// The backend.
    pub(crate) fn serve(&mut self) -> &mut dyn Serve {
        &mut *self.serve
    }

    /// How much input the backend would take.
    pub(crate) fn input_room(&self) -> usize {
        self.serve.input_room()
    }

    pub(crate) fn queue(&mut self, queue: u16) -> Option<&mut Option<Queue>> {
        self.queues.get_mut(usize::from(queue))
    }

    /// All queues as at power-on.
    pub(crate) fn reset(&mut self) {
        self.queues.fill(None);
        self.serve.reset();
    }

    /// The queues' positions and the backend's state.
    pub(crate) fn save(&self) -> (Vec<Option<Queue>>, Vec<u8>) {
        (self.queues.clone(), self.serve.save())
    }

    /// Takes them back; whether it can be those.
    pub(crate) fn restore(&mut self, queues: Vec<Option<Queue>>, serve: &[u8]) -> bool {
        let possible = queues.len() == self.queues.len()
            && queues.iter().flatten().all(|q| q.rings().check().is_ok())
            && self.serve.restore(serve);
        if possible {
            self.queues = queues;
        }
        possible
    }
}

/// Serves buffers until none waits or enough is done; whether some may be left.
fn pump(
    q: &mut Queue,
    number: u16,
    serve: &mut dyn Serve,
    buffers: &mut Buffers,
    memory: &GuestMemory,
) -> Result<bool, Fault> {
    let mut bytes = 0;
    for _ in 0..q.size() {
        if bytes >= BYTES_PER_CALL {
            return Ok(true);
        }
        if !serve.ready(number) {
            return Ok(false);
        }
        let head = match q.pop(memory, buffers)? {
            Some(head) => head,
            None if q.rearm(memory)? => continue,
            None => return Ok(false),
        };
        bytes += buffers.total();
        let mut chain = buffers.chain(memory);
        serve.serve(number, &mut chain)?;
        let written = chain.written();
        q.push(memory, head, written)?;
    }
    q.rearm(memory)
}
