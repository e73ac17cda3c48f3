//! The registers of a modern function (4.1.4), in one BAR of memory, found by capabilities.

use hako_chips::pci::{Bar, BarKind, ConfigSpace, Env, PciDevice};

use crate::function::{Function, REGISTERS_BAR, status};
use crate::registers::Registers;

/// The BAR that holds all four structures.
pub const BAR: Bar = Bar::new(REGISTERS_BAR, BarKind::Memory32 { prefetchable: false }, 0x4000);
const COMMON: u64 = 0;
const COMMON_LEN: u64 = 0x38;
const ISR: u64 = 0x1000;
const DEVICE: u64 = 0x2000;
pub(crate) const NOTIFY: u64 = 0x3000;
const NOTIFY_LEN: u64 = 0x1000;
/// Each queue has a notification register of its own, so that hosts can tell them apart by address.
pub(crate) const NOTIFY_MULTIPLIER: u64 = 4;

const VENDOR_CAPABILITY: u8 = 9;
/// Capability types (4.1.4).
const COMMON_CFG: u8 = 1;
const NOTIFY_CFG: u8 = 2;
const ISR_CFG: u8 = 3;
const DEVICE_CFG: u8 = 4;
const PCI_CFG: u8 = 5;
/// Offsets in a capability.
const CAP_BAR: u8 = 4;
const CAP_OFFSET: u8 = 8;
const CAP_LENGTH: u8 = 12;
const CAP_DATA: u8 = 16;

/// Adds the capabilities of 4.1.4; where that for access through configuration space is, or 0.
pub(crate) fn add_capabilities(config: &mut ConfigSpace, registers: &Registers) -> u8 {
    let cap = |kind: u8, offset: u64, len: u64, more: &[u8]| {
        let mut body = [0; 18];
        body[0] = 16 + more.len() as u8;
        body[1] = kind;
        body[2] = REGISTERS_BAR;
        body[6..10].copy_from_slice(&(offset as u32).to_le_bytes());
        body[10..14].copy_from_slice(&(len as u32).to_le_bytes());
        body[14..14 + more.len()].copy_from_slice(more);
        body
    };
    let mut add = |body: &[u8], write: &[u8]| config.add_capability(VENDOR_CAPABILITY, body, write);
    add(&cap(COMMON_CFG, COMMON, COMMON_LEN, &[])[..14], &[]);
    let multiplier = (NOTIFY_MULTIPLIER as u32).to_le_bytes();
    add(&cap(NOTIFY_CFG, NOTIFY, NOTIFY_LEN, &multiplier), &[]);
    add(&cap(ISR_CFG, ISR, 1, &[])[..14], &[]);
    if !registers.is_empty() {
        add(&cap(DEVICE_CFG, DEVICE, registers.len() as u64, &[])[..14], &[]);
    }
    // Bar, offset, length and data are the driver's (4.1.4.9).
    let mut write = [0xff; 18];
    write[..2].fill(0);
    write[3..6].fill(0);
    add(&cap(PCI_CFG, 0, 0, &[0; 4]), &write).unwrap_or(0)
}

/// A register of the common configuration structure (4.1.4.3).
#[derive(Clone, Copy)]
enum Common {
    DeviceFeatureSelect,
    DeviceFeature,
    DriverFeatureSelect,
    DriverFeature,
    ConfigVector,
    NumQueues,
    DeviceStatus,
    ConfigGeneration,
    QueueSelect,
    QueueSize,
    QueueVector,
    QueueEnable,
    QueueNotifyOff,
    QueueDesc,
    QueueDriver,
    QueueDevice,
}

