//! The PC: a 440FX/PIIX board with the chips of an AT.

mod devices;
mod disks;
mod display;
mod firmware;
mod floppy;
mod keyboard;
mod layout;
mod pci;
mod ports;
mod post;
mod routing;
mod rtc;
mod saved;
mod system;
mod wires;

use alloc::boxed::Box;
use alloc::vec::Vec;

use hako_chips::Wish;
use hako_chips::acpi_pm::AcpiPm;
use hako_chips::debugcon::Debugcon;
use hako_chips::dma8237::Dma8237;
use hako_chips::fdc::Fdc;
use hako_chips::fw_cfg::FwCfg;
use hako_chips::i8042::I8042;
use hako_chips::ide::Channel;
use hako_chips::latch::Latch;
use hako_chips::pci::host::PciHost;
use hako_chips::pci::{ConfigSpace, PciDevice};
use hako_chips::pic::Pics;
use hako_chips::pit::Pit;
use hako_chips::port92::Port92;
use hako_chips::reset_control::ResetControl;
use hako_chips::rtc::Rtc;
use hako_chips::serial::Serial;
use hako_chips::vga::Vga;
use hako_engine::{Attention, IrqSink, Lines, Time};
use hako_firmware::Drive;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, Width};

pub use devices::{FIRST_SLOT, MAX_DEVICES};
pub use disks::{Disks, MAX_HARD_DISKS};
pub use layout::{Layout, MEGABYTE};
pub use saved::PcState;
pub use wires::WiresState;
use wires::{Controller, Wires};

use crate::Output;

/// What a PC is made of. [`PcConfig::new`] is the least of it; callers set the fields that differ.
pub struct PcConfig {
    /// Sizes of memory.
    pub layout: Layout,
    /// CPUs, 1 to 8.
    pub cpus: u8,
    /// Interrupt controllers and PIT in the engine, if it has them.
    pub irqs: Option<Box<dyn IrqSink>>,
    /// The debug-exit port.
    pub debug_exit: Option<u16>,
    /// The built-in firmware is in the ROM: its trap port answers.
    pub builtin: bool,
    /// A VGA option ROM that firmware may fetch through fw_cfg.
    pub vga_rom: Option<Vec<u8>>,
    /// What to boot from, in this order.
    pub boot: Vec<Drive>,
    /// What the real-time clock shows at power-on, in seconds since 1970.
    pub rtc: u64,
    /// The board does at power-on what a BIOS would: it assigns addresses and interrupts to PCI devices and puts ACPI
    /// and MP tables into the F segment. For the built-in firmware and for kernels that are started directly; other
    /// firmware does it itself.
    pub post: bool,
    /// There are ACPI tables; MP tables there are always.
    pub acpi: bool,
    /// Devices on the PCI bus, from slot 3 on.
    pub devices: Vec<(ConfigSpace, Box<dyn PciDevice>)>,
    /// Whether COM1 to COM4 exist.
    pub coms: [bool; 4],
    /// The registers with which kvm-unit-tests drives interrupt lines.
    pub testdev: bool,
}

impl PcConfig {
    /// One CPU, no media, no devices but the chip set and COM1, the board's own interrupt controllers.
    pub fn new(layout: Layout) -> PcConfig {
        PcConfig {
            layout,
            cpus: 1,
            irqs: None,
            debug_exit: None,
            builtin: false,
            vga_rom: None,
            boot: Vec::new(),
            rtc: 0,
            post: false,
            acpi: true,
            devices: Vec::new(),
            coms: [true, false, false, false],
            testdev: false,
        }
    }
}

/// The board of a PC.
pub struct Pc {
    layout: Layout,
    memory: GuestMemory,
    /// The PAM registers that the map shows.
    pam: [u8; 7],
    /// The A20 gate as the map shows it; always open where the CPU masks the bit itself.
    a20: bool,
    wires: Wires,
    /// Absent where the engine has it.
    pit: Option<Pit>,
    rtc: Rtc,
    /// What the clock shows at power-on.
    epoch: u64,
    keyboard: I8042,
    vga: Vga,
    com1: Serial,
    pci: PciHost,
    devices: devices::Devices,
    /// The board assigns PCI addresses and interrupts at power-on.
    post: bool,
    reset_control: ResetControl,
    fw_cfg: FwCfg,
    ide: [Channel; 2],
    fdc: Fdc,
    dma: Dma8237,
    disks: Disks,
    boot: Vec<Drive>,
    memory_ranges: Vec<hako_firmware::MemoryRange>,
    port92: Port92,
    apm: [Latch; 2],
    pm: AcpiPm,
    debugcon: Debugcon,
    debug_exit: Option<u16>,
    trap: bool,
    wish: Option<Wish>,
    pub(crate) output: Output,
    /// The lines as the CPU last saw them.
    seen: Lines,
    /// When `tick` is wanted next.
    next: Time,
    /// A wire or an event may have moved since `seen` and `next` were found out.
    moved: bool,
    /// Something other than the lines that the CPU has to look at.
    attention: Attention,
    /// Reads of ports whose value passes with time: a guest that polls them is waiting, not hanging.
    volatile_reads: u64,
}

