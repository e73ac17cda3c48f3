//! Media of any content and size: what they are taken for, and that the firmware boots them or says why not.

use std::time::Duration;

use hako_machine::{ClockKind, Ended, EngineChoice, Machine};

use crate::input::Input;

const CD_SECTOR: usize = 2048;

/// Plays a script: an image made by the front of it.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let image = image(&mut input);
    let size = image.len();
    let built = Machine::builder()
        .engine(EngineChoice::Soft)
        .clock(ClockKind::Virtual)
        .memory(1 << 20)
        .timeout(Duration::from_micros(300))
        .no_reboot(true)
        .image(image)
        .build();
    match built {
        Ok(mut machine) => {
            let outcome = machine.run();
            let failed = matches!(outcome.ended, Ended::Failed(_) | Ended::Refused(_) | Ended::Unknown(_));
            assert!(!failed, "an image of {size} bytes: {}", outcome.ended);
        }
        Err(why) => {
            assert!(matches!(why.status(), 2 | 4), "{why}");
            assert!(!why.to_string().is_empty());
        }
    }
}

/// A boot sector, a partitioned disk, a floppy or a CD, whole or cut off somewhere, a little wrong in places.
fn image(input: &mut Input<'_>) -> Vec<u8> {
    let kind = input.u8() % 6;
    let size = match input.u8() % 6 {
        0 => usize::from(input.u16()),
        1 => 512,
        2 => input.pick(&[160, 360, 720, 1440]) << 10,
        3 => 40 * CD_SECTOR,
        4 => 512 * usize::from(input.u8()) + 256,
        _ => 0x1_0000,
    };
    let mut image = vec![0; size];
    let put = |image: &mut Vec<u8>, at: usize, bytes: &[u8]| {
        let end = image.len().min(at + bytes.len());
        if let Some(place) = image.get_mut(at..end) {
            place.copy_from_slice(&bytes[..place.len()]);
        }
    };
    put(&mut image, 0, input.take(64));
    if kind != 5 {
        put(&mut image, 510, &[0x55, 0xaa]);
    }
    match kind {
        1 => put(&mut image, 446, input.take(64)),
        2 => put(&mut image, 11, input.take(51)),
        3 | 5 => {
            // ISO 9660 with an El Torito catalogue: primary descriptor, boot record, terminator, catalogue.
            put(&mut image, 16 * CD_SECTOR, b"\x01CD001\x01");
            put(&mut image, 17 * CD_SECTOR, b"\x00CD001\x01EL TORITO SPECIFICATION");
            put(&mut image, 17 * CD_SECTOR + 0x47, &u32::from(19 + input.u8() / 64).to_le_bytes());
            put(&mut image, 18 * CD_SECTOR, b"\xffCD001\x01");
            let mut catalogue = [0u8; 64];
            catalogue[0] = 1;
            (catalogue[28], catalogue[29], catalogue[30], catalogue[31]) = (0xaa, 0x55, 0x55, 0xaa);
            catalogue[32] = 0x88;
            (catalogue[38], catalogue[40]) = (4, 20);
            for byte in input.take(4).chunks_exact(2) {
                catalogue[usize::from(byte[0]) % 64] ^= byte[1];
            }
            put(&mut image, 19 * CD_SECTOR, &catalogue);
            put(&mut image, 20 * CD_SECTOR, input.take(64));
        }
        _ => {}
    }
    while !input.is_empty() && !image.is_empty() {
        let at = input.u32() as usize % image.len();
        put(&mut image, at, &[input.u8()]);
    }
    image
}
