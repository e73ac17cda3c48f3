//! ELF files, 32 and 64 bit, little-endian x86 (System V ABI, Edition 4.1, chapters 4 and 5; its AMD64 supplement).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::LoadError;
use crate::bytes::{read, slice};
use crate::plan::Draft;

/// The first four bytes.
pub const MAGIC: [u8; 4] = *b"\x7fELF";

const EXECUTABLE: u16 = 2;
const SHARED: u16 = 3;
const I386: u16 = 3;
const X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// More segments than this have no kernel, and would make checks slow.
const MAX_SEGMENTS: u16 = 1024;

macro_rules! layouts {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* $(,)? })*) => {
        $($(#[$doc])* #[derive(FromBytes, Immutable, KnownLayout, Clone, Copy)]
        #[repr(C)]
        #[allow(dead_code)] // the fields are the format's, not all are asked for
        struct $name { $($field: $ty),* })*
    };
}

layouts! {
    /// What comes before the fields whose size depends on the class.
    Ident { magic: [u8; 4], class: u8, data: u8, version: u8, rest: [u8; 9], kind: U16, machine: U16, revision: U32 }
    /// The rest of a 32-bit header.
    Header32 { entry: U32, phoff: U32, shoff: U32, flags: U32, ehsize: U16, phentsize: U16, phnum: U16, shentsize: U16,
        shnum: U16, shstrndx: U16 }
    /// The rest of a 64-bit header.
    Header64 { entry: U64, phoff: U64, shoff: U64, flags: U32, ehsize: U16, phentsize: U16, phnum: U16, shentsize: U16,
        shnum: U16, shstrndx: U16 }
    Program32 { kind: U32, offset: U32, vaddr: U32, paddr: U32, filesz: U32, memsz: U32, flags: U32, align: U32 }
    Program64 { kind: U32, flags: U32, offset: U64, vaddr: U64, paddr: U64, filesz: U64, memsz: U64, align: U64 }
}

/// A program header of either class.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    kind: u32,
    offset: u64,
    vaddr: u64,
    paddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}

impl From<Program32> for Segment {
    fn from(p: Program32) -> Segment {
        Segment {
            kind: p.kind.get(),
            offset: p.offset.get().into(),
            vaddr: p.vaddr.get().into(),
            paddr: p.paddr.get().into(),
            filesz: p.filesz.get().into(),
            memsz: p.memsz.get().into(),
            align: p.align.get().into(),
        }
    }
}

impl From<Program64> for Segment {
    fn from(p: Program64) -> Segment {
        Segment {
            kind: p.kind.get(),
            offset: p.offset.get(),
            vaddr: p.vaddr.get(),
            paddr: p.paddr.get(),
            filesz: p.filesz.get(),
            memsz: p.memsz.get(),
            align: p.align.get(),
        }
    }
}

/// Where the section headers are.
#[derive(Clone, Copy, Debug)]
pub struct Sections {
    /// Their file offset.
    pub offset: u64,
    /// How many.
    pub count: u16,
    /// The bytes of each.
    pub size: u16,
    /// The one that holds the sections' names.
    pub names: u16,
}

/// A checked ELF file.
pub struct Elf<'a> {
    image: &'a [u8],
    /// 64-bit fields.
    pub wide: bool,
    entry: u64,
    segments: Vec<Segment>,
    /// The section headers, if there are any.
    pub sections: Option<Sections>,
}

fn malformed<T>(what: &str, value: u64, why: &'static str) -> Result<T, LoadError> {
    Err(LoadError::Malformed { what: what.into(), value, why })
}

fn unsupported<T>(what: String, remedy: &'static str) -> Result<T, LoadError> {
    Err(LoadError::Unsupported { what, remedy })
}

