//! The built-in firmware's services: the state is fetched, edited, and put back.

use hako_chips::Wish;
use hako_firmware::{Outcome as Served, Service};

use crate::machine::Machine;
use crate::outcome::Ended;

impl Machine {
    /// Answers a write to the trap port.
    pub(crate) fn serve(&mut self) -> Result<(), Ended> {
        let failed = |e: hako_engine::EngineError| Ended::Failed(e.to_string());
        let Some(bios) = &mut self.bios else { return self.firmware_asks() };
        let vcpu = self.engine.vcpu();
        let mut state = self.core.looked_at(|core| vcpu.state(core)).map_err(failed)?;
        let now = self.core.clock.now(self.engine.vcpu_ref().count().unwrap_or(0));
        let service = Service::at(&state);
        if let Some(service) = service {
            self.core.services |= 1u32.checked_shl(service as u32).unwrap_or(0);
        }
        if let Some(t) = self.core.trace.as_mut().filter(|t| t.what.int) {
            let name = service.map_or_else(|| "?".into(), |s| format!("{s:?}"));
            t.line(now, format_args!("int  service {name} ax={:04x}", state.gpr[0] as u16));
        }
        let served = self.core.board.serve(now, bios, &mut state);
        if !self.core.board.output().is_empty() {
            self.core.fetch_output();
        }
        match served {
            Served::Ignored => Ok(()),
            Served::Resume => self.engine.vcpu().set_state(&state).map_err(failed),
            Served::Reset => self.grant(Wish::Reset),
            Served::Kernel => self.start_kernel(state),
            Served::PowerOff => self.grant(Wish::PowerOff),
        }
    }
}