/// Where each register is, its bytes, and what it is; those of 64 bits are two of 32.
const REGISTERS: [(u64, usize, Common, u32); 19] = [
    (0x00, 4, Common::DeviceFeatureSelect, 0),
    (0x04, 4, Common::DeviceFeature, 0),
    (0x08, 4, Common::DriverFeatureSelect, 0),
    (0x0c, 4, Common::DriverFeature, 0),
    (0x10, 2, Common::ConfigVector, 0),
    (0x12, 2, Common::NumQueues, 0),
    (0x14, 1, Common::DeviceStatus, 0),
    (0x15, 1, Common::ConfigGeneration, 0),
    (0x16, 2, Common::QueueSelect, 0),
    (0x18, 2, Common::QueueSize, 0),
    (0x1a, 2, Common::QueueVector, 0),
    (0x1c, 2, Common::QueueEnable, 0),
    (0x1e, 2, Common::QueueNotifyOff, 0),
    (0x20, 4, Common::QueueDesc, 0),
    (0x24, 4, Common::QueueDesc, 32),
    (0x28, 4, Common::QueueDriver, 0),
    (0x2c, 4, Common::QueueDriver, 32),
    (0x30, 4, Common::QueueDevice, 0),
    (0x34, 4, Common::QueueDevice, 32),
];

/// 32 of 64 feature bits; there are no others.
fn half(features: u64, select: u32) -> u32 {
    match select {
        0 => features as u32,
        1 => (features >> 32) as u32,
        _ => 0,
    }
}

/// `half` of `word` (0 or 32: where it begins) replaced.
fn set_half(word: u64, at: u32, value: u32) -> u64 {
    word & !(0xffff_ffff << at) | u64::from(value) << at
}

fn load(f: &mut Function, register: Common, at: u32) -> u32 {
    match register {
        Common::DeviceFeatureSelect => f.feature_select,
        Common::DeviceFeature => half(f.offered, f.feature_select),
        Common::DriverFeatureSelect => f.taken_select,
        Common::DriverFeature => half(f.taken, f.taken_select),
        Common::ConfigVector => f.config_vector.into(),
        Common::NumQueues => f.sizes.len() as u32,
        Common::DeviceStatus => f.status.into(),
        Common::ConfigGeneration => f.registers.generation().into(),
        Common::QueueSelect => f.queue_select.into(),
        Common::QueueNotifyOff => f.queue_select.into(),
        register => {
            // The registers of a queue that does not exist are 0 (4.1.4.3.1).
            let Some(setup) = f.selected() else { return 0 };
            match register {
                Common::QueueSize => setup.rings.size.into(),
                Common::QueueVector => setup.vector.into(),
                Common::QueueEnable => setup.enabled.into(),
                Common::QueueDesc => (setup.rings.desc >> at) as u32,
                Common::QueueDriver => (setup.rings.avail >> at) as u32,
                _ => (setup.rings.used >> at) as u32,
            }
        }
    }
}

fn store(f: &mut Function, env: &mut Env<'_>, register: Common, at: u32, value: u32) {
    match register {
        Common::DeviceFeatureSelect => f.feature_select = value,
        Common::DriverFeatureSelect => f.taken_select = value,
        // Features are chosen before FEATURES_OK (3.1.1).
        Common::DriverFeature if f.taken_select < 2 && f.status & status::FEATURES_OK == 0 => {
            f.taken = set_half(f.taken, 32 * f.taken_select, value);
        }
        Common::ConfigVector => f.config_vector = f.vector(value as u16),
        Common::DeviceStatus => f.set_status(env, value as u8),
        Common::QueueSelect => f.queue_select = value as u16,
        Common::QueueVector => {
            let vector = f.vector(value as u16);
            if let Some(setup) = f.selected() {
                setup.vector = vector;
            }
        }
        // A driver cannot disable a queue by itself (4.1.4.3.2).
        Common::QueueEnable if value == 1 && f.selected().is_some_and(|s| !s.enabled) => {
            f.set_enabled(env, true)
        }
        Common::QueueSize | Common::QueueDesc | Common::QueueDriver | Common::QueueDevice => {
            set_rings(f, register, at, value);
        }
        _ => {}
    }
}

/// Size and addresses of the selected queue, until it is in use.
fn set_rings(f: &mut Function, register: Common, at: u32, value: u32) {
    let most = f.selected_size();
    let Some(setup) = f.selected().filter(|s| !s.enabled) else { return };
    let rings = &mut setup.rings;
    match register {
        Common::QueueSize => {
            if let Ok(size) = u16::try_from(value)
                && size.is_power_of_two()
                && size <= most
            {
                rings.size = size;
            }
        }
        Common::QueueDesc => rings.desc = set_half(rings.desc, at, value),
        Common::QueueDriver => rings.avail = set_half(rings.avail, at, value),
        _ => rings.used = set_half(rings.used, at, value),
    }
}

