//! x87: every instruction on random and special operands, with all rounding modes, precisions and masks.

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic};

use super::common::Random;
use super::{ALL, CODE, CONTEXT, DATA, Pair};
use hako_mem::Gpa;
use hako_x86::RFlags;

/// FXSAVE images before and after.
const BEFORE: u64 = CONTEXT + 0x400;
const AFTER: u64 = CONTEXT + 0x800;
/// The memory operand.
const OPERAND: u64 = DATA + 0x800;

type Image = [u8; 512];

const C1: u16 = 0x200;

/// A fraction, left-aligned: random, or with long runs of equal bits.
fn fraction(r: &mut Random) -> u64 {
    let v = r.next();
    match r.below(8) {
        0 => 0,
        1 => !0,
        2 => v << r.below(64),
        3 => 1 << r.below(64),
        4 => !(1 << r.below(64)),
        _ => v,
    }
}

/// A biased exponent: random, at the ends, or in the middle where two operands meet.
fn exponent(r: &mut Random, max: u64) -> u64 {
    match r.below(10) {
        0 => 0,
        1 => max,
        2 => r.below(4),
        3 => max - r.below(4),
        4 => r.below(max + 1),
        _ => max / 2 + r.below(80) - 40.min(max / 2),
    }
}

/// Ten bytes of a number in double extended precision.
fn extended(r: &mut Random) -> [u8; 10] {
    let exp = exponent(r, 0x7fff);
    let odd = r.below(24) == 0;
    let mant = fraction(r) >> 1 | u64::from((exp != 0) != odd) << 63;
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&mant.to_le_bytes());
    bytes[8..].copy_from_slice(&((exp | r.below(2) << 15) as u16).to_le_bytes());
    bytes
}

/// Sixteen bytes that make a memory operand of some type special.
fn operand(r: &mut Random) -> [u8; 16] {
    let mut bytes = [0; 16];
    match r.below(6) {
        0 => {
            let v = (r.below(2) << 31 | exponent(r, 255) << 23 | fraction(r) >> 41) as u32;
            bytes[..4].copy_from_slice(&v.to_le_bytes());
        }
        1 => {
            let v = r.below(2) << 63 | exponent(r, 2047) << 52 | fraction(r) >> 12;
            bytes[..8].copy_from_slice(&v.to_le_bytes());
        }
        2 => bytes[..10].copy_from_slice(&extended(r)),
        3 => {
            // Packed decimal.
            bytes[..9].fill_with(|| (r.below(10) | r.below(10) << 4) as u8);
            bytes[9] = (r.below(2) << 7) as u8;
        }
        _ => bytes[..8].copy_from_slice(&r.value().to_le_bytes()),
    }
    bytes
}

/// A state with nothing pending.
fn image(r: &mut Random) -> Image {
    let mut image = [0; 512];
    let masks = if r.below(2) == 0 { 0x3f } else { r.below(64) };
    let pc = [0, 2, 3, 3][r.below(4) as usize];
    let cw = 0x40 | masks | pc << 8 | r.below(4) << 10;
    let flags = if r.below(3) == 0 { r.next() & masks } else { 0 };
    let top = r.below(8);
    let sw = flags | r.next() & 0x4700 | top << 11;
    let tags = match r.below(4) {
        0 => 0xff,
        1 => r.next(),
        // Room for one push.
        _ => !(1 << ((top + 7) & 7)),
    };
    image[0..2].copy_from_slice(&(cw as u16).to_le_bytes());
    image[2..4].copy_from_slice(&(sw as u16).to_le_bytes());
    image[4] = tags as u8;
    image[24..26].copy_from_slice(&0x1f80u16.to_le_bytes());
    image[28..30].copy_from_slice(&[0xff, 0xff]);
    for i in 0..8 {
        image[32 + 16 * i..][..10].copy_from_slice(&extended(r));
    }
    image
}

/// A register of an image as the integer that orders numbers of one sign, and its sign.
fn ordered(image: &[u8], i: usize) -> (u128, bool) {
    let mut bytes = [0; 16];
    bytes[..10].copy_from_slice(&image[32 + 16 * i..][..10]);
    let v = u128::from_le_bytes(bytes);
    // Without the integer bit, so that exponents follow each other.
    let mant = v & (u128::MAX >> 65);
    ((v >> 64 & 0x7fff) << 63 | mant, v >> 79 != 0)
}

/// Whether two images agree but for one unit in the last place of the registers.
fn near(a: &[u8], b: &[u8]) -> bool {
    (0..8).all(|i| {
        let ((x, s), (y, t)) = (ordered(a, i), ordered(b, i));
        s == t && x.abs_diff(y) <= 1
    })
}

/// What is compared of a status word.
struct Loose {
    /// Bits that are not.
    status: u16,
    /// The registers may differ by one unit in the last place.
    ulp: bool,
}

