//! Packed shifts. The count is the low half of the source, for all lanes alike.

use super::shape::ops;
use super::vector::{V, low, map};

/// Shifts by `n` if it is less than the lane's width, else gives zero.
macro_rules! logical {
    ($a:ident, $b:ident, $t:ident, $op:tt) => {{
        let n = low($b);
        if n < u64::from($t::BITS) { map($a, |x: $t| x $op n) } else { [0; 16] }
    }};
}

/// Shifts right, filling up with the sign.
macro_rules! arithmetic {
    ($a:ident, $b:ident, $t:ident) => {{
        let n = low($b).min(u64::from($t::BITS) - 1);
        map($a, |x: $t| x >> n)
    }};
}

/// The whole register by bytes.
fn bytes(a: V, b: V, left: bool) -> V {
    let (a, n) = (u128::from_le_bytes(a), low(b).min(16) as u32 * 8);
    let v = if left { a.checked_shl(n) } else { a.checked_shr(n) };
    v.unwrap_or(0).to_le_bytes()
}

ops! {
    Psllw(a, b, _) => logical!(a, b, u16, <<);
    Pslld(a, b, _) => logical!(a, b, u32, <<);
    Psllq(a, b, _) => logical!(a, b, u64, <<);
    Psrlw(a, b, _) => logical!(a, b, u16, >>);
    Psrld(a, b, _) => logical!(a, b, u32, >>);
    Psrlq(a, b, _) => logical!(a, b, u64, >>);
    Psraw(a, b, _) => arithmetic!(a, b, i16);
    Psrad(a, b, _) => arithmetic!(a, b, i32);
    Pslldq(a, b, _) => bytes(a, b, true);
    Psrldq(a, b, _) => bytes(a, b, false);
}
