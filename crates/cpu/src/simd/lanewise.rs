//! Packed integer arithmetic, comparison and logic in which each lane minds itself.

use super::shape::ops;
use super::vector::{Lane, V, map, mask, zip};

/// Operations that are a method of the lane's type.
macro_rules! lanewise {
    ($($name:ident $t:ident :: $f:ident;)*) => {
        ops! { $($name(a, b, _) => zip(a, b, $t::$f);)* }
    };
}

lanewise! {
    Paddb u8::wrapping_add;
    Paddw u16::wrapping_add;
    Paddd u32::wrapping_add;
    Paddq u64::wrapping_add;
    Psubb u8::wrapping_sub;
    Psubw u16::wrapping_sub;
    Psubd u32::wrapping_sub;
    Psubq u64::wrapping_sub;
    Paddusb u8::saturating_add;
    Paddusw u16::saturating_add;
    Paddsb i8::saturating_add;
    Paddsw i16::saturating_add;
    Psubusb u8::saturating_sub;
    Psubusw u16::saturating_sub;
    Psubsb i8::saturating_sub;
    Psubsw i16::saturating_sub;
    Pminub u8::min;
    Pminuw u16::min;
    Pminud u32::min;
    Pminsb i8::min;
    Pminsw i16::min;
    Pminsd i32::min;
    Pmaxub u8::max;
    Pmaxuw u16::max;
    Pmaxud u32::max;
    Pmaxsb i8::max;
    Pmaxsw i16::max;
    Pmaxsd i32::max;
    Pmulld u32::wrapping_mul;
    Pmullw u16::wrapping_mul;
}

fn equal<T: Lane + PartialEq>(a: V, b: V) -> V {
    zip(a, b, |x: T, y| mask(x == y))
}

fn greater<T: Lane + PartialOrd>(a: V, b: V) -> V {
    zip(a, b, |x: T, y| mask(x > y))
}

ops! {
    Pcmpeqb(a, b, _) => equal::<u8>(a, b);
    Pcmpeqw(a, b, _) => equal::<u16>(a, b);
    Pcmpeqd(a, b, _) => equal::<u32>(a, b);
    Pcmpeqq(a, b, _) => equal::<u64>(a, b);
    Pcmpgtb(a, b, _) => greater::<i8>(a, b);
    Pcmpgtw(a, b, _) => greater::<i16>(a, b);
    Pcmpgtd(a, b, _) => greater::<i32>(a, b);
    Pcmpgtq(a, b, _) => greater::<i64>(a, b);
    And(a, b, _) => zip(a, b, |x: u64, y| x & y);
    AndNot(a, b, _) => zip(a, b, |x: u64, y| !x & y);
    Or(a, b, _) => zip(a, b, |x: u64, y| x | y);
    Xor(a, b, _) => zip(a, b, |x: u64, y| x ^ y);
    Pavgb(a, b, _) => zip(a, b, |x: u8, y| ((u16::from(x) + u16::from(y) + 1) >> 1) as u8);
    Pavgw(a, b, _) => zip(a, b, |x: u16, y| ((u32::from(x) + u32::from(y) + 1) >> 1) as u16);
    Pabsb(_, b, _) => map(b, i8::wrapping_abs);
    Pabsw(_, b, _) => map(b, i16::wrapping_abs);
    Pabsd(_, b, _) => map(b, i32::wrapping_abs);
    Psignb(a, b, _) => zip(a, b, |x: i8, y| x.wrapping_mul(y.signum()));
    Psignw(a, b, _) => zip(a, b, |x: i16, y| x.wrapping_mul(y.signum()));
    Psignd(a, b, _) => zip(a, b, |x: i32, y| x.wrapping_mul(y.signum()));
}
