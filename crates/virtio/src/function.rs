//! The configuration side of a device: one PCI function (4.1), with what both flavours of registers have in common.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use alloc::sync::Arc;
use hako_chips::RestoreError;
use hako_chips::pci::{Bar, BarKind, ConfigSpace, Env, Identity, Msix, PciDevice, msix};
use hako_engine::Time;
use hako_mem::GuestMemory;

use crate::function_away::Away;
use crate::model::{Model, feature};
use crate::queue::{Fault, Queue, Rings};
use crate::registers::Registers;
use crate::worker::{Served, Worker};
use crate::{legacy, modern};

/// Which registers a function has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Those of virtio 1.0 and later, in memory (4.1.4).
    Modern,
    /// Those before virtio 1.0, in ports (4.1.4.8).
    Legacy,
}

/// Device status bits (2.1).
pub(crate) mod status {
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
    pub const NEEDS_RESET: u8 = 0x40;
    pub const FAILED: u8 = 0x80;
}

/// No vector (4.1.5.1.2).
pub(crate) const NO_VECTOR: u16 = 0xffff;
/// ISR status bits (4.1.4.5).
const ISR_QUEUE: u8 = 1;
const ISR_CONFIG: u8 = 2;
/// The BAR of the registers, and that of the MSI-X table.
pub(crate) const REGISTERS_BAR: u8 = 0;
const MSIX_BAR: u8 = 1;
/// How soon a queue is served on that had more than one call may do.
const BREATH: Duration = Duration::from_micros(1);

/// How the driver set a queue up; what the driver can read back of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    pub rings: Rings,
    pub vector: u16,
    pub enabled: bool,
    /// Legacy: what the address register holds.
    pub page: u32,
}

crate::saved::record!(Setup { rings, vector, enabled, page });

/// One virtio device as a PCI function.
pub struct Function {
    pub(crate) flavour: Flavour,
    /// Offered features.
    pub(crate) offered: u64,
    pub(crate) taken: u64,
    pub(crate) feature_select: u32,
    pub(crate) taken_select: u32,
    pub(crate) status: u8,
    pub(crate) isr: u8,
    pub(crate) config_vector: u16,
    pub(crate) queue_select: u16,
    /// The most entries of each queue.
    pub(crate) sizes: Vec<u16>,
    pub(crate) setups: Vec<Setup>,
    pub(crate) registers: Arc<Registers>,
    pub(crate) msix: Option<Msix>,
    /// Where the capability for access through configuration space is.
    pub(crate) window: u8,
    /// What serves the queues; not here while it is at the station.
    pub(crate) worker: Option<Worker>,
    pub(crate) away: Away,
    /// Queues that have more to do, and when.
    pub(crate) unfinished: Vec<bool>,
    pub(crate) wake: Time,
    fault: Option<Fault>,
}

impl Function {
    /// The function and its configuration space.
    pub fn new(model: Model, flavour: Flavour) -> (ConfigSpace, Function) {
        let (device, revision, subsystem, bar, offered) = match flavour {
            Flavour::Modern => (0x1040 + model.id, 1, 0x1100, modern::BAR, feature::VERSION_1),
            Flavour::Legacy => {
                let bar = Bar::new(REGISTERS_BAR, BarKind::Io, legacy::bar_size(&model.registers));
                (legacy::device_id(model.id), 0, model.id, bar, feature::ANY_LAYOUT)
            }
        };
        let id = Identity {
            vendor: 0x1af4,
            device,
            revision,
            class: model.class,
            subsystem_vendor: 0x1af4,
            subsystem,
            multifunction: false,
            interrupt_pin: 1,
        };
        let table = Bar::new(MSIX_BAR, BarKind::Memory32 { prefetchable: false }, msix::BAR_SIZE);
        let mut config = ConfigSpace::new(id, &[]).with_bar(bar).with_bar(table);
        let vectors = (model.queues.len() as u16).saturating_add(1);
        let msix = Msix::new(&mut config, vectors, MSIX_BAR);
        let window = match flavour {
            Flavour::Modern => modern::add_capabilities(&mut config, &model.registers),
            Flavour::Legacy => 0,
        };
        let mut function = Function {
            flavour,
            offered: model.features | offered | feature::INDIRECT_DESC | feature::EVENT_IDX,
            taken: 0,
            feature_select: 0,
            taken_select: 0,
            status: 0,
            isr: 0,
            config_vector: NO_VECTOR,
            queue_select: 0,
            setups: vec![Setup::default(); model.queues.len()],
            unfinished: vec![false; model.queues.len()],
            away: Away::default(),
            worker: Some(Worker::new(model.queues.len(), model.serve)),
            sizes: model.queues,
            registers: model.registers,
            msix,
            window,
            wake: Time::NEVER,
            fault: None,
        };
        function.restart();
        (config, function)
    }

    /// Why the device needs a reset, if a driver broke the rules.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether queues are in use: the driver is ready and has broken no rule.
    pub fn running(&self) -> bool {
        self.status & status::DRIVER_OK != 0 && self.live()
    }

