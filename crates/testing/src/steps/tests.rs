//! The runner against a play: a subject that says what it is told to say when it is told to say it.

use hako_machine::{Ended, Inlet, Outcome, Report, Time};
use hako_x86::CpuState;

use super::*;
use crate::screen::Screen;
use crate::subject::SectorPair;
use hako_chips::i8042::KeyEvent;

/// What happens in a play.
enum Act {
    Serial(&'static str),
    Screen(&'static str),
    End(Ended),
}

use Act::{End, Screen as OnScreen, Serial};

/// Acts by millisecond.
struct Play {
    acts: Vec<(u64, Act)>,
    now: Duration,
    serial: Vec<u8>,
    screen: Option<Screen>,
    outcome: Option<Outcome>,
    sent: Vec<u8>,
    typed: usize,
}

fn play(acts: Vec<(u64, Act)>) -> Play {
    Play { acts, now: Duration::ZERO, serial: vec![], screen: None, outcome: None, sent: vec![], typed: 0 }
}

impl Subject for Play {
    fn run(&mut self, until: Duration, stop_on_output: bool) -> Progress {
        loop {
            if self.outcome.is_some() {
                return Progress::Ended;
            }
            let next = self.acts.first().map_or(Duration::MAX, |act| Duration::from_millis(act.0));
            if next > until {
                self.now = until;
                return Progress::Time;
            }
            self.now = self.now.max(next);
            match self.acts.remove(0).1 {
                Serial(text) => {
                    self.serial.extend(text.bytes());
                    if stop_on_output {
                        return Progress::Output;
                    }
                }
                OnScreen(text) => self.screen = Some(Screen::from_text(text)),
                End(ended) => {
                    let (status, time) = (ended.status(), Time(self.now.as_nanos() as u64));
                    let outcome = Outcome { ended, status, count: None, time, rescued: 0, resets: 0 };
                    self.outcome = Some(outcome);
                }
            }
        }
    }
    fn outcome(&self) -> Option<Outcome> {
        self.outcome.clone()
    }
    fn now(&self) -> Duration {
        self.now
    }
    fn said(&self, channel: Channel) -> &[u8] {
        if channel == Channel::Com(0) { &self.serial } else { &[] }
    }
    fn screen(&self) -> Option<Screen> {
        self.screen.clone()
    }
    fn send_keys(&mut self, keys: &[KeyEvent]) {
        self.typed += keys.len();
    }
    fn send(&mut self, _to: Inlet, bytes: &[u8]) {
        self.sent.extend(bytes);
    }
    fn input_open(&mut self, _open: bool) {}
    fn state(&mut self) -> Result<CpuState, String> {
        let mut state = CpuState::reset();
        state.gpr[0] = 0x2a;
        Ok(state)
    }
    fn memory(&self, at: u64, len: usize) -> Vec<u8> {
        (0..len as u64).map(|i| (at + i) as u8).collect()
    }
    fn sector(&mut self, disk: u8, sector: u64) -> Result<SectorPair, String> {
        match disk {
            0 => Ok(SectorPair { now: vec![sector as u8; 512], before: vec![7; 512] }),
            _ => Err("there is no such disk".into()),
        }
    }
    fn ports_written(&self) -> Vec<(u16, u64)> {
        vec![(0x80, 1), (0x80, 2)]
    }
    fn whereabouts(&mut self) -> Vec<String> {
        vec!["rip 7c00".into()]
    }
}

fn verdict(spec: &str, acts: Vec<(u64, Act)>) -> Result<(), Box<Failure>> {
    let spec = Spec::parse(&format!("image = \"x\"\n{spec}"), "t").unwrap();
    run(&spec, &mut play(acts))
}

fn fails(spec: &str, acts: Vec<(u64, Act)>) -> String {
    verdict(spec, acts).expect_err("must fail").to_string()
}

#[test]
fn a_test_passes_as_soon_as_its_last_step_is_met() {
    let acts = vec![(1, Serial("boot")), (2, Serial("ed")), (3, End(Ended::TripleFault(Box::default())))];
    verdict("[[step]]\nexpect.serial = \"booted\"", acts).unwrap();
}

#[test]
fn final_assertions_wait_for_the_end() {
    let acts = || vec![(1, Serial("ok")), (3, End(Ended::DebugExit(0x10)))];
    verdict("[[step]]\nexpect.serial = \"ok\"\n[final]\nexit = \"debug-exit\"\nstatus = 33", acts()).unwrap();
    let text = fails("[[step]]\nexpect.serial = \"ok\"\n[final]\nstatus = 35", acts());
    assert!(text.contains("expected status 35, got 33"), "{text}");
    let text = fails("[final]\nexit = \"halt\"", acts());
    assert!(text.contains("end by halt") && text.contains("debug exit"), "{text}");
}

#[test]
fn a_triple_fault_is_never_a_success_unless_it_is_expected() {
    let acts = || vec![(1, End(Ended::TripleFault(Box::new(Report::new("no IDT")))))];
    let text = fails("[final]\nserial = \"x\"", acts());
    assert!(text.contains("expected the guest to end") && text.contains("triple fault"), "{text}");
    assert!(text.contains("no IDT"), "{text}");
    verdict("[final]\nexit = \"triple-fault\"", acts()).unwrap();
}

#[test]
fn a_hang_can_be_expected() {
    let acts = || vec![(1, End(Ended::Hang("jmp $".into())))];
    verdict("[final]\nexit = \"hang\"", acts()).unwrap();
    assert!(fails("[[step]]\nexpect.serial = \"x\"", acts()).contains("jmp $"));
}

#[test]
fn a_guest_that_goes_on_can_be_expected() {
    let spec = "limit = \"2s\"\n[final]\nexit = \"timeout\"";
    verdict(spec, vec![(2000, End(Ended::Timeout))]).unwrap();
    assert!(fails(spec, vec![(1, End(Ended::HaltedForGood))]).contains("end by timeout"));
}

#[test]
fn each_serial_step_looks_behind_what_the_last_one_matched() {
    let spec = "[[step]]\nexpect.serial = \"ok\"\n[[step]]\nexpect.serial = \"ok\"";
    verdict(spec, vec![(1, Serial("ok ok"))]).unwrap();
    let text = fails(spec, vec![(1, Serial("ok no")), (2, End(Ended::HaltedForGood))]);
    assert!(text.starts_with("step 2 of 2: expected on the serial line: \"ok\"\n"), "{text}");
    assert!(text.contains("the guest ended after 2ms: halted for good"), "{text}");
    assert!(text.contains("  |  no\n"), "{text}");
    assert!(text.contains("rip 7c00"), "{text}");
}

#[test]
fn the_screen_is_looked_at_while_the_guest_runs_and_shown_as_a_box() {
    let acts = || vec![(5, OnScreen("login:   ")), (9, End(Ended::HaltedForGood))];
    verdict("[[step]]\nexpect.screen = { regex = '^login:$' }", vec![(5, OnScreen("x"))]).unwrap_err();
    verdict("[[step]]\nexpect.screen = { regex = '(?m)^login:$' }", acts()).unwrap();
    let text = fails("[[step]]\nexpect.screen = \"prompt\"", acts());
    assert!(text.contains("│login:   │"), "{text}");
}

#[test]
fn the_limit_is_in_guest_time() {
    let text = fails("limit = \"2s\"\n[[step]]\nexpect.serial = \"x\"", vec![(2001, Serial("x"))]);
    assert!(text.contains("still running after 2s of guest time"), "{text}");
    fails("[[step]]\nexpect.serial = \"x\"\nwithin = \"10ms\"", vec![(11, Serial("x"))]);
    verdict("[[step]]\nexpect.serial = \"x\"\nwithin = \"10ms\"", vec![(10, Serial("x"))]).unwrap();
    assert!(fails("[final]\nexit = \"halt\"", vec![]).contains("after 10s"));
}

#[test]
fn keys_bytes_and_waits_happen_in_order() {
    let spec = "[[step]]\nsend.keys = \"a\"\n[[step]]\nwait = \"5ms\"\n[[step]]\nsend.serial = \"hi\"";
    let spec = Spec::parse(&format!("image = \"x\"\n{spec}"), "t").unwrap();
    let mut subject = play(vec![(3, Serial("noise"))]);
    run(&spec, &mut subject).unwrap();
    assert_eq!((&subject.sent[..], subject.typed), (&b"hi"[..], 2));
    assert_eq!(subject.now, Duration::from_millis(5));
}

#[test]
fn registers_memory_sectors_and_ports_are_compared() {
    let end = || vec![(1, End(Ended::HaltedForGood))];
    let good = "registers = { eax = 42 }\nmemory = { at = 0x10, bytes = \"10 11\" }\n\
                disk = [{ sector = 7, written = false }, { sector = 8, written = true, bytes = \"08\" }]\n\
                ports = [{ port = 0x80 }, { port = 0x80, value = 1 }]";
    verdict(&format!("[final]\n{good}"), end()).unwrap();
    for (bad, says) in [
        ("registers = { rax = 1 }", "got rax: 0x2a"),
        ("memory = { at = 0x10, bytes = \"10 12\" }", "memory at 0x10: 10 11"),
        ("disk = { sector = 7, written = true }", "sector 7 of disk 0: changed"),
        ("disk = { sector = 8, bytes = \"ff\" }", "sector 8 of disk 0: 08"),
        ("disk = { disk = 1, sector = 8, bytes = \"ff\" }", "no such disk"),
        ("ports = { port = 0x81 }", "port 0x81: none"),
        ("ports = { port = 0x80, value = 3 }", "the last of 0x2"),
        ("serial = \"x\"", "on the serial line: \"x\""),
    ] {
        let text = fails(&format!("[final]\n{bad}"), end());
        assert!(text.contains(says), "{bad}: {text}");
    }
}
