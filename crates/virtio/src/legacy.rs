//! The registers of a legacy function (4.1.4.8), in ports.

use hako_chips::pci::Env;

use crate::function::Function;
use crate::queue::Rings;
use crate::registers::Registers;

/// The device-specific configuration follows the common registers, which MSI-X makes longer by two.
const HEADER: u64 = 20;
const HEADER_MSIX: u64 = 24;
/// Where the driver notifies queues.
pub(crate) const NOTIFY: u64 = 16;

/// A register of the common part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Register {
    DeviceFeatures,
    DriverFeatures,
    QueueAddress,
    QueueSize,
    QueueSelect,
    QueueNotify,
    DeviceStatus,
    IsrStatus,
    ConfigVector,
    QueueVector,
}

/// Where each register is, and its bytes.
const REGISTERS: [(u64, usize, Register); 10] = [
    (0, 4, Register::DeviceFeatures),
    (4, 4, Register::DriverFeatures),
    (8, 4, Register::QueueAddress),
    (12, 2, Register::QueueSize),
    (14, 2, Register::QueueSelect),
    (NOTIFY, 2, Register::QueueNotify),
    (18, 1, Register::DeviceStatus),
    (19, 1, Register::IsrStatus),
    (20, 2, Register::ConfigVector),
    (22, 2, Register::QueueVector),
];

/// The PCI device ID that transitional devices have (4.1.2.1, 5).
pub(crate) const fn device_id(id: u16) -> u16 {
    match id {
        // Network, block, balloon, console, SCSI.
        1 => 0x1000,
        2 => 0x1001,
        5 => 0x1002,
        3 => 0x1003,
        8 => 0x1004,
        4 => 0x1005,
        id => 0x1000 + id,
    }
}

/// Ports of the BAR.
pub(crate) fn bar_size(registers: &Registers) -> u64 {
    HEADER_MSIX + registers.len() as u64
}

fn load(f: &mut Function, env: &mut Env<'_>, register: Register) -> u32 {
    match register {
        Register::DeviceFeatures => f.offered as u32,
        Register::DriverFeatures => f.taken as u32,
        Register::QueueAddress => f.selected().map_or(0, |s| s.page),
        Register::QueueSize => f.selected_size().into(),
        Register::QueueSelect => f.queue_select.into(),
        Register::QueueNotify => 0,
        Register::DeviceStatus => f.status.into(),
        Register::IsrStatus => f.take_isr(env).into(),
        Register::ConfigVector => f.config_vector.into(),
        Register::QueueVector => f.selected().map_or(crate::function::NO_VECTOR, |s| s.vector).into(),
    }
}

fn store(f: &mut Function, env: &mut Env<'_>, register: Register, value: u32) {
    match register {
        Register::DriverFeatures => {
            f.taken = u64::from(value) & f.offered;
            f.negotiated();
        }
        Register::QueueAddress => {
            let size = f.selected_size();
            let Some(setup) = f.selected() else { return };
            setup.page = value;
            setup.rings = Rings::legacy(size, value);
            f.set_enabled(env, value != 0);
        }
        Register::QueueSelect => f.queue_select = value as u16,
        Register::QueueNotify => f.kick(env, value as u16),
        Register::DeviceStatus => f.set_status(env, value as u8),
        Register::ConfigVector => f.config_vector = f.vector(value as u16),
        Register::QueueVector => {
            let vector = f.vector(value as u16);
            if let Some(setup) = f.selected() {
                setup.vector = vector;
            }
        }
        Register::DeviceFeatures | Register::QueueSize | Register::IsrStatus => {}
    }
}

/// Where the device-specific configuration begins at the moment.
fn header(f: &Function, env: &Env<'_>) -> u64 {
    if f.msix_enabled(env) { HEADER_MSIX } else { HEADER }
}

fn touched(header: u64, offset: u64, len: usize) -> impl Iterator<Item = &'static (u64, usize, Register)> {
    let end = offset.saturating_add(len as u64).min(header);
    REGISTERS.iter().filter(move |(at, width, _)| *at < end && offset < at + *width as u64)
}

/// Reads the BAR; ones where there is nothing.
pub(crate) fn read(f: &mut Function, env: &mut Env<'_>, offset: u64, data: &mut [u8]) {
    data.fill(0xff);
    let header = header(f, env);
    if offset >= header {
        return f.registers.read(offset - header, data);
    }
    for (at, width, register) in touched(header, offset, data.len()) {
        let value = load(f, env, *register).to_le_bytes();
        for (n, byte) in (*at..).zip(&value[..*width]) {
            if let Some(place) = n.checked_sub(offset).and_then(|n| data.get_mut(n as usize)) {
                *place = *byte;
            }
        }
    }
}

/// Writes the BAR. A register that is written in part keeps the rest.
pub(crate) fn write(f: &mut Function, env: &mut Env<'_>, offset: u64, data: &[u8]) {
    let header = header(f, env);
    if offset >= header {
        return f.registers.write(offset - header, data);
    }
    for (at, width, register) in touched(header, offset, data.len()) {
        // The ISR status is not written, and looking at it would clear it.
        let old = if *register == Register::IsrStatus { 0 } else { load(f, env, *register) };
        let mut value = old.to_le_bytes();
        for (n, byte) in (*at..).zip(&mut value[..*width]) {
            if let Some(new) = n.checked_sub(offset).and_then(|n| data.get(n as usize)) {
                *byte = *new;
            }
        }
        store(f, env, *register, u32::from_le_bytes(value));
    }
}
