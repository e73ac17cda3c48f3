//! A small world for a CPU in each mode: memory with descriptor and page tables, and the state that goes with it.
//!
//! Everything lies in the first 128 KiB, one to one: tables below [`HANDLERS`], code at [`CODE`], data at [`DATA`].

use hako_mem::{Gpa, GuestMemory};
use hako_x86::descriptors::{Descriptor, Gate, Selector, SystemType};
use hako_x86::{CpuState, DescTable, Gpr, RFlags, SegAttr, SegReg, Segment, tss};

/// Bytes of RAM that the world takes.
pub const RAM: u64 = 0x2_0000;
/// The page tables: three or four levels of one page each; the last level maps the first 2 MiB in small pages.
pub const PAGE_TABLES: u64 = 0x1000;
/// The global descriptor table.
pub const GDT: u64 = 0x7000;
/// The interrupt descriptor table of protected and long mode.
pub const IDT: u64 = 0x7800;
/// The task state segment.
pub const TSS: u64 = 0x8000;
/// The top of the stacks; rings 1 and 2 have none.
pub const STACK: u64 = 0xa000;
/// Handlers, eight bytes for each vector.
pub const HANDLERS: u64 = 0xb000;
/// Code.
pub const CODE: u64 = 0x1_0000;
/// Data.
pub const DATA: u64 = 0x1_8000;

/// Selectors of the GDT.
pub mod selector {
    /// 16-bit code, base [`super::CODE`] & !0xffff.
    pub const CODE16: u16 = 0x08;
    /// 16-bit data.
    pub const DATA16: u16 = 0x10;
    /// Flat 32-bit code.
    pub const CODE32: u16 = 0x18;
    /// Flat 32-bit data.
    pub const DATA32: u16 = 0x20;
    /// 64-bit code.
    pub const CODE64: u16 = 0x28;
    /// Flat 32-bit code for ring 3.
    pub const USER_CODE32: u16 = 0x3b;
    /// Flat 32-bit data for ring 3.
    pub const USER_DATA32: u16 = 0x43;
    /// 64-bit code for ring 3.
    pub const USER_CODE64: u16 = 0x4b;
    /// The TSS, two entries in long mode.
    pub const TSS: u16 = 0x50;
    /// A call gate from ring 3 to the handler of vector 0.
    pub const CALL_GATE: u16 = 0x60;
}

/// What a CPU can be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Real mode.
    Real,
    /// Virtual-8086 mode under paging.
    V86,
    /// 16-bit protected mode.
    Protected16,
    /// 32-bit protected mode without paging.
    Protected32,
    /// 32-bit protected mode with two-level paging.
    Paged32,
    /// 32-bit protected mode with PAE paging.
    Pae32,
    /// Ring 3 of [`Mode::Paged32`].
    User32,
    /// 64-bit mode.
    Long,
    /// Ring 3 of [`Mode::Long`].
    UserLong,
    /// 32-bit code under long mode.
    Compat,
}

use Mode::{Compat, Long, Pae32, Paged32, Protected16, Protected32, Real, User32, UserLong, V86};

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 10] =
        [Real, V86, Protected16, Protected32, Paged32, Pae32, User32, Long, UserLong, Compat];

    /// Whether the CPU is in long mode.
    pub fn is_long(self) -> bool {
        matches!(self, Long | UserLong | Compat)
    }

    /// Whether it runs in ring 3.
    pub fn is_user(self) -> bool {
        matches!(self, V86 | User32 | UserLong)
    }

    fn is_paged(self) -> bool {
        !matches!(self, Real | Protected16 | Protected32)
    }

    /// The code segment's selector.
    fn code(self) -> u16 {
        match self {
            Real | V86 => (CODE >> 4) as u16,
            Protected16 => selector::CODE16,
            Protected32 | Paged32 | Pae32 | Compat => selector::CODE32,
            User32 => selector::USER_CODE32,
            Long => selector::CODE64,
            UserLong => selector::USER_CODE64,
        }
    }

    /// The data segments' selector.
    pub fn data(self) -> u16 {
        match self {
            Real | V86 => (CODE >> 4) as u16,
            Protected16 => selector::DATA16,
            User32 | UserLong => selector::USER_DATA32,
            _ => selector::DATA32,
        }
    }

    /// What an offset in the data segments has to be for a linear address.
    pub fn offset(self, linear: u64) -> u64 {
        if matches!(self, Real | V86 | Protected16) { linear.wrapping_sub(CODE) } else { linear }
    }
}

/// The GDT: bases, limits, rights. 16-bit segments begin at [`CODE`].
fn gdt(long: bool) -> [u64; 13] {
    let entry =
        |base: u64, limit, attr: u32| Descriptor::new(base as u32, limit, SegAttr::from_bits_retain(attr)).0;
    let tss = entry(TSS, 0xfff, 0x89);
    let target = if long { selector::CODE64 } else { selector::CODE32 };
    let gate = Gate { selector: Selector(target), offset: HANDLERS, params: 0 };
    [
        0,
        entry(CODE, 0xffff, 0x9b),
        entry(CODE, 0xffff, 0x93),
        entry(0, !0, 0xc09b),
        entry(0, !0, 0xc093),
        entry(0, !0, 0xa09b),
        entry(0, !0, 0xc093),
        entry(0, !0, 0xc0fb),
        entry(0, !0, 0xc0f3),
        entry(0, !0, 0xa0fb),
        tss,
        0,
        gate.encode(SystemType::CallGate32, 3, true).0,
    ]
}

