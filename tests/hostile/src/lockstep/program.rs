//! Programs of single instructions with random operands, for any mode.

use hako_fuzz::modes::{DATA, Mode};
use hako_fuzz::stream::Random;
use hako_x86::RFlags;

/// One instruction and what is not defined after it.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Flags that the SDM leaves undefined.
    pub undefined: RFlags,
}

impl Instruction {
    /// These bytes, after which everything is defined.
    pub fn of(bytes: &[u8]) -> Instruction {
        Instruction { bytes: bytes.to_vec(), undefined: RFlags::empty() }
    }
}

/// The fixed bytes in memory that LGDT, LIDT and far pointers are read from, behind the random data.
pub const POINTERS: u64 = DATA + 0x2000;
/// Random data are this long.
pub const DATA_LEN: u64 = 0x400;

const AF: RFlags = RFlags::AF;
const OF: RFlags = RFlags::OF;

/// Makes instructions.
pub struct Generator<'a> {
    mode: Mode,
    random: &'a mut Random,
    bytes: Vec<u8>,
}

impl<'a> Generator<'a> {
    /// For programs of a mode.
    pub fn new(mode: Mode, random: &'a mut Random) -> Generator<'a> {
        Generator { mode, random, bytes: Vec::new() }
    }

    fn is_16(&self) -> bool {
        matches!(self.mode, Mode::Real | Mode::Protected16)
    }

    fn is_64(&self) -> bool {
        matches!(self.mode, Mode::Long | Mode::UserLong)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len())]
    }

    /// A register that programs may write: not the stack pointer.
    fn register(&mut self) -> u8 {
        self.pick(&[0, 1, 2, 3, 5, 6, 7])
    }

    /// Sometimes the other operand size; in long mode sometimes 64 bits. Returns the operand's width in bytes.
    fn size(&mut self) -> usize {
        let native = if self.is_16() { 2 } else { 4 };
        match self.random.below(4) {
            0 => {
                self.put(&[0x66]);
                6 - native
            }
            1 if self.is_64() => {
                self.put(&[0x48]);
                8
            }
            _ => native,
        }
    }

    /// A ModRM byte with `reg`, and its operand: a register or a place among the data.
    fn operand(&mut self, reg: u8) {
        if self.random.below(2) == 0 {
            let rm = self.register();
            self.put(&[0xc0 | reg << 3 | rm]);
        } else {
            self.memory(reg);
        }
    }

    /// A ModRM byte with `reg`, and a place among the data.
    fn memory(&mut self, reg: u8) {
        let at = DATA + self.random.below(DATA_LEN as usize - 16) as u64;
        self.memory_at(reg, at);
    }

    fn memory_at(&mut self, reg: u8, linear: u64) {
        let offset = self.mode.offset(linear) as u32;
        if self.is_16() {
            self.put(&[reg << 3 | 6]);
            self.put(&(offset as u16).to_le_bytes());
        } else if self.is_64() {
            self.put(&[reg << 3 | 4, 0x25]);
            self.put(&offset.to_le_bytes());
        } else {
            self.put(&[reg << 3 | 5]);
            self.put(&offset.to_le_bytes());
        }
    }

    /// An immediate of an operand of `size` bytes.
    fn immediate(&mut self, size: usize) {
        let value = self.random.next_u64() >> self.random.below(64);
        self.put(&value.to_le_bytes()[..size.min(4)]);
    }

    /// The next instruction.
    pub fn next_instruction(&mut self) -> Instruction {
        self.bytes.clear();
        let groups: [fn(&mut Self) -> RFlags; 12] = [
            Self::alu,
            Self::alu,
            Self::shift,
            Self::multiply,
            Self::bits,
            Self::moves,
            Self::stack,
            Self::decimal,
            Self::string,
            Self::branch,
            Self::system,
            Self::segments,
        ];
        // In ring 3 of a KVM that runs it on the host's CPU, selectors and the interrupt flag are the host's, and most
        // of what is left of the last two groups ends the program.
        let groups = if self.mode == Mode::UserLong { &groups[..10] } else { &groups[..] };
        let group = self.pick(groups);
        let undefined = group(self);
        Instruction { bytes: core::mem::take(&mut self.bytes), undefined }
    }

    fn alu(&mut self) -> RFlags {
        let op = self.random.below(8) as u8;
        let undefined = if matches!(op, 1 | 4 | 6) { AF } else { RFlags::empty() };
        match self.random.below(5) {
            0 => {
                // r/m, r and r, r/m, bytes too.
                let wide = self.random.below(2) as u8;
                if wide == 1 {
                    self.size();
                }
                let direction = 2 * self.random.below(2) as u8;
                self.put(&[op << 3 | direction | wide]);
                // Byte register 4 is AH: there is no stack pointer among them.
                let reg = self.register();
                self.operand(reg);
            }
            1 => {
                let size = self.size();
                self.put(&[0x81]);
                self.operand(op);
                self.immediate(size);
            }
            2 => {
                self.size();
                self.put(&[0x83]);
                self.operand(op);
                self.immediate(1);
            }
            3 => {
                // INC, DEC, NOT, NEG.
                self.size();
                let (opcode, reg) = self.pick(&[(0xff, 0), (0xff, 1), (0xf7, 2), (0xf7, 3)]);
                self.put(&[opcode]);
                self.operand(reg);
                return RFlags::empty();
            }
            _ => {
                // TEST, XADD, CMPXCHG.
                self.size();
                let opcode: &[u8] = self.pick(&[&[0x85], &[0x0f, 0xc1], &[0x0f, 0xb1]]);
                self.put(opcode);
                let reg = self.register();
                self.operand(reg);
                return if opcode == [0x85] { AF } else { RFlags::empty() };
            }
        }
        undefined
    }

    fn shift(&mut self) -> RFlags {
        let double = self.random.below(4) == 0;
        self.size();
        // Below the smallest operand's width: past it results are undefined too.
        let count = self.random.below(16) as u8;
        if double {
            let opcode = self.pick(&[0xa4, 0xac]);
            self.put(&[0x0f, opcode]);
            let reg = self.register();
            self.operand(reg);
        } else {
            self.put(&[0xc1]);
            let op = self.pick(&[0, 1, 2, 3, 4, 5, 7]);
            self.operand(op);
            self.put(&[count]);
            return match (op, count) {
                (_, 0) => RFlags::empty(),
                (0..=3, 1) => RFlags::empty(),
                (0..=3, _) => OF,
                (_, 1) => AF,
                _ => AF | OF,
            };
        }
        self.put(&[count]);
        match count {
            0 => RFlags::empty(),
            1 => AF,
            _ => AF | OF,
        }
    }

    fn multiply(&mut self) -> RFlags {
        let result = RFlags::SF | RFlags::ZF | AF | RFlags::PF;
        let size = self.size();
        match self.random.below(4) {
            // MUL, IMUL
            0 => {
                let op = self.pick(&[4, 5]);
                self.put(&[0xf7]);
                self.operand(op);
            }
            1 => {
                self.put(&[0x0f, 0xaf]);
                let reg = self.register();
                self.operand(reg);
            }
            2 => {
                self.put(&[0x69]);
                let reg = self.register();
                self.operand(reg);
                self.immediate(size);
            }
            // DIV, IDIV, which may well overflow.
            _ => {
                let op = self.pick(&[6, 7]);
                self.put(&[0xf7]);
                self.operand(op);
                return result | RFlags::CF | OF;
            }
        }
        result
    }

    fn bits(&mut self) -> RFlags {
        self.size();
        match self.random.below(5) {
            0 => {
                // BT, BTS, BTR, BTC with an immediate.
                let op = self.pick(&[4, 5, 6, 7]);
                self.put(&[0x0f, 0xba]);
                self.operand(op);
                self.immediate(1);
                OF | RFlags::SF | AF | RFlags::PF
            }
            1 => {
                // BSF, BSR.
                let opcode = self.pick(&[0xbc, 0xbd]);
                self.put(&[0x0f, opcode]);
                let reg = self.register();
                self.memory_at(reg, POINTERS + 0x40);
                RFlags::CF | OF | RFlags::SF | AF | RFlags::PF
            }
            2 => {
                let condition = self.random.below(16) as u8;
                self.put(&[0x0f, 0x40 | condition]);
                let reg = self.register();
                self.operand(reg);
                RFlags::empty()
            }
            3 => {
                let condition = self.random.below(16) as u8;
                self.put(&[0x0f, 0x90 | condition]);
                self.operand(0);
                RFlags::empty()
            }
            _ => {
                let opcode = self.pick(&[0xb6, 0xb7, 0xbe, 0xbf]);
                self.put(&[0x0f, opcode]);
                let reg = self.register();
                self.operand(reg);
                RFlags::empty()
            }
        }
    }

    fn moves(&mut self) -> RFlags {
        let size = self.size();
        match self.random.below(6) {
            0 => {
                let opcode = self.pick(&[0x89, 0x8b, 0x87]);
                self.put(&[opcode]);
                let reg = self.register();
                self.operand(reg);
            }
            1 => {
                self.put(&[0xc7]);
                self.operand(0);
                self.immediate(size);
            }
            2 => {
                self.put(&[0x8d]);
                let reg = self.register();
                self.memory(reg);
            }
            3 => {
                let opcode = self.pick(&[0x98, 0x99, 0x90, 0x91, 0x93]);
                self.put(&[opcode]);
            }
            4 => {
                let opcode = self.pick(&[0x9e, 0x9f, 0xf5, 0xf8, 0xf9, 0xfc]);
                self.put(&[opcode]);
            }
            _ => {
                let reg = self.register();
                self.put(&[0x0f, 0xc8 | reg]);
                // BSWAP of 16 bits is undefined.
                if size == 2 {
                    self.bytes.clear();
                    self.put(&[0x90]);
                }
            }
        }
        RFlags::empty()
    }

    fn stack(&mut self) -> RFlags {
        if self.random.below(2) == 0 && !self.is_64() {
            self.size();
        }
        match self.random.below(7) {
            0 => {
                let reg = self.register();
                self.put(&[0x50 | reg]);
            }
            1 => {
                let reg = self.register();
                self.put(&[0x58 | reg]);
            }
            2 => {
                self.put(&[0x6a]);
                self.immediate(1);
            }
            3 => {
                self.put(&[0xff]);
                self.memory(6);
            }
            4 if self.mode != Mode::UserLong => self.put(&[0x9c]),
            5 if !self.is_64() => {
                let opcode = self.pick(&[0x60, 0x61]);
                self.put(&[opcode]);
            }
            _ => {
                let locals = 4 * self.random.below(8) as u8;
                self.put(&[0xc8, locals, 0, 0]);
            }
        }
        RFlags::empty()
    }

    fn decimal(&mut self) -> RFlags {
        if self.is_64() {
            return self.alu();
        }
        let result = RFlags::SF | RFlags::ZF | RFlags::PF;
        let (bytes, undefined): (&[u8], RFlags) = self.pick(&[
            (&[0x27], OF),
            (&[0x2f], OF),
            (&[0x37], OF | result),
            (&[0x3f], OF | result),
            (&[0xd4, 0x0a], OF | AF | RFlags::CF),
            (&[0xd5, 0x0a], OF | AF | RFlags::CF),
            (&[0xd6], RFlags::empty()),
        ]);
        self.put(bytes);
        undefined
    }

    /// A string instruction that begins among the data; the registers are set by the instruction before.
    fn string(&mut self) -> RFlags {
        let at = self.mode.offset(DATA + 0x100) as u32;
        // An index, or the count.
        let (opcode, value) = match self.random.below(3) {
            0 => (0xbe, at + self.random.below(0x80) as u32),
            1 => (0xbf, at + self.random.below(0x80) as u32),
            _ => (0xb9, self.random.below(9) as u32),
        };
        if self.random.below(2) == 0 {
            self.put(&[opcode]);
            let size = if self.is_16() { 2 } else { 4 };
            self.put(&value.to_le_bytes()[..size]);
            return RFlags::empty();
        }
        self.size();
        // Which operand of CMPS faults first, if both do, the SDM leaves open; ring 3 would show the host's choice.
        let compares = 2 * usize::from(self.mode != Mode::UserLong);
        let opcode = self.pick(&[0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0xa6, 0xa7][..8 + compares]);
        self.put(&[opcode]);
        RFlags::empty()
    }

    /// Forwards over nothing: taken or not, the next instruction follows.
    fn branch(&mut self) -> RFlags {
        match self.random.below(4) {
            0 => {
                let condition = self.random.below(16) as u8;
                self.put(&[0x70 | condition, 0]);
            }
            1 => self.put(&[0xeb, 0]),
            2 => {
                let opcode = self.pick(&[0xe0, 0xe1, 0xe2, 0xe3]);
                self.put(&[opcode, 0]);
            }
            _ => {
                self.put(&[0xe8]);
                let size = if self.is_16() { 2 } else { 4 };
                self.put(&[0; 4][..size]);
            }
        }
        RFlags::empty()
    }

    fn system(&mut self) -> RFlags {
        let cr = self.pick(&[0u8, 2, 3, 4]);
        match self.random.below(12) {
            0 => self.put(&[0x0f, 0x20, 0xc0 | cr << 3]),
            // CR2 takes anything; the others what they have.
            1 => self.put(&[0x0f, 0x22, 0xd0]),
            2 => self.put(&[0x0f, 0x20, 0xc0, 0x0f, 0x22, 0xc0]),
            3 => self.put(&[0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8]),
            4 => self.put(&[0x0f, 0x06]),
            5 => self.put(&[0x0f, 0x01, 0xe0]),
            6 => {
                // SGDT, SIDT.
                let op = self.pick(&[0, 1]);
                self.put(&[0x0f, 0x01]);
                self.memory(op);
            }
            7 => {
                // LGDT, LIDT, of what is there.
                let op = self.pick(&[2u8, 3]);
                if self.is_16() {
                    self.put(&[0x66]);
                }
                self.put(&[0x0f, 0x01]);
                self.memory_at(op, POINTERS + 0x10 * u64::from(op));
            }
            8 => {
                self.put(&[0x0f, 0x01]);
                self.memory(7); // INVLPG
            }
            9 => {
                let opcode = self.pick(&[0xfa, 0xfb]);
                self.put(&[opcode]);
            }
            10 => {
                let opcode = self.pick(&[0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef]);
                self.put(&[opcode]);
                if opcode < 0xe8 {
                    self.immediate(1);
                }
            }
            _ => {
                // WRMSR and RDMSR of SYSENTER_EIP.
                let opcode = self.pick(&[0x30, 0x32]);
                if self.is_16() {
                    self.put(&[0x66]);
                }
                self.put(&[0xb9, 0x76, 0x01, 0, 0]);
                if self.is_16() {
                    self.put(&[0x66]);
                }
                self.put(&[0x31, 0xd2, 0x0f, opcode]);
                return AF;
            }
        }
        RFlags::empty()
    }

    fn segments(&mut self) -> RFlags {
        let real = self.mode == Mode::Real;
        match self.random.below(6) {
            0 => {
                let seg = self.random.below(6) as u8;
                self.put(&[0x8c]);
                self.operand(seg);
            }
            // MOV ES, FS, GS from what is a selector of data.
            1 | 2 => {
                let data = self.mode.data();
                let seg = self.pick(&[0, 4, 5]);
                if !self.is_16() {
                    self.put(&[0x66]);
                }
                self.put(&[0xb8]);
                self.put(&data.to_le_bytes());
                self.put(&[0x8e, 0xc0 | seg << 3]);
            }
            // Null selectors, or any paragraph.
            3 => {
                let seg = self.pick(&[4, 5]);
                self.put(&[0x31, 0xc0, 0x8e, 0xc0 | seg << 3]);
                return AF;
            }
            4 => {
                // LFS, LGS.
                let opcode = self.pick(&[0xb4, 0xb5]);
                self.put(&[0x0f, opcode]);
                let reg = self.register();
                self.memory_at(reg, POINTERS);
            }
            _ if real => self.put(&[0x1e, 0x07]), // push ds; pop es
            _ => {
                // STR, SLDT; VERR, VERW of AX.
                let op = self.pick(&[0xc8, 0xc0, 0xe0, 0xe8]);
                self.put(&[0x0f, 0x00, op]);
            }
        }
        RFlags::empty()
    }
}

/// What is at [`POINTERS`]: a far pointer, and the pseudo-descriptors of the tables.
pub fn pointers(mode: Mode) -> Vec<u8> {
    let mut bytes = vec![0; 0x60];
    // For 16-bit and for 32-bit operands: the selector follows the offset.
    bytes[2..4].copy_from_slice(&mode.data().to_le_bytes());
    bytes[4..6].copy_from_slice(&mode.data().to_le_bytes());
    let state = hako_fuzz::modes::state(mode);
    for (at, table) in [(0x20, state.gdtr), (0x30, state.idtr)] {
        bytes[at..at + 2].copy_from_slice(&table.limit.to_le_bytes());
        bytes[at + 2..at + 10].copy_from_slice(&table.base.to_le_bytes());
    }
    bytes[0x40..0x48].copy_from_slice(&0x0040_8000_0100_1010u64.to_le_bytes());
    bytes
}