impl<'a> Elf<'a> {
    /// Reads the headers.
    pub fn parse(image: &'a [u8]) -> Result<Elf<'a>, LoadError> {
        let ident: Ident = read(image, "the ELF header", 0)?;
        if ident.magic != MAGIC {
            return malformed(
                "the ELF magic",
                u32::from_be_bytes(ident.magic).into(),
                "it should be 7f 45 4c 46",
            );
        }
        if ident.data != 1 {
            return malformed("the ELF byte order", ident.data.into(), "x86 kernels are little-endian (1)");
        }
        match ident.kind.get() {
            EXECUTABLE | SHARED => {}
            1 => return unsupported("it is an object file, not yet linked".into(), "give the linked kernel"),
            kind => return malformed("the ELF type", kind.into(), "a kernel is an executable (2)"),
        }
        if !matches!(ident.machine.get(), I386 | X86_64) {
            let what = format!("it is an ELF file for machine {}, not for x86", ident.machine.get());
            return unsupported(what, "build it for i386 or x86-64");
        }
        let at = size_of::<Ident>() as u64;
        let (wide, h) = match ident.class {
            1 => {
                let h: Header32 = read(image, "the ELF header", at)?;
                let wide = Header64 {
                    entry: U64::new(h.entry.get().into()),
                    phoff: U64::new(h.phoff.get().into()),
                    shoff: U64::new(h.shoff.get().into()),
                    flags: h.flags,
                    ehsize: h.ehsize,
                    phentsize: h.phentsize,
                    phnum: h.phnum,
                    shentsize: h.shentsize,
                    shnum: h.shnum,
                    shstrndx: h.shstrndx,
                };
                (false, wide)
            }
            2 => (true, read(image, "the ELF header", at)?),
            class => {
                return malformed("the ELF class", class.into(), "it should be 1 (32 bit) or 2 (64 bit)");
            }
        };
        let sections = (h.shnum.get() != 0).then(|| Sections {
            offset: h.shoff.get(),
            count: h.shnum.get(),
            size: h.shentsize.get(),
            names: h.shstrndx.get(),
        });
        let segments = program_headers(image, wide, &h)?;
        Ok(Elf { image, wide, entry: h.entry.get(), segments, sections })
    }

    /// The segments to load, by number.
    fn loadable(&self) -> impl Iterator<Item = (usize, &Segment)> {
        self.segments.iter().enumerate().filter(|(_, s)| s.kind == PT_LOAD && s.memsz != 0)
    }

    /// The contents of the note segments, with the alignment of notes in them.
    pub fn notes(&self) -> impl Iterator<Item = Result<(&'a [u8], u64), LoadError>> + '_ {
        self.segments.iter().enumerate().filter(|(_, s)| s.kind == PT_NOTE).map(|(i, s)| {
            let align = if s.align == 8 { 8 } else { 4 };
            Ok((slice(self.image, format!("note segment {i}"), s.offset, s.filesz)?, align))
        })
    }

    /// The first and the last physical address of what is loaded.
    pub fn span(&self) -> Result<(u64, u64), LoadError> {
        let mut span: Option<(u64, u64)> = None;
        for (i, s) in self.loadable() {
            let Some(last) = s.paddr.checked_add(s.memsz - 1) else {
                let what = format!("the size in memory of segment {i}");
                return malformed(&what, s.memsz, "the segment runs past the end of the address space");
            };
            span = Some(span.map_or((s.paddr, last), |(a, b)| (a.min(s.paddr), b.max(last))));
        }
        span.ok_or_else(|| LoadError::Unsupported {
            what: "the ELF file has no segment to load (PT_LOAD)".into(),
            remedy: "link it as an executable with program headers",
        })
    }

    /// The entry point as a physical address: kernels linked high give a virtual one.
    pub fn entry(&self) -> Result<u64, LoadError> {
        let virt = self.loadable().find(|(_, s)| self.entry.wrapping_sub(s.vaddr) < s.memsz);
        let phys = self.loadable().find(|(_, s)| self.entry.wrapping_sub(s.paddr) < s.memsz);
        match (virt, phys) {
            (Some((_, s)), _) => Ok((self.entry - s.vaddr).wrapping_add(s.paddr)),
            (None, Some(_)) => Ok(self.entry),
            (None, None) => malformed("the entry point", self.entry, "it lies in no segment that is loaded"),
        }
    }

    /// Whether a physical address is loaded.
    pub fn holds(&self, at: u64) -> bool {
        self.loadable().any(|(_, s)| at.wrapping_sub(s.paddr) < s.memsz)
    }

    /// Gives every segment its physical place, `shift` further up than it says.
    pub fn place(&self, shift: u64, draft: &mut Draft<'a>) -> Result<(), LoadError> {
        self.span()?;
        for (i, s) in self.loadable() {
            let what = format!("segment {i} of the kernel");
            if s.filesz > s.memsz {
                let what = format!("the file size of segment {i}");
                return malformed(&what, s.filesz, "it is larger than the segment in memory");
            }
            let bytes = slice(self.image, what.clone(), s.offset, s.filesz)?;
            let at = s.paddr.wrapping_add(shift);
            draft.space.claim(what, at, s.memsz)?;
            draft.put_padded(at, s.memsz, bytes);
        }
        Ok(())
    }
}

fn program_headers(image: &[u8], wide: bool, h: &Header64) -> Result<Vec<Segment>, LoadError> {
    let (count, size) = (h.phnum.get(), h.phentsize.get());
    if count > MAX_SEGMENTS {
        return malformed("the number of program headers", count.into(), "no kernel has more than 1024");
    }
    let want = if wide { size_of::<Program64>() } else { size_of::<Program32>() } as u16;
    if count != 0 && size != want {
        return malformed("the size of a program header", size.into(), "it does not go with the ELF class");
    }
    let at = |i: u16| {
        let offset = h.phoff.get().saturating_add(u64::from(i) * u64::from(size));
        let what = format!("program header {i}");
        if wide {
            read::<Program64>(image, what, offset).map(Segment::from)
        } else {
            read::<Program32>(image, what, offset).map(Segment::from)
        }
    };
    (0..count).map(at).collect()
}