impl Pair {
    fn x87(&mut self, name: &str, code: &[u8], image: &Image, operand: &[u8; 16], loose: &Loose) {
        let b = self.before();
        let mut regs = b.regs;
        regs[3] = OPERAND;
        let mut flags = b.flags;
        let before = regs;
        self.host.write(OPERAND, operand);
        self.host.write(BEFORE, image);
        // fxrstor64 [BEFORE]; the instruction; fxsave64 [AFTER]; fninit
        let mut native = vec![0x48, 0x0f, 0xae, 0x0c, 0x25];
        native.extend((BEFORE as u32).to_le_bytes());
        let lead = native.len() as u64;
        native.extend(code);
        native.extend([0x48, 0x0f, 0xae, 0x04, 0x25]);
        native.extend((AFTER as u32).to_le_bytes());
        native.extend([0xdb, 0xe3]);
        self.host.run(&native, &mut regs, &mut flags);
        let (mut after, mut memory) = ([0; 512], [0; 16]);
        self.host.read(AFTER, &mut after);
        self.host.read(OPERAND, &mut memory);

        self.bus.memory.write(Gpa(OPERAND), operand).unwrap();
        self.bus.memory.write(Gpa(CODE + lead), code).unwrap();
        let mut s = self.state.clone();
        (s.gpr, s.rip, s.rflags) = (before, CODE + lead, RFlags::from_bits_retain(b.flags));
        s.xsave = image.to_vec();
        s.xsave.resize(576, 0);
        s.xsave[512] = 3;
        self.cpu.set_state(&s).unwrap();
        self.cpu.step(&mut self.bus);
        let ours = self.cpu.state();
        let mut our_memory = [0; 16];
        self.bus.memory.read(Gpa(OPERAND), &mut our_memory).unwrap();
        let mut x = ours.xsave.clone();
        if x.is_empty() {
            x.resize(576, 0);
            x[0..2].copy_from_slice(&[0x7f, 3]);
        }
        let context = || {
            let reg = |im: &[u8], i: usize| {
                let at = 32 + 16 * i;
                format!(
                    "{:02x}{:02x}.{:016x}",
                    im[at + 9],
                    im[at + 8],
                    u64::from_le_bytes(im[at..at + 8].try_into().unwrap())
                )
            };
            let show = |im: &[u8]| {
                format!(
                    "cw {:02x}{:02x} sw {:02x}{:02x} tw {:02x} st0 {} st1 {} st7 {}",
                    im[1],
                    im[0],
                    im[3],
                    im[2],
                    im[4],
                    reg(im, 0),
                    reg(im, 1),
                    reg(im, 7)
                )
            };
            format!(
                "{name} {code:02x?}\nbefore {}\nours   {}\nhost   {}\nmemory {operand:02x?}\nours   {our_memory:02x?}\nhost   {memory:02x?}",
                show(image),
                show(&x),
                show(&after)
            )
        };
        assert_eq!(ours.rip, CODE + lead + code.len() as u64, "{:?} {}", self.cpu.faults().last(), context());
        let word = |im: &[u8], at: usize| u16::from_le_bytes([im[at], im[at + 1]]);
        assert_eq!(word(&x, 0), word(&after, 0), "control word: {}", context());
        let differ = (word(&x, 2) ^ word(&after, 2)) & !loose.status;
        assert_eq!(differ, 0, "status word: {}", context());
        assert_eq!(x[4], after[4], "tags: {}", context());
        for i in 0..8 {
            let at = 32 + 16 * i;
            let same = x[at..at + 10] == after[at..at + 10];
            assert!(same || loose.ulp && near(&x, &after), "ST({i}): {}", context());
        }
        assert_eq!(our_memory, memory, "memory: {}", context());
        assert_eq!(ours.gpr, regs, "registers: {}", context());
        assert_eq!((ours.rflags.bits() ^ flags) & ALL, 0, "flags: {}", context());
    }
}

/// How loosely an instruction is compared; `None` if it does not take part.
fn loose(m: Mnemonic) -> Option<Loose> {
    use Mnemonic::*;
    let exact = Loose { status: 0, ulp: false };
    Some(match m {
        // Their images hold pointers, of which AMD and Intel keep different ones.
        Fnstenv | Fnsave | Fldenv | Frstor | INVALID | Frstpm => return None,
        // Transcendental: within one unit in the last place; C1 says how it was rounded.
        F2xm1 | Fyl2x | Fyl2xp1 | Fpatan | Fptan | Fsin | Fcos | Fsincos => Loose { status: C1, ulp: true },
        _ => exact,
    })
}

/// Every x87 opcode.
pub fn check(p: &mut Pair) {
    for first in 0xd8..=0xdfu8 {
        let registers = 0xc0..=0xff;
        let memory = (0..8).map(|reg| reg << 3 | 3);
        for modrm in memory.chain(registers) {
            let code = [first, modrm];
            let mut decoder = Decoder::new(64, &code, DecoderOptions::NONE);
            let i = decoder.decode();
            if i.code() == Code::INVALID {
                continue;
            }
            let Some(loose) = loose(i.mnemonic()) else { continue };
            let name = format!("{:?}", i.code());
            for _ in 0..400 {
                let (image, operand) = (image(&mut p.random), operand(&mut p.random));
                p.x87(&name, &code, &image, &operand, &loose);
            }
        }
    }
}
