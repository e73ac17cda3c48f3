//! The ROM image for F0000h to FFFFFh, assembled here byte by byte.
//!
//! Every service has a *slot* of 16 bytes: an OUT to the trap port and what follows when it returns. The classic entry
//! points, which programs jump to by address, lead to the slots.

use alloc::vec;
use alloc::vec::Vec;

use crate::font;
use crate::image::Image;
use crate::service::Service;

/// The port that the stubs write to. A write from anywhere else than the stubs is ignored. Nothing on a PC answers here.
pub const TRAP_PORT: u16 = 0xb8;

/// The segment of the ROM.
pub(crate) const SEGMENT: u16 = 0xf000;

/// Bytes of the ROM.
pub const LEN: usize = 0x1_0000;
/// Where its contents begin. Below, the board has room for tables.
const FIRST: u16 = 0xc000;

/// Where the slots begin.
pub(crate) const SLOTS: u16 = 0xe100;
/// The distance from one slot to the next.
pub(crate) const SLOT_SIZE: u16 = 16;

/// The power-on code.
pub(crate) const POST: u16 = 0xe05b;
/// INT 02h.
const NMI: u16 = 0xe2c3;
/// What the RTC's stub does for an alarm: INT 4Ah, then back.
pub(crate) const CALL_ALARM: u16 = 0xe300;
/// What the keyboard's stub does for Ctrl-Break: INT 1Bh, then back.
pub(crate) const CALL_BREAK: u16 = 0xe308;
/// What it does for SysReq: INT 15h with AX as set, then back.
pub(crate) const CALL_SYSTEM: u16 = 0xe310;
/// What it does for Print Screen: end of interrupt, INT 05h, return.
pub(crate) const CALL_PRINT: u16 = 0xe318;
/// What it does for Pause: end of interrupt, then wait.
pub(crate) const PAUSE: u16 = 0xe328;
/// How a wait for the RTC begins: open its line at the PIC, then halt.
pub(crate) const OPEN_RTC: u16 = 0xe330;
/// An interrupt of the first PIC that nobody expects.
const IRQ_MASTER: u16 = 0xe340;
/// An interrupt of the second PIC that nobody expects.
const IRQ_SLAVE: u16 = 0xe350;
/// IRQ 9 goes on as IRQ 2.
const IRQ_9: u16 = 0xe360;
/// IRQ 13, the FPU's, goes on as NMI.
const IRQ_13: u16 = 0xe370;
/// IRQ 14 and 15: a hard disk is ready.
const IRQ_DISK: u16 = 0xe380;
/// The static functionality table of INT 10h/1Bh.
pub(crate) const VIDEO_ABILITIES: u16 = 0xe3a0;
/// INT 13h's old address, and 3 bytes later the (empty) table of hard-disk types.
const OLD_DISK: u16 = 0xe3fe;
/// The configuration table of INT 15h/C0h.
pub(crate) const CONFIG_TABLE: u16 = 0xe6f5;
/// INT 09h.
const KEYBOARD_IRQ: u16 = 0xe987;
/// INT 0Eh: the floppy controller is ready.
const FLOPPY_IRQ: u16 = 0xef57;
/// The diskette parameters that INT 1Eh points to.
pub(crate) const DISKETTE_TABLE: u16 = 0xefc7;
/// The CRTC values that INT 1Dh points to.
const CRTC_TABLE: u16 = 0xf0a4;
/// The 8x8 font's first half; the second is elsewhere.
pub(crate) const FONT_8X8: u16 = 0xfa6e;
/// The 8x8 font's second half.
pub(crate) const FONT_8X8_HIGH: u16 = 0xd000;
/// The 8x16 font.
pub(crate) const FONT_8X16: u16 = 0xc000;
/// IRET and nothing else.
const DUMMY: u16 = 0xff53;

/// Where a slot's `sti; hlt; cli; jmp` begins.
pub(crate) const fn wait_at(service: Service) -> u16 {
    service.slot() + if matches!(service, Service::Paused) { 4 } else { 3 }
}

/// Where the slot of INT 18h halts for good.
pub(crate) const HALT: u16 = Service::NoBoot.slot() + 2;

const OUT_TRAP: [u8; 2] = [0xe6, TRAP_PORT as u8]; // out TRAP_PORT, al

