//! The registers with which kvm-unit-tests drives the board (QEMU's pc-testdev): interrupt lines at 0x2000 to 0x2017, a
//! dword at 0xe0 and again at 0xe4, a port at 0xe8 that takes anything, and 64 KiB of device memory at 0xff000000.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hako_chips::RestoreError;
use serde::{Deserialize, Serialize};

use super::Pc;
use super::events::Touched;

/// A block of the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// The dword, by bytes.
    Latch,
    /// Takes a page's address and does nothing: our engines see changes of memory themselves.
    Flush,
    /// An interrupt line for each port.
    Lines,
    /// Device memory.
    Memory,
}

/// Blocks at ports: first port, number of ports.
pub(super) const PORTS: [(Block, u16, u16); 4] =
    [(Block::Latch, 0xe0, 4), (Block::Latch, 0xe4, 4), (Block::Flush, 0xe8, 1), (Block::Lines, 0x2000, 24)];
/// Device memory: address, bytes.
pub(super) const MEMORY: (u64, u64) = (0xff00_0000, 0x1_0000);
/// ISA interrupts; the lines that follow are PIRQA to PIRQD.
const ISA_LINES: u8 = 16;

/// What the registers hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestdevState {
    /// The dword.
    pub latch: [u8; 4],
    /// Device memory.
    pub memory: Vec<u8>,
}

/// The registers.
pub(super) struct Testdev {
    latch: [u8; 4],
    memory: Box<[u8]>,
}

impl Testdev {
    pub fn new() -> Testdev {
        Testdev { latch: [0; 4], memory: alloc::vec![0; MEMORY.1 as usize].into() }
    }

    pub fn save(&self) -> TestdevState {
        TestdevState { latch: self.latch, memory: self.memory.to_vec() }
    }

    pub fn restored(saved: &TestdevState) -> Result<Testdev, RestoreError> {
        if saved.memory.len() as u64 != MEMORY.1 {
            return Err(RestoreError::Impossible("the test device has 64 KiB of memory"));
        }
        Ok(Testdev { latch: saved.latch, memory: saved.memory.clone().into() })
    }

    /// The bytes of a block, if it has any.
    fn bytes(&mut self, block: Block) -> &mut [u8] {
        match block {
            Block::Latch => &mut self.latch,
            Block::Memory => &mut self.memory,
            Block::Flush | Block::Lines => &mut [],
        }
    }
}

impl Pc {
    /// Reads a block's registers; what cannot be read is ones.
    pub(super) fn testdev_read(&mut self, block: Block, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        let bytes = self.testdev.as_mut().map(|t| t.bytes(block)).unwrap_or_default();
        let bytes = bytes.iter().skip(usize::try_from(offset).unwrap_or(usize::MAX));
        data.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    }

    /// Writes a block's registers.
    pub(super) fn testdev_write(&mut self, block: Block, offset: u64, data: &[u8]) {
        if block == Block::Lines {
            let level = data.iter().any(|byte| *byte != 0);
            match offset as u8 {
                irq @ 0..ISA_LINES => self.wires.set_isa(irq, level),
                line => self.wires.set_pirq(line - ISA_LINES, level),
            }
            self.touched |= Touched::LINES | Touched::APIC;
            return;
        }
        let bytes = self.testdev.as_mut().map(|t| t.bytes(block)).unwrap_or_default();
        let bytes = bytes.iter_mut().skip(usize::try_from(offset).unwrap_or(usize::MAX));
        bytes.zip(data).for_each(|(to, from)| *to = *from);
    }
}
