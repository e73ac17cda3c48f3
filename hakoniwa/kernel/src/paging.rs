//! Page tables of four levels, for tasks and for guests: one builder, two formats.

use crate::platform::Platform;
use hakoniwa_abi::{Access, LARGE, PAGE};

/// How entries look.
pub trait Format {
    /// Bits of an entry that points to a table.
    const TABLE: u64;
    /// Top-level entries that belong to the mapped side; the rest is the kernel's.
    const TOP: u64;
    /// Bits of an entry that maps a page.
    fn leaf(access: Access) -> u64;
    /// Whether an entry maps or points anywhere.
    fn present(entry: u64) -> bool;
    /// The rights of an entry that maps a page.
    fn access(entry: u64) -> Access;
}

/// A task's tables (SDM Vol. 3A, 4.5).
pub struct User;

/// Present, writable, user.
const P: u64 = 1;
const W: u64 = 2;
const U: u64 = 4;
const NX: u64 = 1 << 63;

impl Format for User {
    const TABLE: u64 = P | W | U;
    const TOP: u64 = 256;

    fn leaf(access: Access) -> u64 {
        P | U | if access.writable() { W } else { 0 } | if access.executable() { 0 } else { NX }
    }

    fn present(entry: u64) -> bool {
        entry & P != 0
    }

    fn access(entry: u64) -> Access {
        Access(1 | entry & W | if entry & NX == 0 { 4 } else { 0 })
    }
}

/// A guest's tables: EPT (SDM Vol. 3C, 28.3), write-back memory.
pub struct Ept;

impl Format for Ept {
    const TABLE: u64 = 7;
    const TOP: u64 = 512;

    fn leaf(access: Access) -> u64 {
        access.0 | 6 << 3
    }

    fn present(entry: u64) -> bool {
        entry & 7 != 0
    }

    fn access(entry: u64) -> Access {
        Access(entry & 7)
    }
}

/// The bit of a level-2 entry that maps a large page instead of pointing to a table; only guests have such.
const SIZE: u64 = 1 << 7;

/// The address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// A mapped page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Its physical address.
    pub physical: u64,
    /// Its rights.
    pub access: Access,
}

/// Why a page was not mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// Something is mapped there.
    Mapped,
    /// The address belongs to the kernel.
    Outside,
    /// No frame for a table.
    NoTable,
}

fn slot(table: u64, address: u64, level: u32) -> u64 {
    table + (address >> (12 + 9 * (level - 1)) & 511) * 8
}

/// Whether an address belongs to the mapped side: a task's tables lead to the kernel's half too.
fn inside<F: Format>(address: u64) -> bool {
    address < F::TOP << 39
}

/// The place of the entry that maps an address or could, and its level: 1, or 2 where there is a large page.
fn find<F: Format>(platform: &impl Platform, root: u64, address: u64) -> Option<(u64, u32)> {
    if !inside::<F>(address) {
        return None;
    }
    let mut table = root;
    for level in [4, 3, 2] {
        let place = slot(table, address, level);
        let entry = platform.load(place);
        if !F::present(entry) {
            return None;
        }
        if level == 2 && entry & SIZE != 0 {
            return Some((place, level));
        }
        table = entry & ADDRESS;
    }
    Some((slot(table, address, 1), 1))
}

/// What is mapped at `address`.
pub fn lookup<F: Format>(platform: &impl Platform, root: u64, address: u64) -> Option<Leaf> {
    let (place, level) = find::<F>(platform, root, address)?;
    let entry = platform.load(place);
    let offset = if level == 2 { (address % LARGE) & ADDRESS } else { 0 };
    F::present(entry).then(|| Leaf { physical: (entry & ADDRESS) + offset, access: F::access(entry) })
}

/// The large page that `address` lies in.
pub fn lookup_large<F: Format>(platform: &impl Platform, root: u64, address: u64) -> Option<Leaf> {
    let (place, level) = find::<F>(platform, root, address)?;
    let entry = platform.load(place);
    (level == 2).then(|| Leaf { physical: entry & ADDRESS, access: F::access(entry) })
}

/// Maps a large page, aligned on both sides; `table` yields the addresses of frames for tables.
pub fn map_large<F: Format>(
    platform: &mut impl Platform,
    root: u64,
    address: u64,
    leaf: Leaf,
    table: impl FnMut() -> Option<u64>,
) -> Result<(), MapError> {
    put::<F>(platform, root, address, (2, leaf.physical | F::leaf(leaf.access) | SIZE), table)
}

