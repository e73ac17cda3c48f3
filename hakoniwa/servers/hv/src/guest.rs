//! One guest: its processors, its board, and what their exits come to.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use hako_board::Board;
use hako_chips::Wish;
use hako_cpu::StopKind;
use hako_engine::{Attention, Time};
use hako_firmware::{Bios, Outcome, TRAP_PORT};
use hako_x86::Width;
use hakoniwa_abi::guest::{ASK, CAN_TAKE, EVENT, State, TIME_ADDED, TIME_ZERO, inject, label, policy};
use hakoniwa_abi::label::RESUME;
use hakoniwa_abi::{Call, Message, TaskId};
use hakoniwa_runtime as rt;

use crate::bus::Moment;
use crate::clock::{Clock, ticks};
use crate::config::Config;
use crate::cpuid;
use crate::disk::RamDisk;
use crate::files::Files;
use crate::machine::{Kernel, Machine, failed, machine};
use crate::memory::{self, Shown};
use crate::msr::TSC_DEADLINE;
use crate::terminal::Terminal;
use crate::vcpu::{Life, Vcpu, resume_event};

/// The priority of guests: below their server's.
const PRIORITY: u64 = 3;
/// Pages for a guest's EPT and the kernel's own for it, besides a share of its memory.
const OVERHEAD: u64 = 64;

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

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
    /// It ran for as many seconds as it may.
    Late(u64),
    /// Anything else.
    Failed(String),
}

impl End {
    /// Whether the guest meant it.
    pub fn is_good(&self) -> bool {
        !matches!(self, End::TripleFault(_) | End::Late(_) | End::Failed(_))
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
            End::Late(seconds) => write!(f, "ran for {seconds} s, as long as it may"),
            End::Failed(why) => f.write_str(why),
        }
    }
}

/// What to do after an exit.
pub enum Step {
    /// Answer it.
    Go(Message),
    /// Leave it without an answer: the processor waits.
    Wait,
    /// It is over.
    End(End),
}

/// A guest.
pub struct Guest {
    name: String,
    vcpus: Vec<Vcpu>,
    board: Board,
    bios: Option<Bios>,
    kernel: Option<Kernel>,
    clock: Clock,
    shown: Shown,
    terminal: Terminal,
    /// Seconds that it may run.
    seconds: Option<u64>,
    ends_badly: bool,
    /// Something may have changed that others have to hear of: lines, events, output. Most port and device accesses
    /// change nothing.
    busy: bool,
}

/// Exit reasons after which the entries of PAE paging may have changed: task switch, control-register access.
const LOADS_TABLES: [u64; 2] = [9, 28];

impl Guest {
    /// Makes a guest and starts its first processor.
    pub fn start(
        files: Files,
        console: Option<TaskId>,
        number: u64,
        config: Config,
    ) -> Result<Guest, String> {
        let disk = config.disk.as_deref().map(|name| files.read(name)).transpose()?.map(RamDisk::new);
        let Machine { board, state, bios, kernel, console: device } = machine(files, number, &config, disk)?;
        let pages = board.memory().slab().len() / hakoniwa_abi::PAGE;
        let policy = policy::HALT | policy::CPUID | policy::MSR | policy::state_port(TRAP_PORT);
        let quota = OVERHEAD + pages.div_ceil(256);
        let name = rt::name_word(&config.name);
        let mut vcpus: Vec<Vcpu> = Vec::new();
        for n in 0..config.cpus {
            let page = memory::state_page(number, n).map_err(failed("no page for the state"))?;
            let task = match vcpus.first() {
                None => rt::raw(Call::GuestCreate, [page, PRIORITY, quota, name, policy, 0]),
                Some(first) => rt::raw(Call::GuestCpu, [first.id.0.into(), page, name, 0, 0, 0]),
            };
            let id = TaskId(task.map_err(failed("the kernel makes no guest"))? as u32);
            let vcpu = Vcpu::new(id, n, config.cpus, page as *mut State);
            cpuid::fill(n, config.cpus, |index, word| vcpu.set_word(index, word));
            vcpus.push(vcpu);
        }
        let Some(first) = vcpus.first_mut() else { return Err("no processor".into()) };
        first.set_whole_state(&state);
        let shown = Shown::new(first.id, number, board.memory().map())
            .map_err(failed("its memory cannot be mapped"))?;
        first.start();
        let console = console.filter(|_| !config.deaf);
        let terminal = Terminal::new(config.name.clone(), console, device);
        Ok(Guest {
            name: config.name,
            vcpus,
            board,
            bios,
            kernel,
            clock: Clock::new(),
            shown,
            terminal,
            seconds: config.seconds,
            ends_badly: config.ends_badly,
            busy: true,
        })
    }

