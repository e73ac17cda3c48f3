//! What must hold at the end of a run.

use hako_machine::{Ended, Outcome};

use crate::failure::{Wanted, hex};
use crate::pattern::Pattern;
use crate::registers;
use crate::spec::{Channel, Exit, Final, Sector};
use crate::steps::on_screen;
use crate::subject::Subject;

/// Checks everything; the first thing that does not hold is returned. The run has ended.
pub fn check(finals: &Final, subject: &mut dyn Subject) -> Result<(), Wanted> {
    let Some(outcome) = subject.outcome() else { return Err(Wanted::End(finals.exit)) };
    exit(finals, &outcome)?;
    if let Some(status) = finals.status.filter(|&status| status != outcome.status) {
        return Err(Wanted::Status(status, outcome.status));
    }
    if !finals.registers.is_empty() {
        let state = subject.state().map_err(|why| other("registers", &why))?;
        for (name, wanted) in &finals.registers {
            let came = registers::get(&state, name);
            if came != Some(*wanted) {
                return Err(difference(name, &format!("{wanted:#x}"), &format!("{:#x}", came.unwrap_or(0))));
            }
        }
    }
    for (at, wanted) in &finals.memory {
        let came = subject.memory(*at, wanted.len());
        if came != *wanted {
            return Err(difference(&format!("memory at {at:#x}"), &hex(wanted), &hex(&came)));
        }
    }
    for wanted in &finals.sectors {
        sector(wanted, subject)?;
    }
    ports(finals, subject)?;
    for (channel, pattern) in &finals.said {
        if !said(subject, *channel, pattern) {
            return Err(Wanted::Text(*channel, pattern.clone()));
        }
    }
    Ok(())
}

/// Whether it ended as wanted. Where no way is named, every way that is no failure will do.
fn exit(finals: &Final, outcome: &Outcome) -> Result<(), Wanted> {
    let came = match outcome.ended {
        Ended::HaltedForGood => Some(Exit::Halt),
        Ended::PowerOff => Some(Exit::PowerOff),
        Ended::Reset => Some(Exit::Reset),
        Ended::DebugExit(_) => Some(Exit::DebugExit),
        Ended::TripleFault(_) => Some(Exit::TripleFault),
        Ended::Hang(_) => Some(Exit::Hang),
        Ended::Timeout => Some(Exit::Timeout),
        _ => None,
    };
    let fine = match finals.exit {
        Some(wanted) => came == Some(wanted),
        None => matches!(came, Some(Exit::Halt | Exit::PowerOff | Exit::Reset | Exit::DebugExit)),
    };
    if fine { Ok(()) } else { Err(Wanted::End(finals.exit)) }
}

fn sector(wanted: &Sector, subject: &mut dyn Subject) -> Result<(), Wanted> {
    let what = format!("sector {} of disk {}", wanted.sector, wanted.disk);
    let pair = subject.sector(wanted.disk, wanted.sector).map_err(|why| other(&what, &why))?;
    if let Some(bytes) = &wanted.bytes {
        let came = pair.now.get(..bytes.len()).unwrap_or(&pair.now);
        if came != &bytes[..] {
            return Err(difference(&what, &hex(bytes), &hex(came)));
        }
    }
    let changed = pair.now != pair.before;
    match wanted.written {
        Some(written) if written != changed => {
            let word = |changed| if changed { "changed" } else { "as it was at power-on" };
            Err(difference(&what, word(written), word(changed)))
        }
        _ => Ok(()),
    }
}

fn ports(finals: &Final, subject: &dyn Subject) -> Result<(), Wanted> {
    if finals.ports.is_empty() {
        return Ok(());
    }
    let writes = subject.ports_written();
    for &(port, value) in &finals.ports {
        let mut to_port = writes.iter().filter(|w| w.0 == port).map(|w| w.1);
        if to_port.clone().any(|came| value.is_none_or(|wanted| wanted == came)) {
            continue;
        }
        let wanted = value.map_or("a write".into(), |v| format!("a write of {v:#x}"));
        let came = to_port.next_back().map_or("none".into(), |v| format!("others, the last of {v:#x}"));
        return Err(difference(&format!("port {port:#x}"), &wanted, &came));
    }
    Ok(())
}

fn said(subject: &dyn Subject, channel: Channel, pattern: &Pattern) -> bool {
    match channel {
        Channel::Screen => on_screen(subject, pattern),
        stream => pattern.find(subject.said(stream)).is_some(),
    }
}

fn difference(what: &str, wanted: &str, came: &str) -> Wanted {
    Wanted::Value { what: what.into(), wanted: wanted.into(), came: came.into() }
}

fn other(what: &str, why: &str) -> Wanted {
    difference(what, "to be looked at", why)
}