/// The interval timer's interrupt.
const TIMER: u8 = 0;
/// The interrupt of ACPI's events.
const SCI: u8 = 9;

impl Pc {
    /// A PC after power-on, with memory from [`Layout::memory`].
    pub fn new(config: PcConfig, memory: GuestMemory, disks: Disks) -> Pc {
        let layout = config.layout;
        let own = config.irqs.is_none();
        let controller = match config.irqs {
            Some(sink) => Controller::Engine(sink),
            None => Controller::Own(Pics::new()),
        };
        let mut pci = pci::functions();
        let devices = devices::Devices::new(&mut pci, config.devices);
        let mut pc = Pc {
            memory,
            memory_ranges: layout.memory_ranges(),
            layout,
            pam: [0; 7],
            a20: true,
            wires: Wires::new(controller),
            pit: own.then(Pit::new),
            rtc: rtc::new(config.rtc, &layout, &disks, &config.boot),
            epoch: config.rtc,
            keyboard: I8042::new(),
            vga: Vga::new(),
            com1: Serial::new(),
            pci,
            devices,
            post: config.post,
            reset_control: ResetControl::new(),
            fw_cfg: FwCfg::new(),
            ide: disks.channels(),
            fdc: Fdc::new(floppy::DRIVES),
            dma: Dma8237::new(),
            disks,
            boot: config.boot,
            port92: Port92::new(),
            apm: Default::default(),
            pm: AcpiPm::new(false),
            debugcon: Debugcon::new(),
            debug_exit: config.debug_exit,
            trap: config.builtin,
            wish: None,
            output: Output::default(),
            seen: Lines { a20: true, ..Lines::default() },
            next: Time::NEVER,
            moved: true,
            attention: Attention::empty(),
            volatile_reads: 0,
        };
        pc.describe(config.vga_rom);
        pc.assign();
        pc.refresh();
        pc
    }

    /// Everything as at power-on, but for memory and disks.
    pub fn reset(&mut self, now: Time) {
        self.pci.reset();
        self.devices.reset();
        self.wires.reset();
        if let Some(pit) = &mut self.pit {
            *pit = Pit::new();
        }
        // Its clock goes on and its memory is kept, as the battery does.
        self.rtc.reset(now);
        self.keyboard = I8042::new();
        self.vga.reset();
        self.com1 = Serial::new();
        self.ide = self.disks.channels();
        self.fdc = Fdc::new(floppy::DRIVES);
        self.dma.reset();
        self.reset_control = ResetControl::new();
        self.fw_cfg.reset();
        (self.port92, self.apm) = (Port92::new(), Default::default());
        (self.pm, self.debugcon) = (AcpiPm::new(false), Debugcon::new());
        self.wish = None;
        self.output.clear();
        self.assign();
        self.repam();
        self.refresh();
        self.attention = Attention::empty();
    }

    /// Other media in the drives, and another boot order: what a machine for another guest differs in. A reset has to
    /// follow.
    pub fn replace_media(&mut self, disks: Disks, boot: Vec<Drive>) {
        self.disks = disks;
        if self.boot != boot {
            self.boot = boot;
            self.describe_boot_order();
        }
        self.rtc = rtc::new(self.epoch, &self.layout, &self.disks, &self.boot);
    }

    /// The CPU after RESET.
    pub fn initial_state() -> CpuState {
        CpuState::reset()
    }

    /// RAM, ROM and the map of the moment.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// A number that changes when the guest reads a port whose value passes with time.
    pub fn volatile_reads(&self) -> u64 {
        self.volatile_reads
    }

    pub(crate) fn port_in(&mut self, now: Time, port: u16, width: Width, data: &mut [u8]) -> Attention {
        self.route_in(now, port, width, data);
        self.attention()
    }

    pub(crate) fn port_out(&mut self, now: Time, port: u16, width: Width, data: &[u8]) -> Attention {
        self.route_out(now, port, width, data);
        self.attention()
    }

    pub(crate) fn mmio_read(&mut self, now: Time, gpa: Gpa, data: &mut [u8]) -> Attention {
        self.bus_read(now, gpa, data);
        self.attention()
    }

    pub(crate) fn mmio_write(&mut self, now: Time, gpa: Gpa, data: &[u8]) -> Attention {
        self.bus_write(now, gpa, data);
        self.attention()
    }

    /// Reads what is neither RAM nor ROM.
    fn bus_read(&mut self, now: Time, gpa: Gpa, data: &mut [u8]) {
        if !self.pci_read(now, gpa.0, data) {
            data.fill(0xff);
        }
    }

    /// Writes what is not RAM. Writes to ROM are dropped, but for PAM segments whose writes go to RAM while their reads
    /// do not.
    fn bus_write(&mut self, now: Time, gpa: Gpa, data: &[u8]) {
        let behind = hako_chips::pci::i440fx::pam_segments(self.pam)
            .iter()
            .any(|s| s.write_ram && gpa.0 >= s.start.into() && gpa.0 < u64::from(s.start + s.len));
        if behind {
            self.memory.slab().write(hako_mem::SlabOffset(gpa.0), data);
        } else {
            self.pci_write(now, gpa.0, data);
        }
    }

