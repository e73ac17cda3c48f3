//! INT 10h/10h: the attribute controller's palette and the DAC.

use hako_x86::SegReg;

use crate::call::Call;

/// The attribute controller's overscan register.
const OVERSCAN: u8 = 0x11;
/// Its mode register.
const MODE: u8 = 0x10;
/// Its colour select register.
const SELECT: u8 = 0x14;
/// Index bit: the palette belongs to the display again.
const DISPLAY: u8 = 0x20;

/// Makes the next write to 3C0h an index.
fn index_next(call: &mut Call<'_>) {
    let misc = call.inb(0x3cc);
    call.inb(if misc & 1 != 0 { 0x3da } else { 0x3ba });
}

/// Writes an attribute controller register.
pub(crate) fn set(call: &mut Call<'_>, index: u8, value: u8) {
    index_next(call);
    call.outb(0x3c0, index & 0x1f);
    call.outb(0x3c0, value);
    call.outb(0x3c0, DISPLAY);
}

/// Reads an attribute controller register.
fn get(call: &mut Call<'_>, index: u8) -> u8 {
    index_next(call);
    call.outb(0x3c0, index & 0x1f);
    let value = call.inb(0x3c1);
    index_next(call);
    call.outb(0x3c0, DISPLAY);
    value
}

/// Writes all attribute controller registers.
pub(crate) fn set_all(call: &mut Call<'_>, values: &[u8; 21]) {
    index_next(call);
    for (i, &v) in (0..).zip(values) {
        call.outb(0x3c0, i);
        call.outb(0x3c0, v);
    }
    call.outb(0x3c0, DISPLAY);
}

/// The border colour, INT 10h/0Bh.
pub(crate) fn set_border(call: &mut Call<'_>, colour: u8) {
    set(call, OVERSCAN, colour);
}

/// Answers the function in AL.
pub(crate) fn palette(call: &mut Call<'_>) {
    let (bl, bh) = (call.bl(), call.bh());
    match call.al() {
        0x00 => set(call, bl, bh),
        0x01 => set(call, OVERSCAN, bh),
        0x02 => {
            let mut table = [0; 17];
            let dx = call.dx();
            call.read_seg(SegReg::Es, dx, &mut table);
            for (i, &v) in (0..).zip(&table[..16]) {
                set(call, i, v);
            }
            set(call, OVERSCAN, table[16]);
        }
        0x03 => {
            let mode = get(call, MODE);
            set(call, MODE, mode & !8 | (bl & 1) << 3);
        }
        0x07 => {
            let v = get(call, bl);
            call.set_bh(v);
        }
        0x08 => {
            let v = get(call, OVERSCAN);
            call.set_bh(v);
        }
        0x09 => {
            let mut table = [0; 17];
            for (i, v) in (0..).zip(&mut table[..16]) {
                *v = get(call, i);
            }
            table[16] = get(call, OVERSCAN);
            let dx = call.dx();
            call.write_seg(SegReg::Es, dx, &table);
        }
        0x10 => {
            let rgb = [call.dh(), call.ch(), call.cl()];
            call.outb(0x3c8, bl);
            call.platform.port_out_bytes(0x3c9, &rgb);
        }
        0x12 => block(call, true),
        0x13 => page(call),
        0x15 => {
            call.outb(0x3c7, bl);
            let [r, g, b] = core::array::from_fn(|_| call.inb(0x3c9));
            call.set_dh(r);
            call.set_ch(g);
            call.set_cl(b);
        }
        0x17 => block(call, false),
        0x18 => call.outb(0x3c6, bl),
        0x19 => {
            let mask = call.inb(0x3c6);
            call.set_bl(mask);
        }
        0x1a => {
            let (mode, select) = (get(call, MODE), get(call, SELECT));
            call.set_bl(mode >> 7);
            call.set_bh(if mode & 0x80 != 0 { select & 0xf } else { select >> 2 & 3 });
        }
        0x1b => gray(call),
        _ => {}
    }
}

/// AL=12h, 17h: CX DAC registers from BX on, at ES:DX.
fn block(call: &mut Call<'_>, write: bool) {
    let first = call.bx() as u8;
    let mut at = call.dx();
    call.outb(if write { 0x3c8 } else { 0x3c7 }, first);
    for _ in 0..call.cx().min(256) {
        let mut rgb = [0; 3];
        if write {
            call.read_seg(SegReg::Es, at, &mut rgb);
            call.platform.port_out_bytes(0x3c9, &rgb);
        } else {
            rgb = core::array::from_fn(|_| call.inb(0x3c9));
            call.write_seg(SegReg::Es, at, &rgb);
        }
        at = at.wrapping_add(3);
    }
}

/// AL=13h: BL=0 chooses 4 pages of 64 or 16 of 16 colours, BL=1 the page BH.
fn page(call: &mut Call<'_>) {
    let (bl, bh) = (call.bl(), call.bh());
    let mode = get(call, MODE);
    if bl == 0 {
        set(call, MODE, mode & 0x7f | bh << 7);
    } else {
        let select = if mode & 0x80 != 0 { bh & 0xf } else { (bh & 3) << 2 };
        set(call, SELECT, select);
    }
}

/// AL=1Bh: CX DAC registers from BX on become gray: 30 % red, 59 % green, 11 % blue.
fn gray(call: &mut Call<'_>) {
    let first = call.bx();
    for i in 0..call.cx().min(256) {
        let register = first.wrapping_add(i) as u8;
        call.outb(0x3c7, register);
        let [r, g, b] = core::array::from_fn(|_| u16::from(call.inb(0x3c9)));
        let level = ((r * 30 + g * 59 + b * 11) / 100).min(63) as u8;
        call.outb(0x3c8, register);
        call.platform.port_out_bytes(0x3c9, &[level; 3]);
    }
}
