//! What hako knows about the end of a guest that did not mean to end.

use std::fmt;

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
