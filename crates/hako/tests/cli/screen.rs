//! `--screen` and `--screenshot`.

use std::fs::File;
use std::io::BufReader;

use crate::guest::{COM1, HALT, print, say, sector};
use crate::hako::{Folder, engines, hako};

#[test]
fn the_screen_follows_what_the_guest_says() {
    let folder = Folder::new();
    let printer: Vec<u8> = b"Box".iter().flat_map(|c| print(*c)).collect();
    let code = [&printer[..], HALT].concat();
    let image = folder.file("image", &sector(&code));
    for engine in engines() {
        let done = hako(&["run", "--engine", engine, "--screen", &image]).expect(0);
        assert!(done.text().lines().any(|l| l.trim_end() == "Box"), "{engine}: {}", done.text());
    }
    let talker = folder.file("talker", &sector(&say(COM1, "first\n", HALT)));
    assert!(hako(&["run", "--engine", "soft", "--screen", &talker]).expect(0).text().starts_with("first\n"));
}

/// A decoded picture: width, height, RGB.
fn png(folder: &Folder, name: &str) -> (u32, u32, Vec<u8>) {
    let file = BufReader::new(File::open(folder.path(name)).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    (info.width, info.height, pixels)
}

#[test]
fn a_screenshot_of_text_shows_its_letters() {
    let folder = Folder::new();
    let image = folder.file("image", &sector(&[&print(b'#')[..], HALT].concat()));
    let shot = folder.arg("shot.png");
    hako(&["run", "--engine", "soft", "--screenshot", &shot, &image]).expect(0);
    let (width, height, pixels) = png(&folder, "shot.png");
    assert_eq!((width, height), (720, 400));
    let lit = pixels.chunks(3).filter(|p| **p != [0, 0, 0]).count();
    assert!((20..400).contains(&lit), "{lit} pixels are lit");
}

#[test]
fn a_screenshot_of_mode_13h_shows_its_pixels() {
    // mov ax, 0x13; int 0x10; mov ax, 0xa000; mov es, ax; mov byte es:[321], 4
    let code = [
        &[0xb8, 0x13, 0x00, 0xcd, 0x10, 0xb8, 0x00, 0xa0, 0x8e, 0xc0][..],
        &[0x26, 0xc6, 0x06, 0x41, 0x01, 0x04],
        HALT,
    ]
    .concat();
    let folder = Folder::new();
    let image = folder.file("image", &sector(&code));
    let shot = folder.arg("shot.png");
    for firmware in ["builtin", "seabios"] {
        hako(&["run", "--engine", "soft", "--firmware", firmware, "--screenshot", &shot, &image]).expect(0);
        let (width, height, pixels) = png(&folder, "shot.png");
        assert_eq!((width % 320, height % 200), (0, 0), "{firmware}: {width}x{height}");
        let (across, down) = (width / 320, height / 200);
        let lit: Vec<(u32, u32, &[u8])> = pixels
            .chunks(3)
            .enumerate()
            .filter(|(_, p)| *p != [0, 0, 0])
            .map(|(i, p)| (i as u32 % width / across, i as u32 / width / down, p))
            .collect();
        assert!(!lit.is_empty() && lit.iter().all(|l| (l.0, l.1) == (1, 1)), "{firmware}: {lit:?}");
        assert!(lit[0].2[0] > 0xa0 && lit[0].2[1] == 0 && lit[0].2[2] == 0, "{firmware}: {:?}", lit[0]);
    }
}

#[test]
fn a_bare_machine_has_no_screen() {
    let folder = Folder::new();
    let rom = folder.file("rom", &[0xf4]);
    let shot = folder.arg("shot.png");
    hako(&["run", "--machine", "bare", "--screen", &rom]).expect(2).says("--machine pc");
    hako(&["run", "--machine", "bare", "--screenshot", &shot, &rom]).expect(2).says("--machine pc");
    assert!(!folder.path("shot.png").exists());
}