/// The registers that bytes `offset` to `offset + len` of the common structure touch.
fn touched(offset: u64, len: usize) -> impl Iterator<Item = &'static (u64, usize, Common, u32)> {
    let end = offset.saturating_add(len as u64);
    REGISTERS.iter().filter(move |(at, width, ..)| *at < end && offset < at + *width as u64)
}

/// Reads the BAR; ones where there is nothing.
pub(crate) fn read(f: &mut Function, env: &mut Env<'_>, offset: u64, data: &mut [u8]) {
    data.fill(0xff);
    match offset {
        ISR => {
            if let Some(first) = data.first_mut() {
                *first = f.take_isr(env);
            }
        }
        DEVICE..NOTIFY => f.registers.read(offset - DEVICE, data),
        NOTIFY.. => {}
        _ => {
            for (at, width, register, half) in touched(offset, data.len()) {
                let value = load(f, *register, *half).to_le_bytes();
                for (n, byte) in (*at..).zip(&value[..*width]) {
                    if let Some(place) = n.checked_sub(offset).and_then(|n| data.get_mut(n as usize)) {
                        *place = *byte;
                    }
                }
            }
        }
    }
}

/// Writes the BAR. A register that is written in part keeps the rest.
pub(crate) fn write(f: &mut Function, env: &mut Env<'_>, offset: u64, data: &[u8]) {
    match offset {
        DEVICE..NOTIFY => f.registers.write(offset - DEVICE, data),
        // The address alone tells the queue; what is written there is its number again (4.1.5.2).
        NOTIFY.. => f.kick(env, ((offset - NOTIFY) / NOTIFY_MULTIPLIER) as u16),
        _ => {
            for (at, width, register, half) in touched(offset, data.len()) {
                let mut value = load(f, *register, *half).to_le_bytes();
                for (n, byte) in (*at..).zip(&mut value[..*width]) {
                    if let Some(new) = n.checked_sub(offset).and_then(|n| data.get(n as usize)) {
                        *byte = *new;
                    }
                }
                store(f, env, *register, *half, u32::from_le_bytes(value));
            }
        }
    }
}

/// What the window in configuration space (4.1.4.9) shows: BAR, offset, length; `None` if that is no access.
fn window(f: &Function, config: &ConfigSpace) -> Option<(u8, u64, usize)> {
    let at = |offset: u8| f.window.wrapping_add(offset);
    let (bar, offset, len) =
        (config.byte(at(CAP_BAR)), config.dword(at(CAP_OFFSET)), config.dword(at(CAP_LENGTH)));
    let size = config.bars().find(|b| b.index == bar)?.size;
    let fits = u64::from(offset).checked_add(len.into()).is_some_and(|end| end <= size);
    (matches!(len, 1 | 2 | 4) && offset.is_multiple_of(len) && fits).then_some((
        bar,
        offset.into(),
        len as usize,
    ))
}

/// Whether `len` bytes at `at` touch the window's data.
fn in_window(f: &Function, at: u8, len: usize) -> bool {
    let (at, data) = (usize::from(at), usize::from(f.window) + usize::from(CAP_DATA));
    f.window != 0 && at < data + 4 && data < at.saturating_add(len)
}

/// The data of the window were written: writes them to where it shows.
pub(crate) fn window_written(f: &mut Function, env: &mut Env<'_>, at: u8, len: usize) {
    if in_window(f, at, len)
        && let Some((bar, offset, len)) = window(f, env.config)
    {
        let data = env.config.dword(f.window.wrapping_add(CAP_DATA)).to_le_bytes();
        f.bar_write(env, bar, offset, &data[..len]);
    }
}

/// The data of the window are about to be read: fetches them.
pub(crate) fn window_read(f: &mut Function, env: &mut Env<'_>, at: u8, len: usize) {
    if in_window(f, at, len)
        && let Some((bar, offset, len)) = window(f, env.config)
    {
        let mut data = [0; 4];
        f.bar_read(env, bar, offset, &mut data[..len]);
        env.config.write(f.window.wrapping_add(CAP_DATA), &data[..len]);
    }
}
