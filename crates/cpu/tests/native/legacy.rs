//! Instructions that 64-bit mode lacks, run by the host in compatibility mode.

use hako_x86::{Gpr, RFlags};

use super::common::protected_mode;
use super::{AF, ALL, CF, CODE, DATA, GPRS, OF, PF, Pair, SF, ZF};

/// Where the 32-bit code is.
const CODE32: u64 = CODE + 0x800;
/// Linux's user code segments.
const CS32: u8 = 0x23;
const CS64: u8 = 0x33;

impl Pair {
    /// Runs 32-bit `code` on the host with EAX and flags; returns both.
    fn host32(&mut self, code: &[u8], eax: u32, flags: u64) -> (u32, u64) {
        let mut regs = [0; GPRS];
        regs[Gpr::Rsp as usize] = DATA + 0x1000;
        let mut f = 0x202;
        // push CS32; push CODE32; retfq
        let mut enter = vec![0x6a, CS32, 0x68];
        enter.extend((CODE32 as u32).to_le_bytes());
        enter.extend([0x48, 0xcb]);
        let nops = vec![0x90; enter.len()];
        let back = self.host.run(&nops, &mut regs, &mut f) + enter.len() as u64;
        // push flags; popfd; mov eax, imm; code; pushfd; pop edi; jmp CS64:back
        let mut b = vec![0x68];
        b.extend((flags as u32).to_le_bytes());
        b.extend([0x9d, 0xb8]);
        b.extend(eax.to_le_bytes());
        b.extend(code);
        b.extend([0x9c, 0x5f, 0xea]);
        b.extend((back as u32).to_le_bytes());
        b.extend([CS64, 0]);
        self.host.write(CODE32, &b);
        regs[Gpr::Rsp as usize] = DATA + 0x1000;
        self.host.run(&enter, &mut regs, &mut f);
        (regs[Gpr::Rax as usize] as u32, regs[Gpr::Rdi as usize])
    }

    fn check32(&mut self, name: &str, code: &[u8], undefined: u64) {
        let eax = self.random.next() as u32;
        let flags = self.random.next() & ALL | 0x202;
        let host = self.host32(code, eax, flags);
        let mut s = protected_mode();
        s.gpr[0] = u64::from(eax);
        s.rip = CODE;
        s.rflags = RFlags::from_bits_retain(flags);
        self.bus.memory.write(hako_mem::Gpa(CODE), code).unwrap();
        self.cpu.set_state(&s).unwrap();
        self.cpu.step(&mut self.bus);
        let after = self.cpu.state();
        let mask = ALL & !undefined;
        let ours = (after.gpr[0] as u32, after.rflags.bits() & mask);
        assert_eq!(ours, (host.0, host.1 & mask), "{name} {code:02x?} eax {eax:x} flags {flags:x}");
    }
}

/// BCD arithmetic and the short INC and DEC.
pub fn check(p: &mut Pair) {
    for _ in 0..3000 {
        p.check32("daa", &[0x27], OF);
        p.check32("das", &[0x2f], OF);
        p.check32("aaa", &[0x37], OF | SF | ZF | PF);
        p.check32("aas", &[0x3f], OF | SF | ZF | PF);
        let base = p.random.next() as u8 | 1;
        p.check32("aam", &[0xd4, base], OF | AF | CF);
        p.check32("aad", &[0xd5, base], OF | AF | CF);
        p.check32("aam", &[0xd4, 10], OF | AF | CF);
        p.check32("salc", &[0xd6], 0);
        p.check32("inc", &[0x40], 0);
        p.check32("dec", &[0x66, 0x48], 0);
    }
}
