//! What the kernel needs of the machine, as a trait, so that its logic runs on the host too.

/// The machine under the kernel.
pub trait Platform {
    /// Reads eight bytes of physical memory.
    fn load(&self, at: u64) -> u64;
    /// Writes eight bytes of physical memory.
    fn store(&mut self, at: u64, value: u64);
    /// Copies words of eight bytes between places that do not overlap.
    fn copy(&mut self, from: u64, to: u64, words: u64);
    /// Zeroes a page.
    fn clear_page(&mut self, at: u64);
    /// Drops every translation of user memory that the processor keeps.
    fn flush(&mut self);
    /// Takes a guest that ends from the processor: its VMCS and what is kept of its memory map.
    fn forget_guest(&mut self, vmcs: u64, root: u64);
    /// Drops what the processor keeps of a guest's memory map.
    fn flush_guest(&mut self, root: u64);
    /// Drops what the processor keeps of a guest's linear addresses, by their tag.
    fn flush_linear(&mut self, vpid: u64);
    /// The processor's time-stamp counter.
    fn time_stamp(&self) -> u64;
    /// Writes to the log.
    fn log(&mut self, bytes: &[u8]);
    /// How much of the log has not left yet.
    fn log_waiting(&self) -> u64;
    /// Reads an I/O port of 1, 2 or 4 bytes.
    fn port_read(&mut self, port: u16, width: u64) -> u32;
    /// Writes an I/O port of 1, 2 or 4 bytes.
    fn port_write(&mut self, port: u16, width: u64, value: u32);
    /// Holds an interrupt line back or lets it through.
    fn irq_mask(&mut self, line: u32, masked: bool);
}
