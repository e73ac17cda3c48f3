//! The memory map against a table of pages.

use std::sync::Arc;

use hako_mem::{Gpa, GuestMemory, MemoryMap, PAGE_SIZE, Region, RegionKind, Slab, SlabOffset};

use crate::input::Input;

/// Pages in the table; the map itself has no such end.
const PAGES: u64 = 32;
/// Pages in the slab: regions may point past it.
const SLAB_PAGES: u64 = 24;

/// What a page shows: its kind, and the page of the slab.
type Page = Option<(RegionKind, u64)>;

/// The simple thing that the map has to agree with.
struct Model {
    pages: [Page; PAGES as usize],
    slab: Vec<u8>,
}

impl Model {
    /// The byte of the slab behind an address, and whether it may be written.
    fn byte(&self, gpa: u64) -> Option<(usize, bool)> {
        let (kind, page) = (*self.pages.get((gpa / PAGE_SIZE) as usize)?)?;
        let at = (page * PAGE_SIZE + gpa % PAGE_SIZE) as usize;
        (at < self.slab.len()).then_some((at, kind == RegionKind::Ram))
    }

    /// The bytes of a range, if all of it is there (and writable).
    fn range(&self, gpa: u64, len: usize, write: bool) -> Option<Vec<usize>> {
        let byte = |i| self.byte(gpa.checked_add(i)?).filter(|b| b.1 || !write);
        (0..len as u64).map(|i| byte(i).map(|b| b.0)).collect()
    }
}

/// Plays a script.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let slab = Arc::new(Slab::heap(SLAB_PAGES * PAGE_SIZE));
    let mut memory = GuestMemory::new(slab, MemoryMap::new());
    let mut model = Model { pages: [None; PAGES as usize], slab: vec![0; (SLAB_PAGES * PAGE_SIZE) as usize] };
    while !input.is_empty() {
        match input.u8() % 8 {
            0 | 1 => map(&mut memory, &mut model, &mut input),
            2 => unmap(&mut memory, &mut model, &mut input),
            3 => wild(&mut memory, &mut input),
            4 | 5 => write(&memory, &mut model, &mut input),
            _ => read(&memory, &model, &mut input),
        }
        agree(memory.map(), &model);
    }
}

fn map(memory: &mut GuestMemory, model: &mut Model, input: &mut Input<'_>) {
    let first = u64::from(input.u8()) % PAGES;
    let len = 1 + u64::from(input.u8()) % (PAGES - first);
    let kind = input.pick(&[RegionKind::Ram, RegionKind::Ram, RegionKind::Rom]);
    let page = u64::from(input.u8()) % SLAB_PAGES;
    let mut map = memory.map().clone();
    let region = Region {
        gpa: Gpa(first * PAGE_SIZE),
        len: len * PAGE_SIZE,
        kind,
        offset: SlabOffset(page * PAGE_SIZE),
    };
    let before = map.generation();
    assert_eq!(map.map(region), Ok(()));
    assert!(map.generation() > before, "a change has to be seen");
    memory.set_map(map);
    for i in 0..len {
        model.pages[(first + i) as usize] = Some((kind, page + i));
    }
}

fn unmap(memory: &mut GuestMemory, model: &mut Model, input: &mut Input<'_>) {
    let first = u64::from(input.u8()) % PAGES;
    let len = 1 + u64::from(input.u8()) % (PAGES - first);
    let mut map = memory.map().clone();
    assert_eq!(map.unmap(Gpa(first * PAGE_SIZE), len * PAGE_SIZE), Ok(()));
    memory.set_map(map);
    model.pages[first as usize..(first + len) as usize].fill(None);
}

/// Regions that cannot be, and ones far away: refused without a change, or accepted and taken back.
fn wild(memory: &mut GuestMemory, input: &mut Input<'_>) {
    let mut map = memory.map().clone();
    let (gpa, len, offset) = (input.wild() | 1 << 40, input.wild(), input.wild());
    let region = Region { gpa: Gpa(gpa), len, kind: RegionKind::Ram, offset: SlabOffset(offset) };
    let aligned = (gpa | len | offset) % PAGE_SIZE == 0 && len != 0;
    let fits = gpa.checked_add(len).is_some() && offset.checked_add(len).is_some();
    let done = map.map(region);
    assert_eq!(done.is_ok(), aligned && fits, "{region:?}: {done:?}");
    if done.is_ok() {
        assert!(map.lookup(Gpa(gpa)).is_some_and(|hit| hit.left == len));
        assert_eq!(map.unmap(Gpa(gpa), len), Ok(()));
    }
    assert_eq!(map.regions(), memory.map().regions());
}

fn write(memory: &GuestMemory, model: &mut Model, input: &mut Input<'_>) {
    let gpa = address(input);
    let data = vec![input.u8(); usize::from(input.u16()) % 10_000];
    let expected = model.range(gpa, data.len(), true);
    assert_eq!(
        memory.write(Gpa(gpa), &data).is_ok(),
        expected.is_some(),
        "write of {} at {gpa:#x}",
        data.len()
    );
    for (at, byte) in expected.unwrap_or_default().into_iter().zip(data) {
        model.slab[at] = byte;
    }
}

fn read(memory: &GuestMemory, model: &Model, input: &mut Input<'_>) {
    let gpa = address(input);
    let mut data = vec![0xa5; usize::from(input.u16()) % 10_000];
    let done = memory.read(Gpa(gpa), &mut data);
    match model.range(gpa, data.len(), false) {
        Some(bytes) => assert!(bytes.iter().zip(&data).all(|(at, b)| model.slab[*at] == *b)),
        None => assert!(done.is_err() && data.iter().all(|b| *b == 0xa5), "a failed read changed its buffer"),
    }
}

fn address(input: &mut Input<'_>) -> u64 {
    let page = u64::from(input.u8()) % (PAGES + 2);
    if input.u8().is_multiple_of(16) {
        input.wild()
    } else {
        page * PAGE_SIZE + u64::from(input.u16()) % PAGE_SIZE
    }
}

/// The map is sorted, free of overlap, and shows what the model shows, to the end of each region.
fn agree(map: &MemoryMap, model: &Model) {
    assert!(map.regions().windows(2).all(|w| w[0].end() <= w[1].gpa.0));
    for (i, page) in model.pages.iter().enumerate() {
        let gpa = Gpa(i as u64 * PAGE_SIZE);
        let shown = map.lookup(gpa).map(|hit| (hit.kind, hit.offset.0 / PAGE_SIZE));
        assert_eq!(shown, *page, "page {gpa}");
        if let Some(hit) = map.lookup(gpa) {
            let last = map.lookup(Gpa(gpa.0 + hit.left - 1));
            assert_eq!(last.map(|l| l.offset.0), Some(hit.offset.0 + hit.left - 1));
        }
    }
}
