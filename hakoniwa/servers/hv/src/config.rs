//! What guests a server runs: a line of words for each, `name=linux kernel=vmlinux disk=disk.img memory=64
//! append=console=ttyS0 root=/dev/vda1`. `append=` takes the rest of the line.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// One guest.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What its output is announced with.
    pub name: String,
    /// The kernel's file; without one the built-in firmware boots the disk.
    pub kernel: Option<String>,
    /// The kernel's command line.
    pub append: String,
    /// The initial RAM disk's file.
    pub initrd: Option<String>,
    /// The disk's file: on virtio with a kernel, on IDE under firmware.
    pub disk: Option<String>,
    /// The disk has the virtio interface of version 1.
    pub modern: bool,
    /// An image that is copied to address 0 of a machine without chips.
    pub bare: Option<String>,
    /// MiB of RAM.
    pub memory: u64,
    /// There are ACPI tables.
    pub acpi: bool,
    /// There is a virtio console; what is typed goes to it instead of COM1.
    pub console: bool,
    /// There are the registers of kvm-unit-tests' test device.
    pub testdev: bool,
    /// It gets no input, and no digit to choose it by.
    pub deaf: bool,
    /// Seconds of guest time after which it is ended.
    pub seconds: Option<u64>,
    /// It is expected to end badly: not to would be a failure.
    pub ends_badly: bool,
    /// Processors.
    pub cpus: u8,
}

/// All guests of a configuration.
pub fn parse(text: &str) -> Result<Vec<Config>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let guests = lines.map(line).collect::<Result<Vec<_>, _>>()?;
    if guests.is_empty() { Err("the configuration names no guest".to_string()) } else { Ok(guests) }
}

fn line(text: &str) -> Result<Config, String> {
    let mut config = Config { memory: 64, cpus: 1, ..Config::default() };
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let text = || Some(value.to_string());
        match key {
            "name" => config.name = value.to_string(),
            "kernel" => config.kernel = text(),
            "initrd" => config.initrd = text(),
            "disk" => config.disk = text(),
            "bare" => config.bare = text(),
            "modern" => config.modern = true,
            "acpi" => config.acpi = true,
            "console" => config.console = true,
            "deaf" => config.deaf = true,
            "testdev" => config.testdev = true,
            "seconds" => {
                let good = value.parse().ok().filter(|count| (1..=86_400).contains(count));
                config.seconds = Some(good.ok_or_else(|| format!("seconds={value}: give 1 to 86400"))?);
            }
            "ends" if value == "badly" => config.ends_badly = true,
            "cpus" => {
                let good = value.parse().ok().filter(|count| (1..=8).contains(count));
                config.cpus = good.ok_or_else(|| format!("cpus={value}: give 1 to 8"))?;
            }
            "memory" => {
                let good = value.parse().ok().filter(|size| (1..=2048).contains(size));
                config.memory = good.ok_or_else(|| format!("memory={value}: give 1 to 2048 (MiB)"))?;
            }
            "append" => {
                config.append = rest["append=".len()..].to_string();
                return Ok(config);
            }
            _ => return Err(format!("{word}: no such word in a guest's line")),
        }
        rest = after.trim_start();
    }
    Ok(config)
}
