//! The values that options take, and how they are written.

use std::time::Duration;

use hako_machine::trace::TraceSpec;
use hako_machine::{BootDevice, DiskSpec, ModuleSpec, SinkSpec};

/// `64M`: a number of bytes with an optional K, M or G (powers of 1024).
pub fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a size such as 640K, 64M or 1G".to_string())?;
    number
        .checked_mul(1 << shift)
        .filter(|&n| n > 0)
        .ok_or_else(|| "expected a size above 0 that fits into 64 bits".into())
}

/// [`bytes`], or 0.
pub fn bytes_or_none(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { bytes(text) }
}

/// `5s`: a number of seconds, or with ms, us, s, m or h behind it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a time such as 500ms, 5s or 2m".into()),
    };
    let number: f64 = number.parse().map_err(|_| "expected a time such as 500ms, 5s or 2m".to_string())?;
    Duration::try_from_secs_f64(number * scale)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "expected a time that is positive and not endless".into())
}

/// A CPU model with features added and taken away.
pub fn cpu(text: &str) -> Result<hako_x86::Model, String> {
    hako_x86::parse_cpu(text).map_err(|why| why.to_string())
}

/// A port number, decimal or 0x..., or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub Option<u16>);

impl Default for Port {
    /// Where most kernels look for it.
    fn default() -> Port {
        Port(Some(0xf4))
    }
}

/// Parses a [`Port`].
pub fn port(text: &str) -> Result<Port, String> {
    if text == "none" {
        return Ok(Port(None));
    }
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map(|p| Port(Some(p))).map_err(|_| "expected a port such as 0xf4, or none".into())
}

/// `stdio`, `none` or `file:PATH`.
pub fn sink(text: &str) -> Result<SinkSpec, String> {
    match text {
        "stdio" => Ok(SinkSpec::Stdio),
        "none" => Ok(SinkSpec::None),
        _ => match text.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Ok(SinkSpec::File(path.into())),
            _ => Err("expected stdio, none or file:PATH".into()),
        },
    }
}

/// `PATH[,if=ide|virtio|virtio-legacy][,readonly][,snapshot]`.
pub fn disk(text: &str) -> Result<DiskSpec, String> {
    let mut parts = text.split(',');
    let path = parts.next().unwrap_or_default();
    if path.is_empty() {
        return Err("expected PATH[,if=ide|virtio|virtio-legacy][,readonly][,snapshot]".into());
    }
    let mut disk = DiskSpec::from(path);
    for part in parts {
        match part {
            "readonly" => disk.readonly = true,
            "snapshot" => disk.snapshot = true,
            _ => match part.strip_prefix("if=") {
                Some(interface) => disk.interface = Some(interface.parse()?),
                None => return Err(format!("'{part}' is not one of if=..., readonly, snapshot")),
            },
        }
    }
    Ok(disk)
}

/// `FILE[,ARGS]`: what follows the first comma is the module's own.
pub fn module(text: &str) -> Result<ModuleSpec, String> {
    let (path, args) = text.split_once(',').unwrap_or((text, ""));
    if path.is_empty() {
        return Err("expected FILE[,ARGS]".into());
    }
    Ok(ModuleSpec { name: path.into(), source: path.into(), args: args.into() })
}

/// A floppy: a [`disk`] in a drive of its own.
pub fn floppy(text: &str) -> Result<DiskSpec, String> {
    match disk(text)? {
        DiskSpec { interface: Some(_), .. } => Err("a floppy takes no if=...".into()),
        disk => Ok(disk),
    }
}

/// `disk,floppy,cdrom` in any order, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootOrder(pub Vec<BootDevice>);

/// Parses a [`BootOrder`].
pub fn boot_order(text: &str) -> Result<BootOrder, String> {
    let device = |word: &str| match word {
        "disk" => Ok(BootDevice::Disk),
        "floppy" => Ok(BootDevice::Floppy),
        "cdrom" => Ok(BootDevice::Cdrom),
        _ => Err(format!("'{word}' is not one of disk, floppy, cdrom")),
    };
    text.split(',').map(device).collect::<Result<_, _>>().map(BootOrder)
}

/// `exits,io,mmio,int,instr[:FILE]`.
pub fn trace(text: &str) -> Result<TraceSpec, String> {
    let (kinds, file) = match text.split_once(':') {
        Some((kinds, file)) => (kinds, Some(file.into())),
        None => (text, None),
    };
    Ok(TraceSpec { what: kinds.parse()?, file })
}

#[cfg(test)]
mod tests {
    use hako_machine::DiskInterface;

    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("64M"), Ok(64 << 20));
        assert_eq!(bytes("640k"), Ok(640 << 10));
        assert_eq!(bytes("4096"), Ok(4096));
        for bad in ["", "M", "0", "-1M", "1T", "99999999999G"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "-1s", "5 parsecs", "infs", "1e400", "0s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(port("0x501"), Ok(Port(Some(0x501))));
        assert_eq!(port("244"), Ok(Port(Some(244))));
        assert_eq!(port("none"), Ok(Port(None)));
        assert!(port("0x10000").is_err());
    }

    #[test]
    fn disks() {
        let d = disk("a.img,snapshot,if=virtio-legacy").unwrap();
        let interface = Some(DiskInterface::VirtioLegacy);
        assert_eq!(d, DiskSpec { snapshot: true, interface, ..DiskSpec::from("a.img") });
        assert!(floppy("a.img,readonly").is_ok() && floppy("a.img,if=ide").is_err());
        assert!(disk("a.img,if=floppy").is_err());
        assert!(disk(",readonly").is_err());
    }

    #[test]
    fn modules() {
        let m = module("fs.img,root=1,ro").unwrap();
        assert_eq!((m.source, m.args.as_str()), ("fs.img".into(), "root=1,ro"));
        assert_eq!(module("a").unwrap().args, "");
        assert!(module(",x").is_err());
    }

    #[test]
    fn traces() {
        let t = trace("io,int:t.log").unwrap();
        assert!(t.what.io && t.what.int && !t.what.exits && t.file == Some("t.log".into()));
        assert!(trace("everything").is_err());
    }
}
