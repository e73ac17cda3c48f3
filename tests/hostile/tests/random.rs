//! Random code. The seeds are fixed: the same guests every time.

use hako_fuzz::modes::Mode;
use hako_fuzz::stream::Random;
use hako_hostile_tests::{Guest, engines, judge, run_all};
use hako_machine::{ClockKind, EngineChoice, Machine, MachineKind};

fn bytes(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.next_u64() as u8).collect()
}

#[test]
fn random_code_ends_in_every_mode() {
    let mut guests = Vec::new();
    for mode in [Mode::Real, Mode::Protected32, Mode::Long] {
        for seed in 0..50 {
            let random = &mut Random::new(seed << 8 | mode as u64);
            let mut handlers = [0; 8];
            handlers.copy_from_slice(&bytes(random, 8));
            if seed % 3 == 0 {
                handlers = hako_hostile_tests::RETRY;
            }
            let code = bytes(random, 0x4000);
            guests.push(Guest::new(format!("random {seed}, {mode:?}"), mode, code).handlers(handlers));
        }
    }
    engines::each(&guests, 17, run_all);
}

#[test]
fn random_boot_sectors_and_roms_end() {
    let images: Vec<u64> = (0..50).collect();
    engines::each(&images, 10, |engine, images| {
        for seed in images {
            let mut image = bytes(&mut Random::new(seed ^ 0x5555_0000), 512);
            image[510..].copy_from_slice(&[0x55, 0xaa]);
            for kind in [MachineKind::Pc, MachineKind::Bare] {
                let soft = engine == EngineChoice::Soft;
                let built = Machine::builder()
                    .engine(engine)
                    .machine(kind)
                    .clock(if soft { ClockKind::Virtual } else { ClockKind::Host })
                    .memory(1 << 20)
                    .timeout(std::time::Duration::from_millis(if soft { 2 } else { 100 }))
                    .image(image.clone())
                    .build();
                match built {
                    Ok(mut m) => judge(engine, &format!("image {seed}, {kind:?}"), &m.run()),
                    Err(why) => panic!("image {seed}: {why}"),
                }
            }
        }
    });
}
