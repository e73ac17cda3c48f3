//! What a test looks for in text: a literal or a regular expression.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use regex_lite::Regex;

/// A literal text or a regular expression. Compiled once; what a guest says is bytes, not necessarily UTF-8.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// This text, anywhere.
    Literal(String),
    /// A regular expression (the `regex-lite` crate's syntax: that of `regex`, without Unicode classes), matching anywhere unless it is anchored.
    Regex(Regex),
}

impl Pattern {
    /// A regular expression.
    pub fn regex(source: &str) -> Result<Pattern, String> {
        Regex::new(source)
            .map(Pattern::Regex)
            .map_err(|e| format!("`{source}` is no regular expression: {e}"))
    }

    /// Where the pattern first matches. An empty literal matches at once.
    pub fn find(&self, text: &[u8]) -> Option<Range<usize>> {
        match self {
            Pattern::Literal(wanted) => {
                let at = position(text, wanted.as_bytes())?;
                Some(at..at + wanted.len())
            }
            Pattern::Regex(regex) => regex.find(&readable(text)).map(|found| found.range()),
        }
    }
}

/// What a guest says as text of the same length: a byte that belongs to no character becomes SUB, which no sensible
/// expression asks for.
fn readable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\x1a'));
    }
    Cow::Owned(text)
}

/// Where `wanted` begins in `text`.
fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let Some((&first, rest)) = wanted.split_first() else { return Some(0) };
    let last = text.len().checked_sub(wanted.len())?;
    let mut from = 0;
    while from <= last {
        from += text[from..=last].iter().position(|&byte| byte == first)?;
        if &text[from + 1..from + wanted.len()] == rest {
            return Some(from);
        }
        from += 1;
    }
    None
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Literal(text) => write!(f, "{text:?}"),
            Pattern::Regex(regex) => write!(f, "a match of /{}/", regex.as_str()),
        }
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Pattern {
        Pattern::Literal(text.into())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        match (self, other) {
            (Pattern::Literal(a), Pattern::Literal(b)) => a == b,
            (Pattern::Regex(a), Pattern::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_found_anywhere_and_its_dots_are_dots() {
        assert_eq!(Pattern::from("b.").find(b"abcb.d"), Some(3..5));
        assert_eq!(Pattern::from("b.").find(b"abc"), None);
        assert_eq!(Pattern::from("aab").find(b"aaab"), Some(1..4));
        assert_eq!(Pattern::from("long").find(b"lo"), None);
        assert_eq!(Pattern::from("").find(b""), Some(0..0));
    }

    #[test]
    fn a_regex_sees_bytes_that_are_no_utf8() {
        let pattern = Pattern::regex(r"ok \d+").unwrap();
        assert_eq!(pattern.find(b"\xff\xfe ok 42!"), Some(3..8));
        assert_eq!(pattern.find("ä\u{2502} ok 7 ".as_bytes()), Some(6..10));
        assert_eq!(pattern.find(b"\xe2\x94 ok 7 "), Some(3..7), "a character cut short");
    }

    #[test]
    fn a_bad_regex_is_quoted_in_the_message() {
        assert!(Pattern::regex("a(").unwrap_err().contains("`a(`"));
    }
}
