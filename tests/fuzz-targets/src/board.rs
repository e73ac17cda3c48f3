//! The whole PC: any port, any address, any time, with everything that may come from outside.

use std::sync::Arc;

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_chips::i8042::keys::{KEYS, KeyEvent};
use hako_engine::{At, Attention, Bus, Lines, Time};
use hako_firmware::{Bios, Drive, ROM_LEN, rom};
use hako_mem::{Gpa, GuestMemory, Slab};
use hako_x86::Width;

use crate::clock::{Clock, lies_ahead};
use crate::device::Device;
use crate::disk::Disk;
use crate::input::Input;

/// Ports where a guest's accesses do something.
const PORTS: [u16; 44] = [
    0x00, 0x05, 0x0a, 0x0b, 0x20, 0x21, 0x40, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x81, 0x92, 0xa0,
    0xa1, 0xb2, 0xb8, 0xc0, 0xe9, 0xf4, 0x170, 0x177, 0x1f0, 0x1f2, 0x1f7, 0x3c0, 0x3c5, 0x3d4, 0x3f2, 0x3f5,
    0x3f6, 0x3f8, 0x3f9, 0x402, 0x4d0, 0x510, 0x511, 0x604, 0xcf8, 0xcf9, 0xcfc,
];
/// Where the board's tables end in the ROM.
const TABLES: usize = 0xc000;
const WIDTHS: [Width; 3] = [Width::B1, Width::B2, Width::B4];

/// A PC as a bus, with the time that the script says.
pub struct Rig {
    /// The board.
    pub board: Board,
    /// The time.
    pub clock: Clock,
    layout: Layout,
}

impl Rig {
    /// A PC of 2 MiB with one CPU, three media and the built-in firmware.
    pub fn new() -> Rig {
        Rig::with_cpus(1)
    }

    /// The same with so many CPUs.
    fn with_cpus(cpus: u8) -> Rig {
        let layout = Layout::new(2 << 20, ROM_LEN);
        let slab = Arc::new(Slab::heap(layout.slab_len()));
        let Ok(memory) = layout.memory(slab, &rom()) else { panic!("a plain layout was refused") };
        let config = PcConfig {
            cpus,
            debug_exit: Some(0xf4),
            builtin: true,
            boot: vec![Drive::HardDisk(0), Drive::Cdrom(0), Drive::Floppy(0)],
            rtc: 946_684_800,
            post: true,
            devices: vec![Device::function(), Device::function()],
            coms: [true; 4],
            testdev: true,
            ..PcConfig::new(layout)
        };
        let disks = Disks {
            hard: vec![Box::new(Disk::new(1024, b"hard"))],
            floppy: Some(Box::new(Disk::new(2880, b"floppy"))),
            cdrom: Some(Box::new(Disk::new(256, b"cd"))),
        };
        let board = Board::Pc(Box::new(Pc::new(config, memory, disks)));
        Rig { board, clock: Clock::default(), layout }
    }

    /// The firmware is read-only to everybody in the machine.
    pub fn check_rom(&self) {
        let mut now = vec![0; ROM_LEN];
        assert!(self.board.memory().slab().read(self.layout.rom_offset(), &mut now));
        // The board's tables are in the first part.
        assert!(now[TABLES..] == rom()[TABLES..], "the ROM was written");
    }
}

