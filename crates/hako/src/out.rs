//! hako's own results on standard output. A full disk or a reader that left is the host's doing, not a bug.

use std::io::{ErrorKind, Write, stdout};

/// Writes `text`, then ends with `status`; with 4 if standard output takes no more.
pub fn finish(text: &str, status: u8) -> u8 {
    let mut to = stdout().lock();
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Ok(()) => status,
        // Whoever reads has seen enough (`| head`).
        Err(why) if why.kind() == ErrorKind::BrokenPipe => status,
        Err(why) => {
            eprintln!("hako: cannot write to standard output: {why}");
            4
        }
    }
}
