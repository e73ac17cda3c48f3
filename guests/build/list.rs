//! The list of guests, read from their tests.

use crate::asm::Layout;
use std::fmt::Write;
use std::path::Path;
use toml::{Table, Value};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Medium {
    Rom,
    HardDisk,
    Floppy,
    Cd,
    Kernel,
}

/// What a guest's test says about it.
pub struct Entry {
    pub name: String,
    pub about: String,
    pub medium: Medium,
    /// The image is padded to this size before use; 0: as it is.
    pub size: u64,
    pub memory: Option<u64>,
    pub firmwares: Vec<String>,
    pub engines: Vec<String>,
    pub exempt: Vec<Exempt>,
}

pub struct Exempt {
    pub engine: String,
    pub firmware: String,
    pub when: String,
    pub reason: String,
}

impl Entry {
    pub fn layout(&self) -> Layout {
        match self.medium {
            Medium::Rom => Layout::Flat { base: 0, unit: 1 },
            Medium::Kernel => Layout::Elf,
            _ => Layout::Flat { base: 0x7c00, unit: 512 },
        }
    }
}

const SUFFIX: &str = ".hako.toml";

pub fn read(folder: &Path) -> Result<Vec<Entry>, String> {
    let files = std::fs::read_dir(folder).map_err(|e| format!("cannot read {}: {e}", folder.display()))?;
    let mut names: Vec<String> = files
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(SUFFIX).map(str::to_owned))
        .collect();
    names.sort();
    names.iter().map(|name| entry(folder, name)).collect()
}

fn entry(folder: &Path, name: &str) -> Result<Entry, String> {
    let path = folder.join(format!("{name}{SUFFIX}"));
    let fail = |what: String| format!("{}: {what}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|e| fail(e.to_string()))?;
    let spec: Table = text.parse().map_err(|e: toml::de::Error| fail(e.to_string()))?;
    let about = spec.get("about").and_then(Value::as_str).ok_or_else(|| fail("`about` is missing".into()))?;
    let bare = spec.get("machine").and_then(Value::as_str) == Some("bare");

    let media = [("image", Medium::HardDisk), ("floppy", Medium::Floppy), ("cdrom", Medium::Cd)];
    let (key, medium) = media
        .into_iter()
        .find(|(key, _)| spec.contains_key(*key))
        .ok_or_else(|| fail("it names no image, floppy or cdrom".into()))?;
    let medium = match medium {
        _ if bare => Medium::Rom,
        _ if spec.contains_key("protocol") => Medium::Kernel,
        medium => medium,
    };
    let (image, size) = match &spec[key] {
        Value::Table(t) => (t.get("path"), t.get("size").and_then(Value::as_str).unwrap_or("0")),
        other => (Some(other), "0"),
    };
    if image.and_then(Value::as_str) != Some(format!("builtin:{name}").as_str()) {
        return Err(fail(format!("`{key}` must be \"builtin:{name}\"")));
    }
    let size_of =
        |text: &str| bytes(text).ok_or_else(|| fail(format!("`{text}` is no size such as 1440K or 1M")));
    let exempt = match spec.get("exempt") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_table).map(exempt).collect(),
        _ => Vec::new(),
    };
    Ok(Entry {
        name: name.to_owned(),
        about: about.to_owned(),
        medium,
        size: size_of(size)?,
        memory: spec.get("memory").and_then(Value::as_str).map(size_of).transpose()?,
        firmwares: if bare { Vec::new() } else { strings(spec.get("firmware"), &["builtin"]) },
        engines: strings(spec.get("engines"), &["soft", "kvm"]),
        exempt,
    })
}

fn exempt(table: &Table) -> Exempt {
    let get = |key| table.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Exempt { engine: get("engine"), firmware: get("firmware"), when: get("when"), reason: get("reason") }
}

/// A string or a list of strings.
fn strings(value: Option<&Value>, default: &[&str]) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => default.iter().map(|&s| s.to_owned()).collect(),
    }
}

fn bytes(size: &str) -> Option<u64> {
    let (digits, unit) = match size.as_bytes().last()? {
        b'K' => (&size[..size.len() - 1], 1 << 10),
        b'M' => (&size[..size.len() - 1], 1 << 20),
        _ => (size, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// The list as the initializer of `ALL`.
pub fn to_rust(guests: &[Entry], sources: &Path) -> String {
    let mut rust = String::from("&[\n");
    for g in guests {
        let spec = sources.join(format!("{}{SUFFIX}", g.name));
        let _ = writeln!(
            rust,
            "Guest {{ name: {:?}, about: {:?}, image: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{}.img\")), \
             size: {}, memory: {:?}, machine: Machine::{}, medium: Medium::{:?}, firmwares: &{:?}, engines: &{:?}, spec: include_str!({:?}), \
             exempt: &[{}] }},",
            g.name,
            g.about,
            g.name,
            g.size,
            g.memory,
            if g.medium == Medium::Rom { "Bare" } else { "Pc" },
            g.medium,
            g.firmwares,
            g.engines,
            spec.display().to_string(),
            g.exempt.iter().map(exempt_to_rust).collect::<String>(),
        );
    }
    rust.push_str("]\n");
    rust
}

/// The sources, in the same order, as the initializer of `SOURCES`.
pub fn sources_to_rust(guests: &[Entry], sources: &Path) -> String {
    let each = |g: &Entry| {
        format!("include_str!({:?}),\n", sources.join(format!("{}.s", g.name)).display().to_string())
    };
    format!("&[\n{}]\n", guests.iter().map(each).collect::<String>())
}

fn exempt_to_rust(e: &Exempt) -> String {
    format!(
        "Exempt {{ engine: {:?}, firmware: {:?}, when: {:?}, reason: {:?} }},",
        e.engine, e.firmware, e.when, e.reason
    )
}
