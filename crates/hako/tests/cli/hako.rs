//! Runs the binary.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than anything here takes on a busy host: a test that hangs fails.
const LIMIT: Duration = Duration::from_secs(120);

/// What a finished run left.
pub struct Done {
    /// The exit status; 128 + n for a process that signal n killed.
    pub status: i32,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// Fails unless the run ended with `status`.
    #[track_caller]
    pub fn expect(self, status: i32) -> Done {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.text(), self.err);
        self
    }

    /// Fails unless standard error says `text`, without the marks of a bug.
    #[track_caller]
    pub fn says(self, text: &str) -> Done {
        assert!(self.err.contains(text), "expected {text:?} in {}", self.err);
        assert!(!self.err.contains("panicked") && !self.err.contains("a bug of hako's"), "{}", self.err);
        self
    }
}

/// The binary.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hako"));
    command.env("COLUMNS", "100").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `hako ARGS` with nothing to read.
pub fn hako(args: &[&str]) -> Done {
    hako_fed(args, b"")
}

/// Runs `hako ARGS` with `input` in a pipe that is closed after it.
pub fn hako_fed(args: &[&str], input: &[u8]) -> Done {
    let mut child = command().args(args).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A guest that ends early leaves input unread.
    let writer = thread::spawn(move || drop(pipe.write_all(&input)));
    let done = wait(child);
    writer.join().unwrap();
    done
}

/// Waits for the end of a child with piped output.
pub fn wait(mut child: Child) -> Done {
    fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                pipe.read_to_end(&mut bytes).unwrap();
            }
            bytes
        })
    }
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > LIMIT {
            child.kill().unwrap();
            let err = err.join().unwrap();
            panic!("hako did not end; stderr: {}", String::from_utf8_lossy(&err));
        }
        thread::sleep(Duration::from_millis(2));
    };
    use std::os::unix::process::ExitStatusExt;
    let status = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    let err = String::from_utf8_lossy(&err.join().unwrap()).into_owned();
    Done { status, out: out.join().unwrap(), err }
}

/// A folder for the files of a test.
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path of a file in it, as an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().into()
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.arg(name)
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

/// `--engine` values that work here.
pub fn engines() -> &'static [&'static str] {
    static DOCTOR: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let kvm = DOCTOR.get_or_init(|| {
        let table = hako(&["doctor"]).text();
        table.lines().any(|l| l.contains(" kvm ") && !l.trim_start().starts_with('-'))
    });
    if *kvm { &["soft", "kvm"] } else { &["soft"] }
}
