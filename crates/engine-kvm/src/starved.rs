//! Interrupts that an emulating KVM never lets in.
//!
//! Such a KVM looks for interrupts once per hundred instructions or so, counted from the last exit. A guest that waits in a
//! loop with one exit a round (SeaBIOS reads the ACPI timer) and opens the window for two instructions (STI, NOP, CLI) is
//! looked at in the same phase each round, and with interrupts off every time. Single-stepped, each of its instructions
//! begins with a look.

use hako_engine::EngineError;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{Activity, Cr0};
use kvm_bindings::{KVM_IRQCHIP_PIC_MASTER, kvm_irqchip};

use crate::error::host;
use crate::vcpu::KvmVcpu;

/// The timer's request at the master PIC. It comes again, and nobody waits for a single one: guests that hold it off for long
/// are no reason to step.
const TIMER: u8 = 1;
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
        let waits = if pic.init_state == 0 { pic.irr & !pic.imr & !pic.isr & !TIMER } else { 0 };
        if waits & self.waited != 0 {
            self.look()?;
            // Firmware does not page, and where nothing is paged HLT is easily seen.
            if self.page().sync().sregs.cr0 & Cr0::PG.bits() == 0 {
                self.debugging.step_on(&self.fd, STEPS)?;
            }
        }
        self.waited = waits;
        Ok(())
    }

    /// Such a KVM may go on taking a CPU for halted that has halted while it was stepped and was woken by an interrupt.
    /// Wakes a CPU that does not stand behind a HLT; whether it did.
    pub(crate) fn wake_from_no_hlt(&mut self, memory: &GuestMemory) -> Result<bool, EngineError> {
        const HLT: u8 = 0xf4;
        if self.activity()? != Activity::Halted {
            return Ok(false);
        }
        self.look()?;
        let sync = *self.page().sync();
        let before = Gpa(sync.sregs.cs.base.wrapping_add(sync.regs.rip).wrapping_sub(1));
        if sync.sregs.cr0 & Cr0::PG.bits() != 0 || memory.load(before) == Ok(HLT) {
            return Ok(false);
        }
        self.set_mp_state(Activity::Running)?;
        Ok(true)
    }
}
