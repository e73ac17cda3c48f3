//! IN, OUT, INS, OUTS and who may use them (SDM Vol. 1 chapter 19; Vol. 2).

use hako_x86::{Cr0, RFlags, Width, tss};

use crate::cx::{Cx, Step};
use crate::debug;
use crate::op::Op;
use crate::paging::Access;
use crate::task::has_io_map;
use crate::why::Why;

const RDX: u8 = 2;
const RSI: u8 = 6;
const RDI: u8 = 7;
const ES: u8 = 0;

fn width(op: &Op) -> Width {
    match op.osize {
        0 => Width::B1,
        1 => Width::B2,
        _ => Width::B4,
    }
}

fn port_in_dx(cx: &Cx<'_>) -> u16 {
    cx.reg(RDX)
}

impl Cx<'_> {
    /// Checks access to `width` ports: above IOPL and in virtual-8086 mode the TSS's I/O permission map decides.
    fn check_port(&mut self, port: u16, width: Width) -> Step {
        let cpu = &*self.cpu;
        if !cpu.cr0_has(Cr0::PE) || cpu.cpl <= cpu.iopl() && !cpu.v86() {
            return Ok(());
        }
        let tr = cpu.tr;
        let field = u64::from(tss::IO_MAP_BASE);
        if !has_io_map(&tr) || field + 1 > u64::from(tr.limit) {
            return Err(self.gp(0, Why::NoIoMap));
        }
        let map: u16 = self.read_linear_sys(tr.base.wrapping_add(field))?;
        // Two bytes are always read, so that any four ports are covered.
        let at = u64::from(map) + u64::from(port / 8);
        if at + 1 > u64::from(tr.limit) {
            return Err(self.gp(0, Why::IoMapTooShort));
        }
        let bits: u16 = self.read_linear_sys(tr.base.wrapping_add(at))?;
        let wanted = (1u16 << width.bytes()) - 1;
        if bits >> (port & 7) & wanted != 0 {
            return Err(self.gp(0, Why::IoNotPermitted));
        }
        Ok(())
    }

    /// Reads a port, permission checked before.
    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        let mut data = [0; 4];
        let at = self.at();
        if let Some(data) = data.get_mut(..width.bytes()) {
            let attention = self.bus.port_in(at, port, width, data);
            self.cpu.attend_bus(attention);
        }
        self.port_done(port, width);
        u32::from_le_bytes(data)
    }

    /// Writes a port, permission checked before.
    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        let at = self.at();
        let data = value.to_le_bytes();
        let attention = self.bus.port_out(at, port, width, &data[..width.bytes().min(4)]);
        self.cpu.attend_bus(attention);
        self.port_done(port, width);
    }

    fn port_done(&mut self, port: u16, width: Width) {
        self.cpu.counters.io = self.cpu.counters.io.wrapping_add(1);
        if self.cpu.careful {
            debug::watch_port(self.cpu, port, width.bytes() as u64);
        }
    }

    fn in_to_accumulator(&mut self, port: u16, op: &Op) -> Step {
        let width = width(op);
        self.check_port(port, width)?;
        let value = self.port_in(port, width);
        match width {
            Width::B1 => self.set_reg(0, value as u8),
            Width::B2 => self.set_reg(0, value as u16),
            _ => self.set_reg(0, value),
        }
        Ok(())
    }

    fn out_from_accumulator(&mut self, port: u16, op: &Op) -> Step {
        let width = width(op);
        self.check_port(port, width)?;
        let value: u32 = self.reg(0);
        self.port_out(port, width, value);
        Ok(())
    }
}

/// IN from an immediate port.
pub(crate) fn in_imm(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.in_to_accumulator(u16::from(op.imm as u8), op)
}

/// IN from the port in DX.
pub(crate) fn in_dx(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.in_to_accumulator(port_in_dx(cx), op)
}

/// OUT to an immediate port.
pub(crate) fn out_imm(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.out_from_accumulator(u16::from(op.imm as u8), op)
}

/// OUT to the port in DX.
pub(crate) fn out_dx(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.out_from_accumulator(port_in_dx(cx), op)
}

/// The most bytes that one call of the bus moves.
const CHUNK: usize = 512;

impl Cx<'_> {
    /// How many of at most `most` items at `off` may go in one call of the bus: those of one page, upwards, within the
    /// segment. The time of all of them is that of the first; events that are due end a run of iterations before, as
    /// `most` knows. That must not depend on what the TLB happens to hold.
    fn chunk(&self, op: &Op, seg: u8, off: u64, bytes: u64, most: u64, write: bool) -> u64 {
        if most == 1 || self.cpu.flag(RFlags::DF) {
            return 1;
        }
        let s = &self.cpu.fast[usize::from(seg & 7)];
        let room = if write { s.writable } else { s.readable }.saturating_sub(off) / bytes;
        most.min(self.run_length(op, seg, off, bytes)).min(room).min(CHUNK as u64 / bytes).max(1)
    }
}

/// INS: memory is checked before the port is read, so that no byte is lost to a fault.
pub(crate) fn ins(cx: &mut Cx<'_>, op: &Op) -> Step {
    let width = width(op);
    cx.repeat(op, |cx, op, most| {
        let port = port_in_dx(cx);
        cx.check_port(port, width)?;
        let (off, bytes) = (cx.index_reg(op, RDI), width.bytes() as u64);
        let span = cx.probe(ES, off, bytes, Access::Write)?;
        let n = if span.is_ram() { cx.chunk(op, ES, off, bytes, most, true) } else { 1 };
        let mut data = [0; CHUNK];
        let data = data.get_mut(..(n * bytes) as usize).unwrap_or_default();
        let at = cx.at();
        let attention = cx.bus.port_in(at, port, width, data);
        cx.cpu.attend_bus(attention);
        cx.port_done(port, width);
        cx.store_run(&span, bytes as usize, data);
        cx.advance(op, RDI, bytes, n);
        Ok((n, true))
    })
}

/// OUTS.
pub(crate) fn outs(cx: &mut Cx<'_>, op: &Op) -> Step {
    let width = width(op);
    cx.repeat(op, |cx, op, most| {
        let port = port_in_dx(cx);
        cx.check_port(port, width)?;
        let (off, bytes) = (cx.index_reg(op, RSI), width.bytes() as u64);
        let span = cx.probe(op.seg, off, bytes, Access::Read)?;
        let n = if span.is_ram() { cx.chunk(op, op.seg, off, bytes, most, false) } else { 1 };
        let mut data = [0; CHUNK];
        let data = data.get_mut(..(n * bytes) as usize).unwrap_or_default();
        cx.load_run(&span, bytes as usize, data);
        let at = cx.at();
        let attention = cx.bus.port_out(at, port, width, data);
        cx.cpu.attend_bus(attention);
        cx.port_done(port, width);
        cx.advance(op, RSI, bytes, n);
        Ok((n, true))
    })
}
