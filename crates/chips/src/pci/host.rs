//! Configuration mechanism #1 (PCI 3.0, 3.2.2.3.2): CONFIG_ADDRESS and CONFIG_DATA.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::config::{Changes, ConfigSpace, State as FunctionState};
use crate::saved::{RestoreError, Saved, check};

const VERSION: u32 = 1;
/// Enable, bus, device, function, register; the other bits of CONFIG_ADDRESS are zero.
const ADDRESS_MASK: u32 = 0x80ff_fffc;
const ENABLE: u32 = 1 << 31;
/// Offset of CONFIG_DATA from CONFIG_ADDRESS.
const DATA: u8 = 4;

/// Bus, device and function number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bdf(u16);

impl Bdf {
    /// Device and function numbers are taken modulo 32 and 8.
    pub const fn new(bus: u8, device: u8, function: u8) -> Bdf {
        Bdf((bus as u16) << 8 | (device as u16 & 31) << 3 | function as u16 & 7)
    }

    /// The bus.
    pub const fn bus(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The device on the bus.
    pub const fn device(self) -> u8 {
        (self.0 >> 3) as u8 & 31
    }

    /// The function of the device.
    pub const fn function(self) -> u8 {
        self.0 as u8 & 7
    }

    /// From the number as BIOS calls and requester IDs write it.
    pub const fn from_number(number: u16) -> Bdf {
        Bdf(number)
    }

    /// The number as BIOS calls and requester IDs write it.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus(), self.device(), self.function())
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// CONFIG_ADDRESS and the registers of every function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// CONFIG_ADDRESS.
    pub address: u32,
    /// The functions by number.
    pub functions: Vec<(Bdf, Saved<FunctionState>)>,
}

/// The host's side of the bus and the configuration spaces of all functions on it.
#[derive(Clone, Debug, Default)]
pub struct PciHost {
    address: u32,
    functions: BTreeMap<Bdf, ConfigSpace>,
}

impl PciHost {
    /// A bus without functions.
    pub fn new() -> PciHost {
        PciHost::default()
    }

    /// Puts a function on the bus and returns what was there before.
    pub fn add(&mut self, at: Bdf, function: ConfigSpace) -> Option<ConfigSpace> {
        self.functions.insert(at, function)
    }

    /// A function's configuration space.
    pub fn function(&self, at: Bdf) -> Option<&ConfigSpace> {
        self.functions.get(&at)
    }

    /// A function's configuration space, for the device's own changes.
    pub fn function_mut(&mut self, at: Bdf) -> Option<&mut ConfigSpace> {
        self.functions.get_mut(&at)
    }

    /// All functions by number.
    pub fn functions(&self) -> impl Iterator<Item = (Bdf, &ConfigSpace)> {
        self.functions.iter().map(|(at, f)| (*at, f))
    }

    /// CONFIG_ADDRESS.
    pub fn address(&self) -> u32 {
        self.address
    }

    /// The function and the dword register that CONFIG_ADDRESS names, if it is enabled.
    fn selected(&self) -> Option<(Bdf, u8)> {
        (self.address & ENABLE != 0).then_some((Bdf((self.address >> 8) as u16), self.address as u8))
    }

    /// The function, its register and the number of bytes that an access of `len` bytes reaches; `port` is the distance
    /// from CONFIG_ADDRESS. Nobody need be there.
    pub fn target(&self, port: u8, len: usize) -> Option<(Bdf, u8, usize)> {
        let byte = port.checked_sub(DATA).filter(|byte| *byte < 4)?;
        let (at, register) = self.selected()?;
        Some((at, register | byte, len.min(usize::from(4 - byte))))
    }

    /// Reads one item of 1, 2 or 4 bytes; `port` is the distance from CONFIG_ADDRESS, 0 to 7. CONFIG_ADDRESS only
    /// exists for dwords; absent functions and bytes past the register read ones.
    pub fn read(&self, port: u8, data: &mut [u8]) {
        data.fill(0xff);
        if port == 0 && data.len() == 4 {
            data.copy_from_slice(&self.address.to_le_bytes());
        } else if let Some((at, register, n)) = self.target(port, data.len())
            && let Some(function) = self.functions.get(&at)
        {
            function.read(register, &mut data[..n]);
        }
    }

    /// Writes one item of 1, 2 or 4 bytes and says which function changed how.
    pub fn write(&mut self, port: u8, data: &[u8]) -> Option<(Bdf, Changes)> {
        if port == 0
            && let Ok(address) = data.try_into()
        {
            self.address = u32::from_le_bytes(address) & ADDRESS_MASK;
            return None;
        }
        let (at, register, n) = self.target(port, data.len())?;
        let changes = self.functions.get_mut(&at)?.write(register, &data[..n]);
        (!changes.is_empty()).then_some((at, changes))
    }

    /// All functions and CONFIG_ADDRESS as after RST#.
    pub fn reset(&mut self) {
        self.address = 0;
        self.functions.values_mut().for_each(ConfigSpace::reset);
    }