/// The slot of a service that returns to its caller, or waits and asks again.
const CALL_SLOT: [u8; 8] = [
    OUT_TRAP[0],
    OUT_TRAP[1],
    0xcf, // iret
    0xfb, // sti            (the service moves rip here to wait)
    0xf4, // hlt
    0xfa, // cli
    0xeb, // jmp to the out
    0xf8,
];

/// The slot of Post, Boot and NoBoot, which do not return.
const LAST_SLOT: [u8; 6] = [
    OUT_TRAP[0],
    OUT_TRAP[1],
    0xfa, // cli
    0xf4, // hlt
    0xeb, // jmp to the cli
    0xfc,
];

/// INT 08h: the tick is counted, programs have their share, end of interrupt.
const TICK_SLOT: [u8; 11] = [
    OUT_TRAP[0],
    OUT_TRAP[1],
    0xcd, // int 1Ch
    0x1c,
    0x50, // push ax
    0xb0, // mov al, 20h
    0x20,
    0xe6, // out 20h, al
    0x20,
    0x58, // pop ax
    0xcf, // iret
];

/// The second part of INT 09h, with the caller's AX on the stack.
const KEY_SLOT: [u8; 8] = [
    OUT_TRAP[0],
    OUT_TRAP[1],
    0xb0, // mov al, 20h    (the hook of INT 15h/4Fh may have taken the key: the stub jumps here)
    0x20,
    0xe6, // out 20h, al
    0x20,
    0x58, // pop ax
    0xcf, // iret
];

/// INT 09h after Pause, end of interrupt done, with the caller's AX on the stack.
const PAUSED_SLOT: [u8; 9] = [
    OUT_TRAP[0],
    OUT_TRAP[1],
    0x58, // pop ax
    0xcf, // iret
    0xfb, // sti            (the service moves rip here to wait)
    0xf4, // hlt
    0xfa, // cli
    0xeb, // jmp to the out
    0xf7,
];

/// INT 70h.
const RTC_SLOT: [u8; 11] = [
    OUT_TRAP[0],
    OUT_TRAP[1],
    0x50, // push ax
    0xb0, // mov al, 20h
    0x20,
    0xe6, // out A0h, al
    0xa0,
    0xe6, // out 20h, al
    0x20,
    0x58, // pop ax
    0xcf, // iret
];

/// Power-on: the chips that may live in the host's kernel, then the service.
const POST_CODE: [u8; 47] = [
    0xfa, // cli
    0xb0, 0x11, // mov al, 11h     ICW1: edge, cascade, ICW4 follows
    0xe6, 0x20, // out 20h, al
    0xe6, 0xa0, // out A0h, al
    0xb0, 0x08, // mov al, 08h     ICW2: IRQ 0 to 7 are vectors 08h to 0Fh
    0xe6, 0x21, // out 21h, al
    0xb0, 0x70, // mov al, 70h     ICW2: IRQ 8 to 15 are vectors 70h to 77h
    0xe6, 0xa1, // out A1h, al
    0xb0, 0x04, // mov al, 04h     ICW3: the second PIC is at IR2
    0xe6, 0x21, // out 21h, al
    0xb0, 0x02, // mov al, 02h     ICW3: and knows it
    0xe6, 0xa1, // out A1h, al
    0xb0, 0x01, // mov al, 01h     ICW4: 8086 mode, normal end of interrupt
    0xe6, 0x21, // out 21h, al
    0xe6, 0xa1, // out A1h, al
    0xb0, 0xb8, // mov al, B8h     open: timer, keyboard, cascade, floppy
    0xe6, 0x21, // out 21h, al
    0xb0, 0x2e, // mov al, 2Eh     open: RTC, mouse, hard disks
    0xe6, 0xa1, // out A1h, al
    0xb0, 0x36, // mov al, 36h     counter 0, both bytes, square wave
    0xe6, 0x43, // out 43h, al
    0xb0, 0x00, // mov al, 0       65,536 counts: 18.2 Hz
    0xe6, 0x40, // out 40h, al
    0xe6, 0x40, // out 40h, al
];

