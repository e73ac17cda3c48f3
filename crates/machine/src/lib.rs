//! A board, an engine and memory, ready to run: builder, run loop, backends, reports.
//!
//! ```no_run
//! use hako_machine::{Ended, EngineChoice, Machine};
//! let mut machine = Machine::builder().engine(EngineChoice::Soft).image("boot.img").build()?;
//! let outcome = machine.run();
//! assert_eq!(outcome.ended, Ended::HaltedForGood);
//! # Ok::<(), hako_machine::Error>(())
//! ```

mod beat;
mod boot;
mod build;
mod builder;
mod clock;
pub mod config;
mod core;
mod cpus;
mod devices;
mod disk;
mod ending;
mod engine;
mod error;
pub mod firmware;
mod hang;
mod image;
mod inbox;
mod incoming;
mod input;
mod io_thread;
mod kvm_cpus;
mod machine;
mod media;
mod outcome;
mod relief;
pub mod report;
mod rescue;
mod restart;
mod run;
mod sector;
mod service;
mod signals;
mod sink;
mod stdin;
mod terminal;
pub mod trace;
mod tracing;
mod usage;
mod whereabouts;
mod xstate;
mod zero;

pub use builder::Builder;
pub use config::{
    BootDevice, ClockKind, Config, DiskInterface, DiskSpec, EngineChoice, FirmwareChoice, Inlet, MachineKind,
    ModuleSpec, SinkSpec, Source, TripleFault,
};
pub use core::PortWrite;
pub use error::Error;
pub use firmware::{seabios, vga_rom};
pub use hako_chips::vga::{Image, TextScreen};
pub use hako_engine::Time;
pub use hako_loader::Protocol;
pub use image::ImageKind;
pub use machine::{Machine, Progress};
pub use outcome::{Ended, Outcome};
pub use report::Report;
