//! INT 10h.

mod common;

use common::{Machine, abcd, set};
use hako_firmware::Service;
use hako_mem::Gpa;
use hako_x86::{Gpr, SegReg, Segment};

fn int10(m: &mut Machine, regs: [u16; 4]) {
    m.int(0x10, |cpu| abcd(cpu, regs));
    assert!(m.returns());
}

fn type_text(m: &mut Machine, text: &str) {
    for byte in text.bytes() {
        int10(m, [0x0e00 | u16::from(byte), 0x0007, 0, 0]);
    }
}

fn cursor(m: &Machine) -> (u8, u8) {
    (m.byte(0x450), m.byte(0x451))
}

#[test]
fn teletype_prints_at_the_cursor_and_keeps_the_attribute() {
    let mut m = Machine::with_disk();
    type_text(&mut m, "A");
    assert_eq!(m.bytes(0xb_8000, 2), [b'A', 0x07]);
    assert_eq!(m.paper.printed, b"A");
    assert_eq!(cursor(&m), (1, 0));
    assert_eq!((m.paper.crtc[0x0e], m.paper.crtc[0x0f]), (0, 1));
}

#[test]
fn teletype_obeys_backspace_line_feed_and_carriage_return() {
    let mut m = Machine::with_disk();
    type_text(&mut m, "abc\r\nde\x08f\x07");
    assert_eq!((m.row(0), m.row(1)), ("abc".into(), "df".into()));
    assert_eq!(cursor(&m), (2, 1));
}

#[test]
fn a_full_line_continues_on_the_next() {
    let mut m = Machine::with_disk();
    type_text(&mut m, &"x".repeat(81));
    assert_eq!(cursor(&m), (1, 1));
}

#[test]
fn the_last_line_scrolls() {
    let mut m = Machine::with_disk();
    for n in 0..26 {
        type_text(&mut m, &format!("{n}\r\n"));
    }
    assert_eq!((m.row(0), m.row(23), m.row(24)), ("2".into(), "25".into(), "".into()));
    assert_eq!(cursor(&m), (0, 24));
    assert_eq!(m.bytes(0xb_8000 + 24 * 160, 2), [b' ', 7]);
}

#[test]
fn the_cursor_is_kept_for_each_page() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x0200, 0x0300, 0, 0x0a14]);
    int10(&mut m, [0x0300, 0x0300, 0, 0]);
    assert_eq!((m.dx(), m.cx()), (0x0a14, 0x0607));
    int10(&mut m, [0x0300, 0, 0, 0]);
    assert_eq!(m.dx(), 0);
}

#[test]
fn the_shape_of_the_cursor_is_stretched_to_16_lines() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x0100, 0, 0x0607, 0]);
    assert_eq!((m.paper.crtc[0x0a], m.paper.crtc[0x0b]), (13, 14));
    int10(&mut m, [0x0100, 0, 0x2000, 0]);
    assert_eq!(m.paper.crtc[0x0a], 0x20);
    assert_eq!(m.word(0x460), 0x2000);
}

#[test]
fn a_page_is_shown_by_its_start_address() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x0501, 0, 0, 0]);
    assert_eq!((m.paper.crtc[0x0c], m.paper.crtc[0x0d]), (0x08, 0x00));
    assert_eq!((m.byte(0x462), m.word(0x44e)), (1, 0x1000));
    type_text(&mut m, "Z");
    assert_eq!(m.byte(0xb_9000), b'Z');
    int10(&mut m, [0x0f00, 0, 0, 0]);
    assert_eq!((m.ax(), m.bx() >> 8), (0x5003, 1));
}

#[test]
fn characters_are_written_with_attributes_and_read_back() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x0200, 0, 0, 0x0102]);
    int10(&mut m, [0x0950, 0x001e, 3, 0]);
    assert_eq!(m.bytes(0xb_8000 + 160 + 4, 8), [0x50, 0x1e, 0x50, 0x1e, 0x50, 0x1e, 0x20, 0x07]);
    int10(&mut m, [0x0a51, 0x0044, 1, 0]);
    int10(&mut m, [0x0800, 0, 0, 0]);
    assert_eq!(m.ax(), 0x1e51);
    assert_eq!(cursor(&m), (2, 1));
    assert_eq!(m.paper.printed, b"PPPQ");
}

#[test]
fn a_window_scrolls_without_its_surroundings() {
    let mut m = Machine::with_disk();
    for row in 0..4u16 {
        int10(&mut m, [0x0200, 0, 0, row << 8]);
        int10(&mut m, [0x0930 + row, 0x0007, 5, 0]);
    }
    int10(&mut m, [0x0601, 0x1f00, 0x0101, 0x0303]);
    assert_eq!([0, 1, 2, 3].map(|r| m.row(r)), ["00000", "12221", "23332", "3   3"]);
    assert_eq!(m.byte(0xb_8000 + 3 * 160 + 3), 0x1f);
    int10(&mut m, [0x0701, 0x0700, 0x0000, 0x0304]);
    assert_eq!([0, 1, 2, 3].map(|r| m.row(r)), ["", "00000", "12221", "23332"]);
    int10(&mut m, [0x0600, 0x0700, 0, 0xffff]);
    assert!((0..25).all(|r| m.row(r).is_empty()));
}

#[test]
fn mode_13h_has_pixels_and_256_colours() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x0013, 0, 0, 0]);
    assert_eq!(m.paper.dac.len(), 768);
    assert_eq!((m.byte(0x449), m.byte(0x44a)), (0x13, 40));
    int10(&mut m, [0x0c2a, 0, 319, 199]);
    assert_eq!(m.byte(0xa_0000 + 63_999), 0x2a);
    int10(&mut m, [0x0d00, 0, 319, 199]);
    assert_eq!(m.al(), 0x2a);
    int10(&mut m, [0x0c2a, 0, 320, 0]);
    assert_eq!(m.byte(0xa_0000 + 320), 0);
}

