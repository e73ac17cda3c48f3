//! A machine of paper: memory, disks, and just enough chips to see what the services do with them.
#![allow(dead_code)] // every test file uses a part

use std::collections::HashMap;

use hako_chips::{Block, BlockError};
use hako_firmware::{Bios, Drive, MemoryRange, Outcome, Platform, RangeKind, Service, rom};
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, Gpr, RFlags, SegReg, Segment, Width};

/// A disk in memory.
pub struct Image {
    pub bytes: Vec<u8>,
    pub read_only: bool,
}

impl Image {
    pub fn new(sectors: usize) -> Image {
        Image { bytes: vec![0; sectors * 512], read_only: false }
    }

    /// With a boot signature and recognisable sectors: byte 0 of sector n is n.
    pub fn bootable(sectors: usize) -> Image {
        let mut image = Image::new(sectors);
        for (n, sector) in image.bytes.chunks_mut(512).enumerate() {
            sector[0] = n as u8;
        }
        image.bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        image
    }

    fn range(&self, lba: u64, len: usize) -> Result<std::ops::Range<usize>, BlockError> {
        let end = lba.checked_mul(512).and_then(|at| at.checked_add(len as u64));
        match end {
            Some(end) if end <= self.bytes.len() as u64 => Ok(end as usize - len..end as usize),
            _ => Err(BlockError::Range { lba, count: len as u64 / 512 }),
        }
    }
}

impl Block for Image {
    fn sectors(&self) -> u64 {
        self.bytes.len() as u64 / 512
    }
    fn read_only(&self) -> bool {
        self.read_only
    }
    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let range = self.range(lba, buf.len())?;
        buf.copy_from_slice(&self.bytes[range]);
        Ok(())
    }
    fn write(&mut self, lba: u64, data: &[u8]) -> Result<(), BlockError> {
        if self.read_only {
            return Err(BlockError::ReadOnly);
        }
        let range = self.range(lba, data.len())?;
        self.bytes[range].copy_from_slice(data);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), BlockError> {
        Ok(())
    }
}

/// The platform: ports with a register behind them, disks, a map.
pub struct Paper {
    pub cmos: [u8; 128],
    cmos_index: usize,
    pub crtc: [u8; 256],
    crtc_index: usize,
    pub attributes: [u8; 32],
    attribute_index: Option<u8>,
    pub dac: Vec<u8>,
    pub pci: HashMap<(u32, u8), u8>,
    pci_address: u32,
    pub port92: u8,
    pub keyboard_controller: Vec<u8>,
    pub uart: Vec<u8>,
    pub uart_input: Vec<u8>,
    pub out_count: usize,
    pub floppy: Option<Image>,
    pub hard: Vec<Image>,
    pub cd: Option<Image>,
    pub order: Vec<Drive>,
    pub map: Vec<MemoryRange>,
    pub printed: Vec<u8>,
    pub mmio: HashMap<u64, u8>,
}

impl Paper {
    fn new(ram: u64) -> Paper {
        let mut cmos = [0; 128];
        // 12:34:56 on 2026-11-22.
        for (register, v) in [(0, 0x56), (2, 0x34), (4, 0x12), (7, 0x22), (8, 0x11), (9, 0x26), (0x32, 0x20)]
        {
            cmos[register] = v;
        }
        let usable =
            |start, end| MemoryRange { start: Gpa(start), len: end - start, kind: RangeKind::Usable };
        Paper {
            cmos,
            cmos_index: 0,
            crtc: [0; 256],
            crtc_index: 0,
            attributes: [0; 32],
            attribute_index: None,
            dac: Vec::new(),
            pci: HashMap::new(),
            pci_address: 0,
            port92: 0,
            keyboard_controller: Vec::new(),
            uart: Vec::new(),
            uart_input: Vec::new(),
            out_count: 0,
            floppy: None,
            hard: Vec::new(),
            cd: None,
            order: Vec::new(),
            map: vec![usable(0, 0xa_0000), usable(0x10_0000, ram)],
            printed: Vec::new(),
            mmio: HashMap::new(),
        }
    }

    /// Puts a function into configuration space: its number on bus 0, then (register, byte) pairs.
    pub fn plug(&mut self, function: u32, id: u32, class: u32) {
        for (at, v) in [(0, id), (8, class << 8)] {
            for (i, byte) in v.to_le_bytes().into_iter().enumerate() {
                self.pci.insert((function, at + i as u8), byte);
            }
        }
    }

