//! What hako knows about the end of a guest that did not mean to end.

mod code;
mod faults;
mod registers;
mod tables;
mod walk;

use std::fmt;

use hako_cpu::FaultLog;
use hako_mem::GuestMemory;
use hako_x86::{CpuState, Cr0, Vector};

pub(crate) use code::{bits, one as instruction, read_linear};
pub(crate) use faults::line as exception;
pub(crate) use walk::translate;

/// A headline and sections of lines, ready to be printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One sentence.
    pub headline: String,
    /// Titles with their lines.
    pub sections: Vec<Section>,
}

/// A part of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// Its lines.
    pub lines: Vec<String>,
}

impl Report {
    /// A report that has only its headline yet.
    pub fn new(headline: impl Into<String>) -> Report {
        Report { headline: headline.into(), sections: Vec::new() }
    }

    /// Adds a section unless it has no lines.
    pub fn section(&mut self, title: impl Into<String>, lines: Vec<String>) {
        if !lines.is_empty() {
            self.sections.push(Section { title: title.into(), lines });
        }
    }
}

impl Report {
    /// The exceptions that led to a triple fault, which check failed in each, and the table entries involved.
    pub(crate) fn add_chain(&mut self, log: &FaultLog, state: &CpuState, memory: &GuestMemory) {
        let chain = faults::chain(log);
        let mut lines: Vec<String> = chain.iter().map(faults::line).collect();
        if !lines.is_empty() {
            lines.push("then the CPU shut down".into());
        }
        self.section("exceptions", lines);
        let mut entries = Vec::new();
        for f in &chain {
            for line in tables::vector(state, memory, f.vector.0) {
                if !entries.contains(&line) {
                    entries.push(line);
                }
            }
            let selector =
                f.error.filter(|e| e & 2 == 0 && matches!(f.vector.0, 10..=13)).map_or(0, |e| e as u16);
            if selector & 0xfffc != 0 {
                entries.extend(tables::selected(state, memory, selector & 0xfffc));
            }
        }
        self.section("descriptor tables", entries);
        if let Some(fault) = chain.iter().find(|f| f.vector == Vector::PF) {
            self.section(format!("page walk of {:#x}", fault.cr2), walk::lines(state, memory, fault.cr2));
        }
    }

    /// The registers of another CPU than the one that the report is about.
    pub(crate) fn add_registers(&mut self, cpu: usize, state: &CpuState) {
        let lines = match state.activity {
            hako_x86::Activity::WaitForSipi => vec!["it waits for a SIPI".to_string()],
            _ => registers::lines(state),
        };
        self.section(format!("registers of CPU {cpu}"), lines);
    }

    /// The CPU's registers and what it was about to execute.
    pub(crate) fn add_state(&mut self, state: &CpuState, memory: &GuestMemory) {
        self.section("registers", registers::lines(state));
        self.section("code", code::lines(state, memory));
        if state.cr0 & Cr0::PG.bits() != 0 {
            let linear = state.linear_rip();
            self.section(format!("page walk of the code at {linear:#x}"), walk::lines(state, memory, linear));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline)?;
        for s in &self.sections {
            writeln!(f, "\n{}", s.title)?;
            for line in &s.lines {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}
