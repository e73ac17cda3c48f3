//! What firmware is told of the machine, and the machine as the built-in firmware sees it.

use alloc::string::String;
use alloc::vec::Vec;

use hako_chips::Block;
use hako_chips::fw_cfg::{E820Entry, e820_file, key};
use hako_engine::Time;
use hako_firmware::{Bios, Drive, KERNEL_ROM_FILE, MemoryRange, Outcome, Platform, kernel_rom};
use hako_mem::Gpa;
use hako_x86::{CpuState, Width};

use super::Pc;

/// How SeaBIOS names the places that a drive can be in (Open Firmware device paths).
fn path(drive: Drive) -> &'static str {
    match drive {
        Drive::Floppy(_) => "/pci@i0cf8/isa@1/fdc@03f0/floppy@0\n",
        Drive::HardDisk(0) => "/pci@i0cf8/ide@1,1/drive@0/disk@0\n",
        Drive::HardDisk(1) => "/pci@i0cf8/ide@1,1/drive@0/disk@1\n",
        Drive::HardDisk(_) => "/pci@i0cf8/ide@1,1/drive@1/disk@1\n",
        Drive::Cdrom(_) => "/pci@i0cf8/ide@1,1/drive@1/disk@0\n",
    }
}

impl Pc {
    /// Fills fw_cfg.
    pub(super) fn describe(&mut self, vga_rom: Option<Vec<u8>>) {
        let cpus = self.cpus;
        let cfg = &mut self.fw_cfg;
        cfg.set_u64(key::RAM_SIZE, self.layout.ram);
        cfg.set_u16(key::NB_CPUS, cpus.into());
        cfg.set_u16(key::MAX_CPUS, cpus.into());
        cfg.set_u16(key::NOGRAPHIC, 0);
        cfg.set_u16(key::BOOT_MENU, 0);
        let e820: Vec<E820Entry> = self
            .memory_ranges
            .iter()
            .map(|r| E820Entry { address: r.start.0, length: r.len, kind: r.kind as u32 })
            .collect();
        let mut files = alloc::vec![("etc/e820", e820_file(&e820))];
        if let Some(rom) = vga_rom {
            files.push(("vgaroms/vgabios.bin", rom));
        }
        if self.kernel_rom {
            files.push((KERNEL_ROM_FILE, kernel_rom().to_vec()));
        }
        for (name, data) in files {
            // A few files with short names and sizes cannot be refused.
            let _ = cfg.add_file(name, data);
        }
        self.describe_boot_order();
    }

    /// Tells fw_cfg the boot order.
    pub(super) fn describe_boot_order(&mut self) {
        let mut order = String::new();
        if self.kernel_rom {
            order = alloc::format!("/rom@{KERNEL_ROM_FILE}\n");
        }
        order.extend(self.boot.iter().map(|d| path(*d)));
        let _ = self.fw_cfg.add_file("bootorder", order.into_bytes());
    }

    /// Lets the built-in firmware answer a trap.
    pub(crate) fn serve(&mut self, now: Time, bios: &mut Bios, state: &mut CpuState) -> Outcome {
        let memory = self.memory.clone();
        let outcome = bios.service(state, &memory, &mut Services { pc: self, now });
        // The services' accesses are settled all at once.
        self.refresh();
        outcome
    }
}

/// The machine under the services.
struct Services<'a> {
    pc: &'a mut Pc,
    now: Time,
}

impl Platform for Services<'_> {
    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        let mut data = [0; 4];
        let n = width.bytes().min(4);
        self.pc.route_in(self.now, port, width, &mut data[..n]);
        u32::from_le_bytes(data)
    }

    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        let n = width.bytes().min(4);
        self.pc.route_out(self.now, port, width, &value.to_le_bytes()[..n]);
    }

    fn port_out_bytes(&mut self, port: u16, data: &[u8]) {
        self.pc.route_out(self.now, port, Width::B1, data);
    }

    fn a20(&mut self) -> bool {
        self.pc.keyboard.a20()
    }

    fn mmio_read(&mut self, gpa: Gpa, data: &mut [u8]) {
        self.pc.bus_read(self.now, 0, gpa, data);
    }

    fn mmio_write(&mut self, gpa: Gpa, data: &[u8]) {
        self.pc.bus_write(self.now, 0, gpa, data);
    }

    fn disk(&mut self, drive: Drive) -> Option<&mut dyn Block> {
        self.pc.disks.get(drive)
    }

    fn boot_drive(&self, n: usize) -> Option<Drive> {
        self.pc.boot.get(n).copied()
    }

    fn memory_map(&self) -> &[MemoryRange] {
        &self.pc.memory_ranges
    }

    fn printed(&mut self, byte: u8) {
        self.pc.output.printed.push(byte);
    }
}