    /// Collects what an access changed; most change nothing.
    #[inline]
    fn attention(&mut self) -> Attention {
        if !self.moved && self.wish.is_none() && self.attention.is_empty() {
            return Attention::empty();
        }
        self.collect()
    }

    fn collect(&mut self) -> Attention {
        let mut attention = core::mem::replace(&mut self.attention, Attention::empty());
        if self.wish.is_some() {
            attention |= Attention::WISH;
        }
        if self.moved {
            let seen = self.seen;
            self.refresh();
            if self.lines() != seen {
                attention |= Attention::LINES;
            }
        }
        attention
    }

    /// Finds out when the next event is.
    fn refresh(&mut self) {
        self.moved = false;
        let first = self.devices.next_event();
        self.next = self.events().into_iter().fold(first, |first, (_, at)| first.min(at));
    }

    /// Lets every chip whose time has come act.
    pub(crate) fn tick(&mut self, now: Time) -> Attention {
        self.moved = true;
        self.tick_pit(now);
        self.tick_devices(now);
        if self.com1.next_event() <= now {
            self.com1.tick(now);
            self.wires.set_isa(4, self.com1.irq());
        }
        if self.keyboard.next_event() <= now {
            self.keyboard.tick(now);
            self.settle_keyboard();
        }
        if self.rtc.next_event() <= now {
            self.rtc.tick(now);
            self.wires.set_isa(rtc::IRQ, self.rtc.irq());
        }
        self.attention()
    }

    /// When `tick` is wanted next.
    #[inline]
    pub(crate) fn next_event(&self) -> Time {
        self.next
    }

    /// When an interrupt may come next by itself.
    pub(crate) fn next_wake(&self) -> Time {
        let open = self.events().into_iter().filter(|(irq, _)| self.wires.open(*irq));
        open.fold(self.devices.next_event(), |first, (_, at)| first.min(at))
    }

    /// See [`crate::Board::expects_more_than_ticks`]. What the clock does shows in its interrupt only: polling it is a
    /// volatile read.
    pub(crate) fn expects_more_than_ticks(&self, interrupts: bool) -> bool {
        let mut events = self.events().into_iter();
        events.any(|(irq, at)| match irq {
            TIMER => false,
            rtc::IRQ => at != Time::NEVER && interrupts && self.wires.open(irq),
            _ => at != Time::NEVER,
        }) || self.devices.next_event() != Time::NEVER
    }

    /// The chips' next events, and the interrupt that may follow each.
    fn events(&self) -> [(u8, Time); 4] {
        [
            (TIMER, self.pit.as_ref().map_or(Time::NEVER, Pit::next_event)),
            (keyboard::IRQ, self.keyboard.next_event()),
            (4, self.com1.next_event()),
            (rtc::IRQ, self.rtc.next_event()),
        ]
    }

    /// The levels; whoever asks knows them from now on. (After an acknowledge the CPU asks by itself: an interrupt that
    /// the next access raises is news then, though the line was high when it was last told.)
    pub(crate) fn lines(&mut self) -> Lines {
        self.seen = Lines { intr: self.wires.intr(), a20: self.keyboard.a20(), ..Lines::default() };
        self.seen
    }

    pub(crate) fn acknowledge(&mut self) -> u8 {
        self.wires.acknowledge()
    }

    pub(crate) fn take_wish(&mut self) -> Option<Wish> {
        self.wish.take()
    }

    /// Whether COM1 takes a byte now.
    pub(crate) fn serial_has_room(&self) -> bool {
        self.com1.can_receive()
    }

    /// A byte for COM1; `false` if it has no room for it now.
    pub(crate) fn serial_input(&mut self, now: Time, byte: u8) -> bool {
        if !self.com1.can_receive() {
            return false;
        }
        self.com1.receive(byte, now);
        self.wires.set_isa(4, self.com1.irq());
        self.refresh();
        true
    }

    /// The disk in a drive.
    pub fn disks(&mut self) -> &mut Disks {
        &mut self.disks
    }

    /// Brings the map up to the PAM registers, and to the A20 gate where the engine has no mask for it.
    fn repam(&mut self) {
        let pam = pci::pam(&self.pci);
        let a20 = !self.wires.in_engine() || self.keyboard.a20();
        let mut map = self.memory.map().clone();
        // The layout's segments are whole pages in range: they cannot be refused.
        let mut changed = self.layout.repam(&mut map, self.pam, pam).unwrap_or(false);
        if a20 != self.a20 || (changed && !a20) {
            changed |= self.layout.set_a20(&mut map, a20).is_ok();
        }
        if changed {
            self.memory.set_map(map);
            self.attention |= Attention::MAP;
        }
        (self.pam, self.a20) = (pam, a20);
    }

    /// The A20 gate may have moved.
    fn settle_a20(&mut self) {
        if self.wires.in_engine() && self.keyboard.a20() != self.a20 {
            self.repam();
        }
    }
}
