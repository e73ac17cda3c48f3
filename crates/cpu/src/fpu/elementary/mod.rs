//! The elementary functions of x87, computed with twice the bits that the results have, so that these are correctly
//! rounded but for the rarest ties.

mod atan;
mod exp;
mod log;
mod trig;
mod wide;

pub(crate) use atan::arctangent;
pub(crate) use exp::two_to_x_minus_1;
pub(crate) use log::{log2, log2_of_1_plus};
pub(crate) use trig::{Angle, sine_cosine};
pub(crate) use wide::Wide;