impl Bus for Rig {
    fn port_in(&mut self, _: At, port: u16, width: Width, data: &mut [u8]) -> Attention {
        self.board.port_in(self.clock.now, port, width, data)
    }
    fn port_out(&mut self, _: At, port: u16, width: Width, data: &[u8]) -> Attention {
        self.board.port_out(self.clock.now, port, width, data)
    }
    fn mmio_read(&mut self, at: At, gpa: Gpa, data: &mut [u8]) -> Attention {
        self.board.mmio_read(self.clock.now, at.cpu, gpa, data)
    }
    fn mmio_write(&mut self, at: At, gpa: Gpa, data: &[u8]) -> Attention {
        self.board.mmio_write(self.clock.now, at.cpu, gpa, data)
    }
    fn msr_read(&mut self, at: At, index: u32) -> Option<u64> {
        self.board.msr_read(self.clock.now, at.cpu, index)
    }
    fn msr_write(&mut self, at: At, index: u32, value: u64) -> Option<Attention> {
        self.board.msr_write(self.clock.now, at.cpu, index, value)
    }
    fn acknowledge(&mut self, at: At) -> u8 {
        self.board.acknowledge(self.clock.now, at.cpu)
    }
    fn task_priority(&mut self, at: At) -> Option<u8> {
        self.board.task_priority(self.clock.now, at.cpu)
    }
    fn set_task_priority(&mut self, at: At, priority: u8) -> Option<Attention> {
        self.board.set_task_priority(self.clock.now, at.cpu, priority)
    }
    fn lines(&mut self, at: At) -> Lines {
        self.board.lines(at.cpu)
    }
    fn tsc(&mut self, _: At) -> u64 {
        self.clock.now.0
    }
    fn memory(&self) -> &GuestMemory {
        self.board.memory()
    }
}

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let cpus = 1 + input.u8() % 3;
    let mut rig = Rig::with_cpus(cpus);
    let mut bios = Bios::new();
    // What each CPU knows of its lines: it looks when it is told, and after an acknowledge.
    let mut seen: Vec<Lines> = (0..cpus).map(|cpu| rig.board.lines(cpu)).collect();
    while !input.is_empty() {
        let now = rig.clock.advance(&mut input);
        let by = input.u8() % cpus;
        let done = play(&mut rig, &mut bios, &mut input, by, now);
        let board = &mut rig.board;
        let signals = board.take_signals();
        for (cpu, seen) in (0..).zip(&mut seen) {
            let told = match done {
                Done::Anything => true,
                Done::By(Some(by), attention) if by != cpu => {
                    attention.contains(Attention::EVENTS) && signals >> cpu & 1 != 0
                }
                Done::By(_, attention) => attention.contains(Attention::LINES),
            };
            if told {
                let _ = board.lines(cpu);
                *seen = board.peek_lines(cpu);
            }
            assert_eq!(board.peek_lines(cpu), *seen, "a line into CPU {cpu} moved and nobody was told");
        }
        // Nobody fetches it otherwise.
        board.output().clear();
    }
    rig.check_rom();
}

/// What an action promises about the lines.
enum Done {
    /// Nothing: everybody looks.
    Anything,
    /// Whoever is to look is told; the access was this CPU's, or it is not known whose.
    By(Option<u8>, Attention),
}

