//! What a device that is served by another thread needs of KVM: accesses that only set an event (KVM_IOEVENTFD) and
//! interrupts that an event raises (KVM_IRQFD). Neither stops a virtual CPU.

use std::os::fd::AsRawFd;
use std::sync::{Arc, MutexGuard, PoisonError};

use hako_engine::EngineError;
use kvm_bindings::{
    KVM_IRQ_ROUTING_MSI, KvmIrqRouting, kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1,
};
use kvm_bindings::{kvm_irq_routing_msi, kvm_irq_routing_msi__bindgen_ty_1};
use kvm_ioctls::{Cap, Error, IoEventAddress, NoDatamatch, VmFd};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::error::host;
use crate::vm::{IOAPIC_PINS, Shared, routes};

/// The most messages with a wire of their own; devices do without beyond that.
const MOST_MESSAGES: usize = 256;

/// Messages of the wires behind those of the I/O APIC, by number. A wire that is not in use has none.
#[derive(Default)]
pub(crate) struct Messages {
    wires: Vec<Option<Wire>>,
}

/// A wire in use, and the message that it stands for at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wire {
    message: Option<(u64, u32)>,
}

impl Messages {
    /// Everything that a wire leads to, as KVM_SET_GSI_ROUTING wants it.
    fn routes(&self) -> Vec<kvm_irq_routing_entry> {
        let messages = (IOAPIC_PINS..).zip(&self.wires).filter_map(|(gsi, wire)| {
            let (address, data) = (*wire)?.message?;
            Some(kvm_irq_routing_entry {
                gsi,
                type_: KVM_IRQ_ROUTING_MSI,
                u: kvm_irq_routing_entry__bindgen_ty_1 {
                    msi: kvm_irq_routing_msi {
                        address_lo: address as u32,
                        address_hi: (address >> 32) as u32,
                        data,
                        __bindgen_anon_1: kvm_irq_routing_msi__bindgen_ty_1::default(),
                    },
                },
                ..Default::default()
            })
        });
        routes().into_iter().chain(messages).collect()
    }

    fn give(&self, vm: &VmFd) -> Result<(), EngineError> {
        let routes = KvmIrqRouting::from_entries(&self.routes())
            .map_err(|_| host("GSI routes")(Error::new(libc::E2BIG)))?;
        vm.set_gsi_routing(&routes).map_err(host("KVM_SET_GSI_ROUTING"))
    }

    /// Takes a free wire; its number.
    fn take(&mut self) -> Option<usize> {
        let n = self.wires.iter().position(Option::is_none).unwrap_or(self.wires.len());
        let wire = Some(Wire { message: None });
        match self.wires.get_mut(n) {
            Some(place) => *place = wire,
            None if n < MOST_MESSAGES => self.wires.push(wire),
            None => return None,
        }
        Some(n)
    }
}

/// Events in place of exits, for one VM with its interrupt controllers in the kernel.
#[derive(Clone)]
pub struct Outside {
    shared: Arc<Shared>,
}

impl Outside {
    /// `None` where this KVM lacks what it takes.
    pub(crate) fn new(shared: &Arc<Shared>) -> Option<Outside> {
        let able = [Cap::Ioeventfd, Cap::IoeventfdNoLength, Cap::Irqfd, Cap::IrqRouting]
            .into_iter()
            .all(|cap| shared.fd.check_extension(cap));
        able.then(|| Outside { shared: shared.clone() })
    }

    /// From now on writes to `place` ring `bell` and do not reach the bus.
    pub fn bind(&self, bell: &Arc<Doorbell>, place: Place) -> Result<Bound, EngineError> {
        let fd = &bell.event;
        match place {
            Place::Memory(address) => {
                self.shared.fd.register_ioevent(fd, &IoEventAddress::Mmio(address), NoDatamatch)
            }
            Place::Port(port, value) => {
                self.shared.fd.register_ioevent(fd, &IoEventAddress::Pio(port.into()), value)
            }
        }
        .map_err(host("KVM_IOEVENTFD"))?;
        Ok(Bound { shared: self.shared.clone(), bell: bell.clone(), place })
    }

    /// A message that any thread can send.
    pub fn message(&self) -> Result<Message, EngineError> {
        let event = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).map_err(|e| host("eventfd")(e.into()))?;
        let none = || host("a wire for messages")(Error::new(libc::ENOSPC));
        let number = self.shared.messages().take().ok_or_else(none)?;
        Ok(Message { shared: self.shared.clone(), event, number, assigned: false })
    }
}

impl Shared {
    /// The wires for messages.
    fn messages(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a driver notifies a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Memory: a write of whatever width to this address.
    Memory(u64),
    /// A port: a write of this word.
    Port(u16, u16),
}

/// Rung by the guest, or by anybody else, and waited for by whoever serves.
pub struct Doorbell {
    event: EventFd,
}

impl Doorbell {
    /// One that has not been rung.
    pub fn new() -> Result<Doorbell, EngineError> {
        let event = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).map_err(|e| host("eventfd")(e.into()))?;
        Ok(Doorbell { event })
    }

