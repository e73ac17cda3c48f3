//! PCI: configuration space as a declared table, configuration mechanism #1, and the chip set of a 440FX PC.
//!
//! A function is a [`ConfigSpace`]; what a write changed outside of it (BARs, device registers) comes back as
//! [`Changes`], and the board acts on it. The functions of the chip set are tables: [`i440fx`], [`piix`].

pub mod bar;
pub mod config;
pub mod device;
pub mod host;
pub mod i440fx;
pub mod msix;
pub mod piix;

pub use bar::{Bar, BarKind, BarRange};
pub use config::{Changes, ConfigSpace, Field, Identity, Lock};
pub use device::{Env, Msi, PciDevice};
pub use host::{Bdf, PciHost};
pub use msix::Msix;
