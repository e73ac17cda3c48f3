//! A test file as it is written.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::value::{Bytes, Many, Medium, Module, Number, Size, Span};
use crate::pattern::Pattern;

/// The whole file. The machine's options are called as on `hako run`'s command line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    pub about: Option<String>,
    #[serde(default)]
    pub engines: Many<Engine>,
    #[serde(default)]
    pub machine: Machine,
    pub memory: Option<Size>,
    #[serde(default)]
    pub firmware: Many<String>,
    pub image: Option<Medium>,
    pub append: Option<String>,
    pub initrd: Option<Medium>,
    #[serde(default)]
    pub module: Many<Module>,
    pub protocol: Option<Protocol>,
    pub cpus: Option<u8>,
    #[serde(default)]
    pub no_acpi: bool,
    #[serde(default)]
    pub testdev: bool,
    #[serde(default)]
    pub rng: bool,
    #[serde(default)]
    pub console: bool,
    pub balloon: Option<Size>,
    /// How many serial ports there are.
    pub serial_ports: Option<u8>,
    #[serde(default)]
    pub disk: Many<Medium>,
    pub floppy: Option<Medium>,
    pub cdrom: Option<Medium>,
    #[serde(default)]
    pub boot: Many<Boot>,
    pub debug_exit: Option<PortOrNone>,
    #[serde(default)]
    pub no_reboot: bool,
    #[serde(default)]
    pub triple_fault: TripleFault,
    pub limit: Option<Span>,
    #[serde(default)]
    pub step: Vec<Spanned<Step>>,
    pub r#final: Option<Final>,
    #[serde(default)]
    pub exempt: Vec<Exempt>,
}

/// An engine's name.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    Auto,
    Kvm,
    Soft,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Machine {
    Bare,
    #[default]
    Pc,
}

/// How a kernel is started, named as on the command line.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Pvh,
    Linux64,
    Linux32,
    Linux16,
    Multiboot,
    Multiboot2,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    Disk,
    Floppy,
    Cdrom,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "kebab-case")]
pub enum TripleFault {
    #[default]
    End,
    Reset,
}

/// A port number, or `"none"`.
#[derive(Clone, Copy)]
pub struct PortOrNone(pub Option<u16>);

impl<'de> Deserialize<'de> for PortOrNone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = PortOrNone;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port from 0 to 0xffff, or \"none\"")
            }
            fn visit_i64<E: Error>(self, n: i64) -> Result<PortOrNone, E> {
                let port = u16::try_from(n).map_err(|_| E::invalid_value(Unexpected::Signed(n), &self))?;
                Ok(PortOrNone(Some(port)))
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<PortOrNone, E> {
                match word {
                    "none" => Ok(PortOrNone(None)),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
        }
        d.deserialize_any(V)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub expect: Option<Expect>,
    pub send: Option<Send>,
    pub wait: Option<Span>,
    pub within: Option<Span>,
}

/// One of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub serial: Option<Pattern>,
    pub com2: Option<Pattern>,
    pub com3: Option<Pattern>,
    pub com4: Option<Pattern>,
    pub console: Option<Pattern>,
    pub screen: Option<Pattern>,
    pub debugcon: Option<Pattern>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    pub keys: Option<String>,
    pub serial: Option<String>,
    pub com2: Option<String>,
    pub com3: Option<String>,
    pub com4: Option<String>,
    pub console: Option<String>,
}

/// How a run may end.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// HLT that nothing can end.
    Halt,
    /// The guest switched the power off.
    PowerOff,
    /// The guest reset the machine, which has `no-reboot`.
    Reset,
    /// A write to the debug-exit port.
    DebugExit,
    /// A triple fault.
    TripleFault,
    /// The guest could make no progress any more.
    Hang,
    /// The guest was still running when its limit came.
    Timeout,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Final {
    pub exit: Option<Exit>,
    pub status: Option<u8>,
    #[serde(default)]
    pub registers: BTreeMap<String, Number>,
    #[serde(default)]
    pub memory: Many<Memory>,
    #[serde(default)]
    pub disk: Many<Sector>,
    #[serde(default)]
    pub ports: Many<Port>,
    pub serial: Option<Pattern>,
    pub com2: Option<Pattern>,
    pub com3: Option<Pattern>,
    pub com4: Option<Pattern>,
    pub console: Option<Pattern>,
    pub screen: Option<Pattern>,
    pub debugcon: Option<Pattern>,
}

/// Bytes or text in memory at a physical address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub at: Number,
    pub bytes: Option<Bytes>,
    pub text: Option<String>,
}

/// What is at the beginning of a sector, or whether the guest has written it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sector {
    #[serde(default)]
    pub disk: u8,
    pub sector: u64,
    pub bytes: Option<Bytes>,
    pub text: Option<String>,
    pub written: Option<bool>,
}

/// A write to a port, of a certain value or any.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    pub port: u16,
    pub value: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exempt {
    pub engine: Option<Engine>,
    pub firmware: Option<String>,
    pub when: Option<Condition>,
    pub reason: String,
}

/// A property of the host.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// /dev/kvm emulates what runs in ring 0 instead of using the processor.
    SoftwareKvm,
}
