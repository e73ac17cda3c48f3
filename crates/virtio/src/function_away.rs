//! When a function's worker is at its station, and what follows when it goes and comes.

use alloc::boxed::Box;

use hako_chips::pci::{BarKind, Env};
use hako_engine::Time;
use hako_mem::GuestMemory;

use crate::function::{Flavour, Function, REGISTERS_BAR};
use crate::station::{Notify, Station, Terms};
use crate::{legacy, modern};

/// The station, if there is one, and what it was told last.
#[derive(Default)]
pub(crate) struct Away {
    station: Option<Box<dyn Station>>,
    terms: Terms,
}

impl Away {
    /// A queue was notified in a way that the station does not see.
    pub fn notify(&mut self) {
        if let Some(station) = &mut self.station {
            station.notify();
        }
    }

    /// What the station has not told yet does not matter any more.
    pub fn forget(&mut self) {
        if let Some(station) = &mut self.station {
            while station.news().is_some() {}
        }
    }

    /// The memory map has changed.
    pub fn show(&mut self, memory: &GuestMemory) {
        if let Some(station) = &mut self.station {
            station.show(memory);
        }
    }
}

impl Function {
    /// Gives the device a station, to which its worker goes as soon as the driver is ready.
    pub fn set_station(&mut self, station: Box<dyn Station>) {
        self.come_home();
        self.away = Away { station: Some(station), ..Away::default() };
    }

    /// Gets the worker back. What it left in the queues is served at the next tick.
    pub(crate) fn come_home(&mut self) {
        let Some(station) = &mut self.away.station else { return };
        if self.worker.is_some() {
            return;
        }
        self.worker = station.recall();
        if self.running() {
            self.unfinished.fill(true);
            self.wake = Time::ZERO;
        }
    }

    /// Tells the driver what came of the work of the station.
    pub(crate) fn hear(&mut self, env: &mut Env<'_>) {
        while let Some((queue, served)) = self.away.station.as_mut().and_then(|s| s.news()) {
            self.served(env, queue, served);
        }
    }

    /// Sends the worker to the station or gets it back, as is right by now, and tells the station what has changed.
    pub(crate) fn review(&mut self, env: &mut Env<'_>) {
        if self.away.station.is_none() {
            return;
        }
        self.hear(env);
        if !self.running() || !env.bus_master() {
            return self.come_home();
        }
        let terms = self.terms(env);
        let Some(station) = &mut self.away.station else { return };
        match self.worker.take() {
            Some(worker) => {
                station.take(worker, &terms, env.memory);
                self.unfinished.fill(false);
                self.wake = Time::NEVER;
            }
            None if terms != self.away.terms => station.change(&terms),
            None => {}
        }
        self.away.terms = terms;
    }

    fn terms(&self, env: &Env<'_>) -> Terms {
        let bar = env.config.bars().find(|bar| bar.index == REGISTERS_BAR && bar.enabled);
        let notify = match (bar, self.flavour) {
            (Some(bar), Flavour::Modern) => Notify::Memory {
                first: bar.address.saturating_add(modern::NOTIFY),
                step: modern::NOTIFY_MULTIPLIER,
            },
            (Some(bar), Flavour::Legacy) if bar.kind == BarKind::Io => {
                u16::try_from(bar.address.saturating_add(legacy::NOTIFY))
                    .map_or(Notify::Nowhere, Notify::Port)
            }
            _ => Notify::Nowhere,
        };
        let message = |vector| self.msix.as_ref().and_then(|msix| msix.message(env, vector));
        Terms { notify, messages: self.setups.iter().map(|setup| message(setup.vector)).collect() }
    }
}
