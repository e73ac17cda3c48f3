//! Interrupts that an emulating KVM never lets in.
//!
//! Such a KVM looks for interrupts once per hundred instructions or so, counted from the last exit. A guest that waits in
//! a loop with one exit a round (SeaBIOS reads the ACPI timer) and opens the window for two instructions (STI, NOP, CLI)
//! is looked at in the same phase each round, and with interrupts off every time. It always looks at an entry, so
//! somebody else has to execute the guest up to where it takes interrupts: [`KvmVcpu::take_starved`] says when. To
//! single-step it would not do: KVM sets TF for that, and an interrupt in protected mode pushes it.

use std::time::{Duration, Instant};

use hako_engine::EngineError;
use hako_x86::{Activity, Cr0, RFlags};
use kvm_bindings::{KVM_IRQCHIP_PIC_MASTER, kvm_irqchip};

use crate::error::host;
use crate::vcpu::KvmVcpu;

/// How often the requests of the PIC are looked at. One that waits at two looks in a row waits for too long.
const INTERVAL: Duration = Duration::from_millis(20);
/// The same for a guest that nobody could help: it holds interrupts off for long, as boot loaders do.
const LONGEST_INTERVAL: Duration = Duration::from_millis(160);

/// What is known of requests that wait at the master PIC, on a KVM that may never let one in.
pub(crate) struct Waiting {
    next_look: Instant,
    interval: Duration,
    /// The requests at the last look.
    requests: u8,
    /// The CPU was found starved, and nobody has been told.
    found: bool,
}

impl Waiting {
    pub(crate) fn new() -> Waiting {
        Waiting { next_look: Instant::now() + INTERVAL, interval: INTERVAL, requests: 0, found: false }
    }
}

impl KvmVcpu {
    /// Whether `run` came back because an interrupt has waited for too long while the guest, which does not page, holds
    /// interrupts off. Said once.
    pub fn take_starved(&mut self) -> bool {
        self.waiting.as_mut().is_some_and(|w| std::mem::take(&mut w.found))
    }

    /// Somebody has executed the guest, to where it takes interrupts or in vain.
    pub fn relieved(&mut self, in_vain: bool) {
        if let Some(waiting) = &mut self.waiting {
            waiting.interval = if in_vain { (waiting.interval * 2).min(LONGEST_INTERVAL) } else { INTERVAL };
        }
    }

    /// Looks whether the CPU is starved, if it is time for a look.
    pub(crate) fn find_starved(&mut self, now: Instant) -> Result<bool, EngineError> {
        // Whoever debugs wants to see each instruction.
        let Some(waiting) = self.waiting.as_mut().filter(|w| now >= w.next_look) else { return Ok(false) };
        if self.debugging.is_on() {
            return Ok(false);
        }
        waiting.next_look = now + waiting.interval;
        let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_PIC_MASTER, ..Default::default() };
        self.shared.fd.get_irqchip(&mut chip).map_err(host("KVM_GET_IRQCHIP"))?;
        // SAFETY: KVM has filled the part of the union that the chip id names; any bytes are valid.
        let pic = unsafe { chip.chip.pic };
        let requests = if pic.init_state == 0 { pic.irr & !pic.imr & !pic.isr } else { 0 };
        if std::mem::replace(&mut waiting.requests, requests) & requests == 0 {
            return Ok(false);
        }
        self.look()?;
        let sync = *self.page().sync();
        let off = sync.regs.rflags & RFlags::IF.bits() == 0;
        let found = off && sync.sregs.cr0 & Cr0::PG.bits() == 0 && self.activity()? == Activity::Running;
        if let Some(waiting) = &mut self.waiting {
            waiting.found = found;
        }
        // Whoever executes the guest meanwhile may move lines.
        self.look_at_lines |= found;
        Ok(found)
    }
}
