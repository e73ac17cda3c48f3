//! The PC board: memory map, port and MMIO routing, PCI, interrupt routing, power.