/// INT 09h.
const KEYBOARD_CODE: [u8; 8] = [
    0x50, // push ax
    0xe4, // in al, 60h
    0x60, 0xb4, // mov ah, 4Fh
    0x4f, 0xf9, // stc
    0xcd, // int 15h          the hook clears CF to take the key
    0x15,
];

/// Clears the RTC's bit in the second PIC's mask.
const OPEN_RTC_CODE: [u8; 8] = [
    0x50, // push ax
    0xe4, // in al, A1h
    0xa1, 0x24, // and al, FEh
    0xfe, 0xe6, // out A1h, al
    0xa1, 0x58, // pop ax
];

/// End of interrupt for the first PIC.
const EOI_MASTER: [u8; 7] = [0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf]; // push ax; mov al,20h; out 20h,al; pop ax; iret

/// End of interrupt for both PICs.
const EOI_BOTH: [u8; 9] = [0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf]; // the same with out A0h,al before

/// IRQ 9.
const IRQ_9_CODE: [u8; 9] = [
    0x50, // push ax
    0xb0, // mov al, 20h
    0x20, 0xe6, // out A0h, al
    0xa0, 0x58, // pop ax
    0xcd, // int 0Ah          ends the interrupt at the first PIC
    0x0a, 0xcf, // iret
];

/// IRQ 13.
const IRQ_13_CODE: [u8; 15] = [
    0x50, // push ax
    0xb0, // mov al, 0
    0x00, 0xe6, // out F0h, al      the FPU's error line goes down
    0xf0, 0xb0, // mov al, 20h
    0x20, 0xe6, // out A0h, al
    0xa0, 0xe6, // out 20h, al
    0x20, 0x58, // pop ax
    0xcd, // int 02h
    0x02, 0xcf, // iret
];

/// IRQ 14 and 15.
const IRQ_DISK_CODE: [u8; 21] = [
    0x50, // push ax
    0x1e, // push ds
    0xb8, // mov ax, 40h
    0x40, 0x00, //
    0x8e, // mov ds, ax
    0xd8, //
    0xc6, // mov byte [8Eh], FFh
    0x06, 0x8e, 0x00, 0xff, //
    0xb0, // mov al, 20h
    0x20, //
    0xe6, // out A0h, al
    0xa0, //
    0xe6, // out 20h, al
    0x20, //
    0x1f, // pop ds
    0x58, // pop ax
    0xcf, // iret
];

/// INT 0Eh.
const FLOPPY_CODE: [u8; 19] = [
    0x50, // push ax
    0x1e, // push ds
    0xb8, // mov ax, 40h
    0x40, 0x00, //
    0x8e, // mov ds, ax
    0xd8, //
    0x80, // or byte [3Eh], 80h
    0x0e, 0x3e, 0x00, 0x80, //
    0xb0, // mov al, 20h
    0x20, //
    0xe6, // out 20h, al
    0x20, //
    0x1f, // pop ds
    0x58, // pop ax
    0xcf, // iret
];

/// The part of the ROM that is not zeros.
type Rom = Image<{ LEN - FIRST as usize }, FIRST>;

impl Rom {
    /// jmp near.
    const fn jmp(self, at: u16, to: u16) -> Rom {
        let by = to.wrapping_sub(at.wrapping_add(3)).to_le_bytes();
        self.put(at, &[0xe9, by[0], by[1]])
    }

    /// int `vector`; jmp near.
    const fn int_jmp(self, at: u16, vector: u8, to: u16) -> Rom {
        self.put(at, &[0xcd, vector]).jmp(at + 2, to)
    }

    /// The classic entry points that lead to slots.
    const fn entries(mut self, entries: &[(u16, Service)]) -> Rom {
        let mut i = 0;
        while i < entries.len() {
            self = self.jmp(entries[i].0, entries[i].1.slot());
            i += 1;
        }
        self
    }

    const fn slots(mut self) -> Rom {
        let mut i = 0;
        while i < Service::ALL.len() {
            let service = Service::ALL[i];
            let code: &[u8] = match service {
                Service::Post | Service::Boot | Service::NoBoot => &LAST_SLOT,
                Service::Tick => &TICK_SLOT,
                Service::Key => &KEY_SLOT,
                Service::Paused => &PAUSED_SLOT,
                Service::RtcInterrupt => &RTC_SLOT,
                _ => &CALL_SLOT,
            };
            self = self.put(service.slot(), code);
            i += 1;
        }
        self
    }
}

