//! A machine, ready to run, and what can be asked of it.

use std::sync::Arc;

use hako_board::Board;
use hako_chips::i8042::KeyEvent;
use hako_chips::pci::Bdf;
use hako_chips::vga::{Image, TextScreen};
use hako_engine::Time;
use hako_firmware::Bios;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::CpuState;

use crate::boot::Kernel;
use crate::builder::Builder;
use crate::config::{Config, Inlet};
use crate::core::{Core, PortWrite};
use crate::devices::{Panel, SharedDisk};
use crate::engine::Engine;
use crate::hang::Watch;
use crate::inbox::Inbox;
use crate::io_thread::IoThreads;
use crate::outcome::Outcome;
use crate::stdin::Stdin;

/// Why [`Machine::run_until`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The run has ended: see [`Machine::outcome`].
    Ended,
    /// The guest said something.
    Output,
    /// The time has come.
    Time,
}

/// A board, an engine and memory.
pub struct Machine {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) core: Core,
    /// The built-in firmware, if it is the one.
    pub(crate) bios: Option<Bios>,
    /// The kernel that the built-in firmware starts in place of a medium.
    pub(crate) kernel: Option<Kernel>,
    /// The disks that are not IDE's.
    pub(crate) virtio_disks: Vec<SharedDisk>,
    /// The threads that serve devices, if there are any.
    pub(crate) io_threads: Option<IoThreads>,
    /// The devices that are changed from outside.
    pub(crate) panel: Panel,
    /// Where standard input goes.
    pub(crate) inlet: Inlet,
    /// What memory holds at power-on.
    pub(crate) image: Option<Arc<[u8]>>,
    /// Bytes of RAM.
    pub(crate) ram: u64,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) stdin: Stdin,
    /// Whether anything may still come from outside.
    pub(crate) input_open: bool,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) rescued: u64,
    pub(crate) resets: u64,
    /// What the user should know about how the machine was made.
    pub(crate) notes: Vec<String>,
    /// The count at which the trace last showed an instruction.
    pub(crate) shown_count: Option<(u8, u64)>,
    /// Exceptions that the trace has shown, by CPU.
    pub(crate) faults_seen: Vec<u64>,
    /// On soft: no CPU has anything to do.
    pub(crate) idle: bool,
    /// What hang detection remembers.
    pub(crate) hang: Watch,
    /// When buffered output was last shown.
    pub(crate) shown: Time,
    /// The instruction count of all CPUs at power-on.
    pub(crate) count_base: u64,
}

impl Machine {
    /// Describes a machine step by step.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// How the run ended, if it has.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Instructions executed since power-on, where the engine counts them.
    pub fn count(&self) -> Option<u64> {
        self.engine.count_of_all().map(|n| n.wrapping_sub(self.count_base))
    }

    /// The own count of the CPU that ran last, 0 where the engine does not count.
    pub(crate) fn raw_count(&self) -> u64 {
        self.engine.vcpu_ref().count().unwrap_or(0)
    }

    /// Guest time since power-on.
    pub fn time(&self) -> Time {
        self.core.now(self.raw_count())
    }

    /// What COM1 (on bare: port 0x01) has said since power-on.
    pub fn serial(&self) -> &[u8] {
        self.com(0)
    }

    /// What a serial port (0 for COM1) has said.
    pub fn com(&self, n: u8) -> &[u8] {
        self.core.sinks.com(n)
    }

    /// What the virtio console has said.
    pub fn console(&self) -> &[u8] {
        self.core.sinks.console()
    }

    /// Asks the guest for so many bytes of its memory; it gives them through its balloon when it likes. `false` if it
    /// has none.
    pub fn set_balloon(&mut self, bytes: u64) -> bool {
        let Some(balloon) = &self.panel.balloon else { return false };
        balloon.set_target(bytes);
        self.poke(balloon.at);
        true
    }

