//! The hako command line.

fn main() {}
