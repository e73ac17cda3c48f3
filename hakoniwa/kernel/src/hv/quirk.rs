//! What is wrong with some processors, by name, and how they are told apart.

/// Whether the processor reports no external interrupt while a guest that was entered with RFLAGS.IF clear keeps it
/// clear, against SDM Vol. 3C, 25.2: Bochs's does not (2.7). It calls itself what it imitates and announces no
/// hypervisor; but its board has the host bridge of 1996, which no real processor with VT-x ever sat on.
pub fn silent_interrupts(hypervisor: bool, host_bridge: u32) -> bool {
    /// The i440FX, vendor in the low half.
    const I440FX: u32 = 0x1237_8086;
    !hypervisor && host_bridge == I440FX
}

#[cfg(test)]
mod tests {
    use super::silent_interrupts;

    #[test]
    fn only_an_old_board_without_a_hypervisor_is_bochs() {
        assert!(silent_interrupts(false, 0x1237_8086));
        assert!(!silent_interrupts(true, 0x1237_8086), "QEMU says what it is");
        assert!(!silent_interrupts(false, 0x9b61_8086), "a real host bridge");
        assert!(!silent_interrupts(false, u32::MAX), "no PCI");
    }
}