    /// Which of its processors a task is.
    pub fn cpu(&self, task: TaskId) -> Option<usize> {
        self.vcpus.iter().position(|vcpu| vcpu.id == task)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The processor's counter at the guest's zero; 0 before it began.
    fn zero(&self) -> u64 {
        self.vcpus.first().map_or(0, |vcpu| vcpu.word(TIME_ZERO))
    }

    /// Guest time. It begins with the first entry.
    fn time(&self) -> Time {
        match self.zero() {
            0 => Time::ZERO,
            zero => Time(self.clock.nanoseconds(ticks().saturating_sub(zero))),
        }
    }

    /// When `tick` is wanted, in nanoseconds since boot.
    pub fn next_event(&self) -> u64 {
        let board = match self.board.next_event() {
            Time::NEVER => u64::MAX,
            Time(at) => self.clock.since_boot(self.zero()).saturating_add(at),
        };
        let limit = match self.seconds {
            None => u64::MAX,
            Some(seconds) => self.clock.since_boot(self.zero()).saturating_add(seconds * SECOND),
        };
        board.min(self.terminal.next_event()).min(limit)
    }

    /// Whether an end is what its configuration expects.
    pub fn is_expected(&self, end: &End) -> bool {
        end.is_good() != self.ends_badly
    }

    /// Answers an exit of a processor. The flag says that nothing else has to be done: no interrupt is on its way, no chip
    /// has another next event.
    pub fn exit(&mut self, n: usize, message: &Message) -> (Step, bool) {
        let time = self.time();
        let access = matches!(message.label, label::IO | label::FAULT);
        let can_take = message.words[CAN_TAKE] != 0;
        self.busy |= !access || can_take && self.vcpus[n].asked || self.terminal.has_input();
        let mut step = self.answer(time, n, message);
        // An acknowledged interrupt may be followed by another, whose line nobody has seen.
        if !core::mem::take(&mut self.busy) {
            return (step, true);
        }
        if self.terminal.has_input() {
            let _ = self.terminal.feed(&mut self.board, time);
        }
        self.signals(time, Some(n));
        if let Step::Go(answer) = &mut step {
            self.deliver(time, n, can_take, answer);
        }
        (step, false)
    }

    fn answer(&mut self, time: Time, n: usize, message: &Message) -> Step {
        let [a, b, c, d, e, ..] = message.words;
        let event = [message.words[EVENT], message.words[EVENT + 1]];
        let go_on = Step::Go(Message::new(RESUME, &[]));
        match message.label {
            label::IO if e == 0 && a == u64::from(TRAP_PORT) && c == 0 => self.service(time, n, d),
            label::IO if e == 0 => self.port(time, n, a as u16, b, c == 1, d),
            label::IO => self.complete(time, n, [0; 2], false),
            label::FAULT => self.access(time, n, event, d == 1),
            label::OTHER if a >> 31 & 1 == 0 => self.complete(time, n, event, LOADS_TABLES.contains(&a)),
            label::OTHER => Step::End(End::Failed(format!("the processor refused its state, exit {a:#x}"))),
            // With interrupts on, the kernel lets it wait by itself.
            label::HALT if a == 0 => self.stop(n),
            label::WINDOW => {
                self.vcpus[n].asked = false;
                go_on
            }
            label::HALT => go_on,
            label::TRIPLE_FAULT => Step::End(End::TripleFault(self.vcpus[n].state().rip)),
            label::MSR_READ => {
                let value = self.read_msr(time, n, a as u32);
                Step::Go(Message::new(RESUME, &[u64::from(value.is_some()), value.unwrap_or(0)]))
            }
            label::MSR_WRITE => self.write_msr(time, n, a as u32, b),
            other => Step::End(End::Failed(format!("message {other:#x}, which no guest sends"))),
        }
    }

    /// A processor halted with its interrupts off: the guest is at its end when no other runs.
    fn stop(&mut self, n: usize) -> Step {
        self.vcpus[n].life = Life::Stopped;
        let alive = self.vcpus.iter().any(|vcpu| vcpu.life == Life::Runs);
        if alive { Step::Wait } else { Step::End(End::Halted) }
    }

    /// IN or OUT of one item.
    fn port(&mut self, time: Time, n: usize, port: u16, bytes: u64, reads: bool, value: u64) -> Step {
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
        self.settle(time, n, attention, Message::new(RESUME, &[value]))
    }

    fn read_msr(&mut self, time: Time, n: usize, index: u32) -> Option<u64> {
        let vcpu = &self.vcpus[n];
        let value = self.board.msr_read(time, vcpu.number, index).or_else(|| vcpu.msrs.read(index))?;
        let deadline = index == TSC_DEADLINE && value != 0;
        Some(if deadline { self.clock.ticks(value).wrapping_add(vcpu.word(TIME_ADDED)) } else { value })
    }

    fn write_msr(&mut self, time: Time, n: usize, index: u32, value: u64) -> Step {
        let vcpu = &mut self.vcpus[n];
        // The board's counter is its time: a deadline of 0 disarms, and no other may become one.
        let deadline = index == TSC_DEADLINE && value != 0;
        let value = if deadline {
            self.clock.reaches(value.wrapping_sub(vcpu.word(TIME_ADDED))).max(1)
        } else {
            value
        };
        let attention = self.board.msr_write(time, vcpu.number, index, value);
        let taken = attention.is_some() || vcpu.msrs.write(index, value);
        self.settle(time, n, attention.unwrap_or_default(), Message::new(RESUME, &[u64::from(taken)]))
    }

    /// A service of the built-in firmware.
    fn service(&mut self, time: Time, n: usize, value: u64) -> Step {
        let attention = self.board.port_out(time, TRAP_PORT, Width::B1, &[value as u8]);
        self.settle(time, n, attention, Message::new(RESUME, &[]))
    }

    /// Completes the instruction that exited, whatever it is, with hako's own CPU; before it the event whose delivery the
    /// exit cut short. The entries of PAE paging come from memory if the instruction may have loaded them.
    fn complete(&mut self, time: Time, n: usize, event: [u64; 2], tables: bool) -> Step {
        let vcpu = &mut self.vcpus[n];
        let mut before = vcpu.whole_state();
        resume_event(&mut before, event[0], event[1]);
        let mut moment = Moment::new(&mut self.board, vcpu.number, time);
        let (stop, after) = match vcpu.complete_any(&mut moment, &before) {
            Ok(done) => done,
            Err(why) => {
                let rip = before.rip;
                return Step::End(End::Failed(format!(
                    "an instruction at {rip:#x} cannot be completed: {why}"
                )));
            }
        };
        let attention = moment.attention;
        if tables {
            vcpu.load_pdptes(&after, self.board.memory());
        }
        match stop.kind {
            StopKind::TripleFault => Step::End(End::TripleFault(stop.rip)),
            _ => self.settle(time, n, attention, Message::new(label::RESUME_WITH_STATE, &[])),
        }
    }

    /// Completes an access to a device: the short way if the instruction is of the plain ones, which most are.
    fn access(&mut self, time: Time, n: usize, event: [u64; 2], whole: bool) -> Step {
        let vcpu = &mut self.vcpus[n];
        let mut moment = Moment::new(&mut self.board, vcpu.number, time);
        if event[0] == 0 && vcpu.complete_plain(&mut moment) {
            let attention = moment.attention;
            return self.settle(time, n, attention, Message::new(label::RESUME_WITH_REGISTERS, &[]));
        }
        if !whole {
            // It comes again with the rest of the state.
            return Step::Go(Message::new(RESUME, &[]));
        }
        self.complete(time, n, event, false)
    }

    /// What accesses left behind, then the answer.
    fn settle(&mut self, time: Time, n: usize, attention: Attention, mut answer: Message) -> Step {
        self.say();
        if attention.is_empty() {
            return Step::Go(answer);
        }
        self.busy = true;
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
                    let mut state = self.vcpus[n].state();
                    let Some(bios) = &mut self.bios else { continue };
                    match self.board.serve(time, bios, &mut state) {
                        Outcome::Ignored => {}
                        Outcome::Resume => {
                            self.vcpus[n].set_state(&state);
                            answer = Message::new(label::RESUME_WITH_STATE, &[]);
                        }
                        Outcome::Reset => return Step::End(End::Reset),
                        Outcome::PowerOff => return Step::End(End::Off),
                        Outcome::Kernel => {
                            let Some(kernel) = &self.kernel else { return Step::End(End::Reset) };
                            match kernel.load(self.board.memory()) {
                                Ok(state) => self.vcpus[n].set_state(&state),
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

    fn say(&mut self) {
        let output = self.board.output();
        if !output.is_empty() {
            self.busy = true;
            self.terminal.say(output, self.clock.boot_time());
        }
    }

    /// There is input for the guest.
    pub fn come(&mut self) {
        self.terminal.come();
        self.busy = true;
        let time = self.time();
        let _ = self.terminal.feed(&mut self.board, time);
        self.signals(time, None);
    }

    /// Lets chips act whose time has come; the guest's end if its own has.
    pub fn tick(&mut self) -> Option<End> {
        let time = self.time();
        if let Some(seconds) = self.seconds.filter(|seconds| time.0 >= seconds * SECOND) {
            return Some(End::Late(seconds));
        }
        if self.board.next_event() <= time {
            self.busy = true;
            let _ = self.board.tick(time);
            if self.terminal.has_input() {
                let _ = self.terminal.feed(&mut self.board, time);
            }
            self.say();
            self.signals(time, None);
        }
        if self.terminal.next_event() != u64::MAX {
            self.terminal.tick(self.clock.boot_time());
        }
        None
    }

    /// Brings INIT, SIPI, NMIs and interrupts to the processors. `answered` is the one whose exit is
    /// about to be answered: its interrupt goes with the answer.
    fn signals(&mut self, time: Time, answered: Option<usize>) {
        // Nobody sends INIT or SIPI to the only processor.
        if self.vcpus.len() == 1 && answered.is_some() {
            return;
        }
        for n in 0..self.vcpus.len() {
            let vcpu = &mut self.vcpus[n];
            let lines = self.board.lines(vcpu.number);
            if lines.init {
                vcpu.stop();
            }
            if let Some(vector) = lines.sipi {
                vcpu.sipi(vector);
            }
            if lines.nmi {
                vcpu.nmi();
            }
            if lines.intr && answered != Some(n) {
                self.ask(time, n);
            }
        }
    }

    /// Lets an answer carry the interrupt that waits, if the processor can take it with its next instruction; else asks
    /// to be told when it can.
    fn deliver(&mut self, time: Time, n: usize, can_take: bool, answer: &mut Message) {
        let vcpu = &mut self.vcpus[n];
        let lines = self.board.lines(vcpu.number);
        if lines.nmi {
            vcpu.nmi();
        }
        if !lines.intr {
            return;
        }
        if can_take {
            self.busy = true;
            answer.words[CAN_TAKE] = inject(self.board.acknowledge(time, vcpu.number));
            vcpu.asked = false;
        } else {
            self.ask(time, n);
        }
    }

    /// An interrupt waits while the processor runs or sleeps: one that sleeps takes it at once.
    fn ask(&mut self, time: Time, n: usize) {
        let vcpu = &mut self.vcpus[n];
        if vcpu.life != Life::Runs {
            self.busy = true;
            return;
        }
        if core::mem::replace(&mut vcpu.asked, true) {
            return;
        }
        let id = u64::from(vcpu.id.0);
        if rt::raw(Call::GuestInject, [id, ASK, 0, 0, 0, 0]) == Ok(1) {
            (vcpu.asked, self.busy) = (false, true);
            let vector = self.board.acknowledge(time, vcpu.number);
            // It sleeps and takes it: nobody but this task wakes it.
            let _ = rt::raw(Call::GuestInject, [id, vector.into(), 0, 0, 0, 0]);
        }
    }

    /// Ends it; what it said last is shown.
    pub fn finish(mut self) {
        self.say();
        self.terminal.finish();
        if let Some(first) = self.vcpus.first() {
            // It exists: nobody else destroys it.
            let _ = rt::task_destroy(first.id);
        }
    }
}
