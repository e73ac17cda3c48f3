//! Tables that point to each other before anybody knows where they will be: placed by us, or by firmware that follows
//! the table loader's script (QEMU, `hw/acpi/bios-linker-loader`; SeaBIOS, `romfile_loader`).

use alloc::vec::Vec;

use super::checksum;

/// fw_cfg's name of the tables.
pub const TABLES_FILE: &str = "etc/acpi/tables";
/// fw_cfg's name of the root pointer.
pub const RSDP_FILE: &str = "etc/acpi/rsdp";
/// fw_cfg's name of the script.
pub const SCRIPT_FILE: &str = "etc/table-loader";

/// Tables are placed at multiples of it: FACS needs the most.
pub const ALIGN: u64 = 64;

/// One of the two pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// All tables.
    Tables,
    /// The root pointer.
    Rsdp,
}

impl Piece {
    fn file(self) -> &'static str {
        match self {
            Piece::Tables => TABLES_FILE,
            Piece::Rsdp => RSDP_FILE,
        }
    }
}

/// What is still to be done where the pieces are known.
#[derive(Clone, Copy, Debug)]
enum Fixup {
    /// `width` bytes at `at` hold the offset of a table; the address where the tables begin has to be added.
    Pointer { piece: Piece, at: usize, width: u8 },
    /// The byte at `at` makes `len` bytes from `start` on sum up to 0.
    Checksum { piece: Piece, at: usize, start: usize, len: usize },
}

/// The pieces, with what is still to be done.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    tables: Vec<u8>,
    rsdp: Vec<u8>,
    fixups: Vec<Fixup>,
}

/// Where a system description table keeps its checksum.
const SDT_CHECKSUM: usize = 9;

impl Bundle {
    /// Appends a table and returns its offset.
    pub fn add(&mut self, table: &[u8]) -> usize {
        let at = self.tables.len().next_multiple_of(ALIGN as usize);
        self.tables.resize(at, 0);
        self.tables.extend_from_slice(table);
        at
    }

    /// Appends a system description table, whose checksum counts the pointers in it.
    pub fn add_sdt(&mut self, table: &[u8], pointers: impl IntoIterator<Item = (usize, u8)>) -> usize {
        let start = self.add(table);
        for (at, width) in pointers {
            self.fixups.push(Fixup::Pointer { piece: Piece::Tables, at: start + at, width });
        }
        let at = start + SDT_CHECKSUM;
        self.fixups.push(Fixup::Checksum { piece: Piece::Tables, at, start, len: table.len() });
        start
    }

    /// Sets the root pointer, with its pointers (offset, width) and checksums (offset, length from the start).
    pub fn set_rsdp(&mut self, rsdp: Vec<u8>, pointers: &[(usize, u8)], sums: &[(usize, usize)]) {
        self.rsdp = rsdp;
        let piece = Piece::Rsdp;
        self.fixups.extend(pointers.iter().map(|&(at, width)| Fixup::Pointer { piece, at, width }));
        self.fixups.extend(sums.iter().map(|&(at, len)| Fixup::Checksum { piece, at, start: 0, len }));
    }

    /// Bytes of the root pointer.
    pub fn rsdp_len(&self) -> usize {
        self.rsdp.len()
    }

    /// Tables and root pointer for tables at `base`.
    pub fn placed(mut self, base: u64) -> (Vec<u8>, Vec<u8>) {
        for fixup in core::mem::take(&mut self.fixups) {
            match fixup {
                Fixup::Pointer { piece, at, width } => {
                    let field = self.piece(piece).get_mut(at..at + usize::from(width)).unwrap_or_default();
                    let mut value = [0; 8];
                    value[..field.len()].copy_from_slice(field);
                    let value = u64::from_le_bytes(value).wrapping_add(base).to_le_bytes();
                    field.copy_from_slice(&value[..field.len()]);
                }
                Fixup::Checksum { piece, at, start, len } => {
                    let bytes = self.piece(piece);
                    bytes[at] = 0;
                    bytes[at] = checksum(&bytes[start..start + len]);
                }
            }
        }
        (self.tables, self.rsdp)
    }

    fn piece(&mut self, piece: Piece) -> &mut Vec<u8> {
        match piece {
            Piece::Tables => &mut self.tables,
            Piece::Rsdp => &mut self.rsdp,
        }
    }

    /// The files for firmware that places the tables: tables, root pointer, script.
    pub fn files(mut self) -> [(&'static str, Vec<u8>); 3] {
        let mut script = Script::default();
        script.allocate(Piece::Tables, ALIGN as u32, Zone::High);
        script.allocate(Piece::Rsdp, 16, Zone::FSegment);
        for fixup in &self.fixups {
            script.fixup(fixup);
        }
        for fixup in &self.fixups {
            // The script's interpreter expects zeros where it puts a checksum.
            if let Fixup::Checksum { piece, at, .. } = *fixup {
                let bytes = match piece {
                    Piece::Tables => &mut self.tables,
                    Piece::Rsdp => &mut self.rsdp,
                };
                bytes[at] = 0;
            }
        }
        [(TABLES_FILE, self.tables), (RSDP_FILE, self.rsdp), (SCRIPT_FILE, script.0)]
    }
}

/// Where a piece has to lie.
#[derive(Clone, Copy)]
enum Zone {
    High = 1,
    FSegment = 2,
}

/// The script: entries of 128 bytes.
#[derive(Default)]
struct Script(Vec<u8>);

impl Script {
    const ENTRY: usize = 128;
    const NAME: usize = 56;

    fn entry(&mut self, command: u32, names: &[Piece], rest: &[&[u8]]) {
        let end = self.0.len() + Script::ENTRY;
        self.0.extend_from_slice(&command.to_le_bytes());
        for piece in names {
            let name = piece.file().as_bytes();
            self.0.extend_from_slice(name);
            self.0.resize(self.0.len() + Script::NAME - name.len(), 0);
        }
        rest.iter().for_each(|bytes| self.0.extend_from_slice(bytes));
        self.0.resize(end, 0);
    }

    fn allocate(&mut self, piece: Piece, align: u32, zone: Zone) {
        self.entry(1, &[piece], &[&align.to_le_bytes(), &[zone as u8]]);
    }

    fn fixup(&mut self, fixup: &Fixup) {
        let bytes = |n: usize| (n as u32).to_le_bytes();
        match *fixup {
            Fixup::Pointer { piece, at, width } => {
                self.entry(2, &[piece, Piece::Tables], &[&bytes(at), &[width]]);
            }
            Fixup::Checksum { piece, at, start, len } => {
                self.entry(3, &[piece], &[&bytes(at), &bytes(start), &bytes(len)]);
            }
        }
    }
}
