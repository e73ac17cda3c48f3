//! IN, OUT, INS, OUTS and who may use them (SDM Vol. 1 chapter 19; Vol. 2).

use hako_mem::SlabOffset;
use hako_x86::{Cr0, RFlags, Width, tss};

use crate::cx::{Cx, Step, Trap};
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
    /// How many of at most `most` items at `off` may go in one call of the bus: those of one page, upwards. The time of all
    /// of them is that of the first; events that are due end a run of iterations before, as `most` knows.
    fn chunk(&self, op: &Op, seg: u8, off: u64, bytes: u64, most: u64) -> u64 {
        if most == 1 || self.cpu.flag(RFlags::DF) {
            return 1;
        }
        most.min(self.run_length(op, seg, off, bytes)).min(CHUNK as u64 / bytes)
    }

    /// INS of several items into RAM that the TLB knows to be writable; `false` if it is none.
    fn ins_chunk(&mut self, port: u16, width: Width, off: u64, n: u64) -> bool {
        let mut data = [0; CHUNK];
        let len = n * width.bytes() as u64;
        let Some(to) = self.write_hit(ES, off, len) else { return false };
        let Some(data) = data.get_mut(..len as usize) else { return false };
        let at = self.at();
        let attention = self.bus.port_in(at, port, width, data);
        self.slab.write(SlabOffset(to), data);
        self.cpu.attend_bus(attention);
        self.port_done(port, width);
        true
    }

    /// OUTS of several items from RAM that the TLB knows; `false` if it is none.
    fn outs_chunk(&mut self, port: u16, width: Width, seg: u8, off: u64, n: u64) -> bool {
        let mut data = [0; CHUNK];
        let len = n * width.bytes() as u64;
        let Some(from) = self.read_hit(seg, off, len) else { return false };
        let Some(data) = data.get_mut(..len as usize) else { return false };
        if !self.slab.read(SlabOffset(from), data) {
            return false;
        }
        let at = self.at();
        let attention = self.bus.port_out(at, port, width, data);
        self.cpu.attend_bus(attention);
        self.port_done(port, width);
        true
    }
}

/// INS: memory is checked before the port is read, so that no byte is lost to a fault.
pub(crate) fn ins(cx: &mut Cx<'_>, op: &Op) -> Step {
    let width = width(op);
    cx.repeat(op, |cx, op, most| {
        let port = port_in_dx(cx);
        cx.check_port(port, width)?;
        let (off, bytes) = (cx.index_reg(op, RDI), width.bytes() as u64);
        let n = cx.chunk(op, ES, off, bytes, most);
        if n > 1 && cx.ins_chunk(port, width, off, n) {
            cx.advance(op, RDI, bytes, n);
            return Ok((n, true));
        }
        let span = cx.probe(ES, off, bytes, Access::Write)?;
        let value = cx.port_in(port, width);
        match width {
            Width::B1 => cx.store_span(&span, value as u8),
            Width::B2 => cx.store_span(&span, value as u16),
            _ => cx.store_span(&span, value),
        }
        cx.advance(op, RDI, bytes, 1);
        Ok((1, true))
    })
}

/// OUTS.
pub(crate) fn outs(cx: &mut Cx<'_>, op: &Op) -> Step {
    let width = width(op);
    cx.repeat(op, |cx, op, most| {
        let port = port_in_dx(cx);
        cx.check_port(port, width)?;
        let (off, bytes) = (cx.index_reg(op, RSI), width.bytes() as u64);
        let n = cx.chunk(op, op.seg, off, bytes, most);
        if n > 1 && cx.outs_chunk(port, width, op.seg, off, n) {
            cx.advance(op, RSI, bytes, n);
            return Ok((n, true));
        }
        let value = read_item(cx, op)?;
        cx.port_out(port, width, value);
        cx.advance(op, RSI, bytes, 1);
        Ok((1, true))
    })
}

fn read_item(cx: &mut Cx<'_>, op: &Op) -> Result<u32, Trap> {
    let at = cx.index_reg(op, RSI);
    Ok(cx.read_sized(op.seg, at, op.osize)? as u32)
}
