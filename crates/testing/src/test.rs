//! Tests written in Rust: `#[test]` functions that boot an image.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hako_machine::{ClockKind, Config, EngineChoice, Inlet, Source};

use crate::case::Case;
use crate::error::Error;
use crate::failure::Failure;
use crate::keys;
use crate::machine::MachineBench;
use crate::pattern::Pattern;
use crate::pool::{Options, run_on};
use crate::results::Verdict;
use crate::spec::{Channel, DEFAULT_LIMIT, Exit, Final, Spec, Step};

/// A test, described by method calls as a test file describes it by keys.
///
/// ```
/// // MOV AX, 0E41h; INT 10h; HLT
/// let mut mbr = vec![0; 512];
/// mbr[..6].copy_from_slice(&[0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xf4]);
/// mbr[510..].copy_from_slice(&[0x55, 0xaa]);
/// hako_testing::Test::boot(mbr).expect_screen("A").check();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a test does nothing until `check` or `run` is called"]
pub struct Test {
    spec: Spec,
    config: Config,
}

impl Test {
    /// Boots an image, a path or bytes, on a PC with 64 MiB and the built-in firmware, on soft.
    pub fn boot(image: impl Into<Source>) -> Test {
        let config = Config {
            image: Some(image.into()),
            engine: EngineChoice::Soft,
            detect_hang: true,
            ..Config::default()
        };
        Test::with(config)
    }

    /// Boots any machine.
    pub fn with(config: Config) -> Test {
        Test { spec: Spec::empty(), config }
    }

    /// The engine; default soft, under the virtual clock: the same verdict on any host load.
    pub fn engine(mut self, engine: EngineChoice) -> Test {
        self.config.engine = engine;
        self
    }

    /// The longest run in guest time; default 10 s.
    pub fn limit(mut self, limit: Duration) -> Test {
        self.spec.limit = limit;
        self
    }

    /// COM1 must say this, behind what the last step found there.
    pub fn expect_serial(self, wanted: impl Into<Pattern>) -> Test {
        self.step(Step::Expect(Channel::Com(0), wanted.into(), None))
    }

    /// The screen must show this.
    pub fn expect_screen(self, wanted: impl Into<Pattern>) -> Test {
        self.step(Step::Expect(Channel::Screen, wanted.into(), None))
    }

    /// The virtio console must say this, behind what the last step found there.
    pub fn expect_console(self, wanted: impl Into<Pattern>) -> Test {
        self.step(Step::Expect(Channel::Console, wanted.into(), None))
    }

    /// The debug console must say this, behind what the last step found there.
    pub fn expect_debugcon(self, wanted: impl Into<Pattern>) -> Test {
        self.step(Step::Expect(Channel::Debugcon, wanted.into(), None))
    }

    /// Types on the keyboard: text, `<enter>`, `<ctrl+c>`.
    ///
    /// # Panics
    /// If no key types it.
    #[track_caller]
    pub fn send_keys(self, typed: &str) -> Test {
        match keys::parse(typed) {
            Ok(keys) => self.step(Step::SendKeys(keys)),
            Err(why) => panic!("{why}"),
        }
    }

    /// Sends bytes to COM1.
    pub fn send_serial(self, bytes: impl Into<Vec<u8>>) -> Test {
        self.step(Step::Send(Inlet::Com(0), bytes.into()))
    }

    /// Sends bytes to the virtio console.
    pub fn send_console(self, bytes: impl Into<Vec<u8>>) -> Test {
        self.step(Step::Send(Inlet::Console, bytes.into()))
    }

    /// Lets guest time pass.
    pub fn wait(self, time: Duration) -> Test {
        self.step(Step::Wait(time))
    }

    /// The run must end in this way.
    pub fn ends(mut self, exit: Exit) -> Test {
        self.finals().exit = Some(exit);
        self
    }

    /// The run must end with this status.
    pub fn status(mut self, status: u8) -> Test {
        self.finals().status = Some(status);
        self
    }

    /// A register must have this value at the end.
    pub fn register(mut self, name: &str, value: u64) -> Test {
        self.finals().registers.push((name.to_lowercase(), value));
        self
    }

    /// Memory must hold these bytes at the end.
    pub fn memory(mut self, at: u64, bytes: impl Into<Vec<u8>>) -> Test {
        self.finals().memory.push((at, bytes.into()));
        self
    }

    /// Runs it.
    pub fn run(self) -> Result<(), Box<Failure>> {
        let Test { spec, mut config } = self;
        config.timeout = Some(spec.limit);
        if config.clock.is_none() && config.engine == EngineChoice::Soft {
            config.clock = Some(ClockKind::Virtual);
        }
        config.detect_hang &= config.engine == EngineChoice::Soft;
        let case = Case {
            test: String::new(),
            variant: String::new(),
            spec: Arc::new(spec),
            config: Arc::new(config),
            skip: None,
        };
        let results = run_on(&[case], Options { jobs: 1, repeat: 1 }, MachineBench::default, |_| {});
        match results.tests.into_iter().next().map(|test| test.verdict) {
            Some(Verdict::Failed(failure)) => Err(failure),
            _ => Ok(()),
        }
    }

    /// Runs it.
    ///
    /// # Panics
    /// If it fails, with everything about the failure.
    #[track_caller]
    pub fn check(self) {
        if let Err(failure) = self.run() {
            panic!("\n{failure}");
        }
    }

    fn step(mut self, step: Step) -> Test {
        self.spec.steps.push(step);
        self
    }

    fn finals(&mut self) -> &mut Final {
        self.spec.finals.get_or_insert_default()
    }
}

impl Spec {
    /// A test that wants nothing yet, of a machine that is described elsewhere.
    fn empty() -> Spec {
        Spec {
            about: None,
            engines: Vec::new(),
            firmwares: Vec::new(),
            machine: Default::default(),
            memory: None,
            image: None,
            kernel: Default::default(),
            cpus: 1,
            acpi: true,
            testdev: false,
            rng: false,
            console: false,
            balloon: None,
            serial_ports: 1,
            disks: Vec::new(),
            floppy: None,
            cdrom: None,
            boot: Vec::new(),
            debug_exit: None,
            no_reboot: false,
            triple_fault: Default::default(),
            limit: DEFAULT_LIMIT,
            steps: Vec::new(),
            finals: None,
            exempt: Vec::new(),
        }
    }

    /// Reads a test file and its images, ready to be run by [`crate::run`].
    pub fn load_cases(path: &Path) -> Result<Vec<Case>, Vec<Error>> {
        crate::collect(&[path.into()], None, None, &Default::default(), &crate::Host::this())
    }
}
