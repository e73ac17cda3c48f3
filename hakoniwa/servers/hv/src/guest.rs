//! One guest: its task, its board, and what its exits come to.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use hako_board::{Board, Disks, Layout, Pc, PcConfig};
use hako_chips::{Block, Wish};
use hako_cpu::{Cpu, StopKind};
use hako_engine::{Attention, Time};
use hako_firmware::{Bios, Drive, Outcome, TRAP_PORT};
use hako_loader::{Range, RangeKind, Request};
use hako_mem::{Gpa, GuestMemory};
use hako_virtio::Flavour;
use hako_virtio::blk::{BlkConfig, blk};
use hako_x86::{CpuState, Width};
use hakoniwa_abi::guest::{ASK, CAN_TAKE, State, TIME_ADDED, TIME_ZERO, inject, label, policy};
use hakoniwa_abi::label::RESUME;
use hakoniwa_abi::{Call, Error, Message, TaskId};
use hakoniwa_runtime::{self as rt, println};

use crate::bus::Moment;
use crate::clock::{Clock, ticks};
use crate::config::Config;
use crate::disk::RamDisk;
use crate::files::Files;
use crate::memory::{self, Shown};
use crate::msr::{Msrs, TSC_DEADLINE};
use crate::{cpuid, state};

/// The priority of guests: below their server's.
const PRIORITY: u64 = 3;
/// Pages for a guest's EPT and the kernel's own for it, besides a share of its memory.
const OVERHEAD: u64 = 64;

/// How a guest ended.
#[derive(Debug)]
pub enum End {
    /// Halted with interrupts off, or nothing can wake it.
    Halted,
    /// Power-off.
    Off,
    /// Reset.
    Reset,
    /// A write to the debug-exit port.
    Exit(u32),
    /// A triple fault at this RIP.
    TripleFault(u64),
    /// Anything else.
    Failed(String),
}

impl End {
    /// Whether the guest meant it.
    pub fn is_good(&self) -> bool {
        !matches!(self, End::TripleFault(_) | End::Failed(_))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Halted => f.write_str("halted for good"),
            End::Off => f.write_str("switched itself off"),
            End::Reset => f.write_str("reset itself"),
            End::Exit(value) => write!(f, "wrote {value:#x} to the debug-exit port"),
            End::TripleFault(rip) => write!(f, "triple fault at rip {rip:#x}"),
            End::Failed(why) => f.write_str(why),
        }
    }
}

/// What to do after an exit.
pub enum Step {
    /// Answer it.
    Go(Message),
    /// It is over.
    End(End),
}

/// A guest.
pub struct Guest {
    id: TaskId,
    name: String,
    board: Board,
    bios: Option<Bios>,
    kernel: Option<Kernel>,
    cpu: Box<Cpu>,
    msrs: Msrs,
    clock: Clock,
    page: *mut State,
    shown: Shown,
    /// The kernel was asked to tell when the guest can take an interrupt.
    asked: bool,
    /// The beginning of a line that the guest has not ended yet.
    line: Vec<u8>,
}

fn failed(what: &'static str) -> impl Fn(Error) -> String {
    move |why| format!("{what}: {why:?}")
}

/// The memory map for a loader.
fn ranges(layout: &Layout) -> Vec<Range> {
    let kind = |kind| match kind {
        hako_firmware::RangeKind::Usable => RangeKind::Usable,
        hako_firmware::RangeKind::Reserved => RangeKind::Reserved,
        hako_firmware::RangeKind::AcpiReclaim => RangeKind::AcpiReclaim,
        hako_firmware::RangeKind::AcpiNvs => RangeKind::AcpiNvs,
    };
    layout.memory_ranges().iter().map(|r| Range { start: r.start, len: r.len, kind: kind(r.kind) }).collect()
}

