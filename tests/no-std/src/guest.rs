//! The machine: a PC board, the software CPU, the built-in firmware, and a disk of one sector.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_chips::{Block, BlockError, Wish};
use hako_cpu::{Config, Cpu, StopKind};
use hako_engine::{At, Attention, Bus, Lines, Time};
use hako_firmware::{Bios, Drive, Outcome, ROM_LEN, rom};
use hako_mem::{Gpa, GuestMemory, Slab};
use hako_x86::{RFlags, Width};

/// What the guest prints.
const TEXT: &[u8] = b"hako needs no host\r\n";
/// Far more instructions than the guest needs.
const LIMIT: u64 = 1_000_000;
/// What an instruction costs in nanoseconds.
const NS: u64 = 10;
/// Video memory: page 0 of the text screen.
const SCREEN: Gpa = Gpa(0xb_8000);

/// A boot sector that prints [`TEXT`] by INT 10h and halts with interrupts off.
fn boot_sector() -> Vec<u8> {
    let mut sector = alloc::vec![
        0x31, 0xc0, // xor ax, ax
        0x8e, 0xd8, // mov ds, ax
        0xbe, 0x13, 0x7c, // mov si, text
        0xac, // next: lodsb
        0x84, 0xc0, // test al, al
        0x74, 0x06, // jz end
        0xb4, 0x0e, // mov ah, 0eh
        0xcd, 0x10, // int 10h
        0xeb, 0xf5, // jmp next
        0xfa, 0xf4, // end: cli; hlt
    ];
    // `text` follows the code.
    sector[5] = sector.len() as u8;
    sector.extend(TEXT);
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

/// A read-only disk in memory.
struct Rom(Vec<u8>);

impl Block for Rom {
    fn sectors(&self) -> u64 {
        self.0.len() as u64 / 512
    }

    fn read_only(&self) -> bool {
        true
    }

    fn read(&mut self, lba: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        let start = usize::try_from(lba).ok().and_then(|n| n.checked_mul(512));
        let from = start.and_then(|at| self.0.get(at..)?.get(..buf.len()));
        let from = from.ok_or(BlockError::Range { lba, count: buf.len() as u64 / 512 })?;
        buf.copy_from_slice(from);
        Ok(())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), BlockError> {
        Err(BlockError::ReadOnly)
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        Ok(())
    }
}

/// The board as the CPU's bus; time is the count.
struct Machine(Board);

fn now(at: At) -> Time {
    Time(at.count * NS)
}

impl Bus for Machine {
    fn port_in(&mut self, at: At, port: u16, width: Width, data: &mut [u8]) -> Attention {
        self.0.port_in(now(at), port, width, data)
    }

    fn port_out(&mut self, at: At, port: u16, width: Width, data: &[u8]) -> Attention {
        self.0.port_out(now(at), port, width, data)
    }

    fn mmio_read(&mut self, at: At, gpa: Gpa, data: &mut [u8]) -> Attention {
        self.0.mmio_read(now(at), at.cpu, gpa, data)
    }

    fn mmio_write(&mut self, at: At, gpa: Gpa, data: &[u8]) -> Attention {
        self.0.mmio_write(now(at), at.cpu, gpa, data)
    }

    fn msr_read(&mut self, at: At, index: u32) -> Option<u64> {
        self.0.msr_read(now(at), at.cpu, index)
    }

    fn msr_write(&mut self, at: At, index: u32, value: u64) -> Option<Attention> {
        self.0.msr_write(now(at), at.cpu, index, value)
    }

    fn acknowledge(&mut self, at: At) -> u8 {
        self.0.acknowledge(now(at), at.cpu)
    }

    fn lines(&mut self, at: At) -> Lines {
        self.0.lines(at.cpu)
    }

    fn tsc(&mut self, at: At) -> u64 {
        now(at).0
    }

    fn memory(&self) -> &GuestMemory {
        self.0.memory()
    }
}

/// A PC that boots the sector.
fn machine() -> Result<Machine, &'static str> {
    let layout = Layout::new(4 << 20, ROM_LEN);
    let slab = Arc::new(Slab::heap(layout.slab_len()));
    let memory = layout.memory(slab, &rom()).map_err(|_| "the memory map was refused\n")?;
    let config = PcConfig {
        builtin: true,
        boot: alloc::vec![Drive::HardDisk(0)],
        rtc: 946_684_800,
        post: true,
        ..PcConfig::new(layout)
    };
    let disks = Disks { hard: alloc::vec![Box::new(Rom(boot_sector()))], ..Disks::default() };
    Ok(Machine(Board::Pc(Box::new(Pc::new(config, memory, disks)))))
}

/// Boots the guest, and says what went wrong.
pub fn run() -> Result<(), &'static str> {
    let mut machine = machine()?;
    let mut bios = Bios::new();
    let mut cpu = Cpu::new(Config::default());
    cpu.set_state(&machine.0.initial_state()).map_err(|_| "the reset state was refused\n")?;
    loop {
        match cpu.run(&mut machine, LIMIT).kind {
            StopKind::Wish => serve(&mut cpu, &mut machine, &mut bios)?,
            StopKind::Halt if !cpu.state().rflags.contains(RFlags::IF) => break,
            StopKind::Deadline if cpu.count() < LIMIT => {}
            StopKind::Deadline => return Err("the guest did not end\n"),
            _ => return Err("the guest did not end by HLT\n"),
        }
    }
    check(&mut machine.0)
}

/// Answers a service of the firmware; nothing else is a wish of this guest.
fn serve(cpu: &mut Cpu, machine: &mut Machine, bios: &mut Bios) -> Result<(), &'static str> {
    let Some(Wish::Firmware(_)) = machine.0.take_wish() else { return Err("a chip wished for an end\n") };
    let mut state = cpu.state();
    match machine.0.serve(Time(cpu.count() * NS), bios, &mut state) {
        Outcome::Resume => cpu.set_state(&state).map_err(|_| "the firmware's state was refused\n"),
        _ => Err("the firmware did not answer\n"),
    }
}

/// The text was printed, and stands on the screen.
fn check(board: &mut Board) -> Result<(), &'static str> {
    if !board.output().printed.ends_with(TEXT) {
        return Err("the guest did not print its text\n");
    }
    let mut row = [0; 160];
    let start = b"hako needs";
    for n in 0..25 {
        let at = Gpa(SCREEN.0 + n * row.len() as u64);
        board.memory().read(at, &mut row).map_err(|_| "there is no video memory\n")?;
        if row.iter().step_by(2).zip(start).all(|(cell, c)| cell == c) {
            return Ok(());
        }
    }
    Err("the text is not on the screen\n")
}
