//! Interrupts that an emulating KVM never lets in.
//!
//! Such a KVM looks for interrupts once per hundred instructions or so, counted from the last exit. A guest that waits in a
//! loop with one exit a round (SeaBIOS reads the ACPI timer) and opens the window for two instructions (STI, NOP, CLI) is
//! looked at in the same phase each round, and with interrupts off every time. Single-stepped, each of its instructions
//! begins with a look.

use hako_engine::EngineError;
use kvm_bindings::{KVM_IRQCHIP_PIC_MASTER, kvm_irqchip};

use crate::error::host;
use crate::vcpu::KvmVcpu;

/// Instructions that are stepped: some rounds of a waiting loop.
const STEPS: u32 = 600;

impl KvmVcpu {
    /// Called from time to time while the guest runs and exits: steps it for a while where an interrupt waits that has
    /// waited the last time too.
    pub(crate) fn relieve(&mut self) -> Result<(), EngineError> {
        let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_PIC_MASTER, ..Default::default() };
        self.shared.fd.get_irqchip(&mut chip).map_err(host("KVM_GET_IRQCHIP"))?;
        // SAFETY: KVM has filled the part of the union that the chip id names; any bytes are valid.
        let pic = unsafe { chip.chip.pic };
        let waits = if pic.init_state == 0 { pic.irr & !pic.imr & !pic.isr } else { 0 };
        if waits & self.waited != 0 {
            self.debugging.step_on(&self.fd, STEPS)?;
        }
        self.waited = waits;
        Ok(())
    }
}
