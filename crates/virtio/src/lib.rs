//! Virtio devices: queues, the PCI transports, blk, console, rng, balloon.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