    /// Rings.
    pub fn ring(&self) {
        // It fails only when it was rung 2^64 - 2 times and nobody came.
        let _ = self.event.write(1);
    }

    /// Whether it has been rung since it was last answered. Nothing changes.
    pub fn rung(&self) -> bool {
        self.poll(0)
    }

    /// Waits until it has been rung.
    pub fn wait(&self) {
        while !self.poll(-1) {}
    }

    fn poll(&self, timeout: libc::c_int) -> bool {
        let mut fd = libc::pollfd { fd: self.event.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd. A signal ends the wait early, and the caller waits again.
        unsafe { libc::poll(&mut fd, 1, timeout) > 0 }
    }

    /// What was rung so far is answered.
    pub fn answer(&self) {
        // It fails if it was not rung at all.
        let _ = self.event.read();
    }
}

/// A place that rings a bell, as long as this lives.
pub struct Bound {
    shared: Arc<Shared>,
    bell: Arc<Doorbell>,
    place: Place,
}

impl Drop for Bound {
    fn drop(&mut self) {
        let (vm, fd) = (&self.shared.fd, &self.bell.event);
        let done = match self.place {
            Place::Memory(address) => vm.unregister_ioevent(fd, &IoEventAddress::Mmio(address), NoDatamatch),
            Place::Port(port, value) => vm.unregister_ioevent(fd, &IoEventAddress::Pio(port.into()), value),
        };
        if let Err(errno) = done {
            tracing::warn!(place = ?self.place, %errno, "KVM_IOEVENTFD: taking it away");
        }
    }
}

/// A message-signalled interrupt that an event sends.
pub struct Message {
    shared: Arc<Shared>,
    event: EventFd,
    /// Its wire, counted from the first behind those of the I/O APIC.
    number: usize,
    /// KVM listens to the event.
    assigned: bool,
}

impl Message {
    fn gsi(&self) -> u32 {
        IOAPIC_PINS.saturating_add(self.number as u32)
    }

    /// What it is. An error leaves it as it was: KVM does not take every address.
    pub fn set(&mut self, address: u64, data: u32) -> Result<(), EngineError> {
        self.route(Some((address, data)))?;
        if !self.assigned {
            self.shared.fd.register_irqfd(&self.event, self.gsi()).map_err(host("KVM_IRQFD"))?;
            self.assigned = true;
        }
        Ok(())
    }

    fn route(&self, message: Option<(u64, u32)>) -> Result<(), EngineError> {
        let mut messages = self.shared.messages();
        let wire = Some(Wire { message });
        let Some(place) = messages.wires.get_mut(self.number).filter(|place| **place != wire) else {
            return Ok(());
        };
        let before = std::mem::replace(place, wire);
        let done = messages.give(&self.shared.fd);
        if done.is_err()
            && let Some(place) = messages.wires.get_mut(self.number)
        {
            *place = before;
        }
        done
    }

    /// What sends it, for another thread.
    pub fn sender(&self) -> Result<Sender, EngineError> {
        let event = self.event.try_clone().map_err(|e| host("dup of an eventfd")(e.into()))?;
        Ok(Sender { event })
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if self.assigned
            && let Err(errno) = self.shared.fd.unregister_irqfd(&self.event, self.gsi())
        {
            tracing::warn!(number = self.number, %errno, "KVM_IRQFD: taking it away");
        }
        // The route goes with the next change of another: nothing leads to it any more.
        if let Some(place) = self.shared.messages().wires.get_mut(self.number) {
            *place = None;
        }
    }
}

/// Sends a [`Message`] as it is at the moment.
pub struct Sender {
    event: EventFd,
}

impl Sender {
    /// Sends it.
    pub fn send(&self) {
        // See `Doorbell::ring`.
        let _ = self.event.write(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wires_are_taken_again_and_come_to_an_end() {
        let mut messages = Messages::default();
        assert_eq!((messages.take(), messages.take()), (Some(0), Some(1)));
        messages.wires[0] = None;
        assert_eq!((messages.take(), messages.take()), (Some(0), Some(2)));
        let more = std::iter::from_fn(|| messages.take()).count();
        assert_eq!(more, MOST_MESSAGES - 3);
    }

    #[test]
    fn only_wires_with_a_message_lead_anywhere() {
        let mut messages = Messages::default();
        let fixed = messages.routes().len();
        let (_, second) = (messages.take(), messages.take().unwrap());
        assert_eq!(messages.routes().len(), fixed);
        messages.wires[second] = Some(Wire { message: Some((0xfee0_1000, 0x41)) });
        let last = messages.routes().pop().unwrap();
        assert_eq!((messages.routes().len(), last.gsi, last.type_), (fixed + 1, 25, KVM_IRQ_ROUTING_MSI));
    }
}
