//! One file per command. Each returns the process exit status.

pub mod demo;
pub mod doctor;
pub mod run;
pub mod test;