    fn byte_in(&mut self, port: u16) -> u8 {
        match port {
            0x71 => self.cmos[self.cmos_index],
            0x92 => self.port92,
            0x3cc => 0x67,
            0x3c1 => self.attributes[usize::from(self.attribute_index.unwrap_or(0)) % 32],
            0x3d5 => self.crtc[self.crtc_index],
            0x3da => {
                self.attribute_index = None;
                0
            }
            0x3f8 => self.uart_input.pop().unwrap_or(0),
            0x3fa => 1,
            0x3fd => 0x60 | u8::from(!self.uart_input.is_empty()),
            0x3fe => 0xb0,
            0xcfc..=0xcff => {
                let function = self.pci_address >> 8 & 0xffff;
                let register = (self.pci_address & 0xfc) as u8 + (port - 0xcfc) as u8;
                let here = self.pci.keys().any(|k| k.0 == function);
                self.pci.get(&(function, register)).copied().unwrap_or(if here { 0 } else { 0xff })
            }
            _ => 0xff,
        }
    }

    fn byte_out(&mut self, port: u16, v: u8) {
        match port {
            0x70 => self.cmos_index = usize::from(v & 0x7f),
            0x71 => self.cmos[self.cmos_index] = v,
            0x60 | 0x64 => self.keyboard_controller.push(v),
            0x92 => self.port92 = v,
            0x3c0 => match self.attribute_index.take() {
                None => self.attribute_index = Some(v),
                Some(i) => self.attributes[usize::from(i & 0x1f)] = v,
            },
            0x3c8 => self.dac.clear(),
            0x3c9 => self.dac.push(v),
            0x3d4 => self.crtc_index = usize::from(v),
            0x3d5 => self.crtc[self.crtc_index] = v,
            0x3f8 => self.uart.push(v),
            0xcfc..=0xcff => {
                let function = self.pci_address >> 8 & 0xffff;
                let register = (self.pci_address & 0xfc) as u8 + (port - 0xcfc) as u8;
                self.pci.insert((function, register), v);
            }
            _ => {}
        }
    }
}

impl Platform for Paper {
    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        let bytes = core::array::from_fn(|i| {
            if i < width.bytes() { self.byte_in(port.wrapping_add(i as u16)) } else { 0 }
        });
        u32::from_le_bytes(bytes)
    }
    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        self.out_count += 1;
        if port == 0xcf8 && width == Width::B4 {
            self.pci_address = value;
            return;
        }
        for (i, byte) in value.to_le_bytes().into_iter().enumerate().take(width.bytes()) {
            self.byte_out(port.wrapping_add(i as u16), byte);
        }
    }
    fn mmio_read(&mut self, gpa: Gpa, data: &mut [u8]) {
        for (i, b) in data.iter_mut().enumerate() {
            *b = self.mmio.get(&gpa.0.wrapping_add(i as u64)).copied().unwrap_or(0xff);
        }
    }
    fn mmio_write(&mut self, gpa: Gpa, data: &[u8]) {
        for (i, &b) in data.iter().enumerate() {
            self.mmio.insert(gpa.0.wrapping_add(i as u64), b);
        }
    }
    fn disk(&mut self, drive: Drive) -> Option<&mut dyn Block> {
        match drive {
            Drive::Floppy(0) => self.floppy.as_mut().map(|d| d as &mut dyn Block),
            Drive::HardDisk(n) => self.hard.get_mut(usize::from(n)).map(|d| d as &mut dyn Block),
            Drive::Cdrom(0) => self.cd.as_mut().map(|d| d as &mut dyn Block),
            _ => None,
        }
    }
    fn boot_drive(&self, n: usize) -> Option<Drive> {
        self.order.get(n).copied()
    }
    fn memory_map(&self) -> &[MemoryRange] {
        &self.map
    }
    fn printed(&mut self, byte: u8) {
        self.printed.push(byte);
    }
}

/// A BIOS on paper. Calls are made as INT makes them: a frame on the stack, rip in the stub.
pub struct Machine {
    pub bios: Bios,
    pub mem: GuestMemory,
    pub paper: Paper,
    pub cpu: CpuState,
    pub outcome: Outcome,
}

/// Where calls keep their stack.
const STACK: u16 = 0x7000;

impl Machine {
    /// Little memory with the ROM, before power-on. (The map tells of 4 MiB; what is not there reads as ones.)
    pub fn off() -> Machine {
        let mem = GuestMemory::flat(0x12_0000);
        mem.write(Gpa(0xf_0000), &rom()).unwrap();
        Machine {
            bios: Bios::new(),
            mem,
            paper: Paper::new(4 << 20),
            cpu: real_mode(),
            outcome: Outcome::Ignored,
        }
    }

