//! Saved states as bytes: little-endian numbers one after another, lists with their length before them.

use alloc::vec::Vec;

/// A value that can be part of a saved state.
pub trait Record: Sized {
    /// Appends the value.
    fn put(&self, to: &mut Vec<u8>);
    /// Takes a value off the front; `None` if there is none.
    fn get(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($t:ty)*) => {$(
        impl Record for $t {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }
            fn get(from: &mut &[u8]) -> Option<$t> {
                let (head, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(<$t>::from_le_bytes(*head))
            }
        }
    )*};
}
numbers!(u8 u16 u32 u64);

impl Record for bool {
    fn put(&self, to: &mut Vec<u8>) {
        u8::from(*self).put(to);
    }
    fn get(from: &mut &[u8]) -> Option<bool> {
        match u8::get(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Record> Record for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }
    fn get(from: &mut &[u8]) -> Option<Option<T>> {
        Some(if bool::get(from)? { Some(T::get(from)?) } else { None })
    }
}

impl<T: Record> Record for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u32).put(to);
        self.iter().for_each(|value| value.put(to));
    }
    fn get(from: &mut &[u8]) -> Option<Vec<T>> {
        // A length that lies ends with the bytes.
        (0..u32::get(from)?).map(|_| T::get(from)).collect()
    }
}

impl<T: Record + Copy + Default, const N: usize> Record for [T; N] {
    fn put(&self, to: &mut Vec<u8>) {
        self.iter().for_each(|value| value.put(to));
    }
    fn get(from: &mut &[u8]) -> Option<[T; N]> {
        let mut all = [T::default(); N];
        for value in &mut all {
            *value = T::get(from)?;
        }
        Some(all)
    }
}

/// Makes a struct a [`Record`] of its fields in this order.
macro_rules! record {
    ($name:ident { $($field:ident),* }) => {
        impl $crate::saved::Record for $name {
            fn put(&self, to: &mut alloc::vec::Vec<u8>) {
                $($crate::saved::Record::put(&self.$field, to);)*
            }
            fn get(from: &mut &[u8]) -> Option<$name> {
                Some($name { $($field: $crate::saved::Record::get(from)?),* })
            }
        }
    };
}
pub(crate) use record;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_got_again() {
        let value: (Vec<Option<u16>>, [u32; 2]) = (alloc::vec![Some(7), None], [1, 2]);
        let mut bytes = Vec::new();
        value.0.put(&mut bytes);
        value.1.put(&mut bytes);
        let mut from = &bytes[..];
        assert_eq!(Vec::<Option<u16>>::get(&mut from), Some(value.0));
        assert_eq!(<[u32; 2]>::get(&mut from), Some(value.1));
        assert!(from.is_empty());
    }

    #[test]
    fn bytes_that_end_early_are_nothing() {
        assert_eq!(Vec::<u64>::get(&mut &[0xff, 0xff, 0xff, 0xff, 1][..]), None);
        assert_eq!(u32::get(&mut &[1, 2, 3][..]), None);
        assert_eq!(bool::get(&mut &[2][..]), None);
    }
}
