//! Resource descriptors (ACPI 6.4, section 6.4) that `acpi_tables` has not.

use acpi_tables::{Aml, AmlSink};

/// An interrupt of the ISA bus: edge-triggered, active high, not shared (6.4.2.1).
pub struct IsaIrq(pub u8);

impl Aml for IsaIrq {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.byte(0x22);
        sink.word(1u16.checked_shl(self.0.into()).unwrap_or(0));
    }
}

/// A channel of the DMA controllers: compatibility timing, no bus master, 8 bits (6.4.2.2).
pub struct Dma(pub u8);

impl Aml for Dma {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.byte(0x2a);
        sink.byte(1u8.checked_shl(self.0.into()).unwrap_or(0));
        sink.byte(0);
    }
}

/// One of several interrupts of PCI: a consumer's, level-triggered, active low, shared (6.4.3.6).
pub struct PciIrqs<'a>(pub &'a [u32]);

/// Where the first number is in a template that begins with [`PciIrqs`].
pub const FIRST_NUMBER: u8 = 5;

impl Aml for PciIrqs<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.byte(0x89);
        sink.word(2 + 4 * self.0.len() as u16);
        sink.byte(0b1101);
        sink.byte(self.0.len() as u8);
        self.0.iter().for_each(|n| sink.dword(*n));
    }
}