/// Fills the tables that `mode` needs. `handlers` is the code of each vector's handler.
pub fn tables(mode: Mode, memory: &GuestMemory, handlers: &[u8; 8]) {
    let store = |at: u64, value: u64| assert!(memory.store(Gpa(at), value).is_ok());
    for (i, entry) in gdt(mode.is_long()).into_iter().enumerate() {
        store(GDT + 8 * i as u64, entry);
    }
    for vector in 0..32 {
        let handler = HANDLERS + 8 * vector;
        store(handler, u64::from_le_bytes(*handlers));
        let code = if mode.is_long() { selector::CODE64 } else { selector::CODE32 };
        let gate = Gate { selector: Selector(code), offset: handler, params: 0 };
        let entry = gate.encode(SystemType::InterruptGate32, 3, true).0;
        match mode {
            // The vector table: offset, segment.
            Real => assert!(memory.store(Gpa(4 * vector), handler as u32).is_ok()),
            _ if mode.is_long() => store(IDT + 16 * vector, entry),
            _ => store(IDT + 8 * vector, entry),
        }
    }
    if mode.is_long() {
        store(TSS + u64::from(tss::rsp64(0)), STACK);
    } else {
        store(TSS + u64::from(tss::TSS32.sp(0)), STACK);
        store(TSS + u64::from(tss::TSS32.ss(0)), selector::DATA32.into());
    }
    store(TSS + u64::from(tss::IO_MAP_BASE), 0xfff);
    pages(mode, store);
}

/// Present, writable, for everybody.
const PAGE: u64 = 7;

fn pages(mode: Mode, store: impl Fn(u64, u64)) {
    let level = |n: u64| PAGE_TABLES + n * 0x1000;
    let leaf = level(3);
    match mode {
        _ if mode.is_long() => {
            for n in 0..3 {
                store(level(n), level(n + 1) | PAGE);
            }
        }
        // Without the bits that PAE has no place for in its first level.
        Pae32 => {
            store(level(0), level(2) | 1);
            store(level(2), leaf | PAGE);
        }
        _ => store(level(0), leaf | PAGE),
    }
    for n in 0..512 {
        match mode {
            Pae32 | Long | UserLong | Compat => store(leaf + 8 * n, n << 12 | PAGE),
            _ => store(leaf + 8 * n, ((2 * n) << 12 | PAGE) | ((2 * n + 1) << 12 | PAGE) << 32),
        }
    }
}

/// The state in which the CPU is about to execute what is at [`CODE`], with tables from [`tables`].
pub fn state(mode: Mode) -> CpuState {
    let mut s = CpuState::reset();
    let load = |selector: u16| match mode {
        Real => Segment::real(selector),
        // Ring 3, as every segment of virtual-8086 mode.
        V86 => Segment { attr: SegAttr::from_bits_retain(0xf3), ..Segment::real(selector) },
        _ => Descriptor(gdt(mode.is_long())[usize::from(selector >> 3)]).segment(selector),
    };
    s.seg = [load(mode.data()); 6];
    s.seg[SegReg::Cs as usize] = load(mode.code());
    s.rip = mode.offset(CODE);
    s.rflags = RFlags::FIXED;
    s.gpr = [0; 16];
    s.gpr[Gpr::Rsp as usize] = if matches!(mode, Real | V86 | Protected16) { 0xfff0 } else { STACK - 0x800 };
    if mode == Real {
        s.seg[SegReg::Cs as usize].attr = SegAttr::from_bits_retain(0x9b);
        s.idtr = DescTable { base: 0, limit: 0x3ff };
        s.cr0 = 0x10;
        return s;
    }
    s.gdtr = DescTable { base: GDT, limit: 0x67 };
    s.idtr = DescTable { base: IDT, limit: if mode.is_long() { 0x1ff } else { 0xff } };
    s.tr =
        Segment { selector: selector::TSS, base: TSS, limit: 0xfff, attr: SegAttr::from_bits_retain(0x8b) };
    s.ldtr = Segment { attr: SegAttr::UNUSABLE, ..Segment::default() };
    s.cr0 = 0x11;
    s.cr3 = PAGE_TABLES;
    if mode.is_paged() {
        s.cr0 |= 1 << 31;
    }
    match mode {
        V86 => s.rflags |= RFlags::VM | RFlags::IOPL,
        Pae32 => s.cr4 = 1 << 5,
        _ if mode.is_long() => (s.cr4, s.efer) = (1 << 5, 0x500),
        _ => {}
    }
    s
}
