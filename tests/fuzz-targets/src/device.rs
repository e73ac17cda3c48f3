//! A PCI device that does all that a device may: BARs of every kind, interrupts of both kinds, memory, alarms.

use hako_chips::RestoreError;
use hako_chips::pci::{Bar, BarKind, ConfigSpace, Env, Identity, Msi, PciDevice};
use hako_engine::Time;
use hako_mem::Gpa;

/// Remembers a byte, and does with what is written to it what the offset says.
pub struct Device {
    value: u8,
    alarm: Time,
}

/// The sizes of its BARs.
const SIZES: [(u8, BarKind, u64); 3] = [
    (0, BarKind::Io, 32),
    (1, BarKind::Memory32 { prefetchable: false }, 0x1000),
    (2, BarKind::Memory64 { prefetchable: true }, 0x10_0000),
];

impl Device {
    /// The device with its configuration space.
    pub fn function() -> (ConfigSpace, Box<dyn PciDevice>) {
        let id = Identity { vendor: 0x1af4, device: 0xffff, interrupt_pin: 1, ..Identity::default() };
        let mut config = SIZES
            .iter()
            .fold(ConfigSpace::new(id, &[]), |config, (n, kind, size)| {
                config.with_bar(Bar::new(*n, *kind, *size))
            })
            .with_bar(Bar::rom(0x1000));
        assert!(config.add_capability(9, &[8, 0, 0, 0, 0, 0], &[0, 0, 0xff, 0xff, 0xff, 0xff]).is_some());
        (config, Box::new(Device { value: 0, alarm: Time::NEVER }))
    }

    /// Every access is within the BAR and of a width that a CPU has.
    fn check(bar: u8, offset: u64, len: usize) {
        let size = SIZES.iter().find(|s| s.0 == bar).map_or(0x1000, |s| s.2);
        assert!((1..=8).contains(&len) && offset < size && offset + len as u64 <= size);
    }
}

impl PciDevice for Device {
    fn bar_read(&mut self, _: &mut Env<'_>, bar: u8, offset: u64, data: &mut [u8]) {
        Device::check(bar, offset, data.len());
        data.fill(self.value);
    }
    fn bar_write(&mut self, env: &mut Env<'_>, bar: u8, offset: u64, data: &[u8]) {
        Device::check(bar, offset, data.len());
        self.value = data[0];
        match offset & 7 {
            0 => drop(env.config.set_interrupt(self.value & 1 != 0)),
            1 => env
                .msis
                .push(Msi { address: 0xfee0_0000 | u64::from(self.value) << 12, data: self.value.into() }),
            2 => self.alarm = Time(env.now.0.saturating_add(1 + u64::from(self.value) * 1000)),
            3 if env.bus_master() => drop(env.memory.write(Gpa(u64::from(self.value) << 12), data)),
            _ => {}
        }
    }
    fn config_read(&mut self, env: &mut Env<'_>, at: u8, len: usize) {
        assert!(usize::from(at) + len > 0x40 && len <= 8);
        env.config.set_interrupt(self.value & 2 != 0);
    }
    fn next_event(&self) -> Time {
        self.alarm
    }
    fn tick(&mut self, env: &mut Env<'_>) {
        self.alarm = Time::NEVER;
        env.config.set_interrupt(self.value & 4 != 0);
    }
    fn reset(&mut self) {
        (self.value, self.alarm) = (0, Time::NEVER);
    }
    fn save(&self) -> Vec<u8> {
        let mut bytes = self.alarm.0.to_le_bytes().to_vec();
        bytes.push(self.value);
        bytes
    }
    fn restore(&mut self, state: &[u8]) -> Result<(), RestoreError> {
        match state.split_last_chunk::<1>() {
            Some(([value], alarm)) if alarm.len() == 8 => {
                self.value = *value;
                self.alarm = Time(alarm.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)));
                Ok(())
            }
            _ => Err(RestoreError::Impossible("nine bytes")),
        }
    }
}
