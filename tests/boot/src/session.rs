//! A guest that is watched while it runs: what it says, and what is done to it.

use std::env;
use std::time::Duration;

use hako_chips::i8042::keys;
use hako_engine_kvm::probe;
use hako_machine::{Builder, EngineChoice, FirmwareChoice, Machine, Outcome, Progress};

/// The firmwares that hako names.
pub const FIRMWARES: [FirmwareChoice; 2] = [FirmwareChoice::Builtin, FirmwareChoice::SeaBios];

/// How often the screen is looked at, in guest time.
const LOOK: Duration = Duration::from_millis(100);

/// The engines that a boot loader is taken to its end on. A /dev/kvm that emulates the kernel's instructions in
/// software needs minutes for what the others do in a second: only with `HAKO_LONG` set.
pub fn engines() -> Vec<EngineChoice> {
    let kvm = match probe().usable {
        Ok(speed) if speed.is_emulated() && env::var_os("HAKO_LONG").is_none() => {
            eprintln!("kvm is slow here: HAKO_LONG=1 boots on it to the end");
            false
        }
        Ok(_) => true,
        Err(why) => {
            eprintln!("not on kvm: {why}");
            false
        }
    };
    [EngineChoice::Soft].into_iter().chain(kvm.then_some(EngineChoice::Kvm)).collect()
}

/// The engines for what every engine does within seconds.
pub fn all_engines() -> Vec<EngineChoice> {
    let kvm = probe().usable.inspect_err(|why| eprintln!("not on kvm: {why}")).is_ok();
    [EngineChoice::Soft].into_iter().chain(kvm.then_some(EngineChoice::Kvm)).collect()
}

/// Runs `test` for each combination of these engines with all firmwares. A kvm that is too slow for [`engines`] has
/// the built-in firmware alone: SeaBIOS has its own tests.
pub fn each(engines: &[EngineChoice], test: impl Fn(Builder) -> Session) {
    let fast = self::engines();
    for &engine in engines {
        let firmwares = if fast.contains(&engine) { &FIRMWARES[..] } else { &FIRMWARES[..1] };
        for firmware in firmwares.iter().cloned() {
            let limit = Duration::from_secs(if engine == EngineChoice::Kvm { 600 } else { 20 });
            let name = format!("{engine:?} with {firmware:?}");
            let builder = Machine::builder().engine(engine).firmware(firmware).timeout(limit);
            eprintln!("{name}");
            let session = test(builder);
            eprintln!("{name}: {:?}", session.machine.time());
        }
    }
}

/// A running guest.
pub struct Session {
    /// Its machine.
    pub machine: Machine,
}

impl Session {
    /// Powers the machine on.
    pub fn start(builder: Builder) -> Session {
        let mut machine = builder.build().unwrap_or_else(|why| panic!("{why}"));
        // The test may type at any time.
        machine.set_input_open(true);
        Session { machine }
    }

    /// Runs until `text` is on the screen, on COM1 or on the debug console.
    pub fn until(&mut self, text: &str) {
        self.until_that(text, |session| session.sees(text));
    }

    /// Runs until `met`; `what` is for the failure.
    pub fn until_that(&mut self, what: &str, met: impl Fn(&Session) -> bool) {
        while !met(self) {
            let next = self.machine.time() + LOOK;
            if self.machine.run_until(next, false) == Progress::Ended && !met(self) {
                panic!("expected {what:?}; {:?}\n{}", self.machine.outcome(), self.shown());
            }
        }
    }

    /// Whether `text` is on the screen, on COM1 or on the debug console.
    pub fn sees(&self, text: &str) -> bool {
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(text);
        said(self.machine.serial()) || said(self.machine.debugcon()) || self.screen().contains(text)
    }

    /// The screen's lines.
    pub fn screen(&self) -> String {
        self.machine.screen().map(|s| s.lines().collect::<Vec<_>>().join("\n")).unwrap_or_default()
    }

    /// Types on the keyboard.
    pub fn type_keys(&mut self, text: &str) {
        let keys = keys::text(text).unwrap_or_else(|c| panic!("no key types {c:?}"));
        self.machine.send_keys(keys);
    }

    /// Types on the terminal at COM1.
    pub fn type_serial(&mut self, text: &str) {
        self.machine.send_serial(text.as_bytes());
    }

    /// Runs to the end; nothing more is typed.
    pub fn end(&mut self) -> Outcome {
        self.machine.set_input_open(false);
        self.machine.run()
    }

    /// What there is to see when a test fails.
    pub fn shown(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!(
            "screen:\n{}\nserial:\n{}\ndebug console:\n{}\n",
            self.screen().trim_end(),
            text(self.machine.serial()),
            text(self.machine.debugcon())
        )
    }
}
