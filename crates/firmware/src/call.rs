//! A call of a service: the caller's registers and FLAGS, guest memory by segment, the platform.

use hako_mem::{Gpa, GuestMemory, Word};
use hako_x86::{CpuState, Gpr, RFlags, SegAttr, SegReg, Segment, Width};

use crate::{Platform, rom};

/// Everything that a service works on. Wild addresses read as all ones and swallow writes.
pub(crate) struct Call<'a> {
    pub cpu: &'a mut CpuState,
    pub mem: &'a GuestMemory,
    pub platform: &'a mut dyn Platform,
}

/// Getters and setters of a register's parts; setters keep the rest of it.
macro_rules! registers {
    ($($gpr:ident: $e:ident $set_e:ident, $x:ident $set_x:ident, $h:ident $set_h:ident, $l:ident $set_l:ident;)*) => {
        #[allow(dead_code)] // the set is complete, whatever the services use of it
        impl Call<'_> {$(
            pub fn $e(&self) -> u32 { self.cpu.gpr[Gpr::$gpr as usize] as u32 }
            pub fn $set_e(&mut self, v: u32) { self.cpu.gpr[Gpr::$gpr as usize] = v.into(); }
            pub fn $x(&self) -> u16 { self.$e() as u16 }
            pub fn $set_x(&mut self, v: u16) { self.$set_e(self.$e() & !0xffff | u32::from(v)); }
            pub fn $h(&self) -> u8 { (self.$e() >> 8) as u8 }
            pub fn $set_h(&mut self, v: u8) { self.$set_e(self.$e() & !0xff00 | u32::from(v) << 8); }
            pub fn $l(&self) -> u8 { self.$e() as u8 }
            pub fn $set_l(&mut self, v: u8) { self.$set_e(self.$e() & !0xff | u32::from(v)); }
        )*}
    };
}
registers! {
    Rax: eax set_eax, ax set_ax, ah set_ah, al set_al;
    Rbx: ebx set_ebx, bx set_bx, bh set_bh, bl set_bl;
    Rcx: ecx set_ecx, cx set_cx, ch set_ch, cl set_cl;
    Rdx: edx set_edx, dx set_dx, dh set_dh, dl set_dl;
}

