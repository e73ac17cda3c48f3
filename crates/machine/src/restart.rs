//! Back to the initial state: for a guest that resets the machine, and for the next guest on the same machine.

use std::time::Duration;

use hako_engine::Time;
use hako_mem::Gpa;

use crate::boot::{self, Kernel};
use crate::config::Source;
use crate::engine::Engine;
use crate::error::Error;
use crate::machine::Machine;
use crate::media;
use crate::outcome::Ended;

/// How long the reset line is held, as chipsets do. Without it a guest that does nothing but reset would do so some
/// hundred thousand times in a second of virtual time.
const RESET_PULSE: Duration = Duration::from_millis(1);

impl Machine {
    /// The guest's reset: CPU, chips and memory as at power-on. Time goes on, so that limits hold.
    pub(crate) fn restart(&mut self) -> Result<(), Ended> {
        self.resets += 1;
        let count = self.raw_count();
        self.core.clock.skip_to(count, self.core.now(count) + RESET_PULSE);
        let now = self.core.now(count);
        self.core.board.reset(now);
        self.power_on().map_err(|e| Ended::Failed(e.to_string()))
    }

    /// Makes this machine one that has just been built with another image and the same description otherwise. Nothing
    /// large is allocated and only memory that was used is cleared, so this costs microseconds where building costs
    /// milliseconds; no state is left.
    pub fn reset_to(&mut self, image: impl Into<Source>) -> Result<(), Error> {
        self.config.image = Some(image.into());
        self.reset()
    }

    /// Makes this machine one that has just been built: all media are opened again.
    pub fn reset(&mut self) -> Result<(), Error> {
        let kernel = Kernel::open(&self.config)?;
        let plugged = self.config.rng || self.config.console.is_some() || self.config.balloon.is_some();
        if plugged || !self.virtio_disks.is_empty() || kernel.is_some() != self.kernel.is_some() {
            // PCI devices keep their backends over a reset, and a kernel has another size of memory and other disks.
            *self = Machine::new(self.config.clone())?;
            return Ok(());
        }
        match &mut self.core.board {
            hako_board::Board::Pc(pc) => {
                if let Some(kernel) = &kernel {
                    kernel.check(self.ram)?;
                }
                let (disks, boot) = media::open(&self.config, kernel.is_some())?;
                self.kernel = kernel;
                pc.replace_media(disks, boot);
            }
            hako_board::Board::Bare(_) => self.image = Some(self.bare_image()?),
        }
        self.engine.reset()?;
        self.core.restart(self.raw_count());
        self.core.board.reset(Time::ZERO);
        self.count_base = self.engine.count_of_all().unwrap_or(0);
        self.inbox.with(|w| w.input.clear());
        (self.outcome, self.rescued, self.resets, self.shown) = (None, 0, 0, Time::ZERO);
        (self.input_open, self.hang) = (false, Default::default());
        self.power_on()
    }

    /// Memory, firmware and CPU as at power-on.
    fn power_on(&mut self) -> Result<(), Error> {
        if let Some(bios) = &mut self.bios {
            *bios = boot::bios(self.kernel.as_ref());
        }
        self.engine.forget(self.core.board.memory(), self.ram);
        self.load()?;
        if let Engine::Soft(cpus) = &mut self.engine {
            let (from, to) = cpus.first();
            self.core.clock.hand_over(from, to);
        }
        let state = self.core.board.initial_state();
        Ok(self.engine.power_on(&state)?)
    }

    /// The image where it is memory's content.
    pub(crate) fn load(&self) -> Result<(), Error> {
        match &self.image {
            Some(image) => {
                self.core.board.memory().write(Gpa(0), image).map_err(|e| Error::Host(e.to_string()))
            }
            None => Ok(()),
        }
    }
}
