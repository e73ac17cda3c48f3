//! The PC: a 440FX/PIIX board with the chips of an AT.

mod apic;
mod coms;
mod devices;
mod disks;
mod display;
mod events;
mod firmware;
mod floppy;
mod hardware;
mod hpet;
mod keyboard;
mod layout;
mod lines;
mod pci;
mod ports;
mod post;
mod routing;
mod rtc;
mod saved;
mod system;
mod tables;
mod testdev;
mod wires;

use alloc::boxed::Box;
use alloc::vec::Vec;

use hako_chips::Wish;
use hako_chips::acpi_pm::AcpiPm;
use hako_chips::coprocessor::Coprocessor;
use hako_chips::debugcon::Debugcon;
use hako_chips::dma8237::Dma8237;
use hako_chips::fdc::Fdc;
use hako_chips::fw_cfg::FwCfg;
use hako_chips::hpet::Hpet;
use hako_chips::i8042::I8042;
use hako_chips::ide::Channel;
use hako_chips::latch::Latch;
use hako_chips::pci::host::PciHost;
use hako_chips::pci::{ConfigSpace, PciDevice};
use hako_chips::pit::Pit;
use hako_chips::reset::{Port92, ResetControl};
use hako_chips::rtc::Rtc;
use hako_chips::vga::Vga;
use hako_engine::{Attention, IrqSink, Lines, Time};
use hako_firmware::Drive;
use hako_mem::{Gpa, GuestMemory};
use hako_x86::{CpuState, Width};

