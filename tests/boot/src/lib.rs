//! Real boot loaders as guests: GRUB and syslinux from their Debian packages, put on media by the functions here and
//! booted by the tests in `tests/`.
//!
//! Nothing of them is in the source tree: every medium is made when a test asks for it, in a temporary folder. A
//! missing program or file fails the test with the name of the package that has it.
#![forbid(unsafe_code)]

pub mod disk;
pub mod grub;
pub mod kernel;
pub mod session;
pub mod syslinux;
pub mod tools;