    /// After POST, with this machine's disks and boot order.
    pub fn on(set_up: impl FnOnce(&mut Paper)) -> Machine {
        let mut m = Machine::off();
        set_up(&mut m.paper);
        m.service(Service::Post);
        m.cpu = real_mode();
        m.paper.printed.clear();
        m.paper.out_count = 0;
        m
    }

    /// With one hard disk of 100 sectors that boots.
    pub fn with_disk() -> Machine {
        Machine::on(|p| {
            p.hard.push(Image::bootable(100));
            p.order.push(Drive::HardDisk(0));
        })
    }

    /// The state just after the OUT of a service's stub.
    pub fn service(&mut self, service: Service) -> Outcome {
        self.cpu.seg[SegReg::Cs as usize] = Segment::real(0xf000);
        self.cpu.rip = u64::from(service.slot()) + 2;
        self.outcome = self.bios.service(&mut self.cpu, &self.mem, &mut self.paper);
        self.outcome
    }

    /// INT `vector` with registers set by `set_up`, from a caller whose flags have CF and ZF set.
    pub fn int(&mut self, vector: u8, set_up: impl FnOnce(&mut CpuState)) -> Outcome {
        set_up(&mut self.cpu);
        self.cpu.gpr[Gpr::Rsp as usize] = STACK.into();
        self.mem.store(Gpa(u64::from(STACK) + 4), 0x0243u16).unwrap();
        let entry: u32 = self.mem.load(Gpa(u64::from(vector) * 4)).unwrap();
        assert_eq!(entry >> 16, 0xf000, "the vector leads into the ROM");
        self.cpu.seg[SegReg::Cs as usize] = Segment::real(0xf000);
        self.cpu.rip = u64::from(entry & 0xffff) + 2;
        self.outcome = self.bios.service(&mut self.cpu, &self.mem, &mut self.paper);
        self.outcome
    }

    /// Whether the stub goes on to its IRET.
    pub fn returns(&self) -> bool {
        self.mem.load::<u8>(Gpa(0xf_0000 + self.cpu.rip)) == Ok(0xcf)
    }

    /// Whether the stub goes on to STI; HLT.
    pub fn waits(&self) -> bool {
        self.mem.load::<u16>(Gpa(0xf_0000 + self.cpu.rip)) == Ok(0xf4fb)
    }

    /// The flags that the caller gets.
    pub fn flags(&self) -> RFlags {
        let flags = self.mem.load::<u16>(Gpa(u64::from(STACK) + 4)).unwrap();
        RFlags::from_bits_retain(flags.into())
    }

    pub fn carry(&self) -> bool {
        self.flags().contains(RFlags::CF)
    }

    pub fn ax(&self) -> u16 {
        self.cpu.reg(Gpr::Rax) as u16
    }
    pub fn ah(&self) -> u8 {
        (self.ax() >> 8) as u8
    }
    pub fn al(&self) -> u8 {
        self.ax() as u8
    }
    pub fn bx(&self) -> u16 {
        self.cpu.reg(Gpr::Rbx) as u16
    }
    pub fn cx(&self) -> u16 {
        self.cpu.reg(Gpr::Rcx) as u16
    }
    pub fn dx(&self) -> u16 {
        self.cpu.reg(Gpr::Rdx) as u16
    }

    pub fn byte(&self, at: u64) -> u8 {
        self.mem.load(Gpa(at)).unwrap()
    }
    pub fn word(&self, at: u64) -> u16 {
        self.mem.load(Gpa(at)).unwrap()
    }
    pub fn dword(&self, at: u64) -> u32 {
        self.mem.load(Gpa(at)).unwrap()
    }
    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut buf = vec![0; len];
        self.mem.read(Gpa(at), &mut buf).unwrap();
        buf
    }

    /// A row of the first text page, without attributes and trailing spaces.
    pub fn row(&self, row: u64) -> String {
        let cells = self.bytes(0xb_8000 + row * 160, 160);
        let text: String = cells.iter().step_by(2).map(|&b| b as char).collect();
        text.trim_end().to_string()
    }
}

fn real_mode() -> CpuState {
    let mut cpu = CpuState::reset();
    cpu.seg = [Segment::real(0); 6];
    cpu
}

/// Sets a register's low word.
pub fn set(cpu: &mut CpuState, r: Gpr, v: u16) {
    let reg = &mut cpu.gpr[r as usize];
    *reg = *reg & !0xffff | u64::from(v);
}

/// Sets AX, BX, CX, DX.
pub fn abcd(cpu: &mut CpuState, [a, b, c, d]: [u16; 4]) {
    for (r, v) in [(Gpr::Rax, a), (Gpr::Rbx, b), (Gpr::Rcx, c), (Gpr::Rdx, d)] {
        set(cpu, r, v);
    }
}
