//! What `send.keys` may say: text as typed on a US keyboard, and named keys in angle brackets.

use hako_chips::i8042::KeyEvent;
use hako_chips::i8042::keys::{KEYS, named, text};

/// The keys that type `typed`. `<enter>` is a named key, `<ctrl+alt+delete>` a chord, `<lt>` the character `<` itself.
pub fn parse(typed: &str) -> Result<Vec<KeyEvent>, String> {
    let mut keys = Vec::new();
    let mut rest = typed;
    while !rest.is_empty() {
        let (plain, bracket) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        keys.extend(text(plain).map_err(|c| format!("no key of a US keyboard types {c:?}"))?);
        rest = bracket;
        if let Some(inside) = bracket.strip_prefix('<') {
            let (name, after) = inside
                .split_once('>')
                .ok_or_else(|| format!("`{bracket}` has no `>`; write <lt> for the character <"))?;
            keys.extend(match name {
                "lt" => text("<").unwrap_or_default(),
                _ => named(name).ok_or_else(|| unknown(name))?,
            });
            rest = after;
        }
    }
    Ok(keys)
}

fn unknown(name: &str) -> String {
    let long = KEYS.iter().map(|key| key.1).filter(|name| name.len() > 1);
    format!(
        "there is no key <{name}>; known are {}, and chords such as <ctrl+c>",
        long.collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hako_chips::i8042::Key::{self, A, B, Comma, ControlLeft, Enter, ShiftLeft};

    fn down(typed: &str) -> Vec<Key> {
        parse(typed).unwrap().into_iter().filter(|k| k.down).map(|k| k.key).collect()
    }

    #[test]
    fn text_named_keys_and_chords_may_be_mixed() {
        assert_eq!(down("aB<enter>"), [A, ShiftLeft, B, Enter]);
        assert_eq!(down("<ctrl+a>b"), [ControlLeft, A, B]);
        assert_eq!(down("<lt>"), [ShiftLeft, Comma]);
        assert_eq!(down(""), []);
    }

    #[test]
    fn what_no_key_types_is_said() {
        assert!(parse("ü").unwrap_err().contains("US keyboard"));
        assert!(parse("<entr>").unwrap_err().contains("enter"));
        assert!(parse("<enter").unwrap_err().contains("<lt>"));
    }
}
