//! A function's saved state: the registers, the table of messages, and the worker's positions.

use alloc::vec::Vec;

use hako_chips::pci::msix;
use hako_chips::{RestoreError, Saved};
use hako_engine::Time;

use crate::function::{Flavour, Function, Setup, status};
use crate::queue::Queue;
use crate::saved::{Record, record};

const VERSION: u32 = 1;

/// What a function holds.
struct State {
    version: u32,
    taken: u64,
    feature_select: u32,
    taken_select: u32,
    status: u8,
    isr: u8,
    config_vector: u16,
    queue_select: u16,
    setups: Vec<Setup>,
    fields: Vec<u8>,
    table: Vec<[u32; 4]>,
    pending: Vec<u64>,
    queues: Vec<Option<Queue>>,
    serve: Vec<u8>,
    unfinished: Vec<bool>,
    wake: u64,
}

record!(State {
    version,
    taken,
    feature_select,
    taken_select,
    status,
    isr,
    config_vector,
    queue_select,
    setups,
    fields,
    table,
    pending,
    queues,
    serve,
    unfinished,
    wake
});

impl Function {
    /// All of it as bytes. The worker is home.
    pub(crate) fn save_state(&self) -> Vec<u8> {
        let messages = self.msix.as_ref().map(|m| m.save().state);
        let (queues, serve) = self.worker.as_ref().map(|w| w.save()).unwrap_or_default();
        let state = State {
            version: VERSION,
            taken: self.taken,
            feature_select: self.feature_select,
            taken_select: self.taken_select,
            status: self.status,
            isr: self.isr,
            config_vector: self.config_vector,
            queue_select: self.queue_select,
            setups: self.setups.clone(),
            fields: self.registers.save(),
            table: messages.as_ref().map(|m| m.table.clone()).unwrap_or_default(),
            pending: messages.map(|m| m.pending).unwrap_or_default(),
            queues,
            serve,
            unfinished: self.unfinished.clone(),
            wake: self.wake.0,
        };
        let mut bytes = Vec::new();
        state.put(&mut bytes);
        bytes
    }

    /// Takes it back, all of it or nothing.
    pub(crate) fn restore_state(&mut self, mut bytes: &[u8]) -> Result<(), RestoreError> {
        let wrong = RestoreError::Impossible;
        match u32::get(&mut &*bytes) {
            Some(VERSION) => {}
            Some(found) => return Err(RestoreError::Version { found, known: VERSION }),
            None => return Err(wrong("a virtio device has a state")),
        }
        let state = State::get(&mut bytes).filter(|_| bytes.is_empty());
        let state = state.ok_or(wrong("the bytes are no state of a virtio device"))?;
        let queues = self.sizes.len();
        if state.setups.len() != queues || state.unfinished.len() != queues {
            return Err(wrong("the device has another number of queues"));
        }
        let sizes = state.setups.iter().zip(&self.sizes).all(|(setup, size)| setup.rings.size <= *size);
        // A driver may have written any features that were not accepted yet.
        let accepted = self.flavour == Flavour::Legacy || state.status & status::FEATURES_OK != 0;
        if !sizes || accepted && state.taken & !self.offered != 0 {
            return Err(wrong("the device has other features or smaller queues"));
        }
        if state.fields.len() != self.registers.len() {
            return Err(wrong("the device has other configuration fields"));
        }
        let old = self.msix.as_ref().map(|m| m.save());
        if let Some(msix) = &mut self.msix {
            let table = msix::State { table: state.table, pending: state.pending };
            msix.restore(&Saved { version: msix::VERSION, state: table })?;
        }
        let taken = self.worker.as_mut().is_some_and(|w| {
            let taken = w.restore(state.queues, &state.serve);
            if taken {
                w.serve().negotiated(state.taken);
            }
            taken
        });
        if !taken {
            if let (Some(msix), Some(old)) = (&mut self.msix, old) {
                msix.restore(&old)?;
            }
            return Err(wrong("the device's queues or backend cannot be in that state"));
        }
        self.registers.put(0, &state.fields);
        (self.taken, self.status, self.isr) = (state.taken, state.status, state.isr);
        (self.feature_select, self.taken_select) = (state.feature_select, state.taken_select);
        (self.config_vector, self.queue_select) = (state.config_vector, state.queue_select);
        (self.setups, self.unfinished) = (state.setups, state.unfinished);
        self.wake = Time(state.wake);
        Ok(())
    }
}
