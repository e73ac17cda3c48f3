//! Wires out of the board where the interrupt controllers live in the engine.

/// Takes the level of global system interrupts; on kvm with the in-kernel irqchip this is KVM_IRQ_LINE.
pub trait IrqSink: Send {
    /// Sets the level of a GSI (0 to 23).
    fn set_gsi(&mut self, gsi: u8, level: bool);
    /// A message-signalled interrupt: a write of `data` to `address` (SDM Vol. 3A 11.11).
    fn msi(&mut self, address: u64, data: u32);
}
