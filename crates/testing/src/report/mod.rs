//! Results for people and for other programs.

mod human;
mod json;
mod junit;

pub use human::{human, line};
pub use json::json;
pub use junit::junit;

#[cfg(test)]
mod tests;
