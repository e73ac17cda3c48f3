//! The registers against the reference, and what is drawn.

use alloc::string::ToString;
use alloc::vec::Vec;

use hako_mem::{Gpa, GuestMemory};
use proptest::prelude::*;

use super::*;

const TEXT: u64 = 0xb_8000;

fn memory() -> GuestMemory {
    GuestMemory::flat(0x10_0000)
}

fn print(mem: &GuestMemory, at: u64, text: &[u8], attribute: u8) {
    let bytes: Vec<u8> = text.iter().flat_map(|c| [*c, attribute]).collect();
    mem.write(Gpa(TEXT + at * 2), &bytes).unwrap();
}

fn set_crtc(v: &mut Vga, index: u8, value: u8) {
    v.write(0x24, index);
    v.write(0x25, value);
}

#[test]
fn registers_read_back() {
    let mut v = Vga::new();
    for (index, data, i, value) in [(0x24, 0x25, 0x0e, 0x5a), (0x14, 0x15, 2, 0x0f), (0x1e, 0x1f, 8, 0x81)] {
        v.write(index, i);
        v.write(data, value);
        assert_eq!((v.read(index, Time::ZERO), v.read(data, Time::ZERO)), (i, value));
    }
}

#[test]
fn misc_output_is_written_at_3c2_and_read_at_3cc() {
    let mut v = Vga::new();
    v.write(0x12, 0x63);
    assert_eq!(v.read(0x1c, Time::ZERO), 0x63);
}

#[test]
fn misc_output_moves_the_crtc_to_3b4() {
    let mut v = Vga::new();
    set_crtc(&mut v, 0x0f, 0x77);
    assert_eq!(v.read(0x05, Time::ZERO), 0xff);
    v.write(0x12, 0x66);
    assert_eq!((v.read(0x05, Time::ZERO), v.read(0x25, Time::ZERO)), (0x77, 0xff));
}

#[test]
fn crtc_0_to_7_can_be_protected() {
    let mut v = Vga::new();
    set_crtc(&mut v, 0, 0x11);
    assert_eq!(v.registers().crtc[0], 0x5f);
    set_crtc(&mut v, 7, 0x00);
    assert_eq!(v.registers().crtc[7], 0x0f);
    set_crtc(&mut v, 0x11, 0x0e);
    set_crtc(&mut v, 0, 0x11);
    assert_eq!(v.registers().crtc[0], 0x11);
}

#[test]
fn the_attribute_port_takes_index_and_data_in_turn() {
    let mut v = Vga::new();
    v.read(0x2a, Time::ZERO);
    v.write(0x10, 0x03);
    v.write(0x10, 0x2a);
    v.write(0x10, 0x03);
    assert_eq!((v.read(0x10, Time::ZERO), v.read(0x11, Time::ZERO)), (0x03, 0x2a));
}

#[test]
fn status_1_makes_the_attribute_port_expect_an_index() {
    let mut v = Vga::new();
    v.write(0x10, 0x03);
    v.read(0x2a, Time::ZERO);
    v.write(0x10, 0x05);
    assert_eq!(v.read(0x10, Time::ZERO), 0x05);
}

#[test]
fn the_palette_is_read_only_while_it_is_on_the_screen() {
    let mut v = Vga::new();
    v.write(0x10, 0x23);
    v.write(0x10, 0x2a);
    assert_eq!(v.registers().attribute[3], 3);
}

#[test]
fn a_dac_colour_changes_with_its_third_component() {
    let mut v = Vga::new();
    v.write(0x18, 5);
    v.write(0x19, 1);
    v.write(0x19, 2);
    assert_eq!(v.registers().dac[5], [0x2a, 0, 0x2a]);
    v.write(0x19, 0xff);
    assert_eq!(v.registers().dac[5], [1, 2, 0x3f]);
    assert_eq!(v.read(0x18, Time::ZERO), 6);
}