    /// CONFIG_ADDRESS and all registers.
    pub fn save(&self) -> Saved<State> {
        let functions = self.functions.iter().map(|(at, f)| (*at, f.save())).collect();
        Saved { version: VERSION, state: State { address: self.address, functions } }
    }

    /// Takes a saved state back; the functions must be the same.
    pub fn restore(&mut self, saved: &Saved<State>) -> Result<(), RestoreError> {
        let state = saved.open(VERSION)?;
        check(state.address & !ADDRESS_MASK == 0, "CONFIG_ADDRESS has reserved bits set")?;
        check(
            self.functions.keys().eq(state.functions.iter().map(|(at, _)| at)),
            "the PCI functions are not those of this machine",
        )?;
        let mut restored = self.functions.clone();
        for (function, (_, saved)) in restored.values_mut().zip(&state.functions) {
            function.restore(saved)?;
        }
        self.functions = restored;
        self.address = state.address;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{i440fx, piix};
    use super::*;
    use proptest::prelude::*;

    fn host() -> PciHost {
        let mut host = PciHost::new();
        host.add(Bdf::new(0, 0, 0), i440fx::host_bridge());
        host.add(Bdf::new(0, 1, 0), piix::isa_bridge());
        host.add(Bdf::new(0, 1, 1), piix::ide());
        host.add(Bdf::new(0, 1, 3), piix::power_management());
        host
    }

    fn address(host: &mut PciHost, address: u32) {
        assert_eq!(host.write(0, &address.to_le_bytes()), None);
    }

    fn dword(host: &PciHost) -> u32 {
        let mut data = [0; 4];
        host.read(4, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn the_address_selects_bus_device_function_and_register() {
        let mut host = host();
        for (at, id) in [(0, 0x1237_8086), (0x800, 0x7000_8086), (0x900, 0x7010_8086), (0xb00, 0x7113_8086)] {
            address(&mut host, ENABLE | at);
            assert_eq!(dword(&host), id);
        }
    }

    #[test]
    fn an_absent_function_reads_ones_and_drops_writes() {
        let mut host = host();
        for at in [0x1000, 0x100, 0xa00, 0x1_0000] {
            address(&mut host, ENABLE | at);
            assert_eq!(dword(&host), 0xffff_ffff);
            assert_eq!(host.write(4, &[0; 4]), None);
        }
    }

    #[test]
    fn without_the_enable_bit_data_reads_ones() {
        let mut host = host();
        address(&mut host, 0);
        assert_eq!(dword(&host), 0xffff_ffff);
    }

    #[test]
    fn data_is_read_in_bytes_and_words_too() {
        let mut host = host();
        address(&mut host, ENABLE | 0x800);
        let (mut byte, mut word) = ([0; 1], [0; 2]);
        host.read(5, &mut byte);
        host.read(6, &mut word);
        assert_eq!((byte, word), ([0x80], [0x00, 0x70]));
    }

    #[test]
    fn an_access_across_the_dword_ends_there() {
        let mut host = host();
        address(&mut host, ENABLE);
        let mut data = [0; 4];
        host.read(6, &mut data);
        assert_eq!(data, [0x37, 0x12, 0xff, 0xff]);
    }

    #[test]
    fn the_address_register_exists_for_dwords_only() {
        let mut host = host();
        address(&mut host, ENABLE | 0x900);
        assert_eq!(host.write(1, &[0]), None);
        host.write(0, &[0, 0]);
        let mut data = [0; 4];
        host.read(0, &mut data);
        assert_eq!(u32::from_le_bytes(data), ENABLE | 0x900);
    }

    #[test]
    fn reserved_address_bits_read_zero() {
        let mut host = host();
        address(&mut host, 0xffff_ffff);
        assert_eq!(host.address(), 0x80ff_fffc);
    }

    #[test]
    fn the_writer_learns_which_function_changed() {
        let mut host = host();
        address(&mut host, ENABLE | 0x58);
        assert_eq!(host.write(5, &[0x30]), Some((Bdf::new(0, 0, 0), Changes::DEVICE)));
        assert_eq!(host.write(5, &[0x30]), None);
    }

    #[test]
    fn a_state_with_other_functions_is_refused() {
        let mut saved = host().save();
        saved.state.functions.pop();
        assert!(host().restore(&saved).is_err());
    }

    proptest! {
        #[test]
        fn storms_and_save_restore(
            accesses in proptest::collection::vec(
                (any::<bool>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..9)), 0..80),
        ) {
            let mut chip = host();
            for (write, port, mut data) in accesses {
                if write {
                    chip.write(port & 7, &data);
                } else {
                    chip.read(port, &mut data);
                }
            }
            let mut copy = host();
            copy.restore(&chip.save()).unwrap();
            prop_assert_eq!(copy.save(), chip.save());
        }
    }
}
