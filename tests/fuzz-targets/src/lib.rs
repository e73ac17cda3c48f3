//! Fuzz targets as plain functions.
//!
//! A target takes any bytes as a script of accesses, plays it against one part of hako, and asserts what has to hold
//! whatever a guest or a user does. Each is deterministic: the same bytes give the same accesses. The tests of this
//! package run all of them on a seeded stream; the package in fuzz/ hands the same functions to libFuzzer.
#![forbid(unsafe_code)]

mod board;
mod chips;
mod clock;
pub mod compare;
mod cpu;
mod device;
mod disk;
mod firmware;
mod images;
mod input;
mod loader;
mod map;
pub mod modes;
mod specs;
pub mod stream;
mod virtio;

/// One thing to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its binary in fuzz/.
    pub name: &'static str,
    /// Plays one input; panics if something does not hold.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident: $run:path,)*) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $run }),*];
    };
}

targets! {
    cpu: cpu::run,
    pic: chips::pic::run,
    pit: chips::pit::run,
    rtc: chips::rtc::run,
    i8042: chips::i8042::run,
    serial: chips::serial::run,
    ide: chips::ide::run,
    fdc: chips::fdc::run,
    vga: chips::vga::run,
    fw_cfg: chips::fw_cfg::run,
    pci: chips::pci::run,
    acpi_pm: chips::acpi_pm::run,
    lapic: chips::lapic::run,
    ioapic: chips::ioapic::run,
    hpet: chips::hpet::run,
    virtio: virtio::run,
    board: board::run,
    firmware: firmware::run,
    map: map::run,
    images: images::run,
    loader: loader::run,
    specs: specs::run,
}
