//! The BIOS data area at 0040:0000 and the extended one at the top of low memory: all that the services remember.

use hako_mem::{Gpa, Word};

use crate::call::Call;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $ty:ty = $at:expr;)*) => {
        $($(#[$doc])* pub(crate) const $name: Field<$ty> = Field($at, core::marker::PhantomData);)*
    };
}

/// A field of the BIOS data area by its offset.
pub(crate) struct Field<T>(pub u16, core::marker::PhantomData<T>);

impl<T: Word> Field<T> {
    /// Its physical address.
    pub const fn gpa(&self) -> Gpa {
        Gpa(0x400 + self.0 as u64)
    }
    /// Its value.
    pub fn get(&self, call: &mut Call<'_>) -> T {
        call.load(self.gpa())
    }
    /// Replaces it.
    pub fn set(&self, call: &mut Call<'_>, value: T) {
        call.store(self.gpa(), value);
    }
}

fields! {
    /// Ports of COM1 to COM4.
    COM_PORTS: u64 = 0x00;
    /// Segment of the EBDA.
    EBDA_SEGMENT: u16 = 0x0e;
    /// Equipment word (INT 11h).
    EQUIPMENT: u16 = 0x10;
    /// Low memory in KiB (INT 12h).
    MEMORY_KB: u16 = 0x13;
    /// Shift keys and locks, byte 1 and 2.
    SHIFT_FLAGS: u16 = 0x17;
    /// The number typed with Alt and the keypad.
    ALT_NUMBER: u8 = 0x19;
    /// Where the next key is taken from.
    KEY_HEAD: u16 = 0x1a;
    /// Where the next key is put.
    KEY_TAIL: u16 = 0x1c;
    /// Interrupts seen from the floppy controller.
    FLOPPY_SEEK: u8 = 0x3e;
    /// Motors that run.
    FLOPPY_MOTORS: u8 = 0x3f;
    /// Ticks until motors stop.
    FLOPPY_TIMEOUT: u8 = 0x40;
    /// Status of the last floppy function.
    FLOPPY_STATUS: u8 = 0x41;
    /// Video mode.
    VIDEO_MODE: u8 = 0x49;
    /// Bytes in a video page.
    PAGE_SIZE: u16 = 0x4c;
    /// Where the visible page begins.
    PAGE_START: u16 = 0x4e;
    /// Cursor positions of 8 pages: column, row.
    CURSORS: u16 = 0x50;
    /// Cursor shape: last line, first line.
    CURSOR_SHAPE: u16 = 0x60;
    /// The visible page.
    PAGE: u8 = 0x62;
    /// The CRTC's port.
    CRTC_PORT: u16 = 0x63;
    /// Timer ticks since midnight.
    TICKS: u32 = 0x6c;
    /// Midnight has passed.
    MIDNIGHT: u8 = 0x70;
    /// Bit 7: Ctrl-Break was pressed.
    BREAK: u8 = 0x71;
    /// 1234h: the next reset is a warm one.
    RESET_FLAG: u16 = 0x72;
    /// Status of the last hard-disk function.
    DISK_STATUS: u8 = 0x74;
    /// Number of hard disks.
    DISK_COUNT: u8 = 0x75;
    /// Begin of the keyboard buffer.
    KEY_BUFFER: u16 = 0x80;
    /// End of the keyboard buffer.
    KEY_BUFFER_END: u16 = 0x82;
    /// Text rows less one.
    ROWS_LESS_1: u8 = 0x84;
    /// Scan lines in a character.
    CHAR_HEIGHT: u16 = 0x85;
    /// Video options, bit 7: do not clear.
    VIDEO_OPTIONS: u8 = 0x87;
    /// Video switches.
    VIDEO_SWITCHES: u8 = 0x88;
    /// Video options of the VGA.
    VGA_OPTIONS: u8 = 0x89;
    /// Keyboard type and prefix seen.
    KEY_STATE: u8 = 0x96;
    /// Where INT 15h/83h sets bit 7 when the time is over: offset, segment.
    WAIT_FLAG_AT: u32 = 0x98;
    /// Microseconds left.
    WAIT_LEFT: u32 = 0x9c;
    /// Bit 0: a wait runs; bit 7: its time is over.
    WAIT_STATE: u8 = 0xa0;
}

/// The EBDA's segment; it is 1 KiB long.
pub(crate) const EBDA: u16 = 0x9fc0;

/// Offsets in the EBDA.
pub(crate) mod ebda {
    use hako_mem::Gpa;

    /// The physical address of an offset.
    pub const fn gpa(offset: u16) -> Gpa {
        Gpa(((super::EBDA as u64) << 4) + offset as u64)
    }

    /// Parameters of hard disk 0 (INT 41h), where IBM has them; disk 1's follow (INT 46h).
    pub const DISK_TABLE: u16 = 0x3d;
    /// Length of a disk's parameters.
    pub const DISK_TABLE_LEN: u16 = 0x10;
    /// The specification packet of INT 13h/4B01h for the CD that was booted; its first byte is 0 without one.
    pub const CD_PACKET: u16 = 0x60;
    /// Length of the packet.
    pub const CD_PACKET_LEN: usize = 0x13;
}
