//! Moving sectors between a disk and guest memory.

use hako_chips::BlockError;
use hako_mem::Gpa;

use super::status;
use crate::Drive;
use crate::call::Call;

/// How much is moved at a time, in sectors.
const CHUNK: u64 = 8;

/// What to do with the sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    Write,
    Verify,
}

/// One request, in sectors of 512 bytes.
pub(crate) struct Job {
    pub drive: Drive,
    pub verb: Verb,
    pub lba: u64,
    pub count: u64,
    /// Memory is taken as linear from here on: like the BIOSes of today, and unlike a 16-bit offset that wraps, a
    /// transfer may run past the end of its segment.
    pub memory: Gpa,
}

/// INT 13h's name for an error of a disk.
pub(crate) fn code(error: &BlockError) -> u8 {
    match error {
        BlockError::Range { .. } => status::NOT_FOUND,
        BlockError::ReadOnly => status::PROTECTED,
        BlockError::Host(_) => status::CONTROLLER,
    }
}

/// Does it; how many sectors were moved, and how it ended.
pub(crate) fn run(call: &mut Call<'_>, job: &Job) -> (u64, Result<(), u8>) {
    let mut buf = [0u8; CHUNK as usize * 512];
    let mut done = 0;
    let size = match call.platform.disk(job.drive) {
        Some(disk) => disk.sectors(),
        None => return (0, Err(status::TIMEOUT)),
    };
    while done < job.count {
        let lba = job.lba.saturating_add(done);
        let n = CHUNK.min(job.count - done).min(size.saturating_sub(lba));
        if n == 0 {
            return (done, Err(status::NOT_FOUND));
        }
        let at = Gpa(job.memory.0.wrapping_add(done * 512));
        let Some(bytes) = buf.get_mut(..n as usize * 512) else { break };
        if let Err(status) = step(call, job, lba, at, bytes) {
            return (done, Err(status));
        }
        done += n;
    }
    (done, Ok(()))
}

fn step(call: &mut Call<'_>, job: &Job, lba: u64, at: Gpa, bytes: &mut [u8]) -> Result<(), u8> {
    if job.verb == Verb::Write {
        call.read(at, bytes);
    }
    let disk = call.platform.disk(job.drive).ok_or(status::TIMEOUT)?;
    match job.verb {
        Verb::Read | Verb::Verify => disk.read(lba, bytes),
        Verb::Write => disk.write(lba, bytes),
    }
    .map_err(|e| code(&e))?;
    if job.verb == Verb::Read {
        call.write(at, bytes);
    }
    Ok(())
}