impl Call<'_> {
    /// A register's low 16 bits (SI, DI, BP).
    pub fn word(&self, r: Gpr) -> u16 {
        self.cpu.reg(r) as u16
    }

    /// Sets a register's low 16 bits.
    pub fn set_word(&mut self, r: Gpr, v: u16) {
        let reg = &mut self.cpu.gpr[r as usize];
        *reg = *reg & !0xffff | u64::from(v);
    }

    /// Loads a segment register as real mode does.
    pub fn set_segment(&mut self, s: SegReg, selector: u16) {
        let seg = &mut self.cpu.seg[s as usize];
        *seg = Segment { attr: Segment::real(0).attr, ..Segment::real(selector) };
    }

    /// Where the caller's FLAGS are: the third word of the interrupt's frame.
    fn flags_at(&self) -> Gpa {
        let ss = self.cpu.segment(SegReg::Ss);
        let mask = if ss.attr.contains(SegAttr::DB) { 0xffff_ffff } else { 0xffff };
        let sp = self.cpu.reg(Gpr::Rsp).wrapping_add(4) & mask;
        Gpa(ss.base.wrapping_add(sp) & 0xffff_ffff)
    }

    /// Sets or clears flags in what the stub's IRET will load.
    pub fn set_flags(&mut self, which: RFlags, on: bool) {
        let at = self.flags_at();
        let old = self.load::<u16>(at);
        let bits = which.bits() as u16;
        let new = if on { old | bits } else { old & !bits };
        if new != old {
            self.store(at, new);
        }
    }

    /// CF, which most services report errors by.
    pub fn set_carry(&mut self, on: bool) {
        self.set_flags(RFlags::CF, on);
    }

    /// Goes on at another place of the ROM instead of returning.
    pub fn resume_at(&mut self, offset: u16) {
        self.cpu.rip = offset.into();
    }

    /// Halts with interrupts on, then asks for `service` again.
    pub fn wait(&mut self, service: crate::Service) {
        self.resume_at(rom::wait_at(service));
    }

    /// The physical address of an offset in a segment. Real mode has no paging, but it has the A20 gate.
    pub fn linear(&self, s: SegReg, offset: u16) -> Gpa {
        Gpa(self.cpu.segment(s).base.wrapping_add(offset.into()) & 0xffff_ffff)
    }

    /// What the CPU would put on the bus for this address: with the A20 gate closed, bit 20 is 0.
    fn gated(&mut self, at: Gpa) -> Gpa {
        const A20: u64 = 1 << 20;
        if at.0 & A20 != 0 && !self.platform.a20() { Gpa(at.0 & !A20) } else { at }
    }

    /// Calls `f` for the pieces of a range that the A20 gate leaves in one piece.
    fn gated_pieces(&mut self, at: Gpa, len: usize, mut f: impl FnMut(&mut Self, Gpa, usize, usize)) {
        let mut done = 0;
        while done < len {
            let here = at.0.wrapping_add(done as u64);
            let n = (0x10_0000 - (here & 0xf_ffff)).min((len - done) as u64) as usize;
            let gpa = self.gated(Gpa(here));
            f(self, gpa, done, n);
            done += n;
        }
    }

    /// Reads physical memory as the CPU would: RAM, ROM, or else chips.
    pub fn read(&mut self, at: Gpa, buf: &mut [u8]) {
        self.gated_pieces(at, buf.len(), |call, gpa, from, n| {
            let Some(part) = buf.get_mut(from..from + n) else { return };
            if call.mem.read(gpa, part).is_ok() {
                return;
            }
            let mut at = gpa.0;
            for piece in part.chunks_mut(1) {
                if call.mem.read(Gpa(at), piece).is_err() {
                    call.platform.mmio_read(Gpa(at), piece);
                }
                at = at.wrapping_add(1);
            }
        });
    }

    /// Writes physical memory as the CPU would.
    pub fn write(&mut self, at: Gpa, data: &[u8]) {
        self.gated_pieces(at, data.len(), |call, gpa, from, n| {
            let Some(part) = data.get(from..from + n) else { return };
            if call.mem.write(gpa, part).is_ok() {
                return;
            }
            let mut at = gpa.0;
            for piece in part.chunks(1) {
                if call.mem.write(Gpa(at), piece).is_err() {
                    call.platform.mmio_write(Gpa(at), piece);
                }
                at = at.wrapping_add(1);
            }
        });
    }

    /// Reads a little-endian word.
    pub fn load<T: Word>(&mut self, at: Gpa) -> T {
        let mut bytes = [0; 16];
        if let Some(buf) = bytes.get_mut(..size_of::<T>()) {
            self.read(at, buf);
        }
        T::from_u128(u128::from_le_bytes(bytes))
    }

    /// Writes a little-endian word.
    pub fn store<T: Word>(&mut self, at: Gpa, value: T) {
        if let Some(bytes) = value.to_u128().to_le_bytes().get(..size_of::<T>()) {
            self.write(at, bytes);
        }
    }

    /// Reads `seg:offset`, with the offset wrapping at 64 KiB.
    pub fn read_seg(&mut self, s: SegReg, offset: u16, buf: &mut [u8]) {
        let head = buf.len().min(0x1_0000 - usize::from(offset));
        let (head, tail) = buf.split_at_mut(head);
        self.read(self.linear(s, offset), head);
        if !tail.is_empty() {
            self.read(self.linear(s, 0), tail);
        }
    }

    /// Writes `seg:offset`, with the offset wrapping at 64 KiB.
    pub fn write_seg(&mut self, s: SegReg, offset: u16, data: &[u8]) {
        let head = data.len().min(0x1_0000 - usize::from(offset));
        let (head, tail) = data.split_at(head);
        self.write(self.linear(s, offset), head);
        if !tail.is_empty() {
            self.write(self.linear(s, 0), tail);
        }
    }

    /// IN of a byte.
    pub fn inb(&mut self, port: u16) -> u8 {
        self.platform.port_in(port, Width::B1) as u8
    }

    /// OUT of a byte.
    pub fn outb(&mut self, port: u16, value: u8) {
        self.platform.port_out(port, Width::B1, value.into());
    }

    /// Reads a register of the RTC or a byte of CMOS memory.
    pub fn cmos(&mut self, register: u8) -> u8 {
        self.outb(0x70, register);
        self.inb(0x71)
    }

    /// Writes a register of the RTC or a byte of CMOS memory.
    pub fn set_cmos(&mut self, register: u8, value: u8) {
        self.outb(0x70, register);
        self.outb(0x71, value);
    }
}