/// Entry points that programs know by address (IBM PC/AT Technical Reference, BIOS listing).
const ENTRIES: [(u16, Service); 13] = [
    (OLD_DISK, Service::Disk),
    (0xe6f2, Service::Boot),
    (0xe739, Service::Serial),
    (0xe82e, Service::Keyboard),
    (0xec59, Service::Disk),
    (0xefd2, Service::Printer),
    (0xf065, Service::Video),
    (0xf841, Service::MemorySize),
    (0xf84d, Service::Equipment),
    (0xf859, Service::System),
    (0xfe6e, Service::Clock),
    (0xfea5, Service::Tick),
    (0xff54, Service::PrintScreen),
];

const fn build() -> Rom {
    const KEY_DONE: u16 = Service::Key.slot() + 2;
    let jnc = KEYBOARD_IRQ + KEYBOARD_CODE.len() as u16;
    Image([0; LEN - FIRST as usize])
        .slots()
        .entries(&ENTRIES)
        .put(POST, &POST_CODE)
        .jmp(POST + POST_CODE.len() as u16, Service::Post.slot())
        .put(NMI, &[0xcf]) // iret
        .int_jmp(CALL_ALARM, 0x4a, Service::RtcInterrupt.slot() + 2)
        .int_jmp(CALL_BREAK, 0x1b, KEY_DONE)
        .int_jmp(CALL_SYSTEM, 0x15, KEY_DONE)
        .put(CALL_PRINT, &[0xb0, 0x20, 0xe6, 0x20, 0xcd, 0x05, 0x58, 0xcf]) // mov al,20h; out 20h,al; int 5; pop ax; iret
        .put(PAUSE, &[0xb0, 0x20, 0xe6, 0x20]) // mov al,20h; out 20h,al
        .jmp(PAUSE + 4, Service::Paused.slot())
        .put(OPEN_RTC, &OPEN_RTC_CODE)
        .jmp(OPEN_RTC + OPEN_RTC_CODE.len() as u16, wait_at(Service::Waiting))
        .put(IRQ_MASTER, &EOI_MASTER)
        .put(IRQ_SLAVE, &EOI_BOTH)
        .put(IRQ_9, &IRQ_9_CODE)
        .put(IRQ_13, &IRQ_13_CODE)
        .put(IRQ_DISK, &IRQ_DISK_CODE)
        // Modes 0 to 3, 7 and 13h; 200, 350, 400 lines; 8 pages; text and colour functions.
        .put(VIDEO_ABILITIES, &[0x8f, 0, 0x08, 0, 0, 0, 0, 0x07, 2, 1, 0xff, 0x0e, 0, 0, 0, 0])
        // 8 bytes; model FCh, submodel 01h, revision 0; second PIC, RTC, keyboard hook, EBDA; INT 16h/09h.
        .put(CONFIG_TABLE, &[8, 0, 0xfc, 0x01, 0, 0x74, 0x40, 0, 0, 0])
        .put(KEYBOARD_IRQ, &KEYBOARD_CODE)
        .put(jnc, &[0x73, 3]) // jnc over the next jump
        .jmp(jnc + 2, Service::Key.slot())
        .jmp(jnc + 5, KEY_DONE)
        .put(FLOPPY_IRQ, &FLOPPY_CODE)
        // A 1.44 MB drive: step rate and head times, motor, 512 bytes, 18 sectors, gaps, filler F6h, settle, start.
        .put(DISKETTE_TABLE, &[0xaf, 0x02, 0x25, 0x02, 0x12, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 0x08])
        // 6845 values for 40x25, 80x25, graphics and monochrome.
        .put(CRTC_TABLE, &CRTC_VALUES)
        .put(FONT_8X8, &font::LOW)
        .put(FONT_8X8_HIGH, &font::HIGH)
        .put(FONT_8X16, &font::TALL)
        .put(DUMMY, &[0xcf]) // iret
        .put(0xfff0, &[0xea, POST as u8, (POST >> 8) as u8, 0x00, 0xf0]) // jmp F000:POST
        .put(0xfff5, b"11/22/26")
        .put(0xfffe, &[0xfc]) // model: AT
}

