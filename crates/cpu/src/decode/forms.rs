//! Macros that name a handler for every size and operand form.

/// One handler for everything.
macro_rules! one {
    ($f:path) => {{
        const F: crate::decode::entry::Forms = crate::decode::entry::Forms::same([$f; 4], [$f; 4]);
        &F
    }};
}

/// A generic handler by size; after `;` another one for memory operands, and with `@` one that knows kinds of addresses.
macro_rules! sized {
    ($m:ident :: $f:ident $(, $g:ty)?) => {
        sized!($m::$f $(, $g)? ; $m::$f $(, $g)?)
    };
    ($m:ident :: $f:ident $(, $g:ty)? ; $n:ident :: $h:ident $(, $k:ty)?) => {{
        const F: crate::decode::entry::Forms = crate::decode::entry::Forms::same(
            [$m::$f::<$($g,)? u8>, $m::$f::<$($g,)? u16>, $m::$f::<$($g,)? u32>, $m::$f::<$($g,)? u64>],
            [$n::$h::<$($k,)? u8>, $n::$h::<$($k,)? u16>, $n::$h::<$($k,)? u32>, $n::$h::<$($k,)? u64>],
        );
        &F
    }};
    ($m:ident :: $f:ident $(, $g:ty)? ; @ $n:ident :: $h:ident $(, $k:ty)?) => {{
        use crate::operand::{Flat, Segmented};
        const F: crate::decode::entry::Forms = crate::decode::entry::Forms {
            reg: [$m::$f::<$($g,)? u8>, $m::$f::<$($g,)? u16>, $m::$f::<$($g,)? u32>, $m::$f::<$($g,)? u64>],
            mem: [
                $n::$h::<$($k,)? u8, Segmented>,
                $n::$h::<$($k,)? u16, Segmented>,
                $n::$h::<$($k,)? u32, Segmented>,
                $n::$h::<$($k,)? u64, Segmented>,
            ],
            flat: [
                $n::$h::<$($k,)? u8, Flat>,
                $n::$h::<$($k,)? u16, Flat>,
                $n::$h::<$($k,)? u32, Flat>,
                $n::$h::<$($k,)? u64, Flat>,
            ],
        };
        &F
    }};
}