/// Unmaps a large page.
pub fn unmap_large<F: Format>(platform: &mut impl Platform, root: u64, address: u64) -> Option<Leaf> {
    let leaf = lookup_large::<F>(platform, root, address)?;
    let (place, _) = find::<F>(platform, root, address)?;
    platform.store(place, 0);
    Some(leaf)
}

/// Maps the pages of a large page one by one, in `table`.
pub fn split<F: Format>(platform: &mut impl Platform, root: u64, address: u64, table: u64) -> Option<()> {
    let leaf = lookup_large::<F>(platform, root, address)?;
    let (place, _) = find::<F>(platform, root, address)?;
    for index in 0..PAGE / 8 {
        platform.store(table + index * 8, (leaf.physical + index * PAGE) | F::leaf(leaf.access));
    }
    platform.store(place, table | F::TABLE);
    Some(())
}

/// Maps a page; `table` yields the addresses of frames for tables.
pub fn map<F: Format>(
    platform: &mut impl Platform,
    root: u64,
    address: u64,
    leaf: Leaf,
    table: impl FnMut() -> Option<u64>,
) -> Result<(), MapError> {
    put::<F>(platform, root, address, (1, leaf.physical | F::leaf(leaf.access)), table)
}

/// Stores an entry at its level where there is none.
fn put<F: Format>(
    platform: &mut impl Platform,
    root: u64,
    address: u64,
    (level, entry): (u32, u64),
    mut table: impl FnMut() -> Option<u64>,
) -> Result<(), MapError> {
    if !inside::<F>(address) {
        return Err(MapError::Outside);
    }
    let mut at = root;
    for above in (level + 1..=4).rev() {
        let place = slot(at, address, above);
        let entry = platform.load(place);
        at = if !F::present(entry) {
            let new = table().ok_or(MapError::NoTable)?;
            platform.clear_page(new);
            platform.store(place, new | F::TABLE);
            new
        } else if above == 2 && entry & SIZE != 0 {
            return Err(MapError::Mapped);
        } else {
            entry & ADDRESS
        };
    }
    let place = slot(at, address, level);
    if F::present(platform.load(place)) {
        return Err(MapError::Mapped);
    }
    platform.store(place, entry);
    Ok(())
}

/// Unmaps a page and says what it was; not one in a large page. The caller flushes translations before the frame is used
/// again.
pub fn unmap<F: Format>(platform: &mut impl Platform, root: u64, address: u64) -> Option<Leaf> {
    let leaf = lookup::<F>(platform, root, address)?;
    let (place, _) = find::<F>(platform, root, address).filter(|(_, level)| *level == 1)?;
    platform.store(place, 0);
    Some(leaf)
}

/// What [`dismantle`] finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece {
    /// A mapped page.
    Page(u64),
    /// A mapped large page.
    Large(u64),
    /// A table that nothing points to any more.
    Table(u64),
}

