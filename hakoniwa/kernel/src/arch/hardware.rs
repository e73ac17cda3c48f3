//! The machine as the kernel's logic sees it.

use super::{cpu, memory, pic, serial, vmx};
use hakoniwa_kernel::platform::Platform;

/// This machine.
pub struct Hardware;

impl Platform for Hardware {
    fn load(&self, at: u64) -> u64 {
        memory::load(at)
    }

    fn store(&mut self, at: u64, value: u64) {
        memory::store(at, value);
    }

    fn copy(&mut self, from: u64, to: u64, words: u64) {
        memory::copy(from, to, words);
    }

    fn clear_page(&mut self, at: u64) {
        memory::clear_page(at);
    }

    fn flush(&mut self) {
        // SAFETY: the same tables again.
        unsafe { cpu::set_root(cpu::root()) };
    }

    fn forget_guest(&mut self, vmcs: u64, root: u64) {
        vmx::clear(vmcs);
        vmx::invalidate(root);
    }

    fn flush_guest(&mut self, root: u64) {
        vmx::invalidate(root);
    }

    fn flush_linear(&mut self, vpid: u64) {
        vmx::invalidate_linear(vpid);
    }

    fn time_stamp(&self) -> u64 {
        cpu::tsc()
    }

    fn log(&mut self, bytes: &[u8]) {
        serial::write(bytes);
    }

    fn log_waiting(&self) -> u64 {
        serial::waiting()
    }

    fn port_read(&mut self, port: u16, width: u64) -> u32 {
        cpu::port_read(port, width)
    }

    fn port_write(&mut self, port: u16, width: u64, value: u32) {
        cpu::port_write(port, width, value);
    }

    fn irq_mask(&mut self, line: u32, masked: bool) {
        pic::mask(line, masked);
    }
}
