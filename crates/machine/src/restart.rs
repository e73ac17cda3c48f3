//! Back to the initial state.

use hako_mem::Gpa;

use crate::error::Error;
use crate::machine::Machine;
use crate::outcome::Ended;

impl Machine {
    /// The guest's reset: CPU, chips and memory as at power-on. Time goes on, so that limits hold.
    pub(crate) fn restart(&mut self) -> Result<(), Ended> {
        self.resets += 1;
        let now = self.core.now(self.raw_count());
        self.core.board.reset(now);
        if let Some(bios) = &mut self.bios {
            *bios = Default::default();
        }
        self.load(true).map_err(|e| Ended::Failed(e.to_string()))?;
        let state = self.core.board.initial_state();
        self.engine.vcpu().set_state(&state).map_err(|e| Ended::Failed(e.to_string()))
    }

    /// Memory as at power-on: zeros, and the image where there is one.
    pub(crate) fn load(&self, again: bool) -> Result<(), Error> {
        let memory = self.core.board.memory();
        if again {
            self.engine.forget(memory, self.ram);
        }
        match &self.image {
            Some(image) => memory.write(Gpa(0), image).map_err(|e| Error::Host(e.to_string())),
            None => Ok(()),
        }
    }
}