#[test]
fn dac_reads_go_on_to_the_next_colour() {
    let mut v = Vga::new();
    v.write(0x17, 1);
    assert_eq!(v.read(0x17, Time::ZERO), 3);
    let read: Vec<u8> = (0..4).map(|_| v.read(0x19, Time::ZERO)).collect();
    assert_eq!(read, [0, 0, 0x2a, 0]);
    v.write(0x18, 0);
    assert_eq!(v.read(0x17, Time::ZERO), 0);
}

#[test]
fn registers_that_are_not_there_read_ones() {
    let mut v = Vga::new();
    assert_eq!([0x00, 0x1b, 0x1d, 0x20, 0x2f, 0xff].map(|r| v.read(r, Time::ZERO)), [0xff; 6]);
}

#[test]
fn retrace_comes_seventy_times_a_second_for_two_lines() {
    let mut v = Vga::new();
    let line = |n: u64| Time::at_tick(n, 31_469);
    assert_eq!(v.read(0x2a, line(0)), 0);
    assert_eq!(v.read(0x2a, line(400)), 1);
    assert_eq!(v.read(0x2a, line(412)), 9);
    assert_eq!(v.read(0x2a, line(413)), 9);
    assert_eq!(v.read(0x2a, line(414)), 1);
    assert_eq!(v.read(0x2a, line(449)), 0);
    assert_eq!(v.read(0x2a, line(449 * 70 + 412)), 9);
}

#[test]
fn the_end_of_a_line_is_blank() {
    let mut v = Vga::new();
    assert_eq!(v.read(0x2a, Time(30_000)), 1);
}

#[test]
fn text_is_read_from_b8000() {
    let (mut v, mem) = (Vga::new(), memory());
    print(&mem, 0, b"Hello", 7);
    print(&mem, 81, b"\xc9\xcd\xbb", 0x1f);
    let screen = v.text_screen(&mem);
    assert_eq!((screen.columns, screen.rows), (80, 25));
    assert_eq!(screen.to_string(), "Hello\n ╔═╗\n");
    assert_eq!(screen.cells[81], Cell { character: 0xc9, attribute: 0x1f });
    v.reset();
}

#[test]
fn the_start_address_scrolls() {
    let (mut v, mem) = (Vga::new(), memory());
    print(&mem, 80, b"second", 7);
    set_crtc(&mut v, 0x0d, 80);
    assert_eq!(v.text_screen(&mem).line(0), "second");
}

#[test]
fn text_wraps_at_the_end_of_the_window() {
    let (mut v, mem) = (Vga::new(), memory());
    print(&mem, 0, b"wrap", 7);
    set_crtc(&mut v, 0x0c, 0x3f);
    set_crtc(&mut v, 0x0d, 0xff);
    assert_eq!(v.text_screen(&mem).line(0), " wrap");
}

#[test]
fn the_cursor_is_relative_to_the_start() {
    let (mut v, mem) = (Vga::new(), memory());
    set_crtc(&mut v, 0x0d, 80);
    set_crtc(&mut v, 0x0f, 165);
    assert_eq!(v.text_screen(&mem).cursor, Some((5, 1)));
    set_crtc(&mut v, 0x0a, 0x2d);
    assert_eq!(v.text_screen(&mem).cursor, None);
}

#[test]
fn eight_line_characters_make_fifty_rows() {
    let (mut v, mem) = (Vga::new(), memory());
    set_crtc(&mut v, 0x09, 0x47);
    assert_eq!(v.text_screen(&mem).rows, 50);
}

#[test]
fn mode_1_has_forty_columns() {
    let (mut v, mem) = (Vga::new(), memory());
    v.set_mode(Mode::of_bios(1).unwrap());
    print(&mem, 40, b"next", 7);
    let screen = v.text_screen(&mem);
    assert_eq!((screen.columns, screen.line(1)), (40, "next".to_string()));
}

