//! What a BIOS' power-on self-test does for PCI: addresses, interrupt routes, and the registers that tell drivers.

use alloc::vec::Vec;

use hako_chips::pci::{BarKind, BarRange, Bdf, piix};

use super::layout::{PCI_MEMORY, PCI_PORTS, PM_PORT};
use super::pci::{ISA_BRIDGE, PM};
use super::wires::Own;
use super::{FIRST_SLOT, Pc, SCI};

/// The ISA interrupts of PIRQA to PIRQD.
pub(super) const PIRQ_IRQS: [u8; 4] = [10, 11, 10, 11];
/// Edge/level control of IRQ 8 to 15, as the pair of interrupt controllers numbers its registers.
const ELCR_HIGH: u8 = 5;
/// Command register: I/O and memory decoding.
const COMMAND: u8 = 0x04;
const DECODE_IO: u16 = 1 << 0;
const DECODE_MEMORY: u16 = 1 << 1;
const INTERRUPT_LINE: u8 = 0x3c;

/// Addresses still free, as ranges by first and last.
struct Free(Vec<(u64, u64)>);

impl Free {
    /// `size` bytes, a power of two, at a multiple of it.
    fn take(&mut self, size: u64) -> Option<u64> {
        self.0.iter_mut().find_map(|(next, last)| {
            let start = next.checked_next_multiple_of(size)?;
            let end = start.checked_add(size)?;
            (end - 1 <= *last).then(|| {
                *next = end;
                start
            })
        })
    }
}

impl Pc {
    /// Assigns addresses and interrupts to PCI functions, if no firmware will.
    pub(super) fn assign(&mut self) {
        if !self.post {
            return;
        }
        let mut bars: Vec<(Bdf, BarRange)> =
            self.pci.functions().flat_map(|(at, f)| f.bars().map(move |bar| (at, bar))).collect();
        // The large ones first, so that alignment leaves no gaps.
        bars.sort_by_key(|(_, bar)| core::cmp::Reverse(bar.size));
        let (mut ports, mut memory) = (Free([PCI_PORTS].into()), Free(PCI_MEMORY.into()));
        for (at, bar) in bars {
            let (free, decode) = match bar.kind {
                BarKind::Io => (&mut ports, DECODE_IO),
                // Option ROMs are for firmware to run, and there is none that would.
                BarKind::Rom => continue,
                BarKind::Memory32 { .. } | BarKind::Memory64 { .. } => (&mut memory, DECODE_MEMORY),
            };
            let Some(address) = free.take(bar.size) else { continue };
            if let Some(f) = self.pci.function_mut(at) {
                f.write(0x10 + 4 * bar.index, &(address as u32).to_le_bytes());
                let command = f.command() | decode;
                f.write(COMMAND, &command.to_le_bytes());
            }
        }
        self.devices.route(&self.pci);
        self.route_interrupts();
    }

    /// The interrupt pins of devices: INTA# is 1.
    pub(super) fn pins(&self) -> Vec<(Bdf, u8)> {
        let pins = self.pci.functions().map(|(at, f)| (at, f.interrupt_pin()));
        pins.filter(|(at, pin)| at.device() >= FIRST_SLOT && *pin != 0).collect()
    }

    /// PIRQA to PIRQD lead to level-triggered ISA interrupts, and each function knows its own.
    fn route_interrupts(&mut self) {
        if let Some(bridge) = self.pci.function_mut(ISA_BRIDGE) {
            bridge.write(piix::PIRQ_ROUTE, &PIRQ_IRQS);
        }
        self.settle_pirq_routes();
        if let Some(Own { pics, .. }) = self.wires.own_mut() {
            let level = PIRQ_IRQS.iter().fold(pics.read(ELCR_HIGH), |bits, irq| bits | 1 << (irq & 7));
            pics.write(ELCR_HIGH, level);
        }
        if let Some(f) = self.pci.function_mut(PM) {
            // Its pin leads to the SCI and nowhere else.
            f.write(INTERRUPT_LINE, &[SCI]);
            f.write(piix::PM_BASE, &PM_PORT.to_le_bytes());
            f.write(piix::PM_REG_MISC, &[1]);
        }
        for (at, pin) in self.pins() {
            let line = usize::from(piix::pirq(at.device(), pin));
            if let (Some(f), Some(irq)) = (self.pci.function_mut(at), PIRQ_IRQS.get(line)) {
                f.write(INTERRUPT_LINE, &[*irq]);
            }
        }
    }
}