pub use apic::{ApicsState, MAX_CPUS};
pub use devices::{FIRST_SLOT, MAX_DEVICES};
pub use disks::{Disks, MAX_HARD_DISKS};
use events::{Events, Touched};
pub use layout::{Layout, MEGABYTE};
pub use saved::PcState;
pub use wires::WiresState;
use wires::{Controller, Own, Wires};

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
    /// The option ROM that starts the machine's kernel is offered to the firmware, before all media; its trap port
    /// answers.
    pub kernel_rom: bool,
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
    /// Devices on the PCI bus: the first is in slot [`FIRST_SLOT`], the others follow.
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
            kernel_rom: false,
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
    cpus: u8,
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
    coms: coms::Coms,
    pci: PciHost,
    devices: devices::Devices,
    testdev: Option<testdev::Testdev>,
    /// The board assigns PCI addresses and interrupts at power-on.
    post: bool,
    /// Where the root pointer of the ACPI tables is, if the board has placed them.
    rsdp: Option<Gpa>,
    reset_control: ResetControl,
    fw_cfg: FwCfg,
    ide: [Channel; 2],
    fdc: Fdc,
    dma: Dma8237,
    disks: Disks,
    boot: Vec<Drive>,
    memory_ranges: Vec<hako_firmware::MemoryRange>,
    port92: Port92,
    coprocessor: Coprocessor,
    apm: [Latch; 2],
    pm: AcpiPm,
    hpet: Hpet,
    debugcon: Debugcon,
    debug_exit: Option<u16>,
    trap: bool,
    /// The option ROM that starts the kernel is offered.
    kernel_rom: bool,
    wish: Option<Wish>,
    pub(crate) output: Output,
    /// The lines as each CPU last saw them or was told of them.
    seen: Vec<Lines>,
    /// CPUs that have not looked at their lines since they changed, bit n for CPU n.
    signals: u8,
    /// When `tick` is wanted next.
    events: Events,
    /// What may have changed since `seen` and `events` were found out.
    touched: Touched,
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
        let cpus = config.cpus.clamp(1, MAX_CPUS);
        let controller = match config.irqs {
            Some(sink) => Controller::Engine(sink),
            None => Controller::Own(Box::new(Own::new(cpus))),
        };
        let mut pci = pci::functions();
        let devices = devices::Devices::new(&mut pci, config.devices, config.testdev);
        let mut pc = Pc {
            memory,
            memory_ranges: layout.memory_ranges(),
            layout,
            cpus,
            pam: [0; 7],
            a20: true,
            wires: Wires::new(controller),
            pit: own.then(Pit::new),
            rtc: rtc::new(config.rtc, cpus, &layout, &disks, &config.boot),
            epoch: config.rtc,
            keyboard: I8042::new(),
            vga: Vga::new(),
            coms: coms::Coms::new(config.coms),
            pci,
            devices,
            testdev: config.testdev.then(testdev::Testdev::new),
            post: config.post,
            rsdp: None,
            reset_control: ResetControl::new(),
            fw_cfg: FwCfg::new(),
            ide: disks.channels(),
            fdc: Fdc::new(floppy::DRIVES),
            dma: Dma8237::new(),
            disks,
            boot: config.boot,
            port92: Port92::new(),
            coprocessor: Coprocessor::new(),
            apm: Default::default(),
            pm: AcpiPm::new(false),
            hpet: Hpet::new(),
            debugcon: Debugcon::new(),
            debug_exit: config.debug_exit,
            trap: config.builtin || config.kernel_rom,
            kernel_rom: config.kernel_rom,
            wish: None,
            output: Output::default(),
            seen: alloc::vec![Lines { a20: true, ..Lines::default() }; cpus.into()],
            signals: 0,
            events: Events::new(),
            touched: Touched::all(),
            attention: Attention::empty(),
            volatile_reads: 0,
        };
        pc.describe(config.vga_rom);
        pc.describe_hardware(config.acpi);
        pc.assign();
        pc.refresh();
        pc
    }

    /// Everything as at power-on, but for memory and disks.
    pub fn reset(&mut self, now: Time) {
        self.pci.reset();
        self.devices.reset(&self.pci);
        self.testdev = self.testdev.take().map(|_| testdev::Testdev::new());
        self.wires.reset();
        if let Some(pit) = &mut self.pit {
            *pit = Pit::new();
        }
        // Its clock goes on and its memory is kept, as the battery does.
        self.rtc.reset(now);
        self.keyboard = I8042::new();
        self.vga.reset();
        self.coms.reset();
        self.ide = self.disks.channels();
        self.fdc = Fdc::new(floppy::DRIVES);
        self.dma.reset();
        self.reset_control = ResetControl::new();
        self.fw_cfg.reset();
        (self.port92, self.apm) = (Port92::new(), Default::default());
        self.coprocessor = Coprocessor::new();
        self.pm.reset(now);
        self.debugcon = Debugcon::new();
        self.hpet = Hpet::new();
        self.wish = None;
        self.output.clear();
        self.assign();
        self.repam();
        self.touched = Touched::all();
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
        self.rtc = rtc::new(self.epoch, self.cpus, &self.layout, &self.disks, &self.boot);
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
        self.attention(None)
    }

    pub(crate) fn port_out(&mut self, now: Time, port: u16, width: Width, data: &[u8]) -> Attention {
        self.route_out(now, port, width, data);
        self.attention(None)
    }

    pub(crate) fn mmio_read(&mut self, now: Time, cpu: u8, gpa: Gpa, data: &mut [u8]) -> Attention {
        self.bus_read(now, cpu, gpa, data);
        self.attention(Some(cpu))
    }

    pub(crate) fn mmio_write(&mut self, now: Time, cpu: u8, gpa: Gpa, data: &[u8]) -> Attention {
        self.bus_write(now, cpu, gpa, data);
        self.attention(Some(cpu))
    }

    /// Reads what is neither RAM nor ROM.
    fn bus_read(&mut self, now: Time, cpu: u8, gpa: Gpa, data: &mut [u8]) {
        let there = self.apic_read(now, cpu, gpa.0, data)
            || self.hpet_read(now, gpa.0, data)
            || self.pci_read(now, gpa.0, data);
        if !there {
            data.fill(0xff);
        }
    }

    /// Writes what is not RAM. Writes to ROM are dropped, but for PAM segments whose writes go to RAM while their reads
    /// do not.
    fn bus_write(&mut self, now: Time, cpu: u8, gpa: Gpa, data: &[u8]) {
        if self.apic_write(now, cpu, gpa.0, data) || self.hpet_write(now, gpa.0, data) {
            return;
        }
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
    fn attention(&mut self, cpu: Option<u8>) -> Attention {
        if self.touched.is_empty() && self.wish.is_none() && self.attention.is_empty() {
            return Attention::empty();
        }
        self.collect(cpu)
    }

    fn collect(&mut self, cpu: Option<u8>) -> Attention {
        let mut attention = core::mem::replace(&mut self.attention, Attention::empty());
        if self.wish.is_some() {
            attention |= Attention::WISH;
        }
        if !self.touched.is_empty() {
            self.refresh();
            attention |= self.tell(cpu);
        }
        attention
    }

    /// Lets every chip whose time has come act.
    pub(crate) fn tick(&mut self, now: Time) -> Attention {
        self.act(now);
        self.attention(None)
    }

    /// When `tick` is wanted next.
    #[inline]
    pub(crate) fn next_event(&self) -> Time {
        self.events.first()
    }

    pub(crate) fn take_wish(&mut self) -> Option<Wish> {
        self.wish.take()
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
            self.devices.memory_changed(&self.memory);
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