#[test]
fn code_page_437_has_a_character_for_every_byte() {
    let all: Vec<char> = (0..=255).map(to_char).collect();
    assert_eq!(
        (all[0x01], all[0x41], all[0x7f], all[0x80], all[0xdb], all[0xe1], all[0xfe]),
        ('☺', 'A', '⌂', 'Ç', '█', 'ß', '■')
    );
    assert!(all[0xe0..].windows(2).all(|w| w[0] != w[1]));
}

#[test]
fn text_is_drawn_in_its_colours() {
    let (v, mem) = (Vga::new(), memory());
    print(&mem, 1, &[0xdb, 0x20], 0x14);
    let image = v.render(&mem);
    assert_eq!((image.width, image.height, image.rgb.len()), (720, 400, 720 * 400 * 3));
    assert_eq!(image.pixel(9, 0), Some([0xaa, 0, 0]));
    assert_eq!(image.pixel(18, 0), Some([0, 0, 0xaa]));
}

#[test]
fn a_cursor_is_drawn_in_its_lines() {
    let (mut v, mem) = (Vga::new(), memory());
    print(&mem, 0, b" ", 7);
    assert_eq!([12, 13, 14, 15].map(|y| v.render(&mem).pixel(0, y).unwrap()[0]), [0, 0xaa, 0xaa, 0]);
    set_crtc(&mut v, 0x0a, 0x20);
    assert_eq!(v.render(&mem).pixel(0, 13), Some([0; 3]));
}

#[test]
fn mode_13h_is_320x200_through_the_dac() {
    let (mut v, mem) = (Vga::new(), memory());
    v.set_mode(Mode::of_bios(0x13).unwrap());
    mem.store(Gpa(0xa_0000 + 320 * 10 + 7), 40u8).unwrap();
    let image = v.render(&mem);
    assert_eq!((image.width, image.height), (320, 200));
    assert_eq!(image.pixel(7, 10), Some([255, 0, 0]));
}

#[test]
fn mode_4_has_two_banks_of_two_bit_pixels() {
    let (mut v, mem) = (Vga::new(), memory());
    v.set_mode(Mode::of_bios(4).unwrap());
    mem.store(Gpa(TEXT + 0x2000), 0xc0u8).unwrap();
    let image = v.render(&mem);
    assert_eq!((image.width, image.height), (320, 200));
    assert_eq!(image.pixel(0, 1), Some([255; 3]));
    assert_ne!(image.pixel(0, 1), image.pixel(1, 1));
}

#[test]
fn mode_6_is_640x200() {
    let (mut v, mem) = (Vga::new(), memory());
    v.set_mode(Mode::of_bios(6).unwrap());
    let image = v.render(&mem);
    assert_eq!((image.width, image.height), (640, 200));
}

#[test]
fn the_default_palette_has_its_landmarks() {
    let p = palette::vga_256();
    assert_eq!((p[6], p[15], p[16], p[31]), ([0x2a, 0x15, 0], [0x3f; 3], [0; 3], [0x3f; 3]));
    assert_eq!(
        (p[32], p[40], p[48], p[247], p[248]),
        ([0, 0, 63], [63, 0, 0], [0, 63, 0], [11, 12, 16], [0; 3])
    );
}

#[test]
fn a_state_with_half_a_dac_is_refused() {
    let mut saved = Vga::new().save();
    saved.state.dac.truncate(128);
    assert!(Vga::new().restore(&saved).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn storms_and_save_restore(accesses in proptest::collection::vec((any::<bool>(), any::<u8>(), any::<u8>(), any::<u64>()), 0..400)) {
        let (mut v, mem) = (Vga::new(), GuestMemory::flat(0xb_9000));
        for (write, register, value, time) in accesses {
            if write { v.write(register & 0x3f, value) } else { v.read(register & 0x3f, Time(time)); }
        }
        v.text_screen(&mem);
        let image = v.render(&mem);
        prop_assert_eq!(image.rgb.len(), image.width * image.height * 3);
        let mut copy = Vga::new();
        copy.restore(&v.save()).unwrap();
        prop_assert_eq!(copy.save(), v.save());
    }
}