/// Takes an address space apart, the root last.
pub fn dismantle<F: Format>(platform: &mut impl Platform, root: u64, mut each: impl FnMut(Piece)) {
    let entries = |table: u64, count: u64, each: &mut dyn FnMut(u64)| {
        for index in 0..count {
            let entry = platform.load(table + index * 8);
            if F::present(entry) {
                each(entry);
            }
        }
    };
    entries(root, F::TOP, &mut |directory| {
        let directory = directory & ADDRESS;
        entries(directory, PAGE / 8, &mut |middle| {
            let middle = middle & ADDRESS;
            entries(middle, PAGE / 8, &mut |table| {
                if table & SIZE != 0 {
                    return each(Piece::Large(table & ADDRESS));
                }
                let table = table & ADDRESS;
                entries(table, PAGE / 8, &mut |page| each(Piece::Page(page & ADDRESS)));
                each(Piece::Table(table));
            });
            each(Piece::Table(middle));
        });
        each(Piece::Table(directory));
    });
    each(Piece::Table(root));
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::Machine;
    use std::vec::Vec;

    /// Frames for tables, from the third on.
    fn tables() -> impl FnMut() -> Option<u64> {
        let mut next = (2..).map(|number| number * PAGE);
        move || next.next()
    }

    fn walk<F: Format>() {
        let mut machine = Machine::new(16);
        let mut table = tables();
        let leaf = Leaf { physical: 0x5000_0000, access: Access::WRITE };
        map::<F>(&mut machine, PAGE, 0x7f_1234_5000, leaf, &mut table).unwrap();
        assert_eq!(lookup::<F>(&machine, PAGE, 0x7f_1234_5000), Some(leaf));
        assert_eq!(lookup::<F>(&machine, PAGE, 0x7f_1234_6000), None);
        assert_eq!(lookup::<F>(&machine, PAGE, 0x7e_1234_5000), None);
        assert_eq!(map::<F>(&mut machine, PAGE, 0x7f_1234_5000, leaf, &mut table), Err(MapError::Mapped));
        assert_eq!(map::<F>(&mut machine, PAGE, 0x1_0000, leaf, || None), Err(MapError::NoTable));
        let mut pieces = Vec::new();
        dismantle::<F>(&mut machine, PAGE, |piece| pieces.push(piece));
        assert_eq!(pieces[0], Piece::Page(0x5000_0000));
        assert_eq!(pieces.last(), Some(&Piece::Table(PAGE)));
        assert_eq!(pieces.len(), 5);
        assert_eq!(unmap::<F>(&mut machine, PAGE, 0x7f_1234_5000), Some(leaf));
        assert_eq!(unmap::<F>(&mut machine, PAGE, 0x7f_1234_5000), None);
    }

    #[test]
    fn what_is_mapped_is_found_and_what_is_unmapped_is_not() {
        walk::<User>();
        walk::<Ept>();
    }

    #[test]
    fn a_large_page_is_found_at_every_address_and_split_into_the_same() {
        let mut machine = Machine::new(16);
        let mut table = tables();
        let leaf = Leaf { physical: 0x4020_0000, access: Access::GUEST };
        map_large::<Ept>(&mut machine, PAGE, 0x60_0000, leaf, &mut table).unwrap();
        let third = Leaf { physical: 0x4020_3000, ..leaf };
        assert_eq!(lookup::<Ept>(&machine, PAGE, 0x60_3000), Some(third));
        let page = Leaf { physical: 0x5000, ..leaf };
        assert_eq!(map::<Ept>(&mut machine, PAGE, 0x60_3000, page, &mut table), Err(MapError::Mapped));
        assert_eq!(map_large::<Ept>(&mut machine, PAGE, 0x60_0000, leaf, &mut table), Err(MapError::Mapped));
        assert_eq!(unmap::<Ept>(&mut machine, PAGE, 0x60_3000), None, "not without a split");
        let mut pieces = Vec::new();
        dismantle::<Ept>(&mut machine, PAGE, |piece| pieces.push(piece));
        assert_eq!(pieces[0], Piece::Large(0x4020_0000));
        assert_eq!(pieces.len(), 4);
        split::<Ept>(&mut machine, PAGE, 0x60_3000, 10 * PAGE).unwrap();
        assert_eq!(lookup_large::<Ept>(&machine, PAGE, 0x60_3000), None);
        assert_eq!(unmap::<Ept>(&mut machine, PAGE, 0x60_3000), Some(third));
        assert_eq!(lookup::<Ept>(&machine, PAGE, 0x60_3000), None);
        assert_eq!(lookup::<Ept>(&machine, PAGE, 0x7f_f000).unwrap().physical, 0x403f_f000);
        let beside = map_large::<Ept>(&mut machine, PAGE, 0x60_0000, leaf, &mut table);
        assert_eq!(beside, Err(MapError::Mapped), "a table is there");
        map_large::<Ept>(&mut machine, PAGE, 0x80_0000, leaf, &mut table).unwrap();
        assert_eq!(unmap_large::<Ept>(&mut machine, PAGE, 0x80_0000), Some(leaf));
        assert_eq!(lookup::<Ept>(&machine, PAGE, 0x80_0000), None);
    }

    #[test]
    fn the_kernels_half_is_not_there() {
        let mut machine = Machine::new(16);
        let kernel = 0xffff_8000_0000_0000;
        machine.store(PAGE + 256 * 8, 0x2000 | 3);
        machine.store(0x2000, 0x3000 | 3);
        machine.store(0x3000, 0x4000 | 3);
        machine.store(0x4000, 0x5000 | 3);
        assert_eq!(lookup::<User>(&machine, PAGE, kernel), None);
        assert_eq!(unmap::<User>(&mut machine, PAGE, kernel), None);
        let leaf = Leaf { physical: 0, access: Access::READ };
        assert_eq!(map::<User>(&mut machine, PAGE, kernel + PAGE, leaf, || None), Err(MapError::Outside));
    }

    #[test]
    fn user_pages_are_executable_only_when_asked() {
        assert_eq!(User::leaf(Access::READ), NX | U | P);
        assert_eq!(User::leaf(Access::WRITE), NX | U | W | P);
        assert_eq!(User::leaf(Access::EXECUTE), U | P);
    }

    #[test]
    fn guest_pages_are_write_back() {
        assert_eq!(Ept::leaf(Access::GUEST), 0x37);
        assert_eq!(Ept::leaf(Access::READ), 0x31);
    }
}