impl Guest {
    /// Makes a guest and starts it.
    pub fn start(files: Files, number: u64, config: Config) -> Result<Guest, String> {
        let disk = config.disk.as_deref().map(|name| files.read(name)).transpose()?.map(RamDisk::new);
        let Machine { board, state, bios, kernel } = machine(files, number, &config, disk)?;
        let page = memory::state_page(number).map_err(failed("no page for the state"))? as *mut State;
        // SAFETY: the page was mapped just now, for this guest alone.
        unsafe { page.write(state::to_page(&state)) };
        // SAFETY: the table lies in the same page, behind the state.
        cpuid::fill(|index, word| unsafe { page.cast::<u64>().add(index).write(word) });
        let pages = board.memory().slab().len() / hakoniwa_abi::PAGE;
        let policy = policy::HALT | policy::CPUID | policy::MSR | policy::state_port(TRAP_PORT);
        let quota = OVERHEAD + pages.div_ceil(256);
        let id = rt::raw(
            Call::GuestCreate,
            [page as u64, PRIORITY, quota, rt::name_word(&config.name), policy, 0],
        )
        .map_err(failed("the kernel makes no guest"))?;
        let id = TaskId(id as u32);
        let shown =
            Shown::new(id, number, board.memory().map()).map_err(failed("its memory cannot be mapped"))?;
        let guest = Guest {
            id,
            name: config.name,
            board,
            bios,
            kernel,
            // The guest writes its memory without leaving marks: nothing that is decoded can be kept.
            cpu: Box::new(Cpu::new(hako_cpu::Config { uncached: true, ..hako_cpu::Config::default() })),
            msrs: Msrs::new(),
            clock: Clock::new(),
            page,
            shown,
            asked: false,
            line: Vec::new(),
        };
        rt::task_start(id, 0, 0, 0).map_err(failed("it does not start"))?;
        Ok(guest)
    }

    /// Its task.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A word of the state page that the kernel writes.
    fn word(&self, index: usize) -> u64 {
        // SAFETY: the page is mapped for good; its words are written whole.
        unsafe { self.page.cast::<u64>().add(index).read_volatile() }
    }

    /// Guest time. It begins with the first entry.
    fn time(&self) -> Time {
        match self.word(TIME_ZERO) {
            0 => Time::ZERO,
            zero => Time(self.clock.nanoseconds(ticks().saturating_sub(zero))),
        }
    }

    /// When `tick` is wanted, in nanoseconds since boot.
    pub fn next_event(&self) -> u64 {
        match self.board.next_event() {
            Time::NEVER => u64::MAX,
            Time(at) => self.clock.since_boot(self.word(TIME_ZERO)).saturating_add(at),
        }
    }

    /// Answers an exit.
    pub fn exit(&mut self, message: &Message) -> Step {
        let time = self.time();
        let mut step = self.answer(time, message);
        if let Step::Go(answer) = &mut step {
            self.deliver(time, message.words[CAN_TAKE] != 0, answer);
        }
        step
    }

    fn answer(&mut self, time: Time, message: &Message) -> Step {
        let [a, b, c, d, e, ..] = message.words;
        match message.label {
            label::IO if e == 0 && a == u64::from(TRAP_PORT) && c == 0 => self.service(time, d),
            label::IO if e == 0 => self.port(time, a as u16, b, c == 1, d),
            label::IO | label::FAULT => self.complete(time),
            label::OTHER if a >> 31 & 1 == 0 => self.complete(time),
            label::OTHER => Step::End(End::Failed(format!("the processor refused its state, exit {a:#x}"))),
            // With interrupts on, the kernel lets it wait by itself.
            label::HALT if a == 0 => Step::End(End::Halted),
            label::WINDOW => {
                self.asked = false;
                Step::Go(Message::new(RESUME, &[]))
            }
            label::HALT => Step::Go(Message::new(RESUME, &[])),
            label::TRIPLE_FAULT => Step::End(End::TripleFault(self.state().rip)),
            label::MSR_READ => {
                let value = self.read_msr(time, a as u32);
                Step::Go(Message::new(RESUME, &[u64::from(value.is_some()), value.unwrap_or(0)]))
            }
            label::MSR_WRITE => self.write_msr(time, a as u32, b),
            other => Step::End(End::Failed(format!("message {other:#x}, which no guest sends"))),
        }
    }

    fn state(&self) -> CpuState {
        // SAFETY: the page is mapped for good; the kernel wrote it before the message, and the guest waits.
        let page = unsafe { self.page.read_volatile() };
        state::from_page(&page)
    }

    fn set_state(&self, state: &CpuState) {
        // SAFETY: as above; the kernel reads it with the answer.
        unsafe { self.page.write_volatile(state::to_page(state)) }
    }

    /// IN or OUT of one item.
    fn port(&mut self, time: Time, port: u16, bytes: u64, reads: bool, value: u64) -> Step {
        let width = match bytes {
            1 => Width::B1,
            2 => Width::B2,
            _ => Width::B4,
        };
        let mut data = (value as u32).to_le_bytes();
        let data = &mut data[..width.bytes()];
        let attention = if reads {
            self.board.port_in(time, port, width, data)
        } else {
            self.board.port_out(time, port, width, data)
        };
        let value = data.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
        self.settle(time, attention, Message::new(RESUME, &[value]))
    }

