//! Saving and restoring the chips of a PC. Memory, disks and the CPU are the machine's to save; interrupt controllers
//! and timer in the engine are the engine's.

use alloc::vec::Vec;

use hako_chips::acpi_pm::AcpiPmState;
use hako_chips::coprocessor::CoprocessorState;
use hako_chips::debugcon::DebugconState;
use hako_chips::hpet::HpetState;
use hako_chips::i8042::I8042State;
use hako_chips::latch::LatchState;
use hako_chips::pic::PicsState;
use hako_chips::pit::PitState;
use hako_chips::reset::ResetState;
use hako_chips::rtc::RtcState;
use hako_chips::serial::SerialState;
use hako_chips::{RestoreError, Saved, dma8237, fdc, fw_cfg, ide, pci, vga};
use hako_engine::Time;
use serde::{Deserialize, Serialize};

use super::Pc;
use super::apic::ApicsState;
use super::events::Touched;
use super::testdev::{Testdev, TestdevState};
use super::wires::{Own, WiresState};

/// Layout of the saved state.
const VERSION: u32 = 3;

/// What the chips of a PC hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PcState {
    /// Levels of the interrupt wires.
    pub wires: WiresState,
    /// The interrupt controllers, if they are the board's.
    pub pics: Option<Saved<PicsState>>,
    /// Local APICs and I/O APIC, if they are.
    pub apics: Option<ApicsState>,
    /// The timer, if it is the board's.
    pub pit: Option<Saved<PitState>>,
    /// The clock.
    pub rtc: Saved<RtcState>,
    /// Keyboard controller, keyboard and mouse.
    pub keyboard: Saved<I8042State>,
    /// The display.
    pub vga: Saved<vga::State>,
    /// COM1 to COM4, where they exist.
    pub coms: [Option<Saved<SerialState>>; 4],
    /// PCI configuration.
    pub pci: Saved<pci::host::State>,
    /// What each PCI device holds beside its configuration.
    pub devices: Vec<Vec<u8>>,
    /// The test device, if it is there.
    pub testdev: Option<TestdevState>,
    /// Port 0xcf9.
    pub reset_control: Saved<ResetState>,
    /// What is selected of fw_cfg.
    pub fw_cfg: Saved<fw_cfg::State>,
    /// Both IDE channels.
    pub ide: [Saved<ide::State>; 2],
    /// The floppy controller.
    pub fdc: Saved<fdc::State>,
    /// The DMA controllers.
    pub dma: Saved<dma8237::State>,
    /// Port 0x92.
    pub port92: Saved<ResetState>,
    /// FERR# and IGNNE#.
    pub coprocessor: Saved<CoprocessorState>,
    /// Ports 0xb2 and 0xb3.
    pub apm: [Saved<LatchState>; 2],
    /// ACPI power management.
    pub pm: Saved<AcpiPmState>,
    /// The event timers.
    pub hpet: Saved<HpetState>,
    /// The debug console.
    pub debugcon: Saved<DebugconState>,
}

/// Restores a copy of a chip, so that nothing has changed if a later one is refused.
macro_rules! restored {
    ($chip:expr, $saved:expr) => {{
        let mut chip = $chip.clone();
        chip.restore($saved)?;
        chip
    }};
}

impl Pc {
    /// What the chips hold at `now`.
    pub fn save(&mut self, now: Time) -> Saved<PcState> {
        let state = PcState {
            wires: self.wires.save(),
            pics: self.wires.own_mut().map(|own| own.pics.save()),
            apics: self.wires.own_mut().map(|own| own.apics.save(now)),
            pit: self.pit.as_ref().map(|p| p.save()),
            rtc: self.rtc.save(),
            keyboard: self.keyboard.save(),
            vga: self.vga.save(),
            coms: self.coms.save(),
            pci: self.pci.save(),
            devices: self.devices.save(),
            testdev: self.testdev.as_ref().map(Testdev::save),
            reset_control: self.reset_control.save(),
            fw_cfg: self.fw_cfg.save(),
            ide: self.ide.each_ref().map(|c| c.save()),
            fdc: self.fdc.save(),
            dma: self.dma.save(),
            port92: self.port92.save(),
            coprocessor: self.coprocessor.save(),
            apm: self.apm.each_ref().map(|l| l.save()),
            pm: self.pm.save(),
            hpet: self.hpet.save(),
            debugcon: self.debugcon.save(),
        };
        Saved { version: VERSION, state }
    }

    /// Takes a saved state over, all of it or nothing. The PC must be made of the same parts; memory and disks must
    /// hold what they held then, and time must go on from there.
    pub fn restore(&mut self, saved: &Saved<PcState>) -> Result<(), RestoreError> {
        let s = saved.open(VERSION)?;
        let own = match (self.wires.own_mut(), &s.pics, &s.apics) {
            (Some(own), Some(pics), Some(apics)) => {
                Some(Own { pics: restored!(own.pics, pics), apics: own.apics.restored(apics)? })
            }
            (None, None, None) => None,
            _ => return Err(RestoreError::Impossible("the interrupt controllers were somewhere else")),
        };
        let pit = match (&self.pit, &s.pit) {
            (Some(pit), Some(saved)) => Some(restored!(pit, saved)),
            (None, None) => None,
            _ => return Err(RestoreError::Impossible("the timer was somewhere else")),
        };
        let rtc = restored!(self.rtc, &s.rtc);
        let keyboard = restored!(self.keyboard, &s.keyboard);
        let vga = restored!(self.vga, &s.vga);
        let coms = self.coms.restored(&s.coms)?;
        let pci = restored!(self.pci, &s.pci);
        let reset_control = restored!(self.reset_control, &s.reset_control);
        let fw_cfg = restored!(self.fw_cfg, &s.fw_cfg);
        let [ide1, ide2] = &self.ide;
        let ide = [restored!(ide1, &s.ide[0]), restored!(ide2, &s.ide[1])];
        let fdc = restored!(self.fdc, &s.fdc);
        let dma = restored!(self.dma, &s.dma);
        let port92 = restored!(self.port92, &s.port92);
        let coprocessor = restored!(self.coprocessor, &s.coprocessor);
        let [apm1, apm2] = &self.apm;
        let apm = [restored!(apm1, &s.apm[0]), restored!(apm2, &s.apm[1])];
        let pm = restored!(self.pm, &s.pm);
        let hpet = restored!(self.hpet, &s.hpet);
        let debugcon = restored!(self.debugcon, &s.debugcon);
        let testdev = match (&self.testdev, &s.testdev) {
            (Some(_), Some(saved)) => Some(Testdev::restored(saved)?),
            (None, None) => None,
            _ => return Err(RestoreError::Impossible("the test device is on one of the machines only")),
        };
        // The last that may be refused.
        self.devices.restore(&s.devices)?;

        (self.pit, self.rtc, self.keyboard, self.vga, self.coms) = (pit, rtc, keyboard, vga, coms);
        (self.pci, self.reset_control, self.fw_cfg) = (pci, reset_control, fw_cfg);
        self.devices.settle(&self.pci);
        self.testdev = testdev;
        (self.ide, self.fdc, self.dma) = (ide, fdc, dma);
        (self.port92, self.apm, self.pm, self.debugcon) = (port92, apm, pm, debugcon);
        (self.hpet, self.coprocessor) = (hpet, coprocessor);
        self.wires.restore(&s.wires, own);
        (self.wish, self.volatile_reads) = (None, 0);
        self.output.clear();
        self.repam();
        self.touched = Touched::all();
        self.refresh();
        Ok(())
    }
}