/// The IBM video parameters for the 6845 (INT 1Dh).
const CRTC_VALUES: [u8; 88] = {
    let mut t = [0; 88];
    let rows: [[u8; 16]; 4] = [
        [0x38, 0x28, 0x2d, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7, 0, 0, 0, 0],
        [0x71, 0x50, 0x5a, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7, 0, 0, 0, 0],
        [0x38, 0x28, 0x2d, 0x0a, 0x7f, 6, 0x64, 0x70, 2, 1, 6, 7, 0, 0, 0, 0],
        [0x61, 0x50, 0x52, 0x0f, 0x19, 6, 0x19, 0x19, 2, 0x0d, 0x0b, 0x0c, 0, 0, 0, 0],
    ];
    let mut i = 0;
    while i < 64 {
        t[i] = rows[i / 16][i % 16];
        i += 1;
    }
    // Bytes in a page of 40 and 80 columns and of graphics, columns of modes 0 to 7, mode register of modes 0 to 7.
    let tail: [u8; 24] = [
        0x00, 0x08, 0x00, 0x10, 0x00, 0x40, 0x00, 0x40, 40, 40, 80, 80, 40, 40, 80, 80, 0x2c, 0x28, 0x2d,
        0x29, 0x2a, 0x2e, 0x1e, 0x29,
    ];
    while i < 88 {
        t[i] = tail[i - 64];
        i += 1;
    }
    t
};

static ROM: Rom = build();

/// The 64 KiB that the board shows, read-only, at F0000h and at FFFF0000h.
pub fn rom() -> Vec<u8> {
    let mut rom = vec![0; LEN];
    rom[usize::from(FIRST)..].copy_from_slice(&ROM.0);
    rom
}

/// Vectors that lead elsewhere than to [`DUMMY`], with segment F000h.
const VECTORS: [(u8, u16); 35] = [
    (0x02, NMI),
    (0x05, Service::PrintScreen.slot()),
    (0x08, Service::Tick.slot()),
    (0x09, KEYBOARD_IRQ),
    (0x0a, IRQ_MASTER),
    (0x0b, IRQ_MASTER),
    (0x0c, IRQ_MASTER),
    (0x0d, IRQ_MASTER),
    (0x0e, FLOPPY_IRQ),
    (0x0f, IRQ_MASTER),
    (0x10, Service::Video.slot()),
    (0x11, Service::Equipment.slot()),
    (0x12, Service::MemorySize.slot()),
    (0x13, Service::Disk.slot()),
    (0x14, Service::Serial.slot()),
    (0x15, Service::System.slot()),
    (0x16, Service::Keyboard.slot()),
    (0x17, Service::Printer.slot()),
    (0x18, Service::NoBoot.slot()),
    (0x19, Service::Boot.slot()),
    (0x1a, Service::Clock.slot()),
    (0x1d, CRTC_TABLE),
    (0x1e, DISKETTE_TABLE),
    (0x1f, FONT_8X8_HIGH),
    (0x40, Service::Disk.slot()),
    (0x42, Service::Video.slot()),
    (0x43, FONT_8X16),
    (0x70, Service::RtcInterrupt.slot()),
    (0x71, IRQ_9),
    (0x72, IRQ_SLAVE),
    (0x73, IRQ_SLAVE),
    (0x74, IRQ_SLAVE),
    (0x75, IRQ_13),
    (0x76, IRQ_DISK),
    (0x77, IRQ_DISK),
];

/// The interrupt vector table as POST leaves it, but for the vectors that point into the EBDA.
pub(crate) static IVT: [u8; 1024] = {
    let mut ivt = [0; 1024];
    let mut i = 0;
    while i < 256 {
        ivt[i * 4] = DUMMY as u8;
        ivt[i * 4 + 1] = (DUMMY >> 8) as u8;
        ivt[i * 4 + 3] = (SEGMENT >> 8) as u8;
        i += 1;
    }
    i = 0;
    while i < VECTORS.len() {
        let (vector, offset) = VECTORS[i];
        ivt[vector as usize * 4] = offset as u8;
        ivt[vector as usize * 4 + 1] = (offset >> 8) as u8;
        i += 1;
    }
    ivt
};
