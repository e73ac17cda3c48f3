//! A text screen as tests and reports see it.

use std::fmt;

/// The lines of a text screen, without their colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// The rows, top first, each of the screen's width.
    pub rows: Vec<String>,
}

impl Screen {
    /// A screen from its text, one line for each row.
    pub fn from_text(text: &str) -> Screen {
        Screen { rows: text.lines().map(str::to_owned).collect() }
    }

    /// The rows with their trailing blanks removed, joined by line ends: what patterns are matched against.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }

    /// Whether nothing is on it.
    pub fn is_blank(&self) -> bool {
        self.rows.iter().all(|row| row.trim_end().is_empty())
    }
}

/// The screen as a box, without the empty rows at its end.
impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.chars().count()).max().unwrap_or(0);
        let used = self.rows.iter().rposition(|row| !row.trim_end().is_empty()).map_or(0, |last| last + 1);
        writeln!(f, "┌{}┐", "─".repeat(width))?;
        for row in &self.rows[..used] {
            let clean: String = row.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
            writeln!(f, "│{clean:<width$}│")?;
        }
        let empty = self.rows.len() - used;
        if empty > 0 {
            let note = format!(" {empty} empty rows ");
            if note.len() < width {
                return writeln!(f, "└{note:─^width$}┘");
            }
        }
        writeln!(f, "└{}┘", "─".repeat(width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_shown_as_a_box() {
        let screen = Screen::from_text("hi      \n   there");
        assert_eq!(screen.to_string(), "┌────────┐\n│hi      │\n│   there│\n└────────┘\n");
    }

    #[test]
    fn patterns_see_no_trailing_blanks() {
        assert_eq!(Screen::from_text("hi    \n  \nx").text(), "hi\n\nx\n");
    }
}