/// One access.
fn play(rig: &mut Rig, bios: &mut Bios, input: &mut Input<'_>, cpu: u8, now: Time) -> Done {
    let board = &mut rig.board;
    match input.u8() % 30 {
        0..=5 => {
            let (port, width, items) = access(input);
            let mut data = vec![0; width.bytes() * items];
            return Done::By(None, board.port_in(now, port, width, &mut data));
        }
        6..=12 => {
            let (port, width, items) = access(input);
            let mut data = input.take(width.bytes() * items).to_vec();
            data.resize(width.bytes() * items, 0);
            return Done::By(None, board.port_out(now, port, width, &data));
        }
        13 => {
            let mut data = [0; 8];
            let len = 1 + usize::from(input.u8() % 8);
            return Done::By(Some(cpu), board.mmio_read(now, cpu, address(input), &mut data[..len]));
        }
        14 => {
            let len = 1 + usize::from(input.u8() % 8);
            let gpa = address(input);
            return Done::By(Some(cpu), board.mmio_write(now, cpu, gpa, &input.u64().to_le_bytes()[..len]));
        }
        15 => {
            let now = rig.clock.jump(board.next_event());
            let attention = board.tick(now);
            lies_ahead(board.next_event(), now);
            assert!(board.next_wake() >= board.next_event(), "an interrupt may come before the next event");
            return Done::By(None, attention);
        }
        16 => {
            let room = board.serial_has_room();
            assert_eq!(board.serial_input(now, input.u8()), room);
        }
        17 => {
            if let Board::Pc(pc) = board {
                let key = KEYS[usize::from(input.u8()) % KEYS.len()].0;
                let _ = pc.type_keys([KeyEvent { key, down: true }, KeyEvent { key, down: false }], now);
                let _ = (pc.text_screen(), pc.typing_done());
            }
        }
        18 => {
            let _ = (board.take_wish(), board.msr_read(now, cpu, input.u32()));
            if board.lines(cpu).intr {
                let _ = board.acknowledge(now, cpu);
            }
        }
        19 | 20 => {
            // Registers of the APICs and event timers, as a driver writes them.
            let page = input.pick(&[0xfee0_0000, 0xfec0_0000, 0xfed0_0000]);
            let offset = u64::from(input.u8() & 0x3f) << 4 | u64::from(input.u8() & 8);
            let value = input.u32().to_le_bytes();
            return Done::By(Some(cpu), board.mmio_write(now, cpu, Gpa(page | offset), &value));
        }
        24 => {
            // A register of a PCI function, by the first mechanism or the second.
            let (slot, register, value) =
                (u32::from(input.u8() % 6), u32::from(input.u8() & 0x7c), input.u32());
            let value = if input.u8() & 1 == 0 { value & 0x7 } else { value };
            if input.u8() & 1 == 0 {
                let at = Gpa(0xe000_0000 | u64::from(slot << 15 | register));
                return Done::By(Some(cpu), board.mmio_write(now, cpu, at, &value.to_le_bytes()));
            }
            let address = 1 << 31 | slot << 11 | register;
            let _ = board.port_out(now, 0xcf8, Width::B4, &address.to_le_bytes());
            return Done::By(None, board.port_out(now, 0xcfc, Width::B4, &value.to_le_bytes()));
        }
        25 | 26 => {
            // Registers of the devices where they were put at power-on.
            let at = 0xf000_0000 + u64::from(input.u16()) * 0x41;
            return Done::By(Some(cpu), board.mmio_write(now, cpu, Gpa(at), &[input.u8()]));
        }
        27 => {
            let port = 0xc000 + u16::from(input.u8() & 0x7f);
            return Done::By(None, board.port_out(now, port, Width::B1, &[input.u8()]));
        }
        28 => {
            let at = hako_chips::pci::Bdf::new(0, 3 + input.u8() % 3, 0);
            return Done::By(None, board.poke(now, at));
        }
        21 => {
            let index = input.pick(&[0x1b, 0x6e0, 0x80b, 0x80f, 0x830, 0x832, 0x838, 0x83f]);
            let value = input.wild();
            return match board.msr_write(now, cpu, index, value) {
                Some(attention) => Done::By(Some(cpu), attention),
                None => Done::Anything,
            };
        }
        22 => {
            let told = board.set_task_priority(now, cpu, input.u8() & 15);
            return Done::By(Some(cpu), told.unwrap_or_default());
        }
        _ => {
            if input.u8().is_multiple_of(4) {
                board.reset(now);
            } else {
                let mut state = board.initial_state();
                state.gpr[0] = input.u16().into();
                let _ = board.serve(now, bios, &mut state);
            }
        }
    }
    Done::Anything
}

fn access(input: &mut Input<'_>) -> (u16, Width, usize) {
    let port = if input.u8().is_multiple_of(4) {
        input.u16()
    } else {
        input.pick(&PORTS).wrapping_add(u16::from(input.u8() & 3))
    };
    let items = if input.u8().is_multiple_of(8) { 1 + usize::from(input.u8()) } else { 1 };
    (port, input.pick(&WIDTHS), items)
}

fn address(input: &mut Input<'_>) -> Gpa {
    // Accesses stay within a page.
    let page =
        if input.u8() & 1 == 0 { 0xc_0000 + u64::from(input.u8() & 0x3f) * 0x1000 } else { input.wild() };
    Gpa(page & !0xfff | u64::from(input.u16() & 0xff7).min(0xff0))
}
