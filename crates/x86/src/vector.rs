//! Exception vectors (SDM Vol. 3A 6.3.1, table 6-1).

/// An interrupt or exception vector, 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vector(pub u8);

#[allow(missing_docs)] // named as in the SDM's table
impl Vector {
    pub const DE: Vector = Vector(0);
    pub const DB: Vector = Vector(1);
    pub const NMI: Vector = Vector(2);
    pub const BP: Vector = Vector(3);
    pub const OF: Vector = Vector(4);
    pub const BR: Vector = Vector(5);
    pub const UD: Vector = Vector(6);
    pub const NM: Vector = Vector(7);
    pub const DF: Vector = Vector(8);
    pub const TS: Vector = Vector(10);
    pub const NP: Vector = Vector(11);
    pub const SS: Vector = Vector(12);
    pub const GP: Vector = Vector(13);
    pub const PF: Vector = Vector(14);
    pub const MF: Vector = Vector(16);
    pub const AC: Vector = Vector(17);
    pub const MC: Vector = Vector(18);
    pub const XM: Vector = Vector(19);
}

impl Vector {
    /// The mnemonic of an exception ("#GP"), or `None` for vectors that are not exceptions.
    pub fn mnemonic(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "#DE",
            1 => "#DB",
            2 => "NMI",
            3 => "#BP",
            4 => "#OF",
            5 => "#BR",
            6 => "#UD",
            7 => "#NM",
            8 => "#DF",
            10 => "#TS",
            11 => "#NP",
            12 => "#SS",
            13 => "#GP",
            14 => "#PF",
            16 => "#MF",
            17 => "#AC",
            18 => "#MC",
            19 => "#XM",
            _ => return None,
        })
    }

    /// Whether the exception pushes an error code.
    pub fn has_error_code(self) -> bool {
        matches!(self.0, 8 | 10..=14 | 17)
    }
}
