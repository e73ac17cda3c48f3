//! What a child process costs: CPU time, wall time, peak memory.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The cost of one run.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// User plus system time.
    pub cpu: Duration,
    /// From start to end.
    pub wall: Duration,
    /// Peak resident set in KiB; never less than what this program had when it started the child.
    pub peak_kib: u64,
}

impl Cost {
    /// The smaller of each figure: what noise adds is dropped.
    pub fn min(self, other: Cost) -> Cost {
        Cost {
            cpu: self.cpu.min(other.cpu),
            wall: self.wall.min(other.wall),
            peak_kib: self.peak_kib.min(other.peak_kib),
        }
    }
}

/// Runs a command with its streams closed and returns what it cost.
pub fn cost(command: &mut Command) -> Result<(Cost, ExitStatus), String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().map_err(|why| format!("{command:?} did not start: {why}"))?;
    await_cost(&child, start)
}

/// Waits for the end of a child that nobody has waited for and returns what it cost since `start`.
pub fn await_cost(child: &Child, start: Instant) -> Result<(Cost, ExitStatus), String> {
    use std::os::unix::process::ExitStatusExt;
    let pid = libc::pid_t::try_from(child.id())
        .map_err(|_| "the child's process ID is out of range".to_string())?;
    let mut status = 0;
    // SAFETY: rusage is plain data for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals; `child` has not been waited for, so the pid is still ours.
    let waited = unsafe { libc::wait4(pid, &mut status, 0, &mut usage) };
    let wall = start.elapsed();
    if waited != pid {
        return Err(format!("process {pid}: its end could not be observed"));
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    let cost =
        Cost { cpu: time(usage.ru_utime) + time(usage.ru_stime), wall, peak_kib: usage.ru_maxrss as u64 };
    Ok((cost, ExitStatus::from_raw(status)))
}

/// The most memory that a command has resident at a time, in KiB, without what it shares as guest memory: what
/// `/proc/PID/status` says of pages of its own and of files, looked at every other millisecond.
pub fn resident(command: &mut Command) -> Result<u64, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|why| format!("{command:?} did not start: {why}"))?;
    let path = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        if let Some(status) = child.try_wait().map_err(|why| format!("{command:?}: {why}"))? {
            return if status.success() || status.code() == Some(33) {
                Ok(most)
            } else {
                Err(format!("{command:?} ended with {status}"))
            };
        }
        // Once it has ended there is nothing to read.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let own = text.lines().filter(|l| l.starts_with("RssAnon:") || l.starts_with("RssFile:"));
        let kib = own.filter_map(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok()).sum();
        most = most.max(kib);
        std::thread::sleep(Duration::from_millis(2));
    }
}