    /// What came of a call of the worker.
    pub(crate) fn served(&mut self, env: &mut Env<'_>, queue: u16, served: Served) {
        if served.interrupt {
            let vector = self.setups.get(usize::from(queue)).map_or(NO_VECTOR, |s| s.vector);
            self.notify(env, ISR_QUEUE, vector);
        }
        if let Some(flag) = self.unfinished.get_mut(usize::from(queue)) {
            *flag = served.more;
            if served.more {
                self.wake = env.now + BREATH;
            }
        }
        if let Some(fault) = served.fault {
            self.fail(env, fault);
        }
    }

    /// The device as after a reset by the driver (2.4); MSI-X belongs to PCI and stays.
    pub(crate) fn restart(&mut self) {
        self.come_home();
        self.away.forget();
        (self.taken, self.feature_select, self.taken_select) = (0, 0, 0);
        (self.status, self.isr, self.queue_select) = (0, 0, 0);
        self.config_vector = NO_VECTOR;
        for (setup, size) in self.setups.iter_mut().zip(&self.sizes) {
            *setup = Setup { vector: NO_VECTOR, ..Setup::default() };
            setup.rings.size = *size;
        }
        self.unfinished.fill(false);
        self.wake = Time::NEVER;
        self.fault = None;
        self.registers.reset();
        if let Some(worker) = &mut self.worker {
            worker.reset();
        }
    }

    /// Whether queues are served. Legacy drivers use them before they say so (3.1.2).
    fn live(&self) -> bool {
        let going = self.flavour == Flavour::Legacy || self.status & status::DRIVER_OK != 0;
        going && self.status & (status::NEEDS_RESET | status::FAILED) == 0
    }

    /// Writes the device status.
    pub(crate) fn set_status(&mut self, env: &mut Env<'_>, value: u8) {
        if value == 0 {
            self.restart();
            self.update_pin(env);
            return;
        }
        let mut value = value & !status::NEEDS_RESET | self.status & status::NEEDS_RESET;
        let new = value & !self.status;
        if self.flavour == Flavour::Modern && new & status::FEATURES_OK != 0 {
            let acceptable = self.taken & !self.offered == 0 && self.taken & feature::VERSION_1 != 0;
            if acceptable {
                self.negotiated();
            } else {
                value &= !status::FEATURES_OK;
            }
        }
        self.status = value;
        if new & status::DRIVER_OK != 0 {
            self.serve_all(env);
            self.tell_changes(env);
        }
    }

    /// Tells backend and queues which features are in use.
    pub(crate) fn negotiated(&mut self) {
        self.come_home();
        let (indirect, event) = self.queue_features();
        let Some(worker) = &mut self.worker else { return };
        worker.serve().negotiated(self.taken);
        for n in 0..worker.queues() {
            if let Some(Some(q)) = worker.queue(n) {
                q.set_features(indirect, event);
            }
        }
    }

    fn queue_features(&self) -> (bool, bool) {
        (self.taken & feature::INDIRECT_DESC != 0, self.taken & feature::EVENT_IDX != 0)
    }

    /// The selected queue, if there is one.
    pub(crate) fn selected(&mut self) -> Option<&mut Setup> {
        let n = usize::from(self.queue_select);
        self.setups.get_mut(n).filter(|_| self.sizes.get(n).is_some_and(|size| *size != 0))
    }

    /// The most entries of the selected queue; 0 if there is none.
    pub(crate) fn selected_size(&self) -> u16 {
        self.sizes.get(usize::from(self.queue_select)).copied().unwrap_or(0)
    }

    /// Begins (or, for legacy drivers, ends) the use of the selected queue as it is set up.
    pub(crate) fn set_enabled(&mut self, env: &mut Env<'_>, enabled: bool) {
        self.come_home();
        let (indirect, event) = self.queue_features();
        let Some(setup) = self.selected() else { return };
        setup.enabled = enabled;
        let rings = setup.rings;
        let queue = if enabled { Queue::new(rings, indirect, event).map(Some) } else { Ok(None) };
        let place = self.worker.as_mut().and_then(|w| w.queue(self.queue_select));
        match (queue, place) {
            (Ok(queue), Some(place)) => *place = queue,
            (Err(fault), _) => self.fail(env, fault),
            (Ok(_), None) => {}
        }
    }

    /// The driver has made buffers available in `queue`.
    pub(crate) fn kick(&mut self, env: &mut Env<'_>, queue: u16) {
        if !self.live() || !env.bus_master() {
            return;
        }
        match &mut self.worker {
            Some(worker) => {
                let served = worker.run(queue, env.memory);
                self.served(env, queue, served);
            }
            None => self.away.notify(),
        }
    }

    fn serve_all(&mut self, env: &mut Env<'_>) {
        for queue in 0..self.sizes.len() as u16 {
            self.kick(env, queue);
        }
    }

    /// The driver broke the rules (2.1.2): the device does nothing more, and says so.
    fn fail(&mut self, env: &mut Env<'_>, fault: Fault) {
        self.fault = Some(fault);
        self.unfinished.fill(false);
        self.wake = Time::NEVER;
        self.status |= status::NEEDS_RESET;
        if self.status & status::DRIVER_OK != 0 {
            self.notify(env, ISR_CONFIG, self.config_vector);
        }
    }

