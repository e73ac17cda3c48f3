//! A boot sector as something that is inherited and mutates.

use crate::chance::Chance;

/// The longest program. More would fit before the signature, but nobody needs it.
const LONGEST: usize = 256;

/// The program; whatever is behind it in the sector is HLT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genome(Vec<u8>);

/// Instructions as nature might stumble on them: the opcode, and from what range each operand byte comes. The ranges are what
/// makes sense to the firmware's services; which service and which letter is for evolution to find.
const WORDS: [(u8, &[(u8, u8)]); 11] = [
    (0xb0, &[TEXT]),           // mov al, letter
    (0xb4, &[FUNCTION]),       // mov ah, function
    (0xb8, &[TEXT, FUNCTION]), // mov ax, function and letter
    (0xbb, &[ANY, ANY]),       // mov bx, imm16
    (0xcd, &[SERVICE]),        // int service
    (0x04, &[ANY]),            // add al, imm8
    (0x34, &[ANY]),            // xor al, imm8
    (0x40, &[]),               // inc ax
    (0x48, &[]),               // dec ax
    (0x50, &[]),               // push ax
    (0x58, &[]),               // pop ax
];

const ANY: (u8, u8) = (0, 0xff);
const TEXT: (u8, u8) = (0x20, 0x7e);
const FUNCTION: (u8, u8) = (0, 0x13);
const SERVICE: (u8, u8) = (0x10, 0x1a);

impl Genome {
    pub fn random(chance: &mut Chance) -> Genome {
        let mut code = Vec::new();
        for _ in 0..16 {
            code.extend(word(chance));
        }
        Genome(code)
    }

    pub fn code(&self) -> &[u8] {
        &self.0
    }

    /// The 512 bytes.
    pub fn sector(&self) -> [u8; 512] {
        let mut sector = [0xf4; 512];
        sector[..self.0.len()].copy_from_slice(&self.0);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    /// The beginning of one parent and the end of the other.
    pub fn cross(&self, other: &Genome, chance: &mut Chance) -> Genome {
        let cut = chance.below(self.0.len().min(other.0.len()) + 1);
        let mut code = self.0[..cut].to_vec();
        code.extend(&other.0[cut..]);
        Genome(code)
    }

    /// One or more small faults in copying.
    pub fn mutate(&mut self, chance: &mut Chance) {
        loop {
            self.fault(chance);
            if chance.below(3) != 0 {
                break;
            }
        }
        self.0.truncate(LONGEST);
    }

    fn fault(&mut self, chance: &mut Chance) {
        let at = chance.below(self.0.len() + 1);
        let Some(byte) = self.0.get_mut(at) else {
            return self.0.extend(word(chance));
        };
        match chance.below(8) {
            // A byte becomes a little more or less, loses or gains a bit, or is replaced.
            0 => *byte = byte.wrapping_add(1 + chance.below(8) as u8),
            1 => *byte = byte.wrapping_sub(1 + chance.below(8) as u8),
            2 => *byte ^= 1 << chance.below(8),
            3 => *byte = chance.byte(),
            // An instruction is put in, or overwrites what is there.
            4 => drop(self.0.splice(at..at, word(chance)).collect::<Vec<_>>()),
            5 => {
                let word = word(chance);
                let end = (at + word.len()).min(self.0.len());
                self.0.splice(at..end, word).for_each(drop);
            }
            // A piece is lost, or copied to another place.
            6 => {
                let end = (at + 1 + chance.below(4)).min(self.0.len());
                self.0.drain(at..end);
            }
            _ => {
                let end = (at + 1 + chance.below(6)).min(self.0.len());
                let piece = self.0[at..end].to_vec();
                let to = chance.below(self.0.len() + 1);
                self.0.splice(to..to, piece).for_each(drop);
            }
        }
    }
}

/// A random instruction.
fn word(chance: &mut Chance) -> Vec<u8> {
    let (opcode, operands) = chance.pick(&WORDS);
    let mut word = vec![opcode];
    word.extend(operands.iter().map(|&(from, to)| from + chance.below(usize::from(to - from) + 1) as u8));
    word
}
