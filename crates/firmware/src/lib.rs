//! The built-in BIOS: interrupt services answered in Rust through one trap port.