    /// How many bytes the guest has given through its balloon, as it says itself.
    pub fn balloon(&self) -> Option<u64> {
        self.panel.balloon.as_ref().map(|balloon| balloon.given())
    }

    /// The terminal behind the console has another size. `false` if there is no console.
    pub fn set_console_size(&mut self, columns: u16, rows: u16) -> bool {
        let Some(console) = &self.panel.console else { return false };
        console.size.set(columns, rows);
        self.poke(console.at);
        true
    }

    /// A PCI device has news.
    fn poke(&mut self, at: Bdf) {
        let now = self.time();
        let _ = self.core.board.poke(now, at);
    }

    /// What ports 0x402 and 0xe9 have said.
    pub fn debugcon(&self) -> &[u8] {
        self.core.sinks.debugcon()
    }

    /// What INT 10h of the built-in firmware has printed.
    pub fn printed(&self) -> &[u8] {
        self.core.sinks.printed()
    }

    /// The port writes so far, if `log_ports` was asked for.
    pub fn ports_written(&self) -> &[PortWrite] {
        self.core.ports.as_deref().unwrap_or(&[])
    }

    /// The state of the CPU that ran last at the present instruction boundary.
    pub fn state(&mut self) -> Result<CpuState, hako_engine::EngineError> {
        let vcpu = self.engine.vcpu();
        self.core.looked_at(|core| vcpu.state(core))
    }

    /// The states of all CPUs, by number.
    pub fn states(&mut self) -> Result<Vec<CpuState>, hako_engine::EngineError> {
        self.engine.states(&mut self.core)
    }

    /// The number of the CPU that ran last.
    pub fn current_cpu(&self) -> u8 {
        self.engine.current()
    }

    /// Guest memory.
    pub fn memory(&self) -> &GuestMemory {
        self.core.board.memory()
    }

    /// Guest-physical memory as bytes; what is not RAM or ROM reads as all ones.
    pub fn read_memory(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0xff; len];
        for (i, b) in bytes.iter_mut().enumerate() {
            let Some(gpa) = Gpa(at).checked_add(i as u64) else { break };
            *b = self.memory().load(gpa).unwrap_or(0xff);
        }
        bytes
    }

    /// The board.
    pub fn board(&self) -> &Board {
        &self.core.board
    }

    /// Bytes for COM1. They wait until it has room.
    pub fn send_serial(&mut self, bytes: &[u8]) {
        self.send(Inlet::Com(0), bytes);
    }

    /// Bytes for the guest. They wait until there is room.
    pub fn send(&mut self, to: Inlet, bytes: &[u8]) {
        self.core.incoming.add(to, bytes.iter().copied());
    }

    /// Types keys, one after another, each when the guest has read the one before.
    pub fn send_keys(&mut self, keys: impl IntoIterator<Item = KeyEvent>) {
        let now = self.time();
        self.core.took_input = true;
        if let Board::Pc(pc) = &mut self.core.board {
            let _ = pc.type_keys(keys, now);
        }
    }

    /// The text on the screen of a PC.
    pub fn screen(&self) -> Option<TextScreen> {
        match &self.core.board {
            Board::Pc(pc) => Some(pc.text_screen()),
            Board::Bare(_) => None,
        }
    }

    /// The picture on the screen of a PC.
    pub fn picture(&self) -> Option<Image> {
        match &self.core.board {
            Board::Pc(pc) => Some(pc.picture()),
            Board::Bare(_) => None,
        }
    }

    /// Why the built-in firmware booted nothing, if it did not.
    pub fn boot_error(&self) -> Option<&str> {
        self.bios.as_ref().and_then(Bios::boot_error)
    }

    /// Says whether more input may come. A guest that waits for input is only called halted or hung when none can.
    pub fn set_input_open(&mut self, open: bool) {
        self.input_open = open;
    }

    /// What the user should know: which engine and why, what is missing.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Which engine runs, in words.
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }
}