#[test]
fn mode_13h_draws_characters_in_the_colour_asked_for() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x0013, 0, 0, 0]);
    int10(&mut m, [0x0edb, 0x0004, 0, 0]);
    for y in 0..8 {
        assert_eq!(m.bytes(0xa_0000 + y * 320, 9), [4, 4, 4, 4, 4, 4, 4, 4, 0]);
    }
    int10(&mut m, [0x0e00 | u16::from(b'l'), 0x0002, 0, 0]);
    assert!(m.bytes(0xa_0008, 8).contains(&2));
}

#[test]
fn a_mode_with_bit_7_keeps_the_memory() {
    let mut m = Machine::with_disk();
    type_text(&mut m, "keep");
    int10(&mut m, [0x0083, 0, 0, 0]);
    assert_eq!(m.row(0), "keep");
    int10(&mut m, [0x0f00, 0, 0, 0]);
    assert_eq!(m.al(), 0x83);
    int10(&mut m, [0x0003, 0, 0, 0]);
    assert_eq!(m.row(0), "");
}

#[test]
fn a_mode_that_there_is_not_changes_nothing() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x0055, 0, 0, 0]);
    assert_eq!(m.byte(0x449), 3);
    assert_eq!(m.paper.out_count, 0);
}

#[test]
fn mode_7_lies_at_b0000() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x0007, 0, 0, 0]);
    type_text(&mut m, "M");
    assert_eq!((m.byte(0xb_0000), m.word(0x463)), (b'M', 0x3b4));
}

#[test]
fn strings_are_written_in_four_ways() {
    for (al, attribute, column) in [(0, 0x2f, 0), (1, 0x2f, 3), (2, 0x4e, 0), (3, 0x4e, 3)] {
        let mut m = Machine::with_disk();
        let text: &[u8] = if al < 2 { b"xyz" } else { b"x\x4ey\x4ez\x4e" };
        m.mem.write(Gpa(0x20010), text).unwrap();
        m.cpu.seg[SegReg::Es as usize] = Segment::real(0x2000);
        set(&mut m.cpu, Gpr::Rbp, 0x10);
        int10(&mut m, [0x1300 | al, 0x002f, 3, 0x0500]);
        assert_eq!(m.row(5), "xyz");
        assert_eq!(m.byte(0xb_8000 + 5 * 160 + 1), attribute);
        assert_eq!(m.byte(0x450), column);
        assert_eq!(m.paper.printed, b"xyz");
    }
}

#[test]
fn the_palette_and_the_dac_are_set() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x1000, 0x3e01, 0, 0]);
    assert_eq!(m.paper.attributes[1], 0x3e);
    int10(&mut m, [0x1003, 0x0000, 0, 0]);
    assert_eq!(m.paper.attributes[0x10] & 8, 0);
    int10(&mut m, [0x1010, 0x0005, 0x0a0b, 0x0c00]);
    assert_eq!(m.paper.dac, [0x0c, 0x0a, 0x0b]);
    int10(&mut m, [0x0b00, 0x0003, 0, 0]);
    assert_eq!(m.paper.attributes[0x11], 3);
}

#[test]
fn an_8x8_font_makes_50_rows() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x1112, 0, 0, 0]);
    assert_eq!((m.byte(0x484), m.word(0x485), m.paper.crtc[9] & 0x1f), (49, 8, 7));
    int10(&mut m, [0x1130, 0x0300, 0, 0]);
    assert_eq!((m.cx(), m.dx() & 0xff), (8, 49));
    let font = m.cpu.segment(SegReg::Es).base + (m.cpu.reg(Gpr::Rbp) & 0xffff);
    assert_eq!(m.bytes(font + 0x20 * 8, 8), [0; 8]);
    assert_ne!(m.bytes(font + 0x41 * 8, 8), [0; 8]);
}

#[test]
fn the_adapter_is_a_vga_without_vesa() {
    let mut m = Machine::with_disk();
    int10(&mut m, [0x1a00, 0, 0, 0]);
    assert_eq!((m.al(), m.bx()), (0x1a, 8));
    int10(&mut m, [0x1200, 0x0010, 0, 0]);
    assert_eq!(m.bx(), 3);
    int10(&mut m, [0x1201, 0x0031, 0, 0]);
    assert_eq!((m.al(), m.byte(0x489) & 8), (0x12, 8));
    int10(&mut m, [0x4f00, 0, 0, 0]);
    assert_ne!(m.al(), 0x4f);
    set(&mut m.cpu, Gpr::Rdi, 0x5000);
    int10(&mut m, [0x1b00, 0, 0, 0]);
    assert_eq!((m.al(), m.byte(0x5004), m.byte(0x5022)), (0x1b, 3, 25));
}

#[test]
fn video_memory_that_a_chip_answers_for_is_reached_too() {
    let mut m = Machine::with_disk();
    m.mem = hako_mem::GuestMemory::flat(0xa_0000);
    m.mem.write(Gpa(0x449), &[3, 80, 0, 0, 0x10]).unwrap();
    m.mem.write(Gpa(0x484), &[24, 16]).unwrap();
    m.cpu.gpr[Gpr::Rax as usize] = 0x0e41;
    m.service(Service::Video);
    assert_eq!(m.paper.mmio.get(&0xb_8000), Some(&b'A'));
}
