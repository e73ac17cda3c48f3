//! The command line, end to end: the real binary, its statuses, its streams and its files.

mod disks;
mod guest;
mod hako;
mod images;
mod linux;
mod reference;
mod screen;
mod status;
mod streams;
mod terminal;
mod trace;
mod usage;