    fn read_msr(&mut self, time: Time, index: u32) -> Option<u64> {
        let value = self.board.msr_read(time, 0, index).or_else(|| self.msrs.read(index))?;
        let deadline = index == TSC_DEADLINE && value != 0;
        Some(if deadline { self.clock.ticks(value).wrapping_add(self.word(TIME_ADDED)) } else { value })
    }

    fn write_msr(&mut self, time: Time, index: u32, value: u64) -> Step {
        // The board's counter is its time: a deadline of 0 disarms, and no other may become one.
        let deadline = index == TSC_DEADLINE && value != 0;
        let value = if deadline {
            self.clock.reaches(value.wrapping_sub(self.word(TIME_ADDED))).max(1)
        } else {
            value
        };
        let attention = self.board.msr_write(time, 0, index, value);
        let taken = attention.is_some() || self.msrs.write(index, value);
        self.settle(time, attention.unwrap_or_default(), Message::new(RESUME, &[u64::from(taken)]))
    }

    /// A service of the built-in firmware.
    fn service(&mut self, time: Time, value: u64) -> Step {
        let attention = self.board.port_out(time, TRAP_PORT, Width::B1, &[value as u8]);
        self.settle(time, attention, Message::new(RESUME, &[]))
    }

    /// Completes the instruction that exited, whatever it is, with hako's own CPU.
    fn complete(&mut self, time: Time) -> Step {
        let before = self.state();
        if let Err(why) = self.cpu.set_state(&before) {
            return Step::End(End::Failed(format!(
                "an instruction at {:#x} cannot be completed: {why}",
                before.rip
            )));
        }
        let mut moment = Moment { board: &mut self.board, now: time, attention: Attention::empty() };
        let stop = self.cpu.step(&mut moment);
        let attention = moment.attention;
        let after = self.cpu.state();
        self.set_state(&after);
        match stop.kind {
            StopKind::TripleFault => Step::End(End::TripleFault(stop.rip)),
            _ => self.settle(time, attention, Message::new(label::RESUME_WITH_STATE, &[])),
        }
    }

    /// What accesses left behind, then the answer.
    fn settle(&mut self, time: Time, attention: Attention, mut answer: Message) -> Step {
        self.say();
        if attention.contains(Attention::MAP)
            && let Err(why) = self.shown.change(self.board.memory().map())
        {
            return Step::End(End::Failed(format!("its memory map cannot change: {why:?}")));
        }
        while let Some(wish) = self.board.take_wish() {
            match wish {
                Wish::Reset => return Step::End(End::Reset),
                Wish::PowerOff => return Step::End(End::Off),
                Wish::Exit(value) => return Step::End(End::Exit(value)),
                Wish::Firmware(_) => {
                    let mut state = self.state();
                    let Some(bios) = &mut self.bios else { continue };
                    match self.board.serve(time, bios, &mut state) {
                        Outcome::Ignored => {}
                        Outcome::Resume => {
                            self.set_state(&state);
                            answer = Message::new(label::RESUME_WITH_STATE, &[]);
                        }
                        Outcome::Reset => return Step::End(End::Reset),
                        Outcome::PowerOff => return Step::End(End::Off),
                        Outcome::Kernel => {
                            let Some(kernel) = &self.kernel else { return Step::End(End::Reset) };
                            match kernel.load(self.board.memory()) {
                                Ok(state) => self.set_state(&state),
                                Err(why) => return Step::End(End::Failed(why)),
                            }
                            answer = Message::new(label::RESUME_WITH_STATE, &[]);
                        }
                    }
                    self.say();
                }
            }
        }
        Step::Go(answer)
    }

    /// Prints the lines that the guest has ended.
    fn say(&mut self) {
        let output = self.board.output();
        if output.is_empty() {
            return;
        }
        for said in [&output.serial, &output.debugcon, &output.printed] {
            self.line.extend_from_slice(said);
        }
        output.clear();
        while let Some(end) = self.line.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            println!("{}: {}", self.name, String::from_utf8_lossy(&line).trim_end());
        }
    }

    /// Lets chips act whose time has come.
    pub fn tick(&mut self) {
        let time = self.time();
        if self.board.next_event() <= time {
            let _ = self.board.tick(time);
            if self.board.lines(0).intr {
                self.ask(time);
            }
        }
    }

    /// Lets an answer carry the interrupt that waits, if the guest can take it with its next instruction; else asks to
    /// be told when it can.
    fn deliver(&mut self, time: Time, can_take: bool, answer: &mut Message) {
        if !self.board.lines(0).intr {
            return;
        }
        if can_take {
            answer.words[CAN_TAKE] = inject(self.board.acknowledge(time, 0));
            self.asked = false;
        } else {
            self.ask(time);
        }
    }

    /// An interrupt waits while the guest runs or sleeps: a guest that sleeps takes it at once.
    fn ask(&mut self, time: Time) {
        if core::mem::replace(&mut self.asked, true) {
            return;
        }
        let id = u64::from(self.id.0);
        if rt::raw(Call::GuestInject, [id, ASK, 0, 0, 0, 0]) == Ok(1) {
            self.asked = false;
            let vector = self.board.acknowledge(time, 0);
            // It sleeps and takes it: nobody but this task wakes it.
            let _ = rt::raw(Call::GuestInject, [id, vector.into(), 0, 0, 0, 0]);
        }
    }

    /// Ends it; what it said last is shown.
    pub fn finish(mut self) {
        self.say();
        if !self.line.is_empty() {
            println!("{}: {}", self.name, String::from_utf8_lossy(&self.line));
        }
        // It exists: nobody else destroys it.
        let _ = rt::task_destroy(self.id);
    }
}

