#![no_main]
hako_libfuzzer::fuzz!();
