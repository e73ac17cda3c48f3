//! The OS test runner: specs, steps, assertions, reports.
//!
//! A test is a file `NAME.hako.toml` beside the image that it boots:
//!
//! ```toml
//! image = "mbr.bin"
//!
//! [[step]]
//! expect.screen = "Hello"
//! ```
//!
//! [`discover::files`] finds them, [`Spec::load`] reads them, [`cases`] makes one [`Case`] for each engine and firmware, [`run`]
//! runs cases on all cores, and [`report`] tells what came of them.
#![forbid(unsafe_code)]

mod bench;
mod case;
mod collect;
pub mod discover;
mod error;
mod failure;
mod finals;
mod host;
mod images;
mod keys;
mod machine;
mod pattern;
mod pool;
mod registers;
pub mod report;
mod results;
mod screen;
pub mod spec;
mod steps;
mod subject;
mod test;

pub use bench::Bench;
pub use case::{Case, cases};
pub use collect::collect;
pub use error::Error;
pub use failure::Failure;
pub use hako_chips::i8042::{Key, KeyEvent};
pub use host::Host;
pub use images::{BuiltIn, Images};
pub use machine::MachineBench;
pub use pattern::Pattern;
pub use pool::{Done, Options, run, run_on};
pub use results::{Results, TestResult, Verdict};
pub use screen::Screen;
pub use spec::Spec;
pub use subject::{Progress, SectorPair, Subject};
pub use test::Test;
