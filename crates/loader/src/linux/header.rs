//! The setup header, from byte 0x1f1 on.

use alloc::format;
use alloc::string::String;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::LoadError;
use crate::bytes::{read, slice};
use crate::space::FOUR_GIB;

/// Where the header begins.
pub const START: u64 = 0x1f1;
/// The first byte after the jump instruction; the jump's distance counts from here to the header's end.
const AFTER_JUMP: u64 = 0x202;
/// What the fixed part of a zero page has room for.
pub const MAX_END: u64 = 0x290;

/// loadflags: the protected-mode code is loaded at 1 MiB.
const LOADED_HIGH: u8 = 1;
/// xloadflags: there is a 64-bit entry point.
const KERNEL_64: u16 = 1;

/// Protocol versions that brought a field.
const V2_02: u16 = 0x202;
const V2_03: u16 = 0x203;
const V2_04: u16 = 0x204;
const V2_05: u16 = 0x205;
const V2_06: u16 = 0x206;
const V2_10: u16 = 0x20a;
const V2_12: u16 = 0x20c;

/// The fields, all of them; older kernels end earlier, and what lies there then is not looked at.
#[derive(FromBytes, Immutable, KnownLayout, Clone, Copy)]
#[repr(C)]
#[allow(dead_code)] // the fields are the format's, not all are asked for
struct Fields {
    setup_sects: u8,
    root_flags: U16,
    syssize: U32,
    ram_size: U16,
    vid_mode: U16,
    root_dev: U16,
    boot_flag: U16,
    jump: [u8; 2],
    magic: [u8; 4],
    version: U16,
    realmode_swtch: U32,
    start_sys_seg: U16,
    kernel_version: U16,
    type_of_loader: u8,
    loadflags: u8,
    setup_move_size: U16,
    code32_start: U32,
    ramdisk_image: U32,
    ramdisk_size: U32,
    bootsect_kludge: U32,
    heap_end_ptr: U16,
    ext_loader: [u8; 2],
    cmd_line_ptr: U32,
    initrd_addr_max: U32,
    kernel_alignment: U32,
    relocatable: u8,
    min_alignment: u8,
    xloadflags: U16,
    cmdline_size: U32,
    hardware_subarch: U32,
    hardware_subarch_data: U64,
    payload_offset: U32,
    payload_length: U32,
    setup_data: U64,
    pref_address: U64,
    init_size: U32,
    handover_offset: U32,
}

/// A checked setup header.
pub struct Header<'a> {
    image: &'a [u8],
    fields: Fields,
    version: u16,
}

impl<'a> Header<'a> {
    /// Reads and checks it.
    pub fn parse(image: &'a [u8]) -> Result<Header<'a>, LoadError> {
        // The file may be shorter than the newest header, but not than the oldest kernel.
        let mut bytes = [0; size_of::<Fields>()];
        let rest =
            slice(image, "the setup header", START, image.len() as u64 - START.min(image.len() as u64))?;
        let n = rest.len().min(bytes.len());
        if let (Some(to), Some(from)) = (bytes.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        let fields: Fields = read(&bytes, "the setup header", 0)?;
        let version = fields.version.get();
        if !(0x200..0x300).contains(&version) {
            return Err(LoadError::Malformed {
                what: "the version of the Linux boot protocol".into(),
                value: version.into(),
                why: "it should be 2.00 (0x200) or later; older kernels need a boot loader of their time",
            });
        }
        let header = Header { image, fields, version };
        header.setup()?;
        Ok(header)
    }

    fn since<T>(&self, version: u16, value: T) -> Option<T> {
        (self.version >= version).then_some(value)
    }

    /// Whether the protocol has a version or a later one.
    pub fn at_least(&self, version: u16) -> bool {
        self.version >= version
    }

    /// "2.15".
    pub fn version_text(&self) -> String {
        format!("{}.{:02}", self.version >> 8, self.version & 0xff)
    }

    /// The header's bytes, as far as the kernel says they go.
    pub fn bytes(&self) -> &'a [u8] {
        let end = (AFTER_JUMP + u64::from(self.fields.jump[1])).min(MAX_END);
        slice(self.image, "the setup header", START, end - START).unwrap_or_default()
    }

    /// The boot sector and the setup code.
    pub fn setup(&self) -> Result<&'a [u8], LoadError> {
        slice(self.image, "the setup code", 0, self.setup_len())
    }

    fn setup_len(&self) -> u64 {
        let sectors = match self.fields.setup_sects {
            0 => 4,
            n => u64::from(n),
        };
        (sectors + 1) * 512
    }

    /// The protected-mode part.
    pub fn code(&self) -> Result<&'a [u8], LoadError> {
        let rest = (self.image.len() as u64).saturating_sub(self.setup_len());
        // syssize counts paragraphs, 16 bits of it in old protocols: then the file's end is the code's.
        let promised = match self.since(V2_04, u64::from(self.fields.syssize.get()) * 16) {
            Some(len) if len > rest.next_multiple_of(16) => len,
            _ => rest,
        };
        if promised == 0 {
            return Err(LoadError::Truncated {
                what: "the kernel behind its setup code".into(),
                offset: self.setup_len(),
                len: 1,
                size: self.image.len() as u64,
            });
        }
        slice(self.image, "the kernel behind its setup code", self.setup_len(), promised)
    }

    /// bzImage, as opposed to zImage.
    pub fn loaded_high(&self) -> bool {
        self.fields.loadflags & LOADED_HIGH != 0
    }

    /// Whether there is a 64-bit entry point.
    pub fn has_64_bit_entry(&self) -> bool {
        self.loaded_high()
            && self.since(V2_12, self.fields.xloadflags.get()).is_some_and(|f| f & KERNEL_64 != 0)
    }

    /// Whether it runs at other addresses than the preferred one.
    pub fn relocatable(&self) -> bool {
        self.since(V2_05, self.fields.relocatable != 0) == Some(true)
    }

    /// The alignment of other addresses.
    pub fn alignment(&self) -> Result<u64, LoadError> {
        let align = u64::from(self.fields.kernel_alignment.get());
        if !align.is_power_of_two() {
            return Err(LoadError::Malformed {
                what: "the kernel's alignment".into(),
                value: align,
                why: "it should be a power of two; the file is damaged",
            });
        }
        Ok(align)
    }

    /// Where it runs best.
    pub fn preferred(&self) -> Option<u64> {
        self.since(V2_10, self.fields.pref_address.get())
    }

    /// How much memory from its address on it needs before it has found out about memory.
    pub fn room(&self) -> Result<u64, LoadError> {
        let file = self.code()?.len() as u64;
        let init = self.since(V2_10, u64::from(self.fields.init_size.get())).unwrap_or(0);
        Ok(init.max(file))
    }

    /// The first address that the initial RAM disk may not touch.
    pub fn initrd_end(&self) -> u64 {
        let max = self.since(V2_03, u64::from(self.fields.initrd_addr_max.get())).unwrap_or(0x37ff_ffff);
        (max + 1).min(FOUR_GIB)
    }

    /// The longest command line, without its zero byte.
    pub fn max_command_line(&self) -> u64 {
        match self.since(V2_06, u64::from(self.fields.cmdline_size.get())) {
            Some(0) | None => 255,
            Some(max) => max,
        }
    }

    /// Whether the command line is told by a 32-bit pointer.
    pub fn has_command_line_pointer(&self) -> bool {
        self.at_least(V2_02)
    }
}