/// A kernel and what goes along with it.
struct Kernel {
    name: String,
    append: String,
    image: Vec<u8>,
    initrd: Option<Vec<u8>>,
    ranges: Vec<Range>,
    rsdp: Option<Gpa>,
}

impl Kernel {
    fn load(&self, memory: &GuestMemory) -> Result<CpuState, String> {
        let request = Request {
            name: &self.name,
            append: &self.append,
            initrd: self.initrd.as_deref(),
            memory: &self.ranges,
            rsdp: self.rsdp,
            ..Request::default()
        };
        let loaded = hako_loader::load(&self.image, &request, memory);
        loaded.map(|loaded| loaded.state).map_err(|why| format!("{}: {why}", self.name))
    }
}

/// What a guest is made of.
struct Machine {
    board: Board,
    state: CpuState,
    bios: Option<Bios>,
    kernel: Option<Kernel>,
}

/// The board, the CPU's first state, the firmware, and the kernel that it starts.
fn machine(files: Files, number: u64, config: &Config, disk: Option<RamDisk>) -> Result<Machine, String> {
    if let Some(image) = &config.bare {
        return bare(number, &files.read(image)?);
    }
    let rom = hako_firmware::rom();
    let layout = Layout::new(config.memory << 20, rom.len());
    let slab = memory::slab(number, layout.slab_len()).map_err(failed("no memory for it"))?;
    let memory = layout.memory(Arc::new(slab), rom).map_err(|why| format!("its memory map: {why}"))?;
    let mut disks = Disks::default();
    let mut pc = PcConfig::new(layout);
    (pc.builtin, pc.post, pc.acpi, pc.debug_exit) = (true, true, config.acpi, Some(0xf4));
    match (disk, &config.kernel) {
        (Some(disk), Some(_)) => {
            let flavour = if config.modern { Flavour::Modern } else { Flavour::Legacy };
            let serial = BlkConfig { serial: config.name.clone(), ..BlkConfig::default() };
            pc.devices.push(blk(serial, Box::new(disk) as Box<dyn Block>, flavour));
        }
        (Some(disk), None) => {
            disks.hard.push(Box::new(disk));
            pc.boot = alloc::vec![Drive::HardDisk(0)];
        }
        (None, _) => {}
    }
    let pc = Pc::new(pc, memory, disks);
    let kernel = match &config.kernel {
        None => None,
        Some(name) => Some(Kernel {
            name: name.clone(),
            append: config.append.clone(),
            image: files.read(name)?,
            initrd: config.initrd.as_deref().map(|name| files.read(name)).transpose()?,
            ranges: ranges(&layout),
            rsdp: pc.rsdp(),
        }),
    };
    let bios = if kernel.is_some() { Bios::for_kernel() } else { Bios::new() };
    Ok(Machine { board: Board::Pc(Box::new(pc)), state: CpuState::reset(), bios: Some(bios), kernel })
}

/// The machine without chips.
fn bare(number: u64, image: &[u8]) -> Result<Machine, String> {
    use hako_board::Bare;
    use hako_mem::{MemoryMap, Region, RegionKind, SlabOffset};
    let slab = memory::slab(number, image.len() as u64).map_err(failed("no memory for it"))?;
    let mut map = MemoryMap::new();
    map.map(Region { gpa: Gpa(0), len: slab.len(), kind: RegionKind::Ram, offset: SlabOffset(0) })
        .map_err(|why| format!("its memory map: {why}"))?;
    let memory = GuestMemory::new(Arc::new(slab), map);
    memory.write(Gpa(0), image).map_err(|why| format!("its image: {why}"))?;
    let board = Board::Bare(Bare::new(memory));
    Ok(Machine { board, state: Bare::initial_state(), bios: None, kernel: None })
}
