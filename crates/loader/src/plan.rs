//! What goes where in guest memory, before it does.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use hako_mem::{Gpa, GuestMemory, MemError};
use hako_x86::CpuState;

use crate::space::{Space, Used};
use crate::{LoadError, MemoryRange, Protocol, state};

/// Contents of a piece of guest memory.
enum Content<'a> {
    /// These bytes, then zeros.
    Bytes(Cow<'a, [u8]>),
    /// A copy of what lies elsewhere in guest memory.
    Copy(Gpa),
}

struct Piece<'a> {
    at: Gpa,
    len: u64,
    content: Content<'a>,
}

/// A plan in the making: who gets which memory, and what goes there.
pub struct Draft<'a> {
    /// Who gets which memory.
    pub space: Space<'a>,
    pieces: Vec<Piece<'a>>,
}

impl<'a> Draft<'a> {
    /// All RAM of `memory` is free.
    pub fn new(memory: &'a [MemoryRange]) -> Draft<'a> {
        Draft { space: Space::new(memory), pieces: Vec::new() }
    }

    /// Bytes at an address that has been taken.
    pub fn put(&mut self, at: u64, bytes: impl Into<Cow<'a, [u8]>>) {
        let bytes = bytes.into();
        self.put_padded(at, bytes.len() as u64, bytes);
    }

    /// Bytes at an address that has been taken, and zeros behind them up to `len`.
    pub fn put_padded(&mut self, at: u64, len: u64, bytes: impl Into<Cow<'a, [u8]>>) {
        self.pieces.push(Piece { at: Gpa(at), len, content: Content::Bytes(bytes.into()) });
    }

    /// A copy of guest memory, made when everything before it is written.
    pub fn copy(&mut self, at: u64, len: u64, from: Gpa) {
        self.pieces.push(Piece { at: Gpa(at), len, content: Content::Copy(from) });
    }

    /// Something small where there is room for it; where that is.
    pub fn table(&mut self, what: &'static str, align: u64, bytes: Vec<u8>) -> Result<u64, LoadError> {
        let at = self.space.small(what, bytes.len() as u64, align)?;
        self.put(at, bytes);
        Ok(at)
    }

    /// A string with its zero byte.
    pub fn string(&mut self, what: &'static str, text: &str) -> Result<u64, LoadError> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.table(what, 1, bytes)
    }

    /// A boot GDT, and the CPU in protected mode with it.
    pub fn protected(&mut self, entry: u64) -> Result<CpuState, LoadError> {
        let (mut state, gdt) = state::protected(entry);
        state.gdtr.base = self.table("the boot GDT", 8, gdt.to_vec())?;
        Ok(state)
    }

    /// The plan.
    pub fn finish(self, protocol: Protocol, about: String, state: CpuState) -> Plan<'a> {
        Plan { protocol, state, about, pieces: self.pieces, used: self.space.into_used() }
    }
}

/// An image that has been checked and has its place: nothing is written yet.
pub struct Plan<'a> {
    protocol: Protocol,
    state: CpuState,
    about: String,
    pieces: Vec<Piece<'a>>,
    used: Vec<Used>,
}

/// An image in memory.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// How it was loaded.
    pub protocol: Protocol,
    /// The CPU as the image expects it.
    pub state: CpuState,
    /// The memory it takes, by rising address.
    pub used: Vec<Used>,
}

impl Plan<'_> {
    /// How the image is loaded.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// One line about the image: protocol, version, entry point.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Writes everything.
    pub fn write(self, memory: &GuestMemory) -> Result<Loaded, MemError> {
        for piece in &self.pieces {
            match &piece.content {
                Content::Bytes(bytes) => {
                    memory.write(piece.at, bytes)?;
                    let done = bytes.len() as u64;
                    let rest = piece.at.checked_add(done).ok_or(MemError::NotRam(piece.at))?;
                    memory.fill(rest, piece.len.saturating_sub(done), 0)?;
                }
                Content::Copy(from) => {
                    let mut bytes = alloc::vec![0; usize::try_from(piece.len).unwrap_or(0)];
                    memory.read(*from, &mut bytes)?;
                    memory.write(piece.at, &bytes)?;
                }
            }
        }
        Ok(Loaded { protocol: self.protocol, state: self.state, used: self.used })
    }
}
