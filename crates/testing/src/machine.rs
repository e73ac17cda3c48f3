//! Tests on a [`Machine`].

use std::sync::Arc;
use std::time::Duration;

use hako_chips::i8042::KeyEvent;
use hako_machine::{Builder, Config, DiskSpec, Inlet, Machine, MachineKind, Outcome, Source, Time};
use hako_x86::CpuState;

use crate::bench::Bench;
use crate::screen::Screen;
use crate::spec::Channel;
use crate::subject::{Progress, SectorPair, Subject};

/// A bench with a machine on it, which stays for the next test where it fits: its memory is pooled, its state is not kept.
#[derive(Default)]
pub struct MachineBench {
    rig: Option<Rig>,
}

/// A machine and what it was built from.
struct Rig {
    config: Arc<Config>,
    machine: Machine,
}

impl Bench for MachineBench {
    fn prepare(&mut self, config: &Arc<Config>) -> Result<&mut dyn Subject, String> {
        let again = match self.rig.take() {
            Some(rig) => rig.again(config)?,
            None => None,
        };
        let rig = match again {
            Some(rig) => rig,
            None => {
                let machine =
                    Builder::from_config(Config::clone(config)).build().map_err(|e| e.to_string())?;
                Rig { config: Arc::clone(config), machine }
            }
        };
        Ok(self.rig.insert(rig))
    }
}

impl Rig {
    /// This rig at power-on with `config`, if that differs in the image at most.
    fn again(mut self, config: &Arc<Config>) -> Result<Option<Rig>, String> {
        let done = if Arc::ptr_eq(&self.config, config) {
            self.machine.reset()
        } else if same_but_for_the_image(&self.config, config) {
            let Some(image) = &config.image else { return Ok(None) };
            self.machine.reset_to(image.clone())
        } else {
            return Ok(None);
        };
        done.map_err(|e| e.to_string())?;
        self.config = Arc::clone(config);
        Ok(Some(self))
    }
}

/// Whether two PCs differ in the image at most. (A bare machine's memory depends on it.)
fn same_but_for_the_image(a: &Config, b: &Config) -> bool {
    fn rest(c: &Config) -> impl PartialEq + '_ {
        let machine = (c.engine, c.memory, &c.firmware, &c.disks, &c.floppy, &c.cdrom, &c.boot);
        let rules =
            (c.debug_exit, c.no_reboot, c.triple_fault, c.clock, c.timeout, c.detect_hang, c.log_ports);
        let kernel = (&c.append, &c.initrd, &c.modules, c.protocol);
        let devices = (c.cpus, c.acpi, c.testdev, c.rng, c.balloon, &c.console, &c.coms);
        (machine, rules, kernel, devices, c.ns_per_instruction, c.rtc)
    }
    a.machine == MachineKind::Pc && b.machine == MachineKind::Pc && rest(a) == rest(b)
}

impl Subject for Rig {
    fn run(&mut self, until: Duration, stop_on_output: bool) -> Progress {
        match self.machine.run_until(Time::ZERO + until, stop_on_output) {
            hako_machine::Progress::Ended => Progress::Ended,
            hako_machine::Progress::Output => Progress::Output,
            hako_machine::Progress::Time => Progress::Time,
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        self.machine.outcome().cloned()
    }

    fn now(&self) -> Duration {
        self.machine.time().since(Time::ZERO)
    }

    fn said(&self, channel: Channel) -> &[u8] {
        match channel {
            Channel::Com(n) => self.machine.com(n),
            Channel::Debugcon => self.machine.debugcon(),
            Channel::Console => self.machine.console(),
            Channel::Screen => self.machine.printed(),
        }
    }

    fn screen(&self) -> Option<Screen> {
        let screen = self.machine.screen()?;
        let row = |n| format!("{:<1$}", screen.line(n), screen.columns);
        Some(Screen { rows: (0..screen.rows).map(row).collect() })
    }

    fn send_keys(&mut self, keys: &[KeyEvent]) {
        self.machine.send_keys(keys.iter().copied());
    }

    fn send(&mut self, to: Inlet, bytes: &[u8]) {
        self.machine.send(to, bytes);
    }

    fn input_open(&mut self, open: bool) {
        self.machine.set_input_open(open);
    }

    fn state(&mut self) -> Result<CpuState, String> {
        self.machine.state().map_err(|e| e.to_string())
    }

    fn memory(&self, at: u64, len: usize) -> Vec<u8> {
        self.machine.read_memory(at, len)
    }

    fn sector(&mut self, disk: u8, sector: u64) -> Result<SectorPair, String> {
        let now = self.machine.read_sector(disk.into(), sector).map_err(|e| e.to_string())?;
        let image = self.config.image.iter().cloned().map(DiskSpec::from);
        let disks: Vec<_> = image.chain(self.config.disks.iter().cloned()).collect();
        let before = disks.get(usize::from(disk)).ok_or("there is no such disk")?;
        let before = at_power_on(&before.source, sector).map_err(|e| e.to_string())?;
        Ok(SectorPair { now: now.to_vec(), before })
    }

    fn ports_written(&self) -> Vec<(u16, u64)> {
        self.machine.ports_written().iter().map(|write| (write.port, write.value.into())).collect()
    }

    fn whereabouts(&mut self) -> Vec<String> {
        self.machine.whereabouts().to_string().trim().lines().map(str::to_owned).collect()
    }
}

/// A sector of a medium that no guest has changed.
fn at_power_on(source: &Source, sector: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; 512];
    match source {
        Source::Bytes(all) => {
            let at = usize::try_from(sector.saturating_mul(512)).unwrap_or(usize::MAX);
            for (to, from) in bytes.iter_mut().zip(all.get(at..).unwrap_or(&[])) {
                *to = *from;
            }
        }
        Source::File(path) => {
            use std::io::{Read, Seek, SeekFrom};
            let mut file = std::fs::File::open(path)?;
            file.seek(SeekFrom::Start(sector.saturating_mul(512)))?;
            let mut part = Vec::new();
            file.take(512).read_to_end(&mut part)?;
            bytes[..part.len()].copy_from_slice(&part);
        }
    }
    Ok(bytes)
}