    /// Sends one of the two kinds of notification (4.1.5.3, 4.1.5.4).
    fn notify(&mut self, env: &mut Env<'_>, isr: u8, vector: u16) {
        self.isr |= isr;
        match &mut self.msix {
            Some(msix) if msix.enabled(env.config) => msix.raise(env, vector),
            _ => self.update_pin(env),
        }
    }

    /// The interrupt pin is asserted while the ISR status says something and MSI-X is off.
    fn update_pin(&self, env: &mut Env<'_>) {
        let messages = self.msix_enabled(env);
        env.config.set_interrupt(self.isr != 0 && !messages);
    }

    pub(crate) fn msix_enabled(&self, env: &Env<'_>) -> bool {
        self.msix.as_ref().is_some_and(|m| m.enabled(env.config))
    }

    /// Reading the ISR status clears it and takes the interrupt back (4.1.4.5).
    pub(crate) fn take_isr(&mut self, env: &mut Env<'_>) -> u8 {
        let isr = core::mem::take(&mut self.isr);
        self.update_pin(env);
        isr
    }

    /// A vector as the device takes it: one that exists, or none.
    pub(crate) fn vector(&self, vector: u16) -> u16 {
        let exists = self.msix.as_ref().is_some_and(|m| vector < m.vectors());
        if exists { vector } else { NO_VECTOR }
    }

    /// Tells the driver of fields that the device changed, once it is ready to hear of them.
    fn tell_changes(&mut self, env: &mut Env<'_>) {
        if self.status & status::DRIVER_OK != 0 && self.registers.take_changed() {
            self.notify(env, ISR_CONFIG, self.config_vector);
        }
    }
}

impl PciDevice for Function {
    fn bar_read(&mut self, env: &mut Env<'_>, bar: u8, offset: u64, data: &mut [u8]) {
        match (bar, self.flavour) {
            (REGISTERS_BAR, Flavour::Modern) => modern::read(self, env, offset, data),
            (REGISTERS_BAR, Flavour::Legacy) => legacy::read(self, env, offset, data),
            (MSIX_BAR, _) => match &self.msix {
                Some(msix) => msix.read(offset, data),
                None => data.fill(0xff),
            },
            _ => data.fill(0xff),
        }
    }

    fn bar_write(&mut self, env: &mut Env<'_>, bar: u8, offset: u64, data: &[u8]) {
        match (bar, self.flavour) {
            (REGISTERS_BAR, Flavour::Modern) => modern::write(self, env, offset, data),
            (REGISTERS_BAR, Flavour::Legacy) => legacy::write(self, env, offset, data),
            (MSIX_BAR, _) => {
                if let Some(msix) = &mut self.msix {
                    msix.write(env, offset, data);
                }
            }
            _ => {}
        }
        self.review(env);
    }

    fn config_written(&mut self, env: &mut Env<'_>, at: u8, len: usize) {
        if let Some(msix) = &mut self.msix {
            msix.config_written(env);
        }
        self.update_pin(env);
        if self.flavour == Flavour::Modern {
            modern::window_written(self, env, at, len);
        }
        // Buffers may have waited for bus mastering.
        if usize::from(at) <= 4 && usize::from(at) + len > 4 {
            self.serve_all(env);
        }
        self.review(env);
    }

    fn config_read(&mut self, env: &mut Env<'_>, at: u8, len: usize) {
        if self.flavour == Flavour::Modern {
            modern::window_read(self, env, at, len);
        }
    }

    fn next_event(&self) -> Time {
        let news = self.status & status::DRIVER_OK != 0 && self.registers.changed();
        if news { Time::ZERO } else { self.wake }
    }

    fn tick(&mut self, env: &mut Env<'_>) {
        self.tell_changes(env);
        self.review(env);
        if self.wake <= env.now {
            self.wake = Time::NEVER;
            for queue in 0..self.unfinished.len() {
                if self.unfinished[queue] {
                    self.kick(env, queue as u16);
                }
            }
        }
    }

    fn reset(&mut self) {
        self.restart();
        if let Some(msix) = &mut self.msix {
            msix.reset();
        }
    }

    fn input(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> usize {
        let taken = self.worker.as_mut().map_or(0, |w| w.serve().input(bytes));
        if taken != 0 {
            self.serve_all(env);
        }
        taken
    }

    fn input_room(&self) -> usize {
        self.worker.as_ref().map_or(0, Worker::input_room)
    }

    fn output(&mut self, to: &mut Vec<u8>) {
        if let Some(worker) = &mut self.worker {
            worker.serve().output(to);
        }
    }

    fn memory_changed(&mut self, memory: &GuestMemory) {
        self.away.show(memory);
    }

    fn recall(&mut self, env: &mut Env<'_>) {
        self.come_home();
        self.hear(env);
    }

    fn save(&self) -> Vec<u8> {
        self.save_state()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RestoreError> {
        self.come_home();
        self.away.forget();
        self.restore_state(state)
    }
}
