//! The values of test files: durations, sizes, numbers, bytes, patterns, media. Each says what it wants when it gets
//! something else.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use hako_machine::DiskInterface;

use crate::pattern::Pattern;

/// A duration such as `500ms`, `10s` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let nanos: Option<u64> = match &text[digits.len()..] {
            "ns" => Some(1),
            "us" => Some(1_000),
            "ms" => Some(1_000_000),
            "s" => Some(1_000_000_000),
            "m" => Some(60_000_000_000),
            _ => None,
        };
        let value = digits.parse::<u64>().ok();
        match nanos.zip(value).and_then(|(unit, n)| unit.checked_mul(n)) {
            Some(ns) => Ok(Span(Duration::from_nanos(ns))),
            None => Err(format!("`{text}` is no duration; write for example \"500ms\", \"10s\" or \"2m\"")),
        }
    }
}

/// A number of bytes such as `64M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match &text[digits.len()..] {
            "" => Some(0),
            "K" => Some(10),
            "M" => Some(20),
            "G" => Some(30),
            _ => None,
        };
        let bytes = shift.zip(digits.parse::<u64>().ok()).and_then(|(shift, n)| n.checked_mul(1 << shift));
        bytes
            .map(Size)
            .ok_or_else(|| format!("`{text}` is no size; write for example \"1440K\", \"64M\" or \"1G\""))
    }
}

/// Types that are written as strings.
macro_rules! from_string {
    ($($t:ty),*) => {
        $(impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<$t, D::Error> {
                String::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        })*
    };
}

from_string!(Span, Size, Bytes, Module);

/// Bytes in hexadecimal, such as `"55 aa"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let digits = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16));
        let digits = digits.collect::<Option<Vec<u32>>>().filter(|digits| digits.len() % 2 == 0);
        let bytes =
            digits.map(|d| d.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect::<Vec<u8>>());
        bytes.filter(|bytes| !bytes.is_empty()).map(Bytes).ok_or_else(|| {
            format!("`{text}` is not a row of bytes; write two hexadecimal digits each, as in \"55 aa\"")
        })
    }
}

/// A number: TOML's integers, or a string for those above 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Number, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 33, 0x7c00 or \"0xffffffffffffffff\"")
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Number, E> {
                // A negative register value means its two's complement.
                Ok(Number(n as u64))
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Number, E> {
                Ok(Number(n))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                let clean = text.replace('_', "");
                let number = match clean.strip_prefix("0x") {
                    Some(hex) => u64::from_str_radix(hex, 16),
                    None => clean.parse(),
                };
                number.map(Number).map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        d.deserialize_any(V)
    }
}

/// One thing or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Many(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of them")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Many<T>, E> {
                T::deserialize(serde::de::value::StrDeserializer::new(text)).map(|one| Many(vec![one]))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| Many(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Many<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(Many(all))
            }
        }
        d.deserialize_any(V(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Pattern, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            regex: String,
        }
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Pattern;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or { regex = \"...\" }")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Pattern, E> {
                if text.is_empty() {
                    return Err(E::custom("an empty text is found everywhere; say what is expected"));
                }
                Ok(Pattern::from(text))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pattern, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Pattern::regex(&table.regex).map_err(A::Error::custom)
            }
        }
        d.deserialize_any(V)
    }
}

/// A medium: a path, or a table with more about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// The file, relative to the test file; or `builtin:NAME`.
    pub path: String,
    /// Padded with zeros to this size before use.
    pub size: Option<Size>,
    /// The guest cannot write it.
    pub readonly: bool,
    /// Where a hard disk is plugged in: `ide`, `virtio` or `virtio-legacy`.
    pub interface: Option<DiskInterface>,
}

impl<'de> Deserialize<'de> for Medium {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Medium, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            path: String,
            size: Option<Size>,
            #[serde(default)]
            readonly: bool,
            r#if: Option<String>,
        }
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Medium;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a path, or { path = \"...\", size = \"1440K\", readonly = true, if = \"virtio\" }",
                )
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Medium, E> {
                Ok(Medium { path: text.into(), size: None, readonly: false, interface: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Medium, A::Error> {
                let Table { path, size, readonly, r#if } =
                    Table::deserialize(MapAccessDeserializer::new(map))?;
                let interface = r#if.map(|name| name.parse().map_err(A::Error::custom)).transpose()?;
                Ok(Medium { path, size, readonly, interface })
            }
        }
        d.deserialize_any(V)
    }
}

/// A module of a kernel: `FILE[,ARGS]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The file.
    pub file: Medium,
    /// Its arguments.
    pub args: String,
}

impl FromStr for Module {
    type Err = String;

    fn from_str(text: &str) -> Result<Module, String> {
        let (path, args) = text.split_once(',').unwrap_or((text, ""));
        if path.is_empty() {
            return Err(format!("`{text}` is no module; write \"FILE\" or \"FILE,ARGUMENTS\""));
        }
        let file = Medium { path: path.into(), size: None, readonly: true, interface: None };
        Ok(Module { file, args: args.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        assert_eq!("2m".parse(), Ok(Span(Duration::from_secs(120))));
        for bad in ["10", "s", "1h", "", "-1s", "99999999999999999999s", "9999999999999m"] {
            assert!(bad.parse::<Span>().unwrap_err().contains("10s"), "{bad}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!("1440K".parse(), Ok(Size(1440 << 10)));
        assert_eq!("512".parse(), Ok(Size(512)));
        for bad in ["", "M", "1T", "1 M", "99999999999G"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_modules_arguments_follow_the_first_comma() {
        let m: Module = "fs.img,a=1,b".parse().unwrap();
        assert_eq!((m.file.path.as_str(), m.args.as_str()), ("fs.img", "a=1,b"));
        assert!(",x".parse::<Module>().is_err());
    }

    #[test]
    fn bytes_are_pairs_of_digits() {
        assert_eq!("55 aA00".parse(), Ok(Bytes(vec![0x55, 0xaa, 0])));
        for bad in ["", "5", "5 5 5", "zz", "+1"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }
}
