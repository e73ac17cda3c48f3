//! A bus that answers both engines the same.

use hako_engine::{At, Attention, Bus};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::Width;

/// RAM; ports answer with their number; nothing interrupts.
pub struct Plain {
    /// RAM.
    pub memory: GuestMemory,
    /// What was written to ports and MMIO.
    pub written: Vec<(u64, Vec<u8>)>,
}

impl Plain {
    /// A bus with this memory.
    pub fn new(memory: GuestMemory) -> Plain {
        Plain { memory, written: Vec::new() }
    }
}

impl Bus for Plain {
    fn port_in(&mut self, _: At, port: u16, _: Width, data: &mut [u8]) -> Attention {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte = (port as u8).wrapping_add(i as u8);
        }
        Attention::empty()
    }
    fn port_out(&mut self, _: At, port: u16, _: Width, data: &[u8]) -> Attention {
        self.written.push((port.into(), data.to_vec()));
        Attention::empty()
    }
    fn mmio_write(&mut self, _: At, gpa: Gpa, data: &[u8]) -> Attention {
        self.written.push((gpa.0, data.to_vec()));
        Attention::empty()
    }
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }
}
