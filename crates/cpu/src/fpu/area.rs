//! FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XRSTOR, XGETBV, XSETBV, LDMXCSR, STMXCSR (SDM Vol. 1 10.5, chapter 13).

use core::ops::Range;

use hako_x86::cpuid::xsave::{PKRU, PKRU_OFFSET, SSE, X87};
use hako_x86::{Cr0, Cr4, Vector};

use super::image::{LEGACY, Legacy, MXCSR_AT, MXCSR_MASK, ST_AT, XMM_AT, number};
use crate::cx::{Cx, Step, Trap};
use crate::op::Op;
use crate::paging::Access;
use crate::why::Why;

/// The x87 part of the legacy region: control registers, then data registers.
const X87_PARTS: [Range<usize>; 2] = [0..MXCSR_AT, ST_AT..XMM_AT];
/// MXCSR and its mask.
const MXCSR_PART: Range<usize> = MXCSR_AT..ST_AT;
/// PKRU, far behind all others.
const PKRU_PART: Range<usize> = PKRU_OFFSET..PKRU_OFFSET + 8;

impl Cx<'_> {
    /// How many XMM registers there are in this mode.
    fn xmm_registers(&self) -> usize {
        if self.cpu.long64() { 16 } else { 8 }
    }

    /// The XMM registers in the legacy region.
    fn xmm_part(&self) -> Range<usize> {
        XMM_AT..XMM_AT + 16 * self.xmm_registers()
    }

    /// Checks that the memory operand is aligned.
    fn area_aligned(&mut self, op: &Op, to: u64, write: bool) -> Step {
        let lin = self.linear(op.seg, self.ea(op), 1, write)?;
        if lin & (to - 1) != 0 {
            return Err(self.gp(0, Why::AreaMisaligned));
        }
        Ok(())
    }

    /// Checks that parts of the area can be written.
    fn area_writable(&mut self, op: &Op, part: &Range<usize>) -> Step {
        for at in part.clone().step_by(8) {
            let off = self.ea_plus(op, at as u64);
            if self.write_hit(op.seg, off, 8).is_none() {
                self.probe(op.seg, off, 8, Access::Write)?;
            }
        }
        Ok(())
    }

    /// Writes parts of the area, all or none; PKRU is not the image's.
    fn put_area(&mut self, op: &Op, image: &[u8], parts: &[Range<usize>]) -> Step {
        for part in parts {
            self.area_writable(op, part)?;
        }
        for at in parts.iter().flat_map(|part| part.clone().step_by(8)) {
            let off = self.ea_plus(op, at as u64);
            let word = if at == PKRU_OFFSET { self.cpu.fpu.pkru.into() } else { number::<8>(image, at) };
            self.wr(op.seg, off, word)?;
        }
        Ok(())
    }

    /// Reads parts of the area.
    fn get_area(&mut self, op: &Op, image: &mut [u8], parts: &[Range<usize>]) -> Step {
        for at in parts.iter().flat_map(|part| part.clone().step_by(8)) {
            let off = self.ea_plus(op, at as u64);
            let word = self.rd::<u64>(op.seg, off)?;
            if let Some(to) = image.get_mut(at..at + 8) {
                to.copy_from_slice(&word.to_le_bytes());
            }
        }
        Ok(())
    }

    /// A value for MXCSR.
    fn checked_mxcsr(&mut self, value: u32) -> Result<u32, Trap> {
        if value & !MXCSR_MASK != 0 { Err(self.gp(0, Why::MxcsrReservedBit)) } else { Ok(value) }
    }

    /// FXSAVE and FXRSTOR are there when an FPU is.
    fn fxsr(&mut self) -> Step {
        if self.cpu.cr0 & (Cr0::EM | Cr0::TS).bits() != 0 {
            return Err(self.fault(Vector::NM, None, Why::FpuUnavailable));
        }
        Ok(())
    }

    /// The XSAVE instructions are there when the system says that it uses them.
    fn xsave_enabled(&mut self) -> Step {
        if !self.cpu.cr4_has(Cr4::OSXSAVE) {
            return Err(self.ud(Why::XsaveDisabled));
        }
        Ok(())
    }

    fn xsave_usable(&mut self) -> Step {
        self.xsave_enabled()?;
        if self.cpu.cr0_has(Cr0::TS) {
            return Err(self.fault(Vector::NM, None, Why::FpuUnavailable));
        }
        Ok(())
    }

    /// EDX:EAX.
    fn edx_eax(&self) -> u64 {
        u64::from(self.reg::<u32>(2)) << 32 | u64::from(self.reg::<u32>(0))
    }
}

/// 64-bit pointers in place of 32-bit ones with selectors: REX.W.
fn wide(op: &Op) -> bool {
    op.osize == 3
}

/// FXSAVE: does not wait for exceptions, and saves SSE whatever CR4.OSFXSR says.
pub(crate) fn fxsave(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.fxsr()?;
    cx.area_aligned(op, 16, true)?;
    let image = cx.cpu.fpu.legacy(wide(op));
    let [control, data] = X87_PARTS;
    cx.put_area(op, &image, &[control, MXCSR_PART, data, cx.xmm_part()])
}

/// FXRSTOR.
pub(crate) fn fxrstor(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.fxsr()?;
    cx.area_aligned(op, 16, false)?;
    let mut image: Legacy = [0; LEGACY];
    let [control, data] = X87_PARTS;
    cx.get_area(op, &mut image, &[control, MXCSR_PART, data, cx.xmm_part()])?;
    let mxcsr = cx.checked_mxcsr(number::<4>(&image, MXCSR_AT) as u32)?;
    let registers = cx.xmm_registers();
    let fpu = &mut cx.cpu.fpu;
    fpu.load_x87(&image, wide(op));
    fpu.load_xmm(&image, registers);
    fpu.mxcsr = mxcsr;
    cx.settle_ferr();
    Ok(())
}

/// Where XSTATE_BV lies, and the header fields after it that standard format leaves zero.
const PRESENT_PART: Range<usize> = LEGACY..LEGACY + 8;
const ZERO_PART: Range<usize> = LEGACY + 8..LEGACY + 24;

/// XSAVE, and XSAVEOPT, which leaves out what is in its initial configuration.
fn save(cx: &mut Cx<'_>, op: &Op, optimise: bool) -> Step {
    cx.xsave_usable()?;
    cx.area_aligned(op, 64, true)?;
    let wanted = cx.edx_eax() & cx.cpu.fpu.xcr0;
    let in_use = cx.cpu.fpu.in_use();
    let saved = if optimise { wanted & in_use } else { wanted };
    let mut image = [0; LEGACY + 8];
    cx.get_area(op, &mut image, core::slice::from_ref(&PRESENT_PART))?;
    let present = number::<8>(&image, LEGACY) & !wanted | wanted & in_use;
    let (legacy, header) = image.split_at_mut(LEGACY);
    legacy.copy_from_slice(&cx.cpu.fpu.legacy(wide(op)));
    header.copy_from_slice(&present.to_le_bytes());
    let part = |condition: bool, range: Range<usize>| if condition { range } else { 0..0 };
    let [control, data] = X87_PARTS;
    let parts = [
        part(saved & X87 != 0, control),
        part(wanted & SSE != 0, MXCSR_PART),
        part(saved & X87 != 0, data),
        part(saved & SSE != 0, cx.xmm_part()),
        part(saved & PKRU != 0, PKRU_PART),
        PRESENT_PART,
    ];
    cx.put_area(op, &image, &parts)
}

/// XSAVE.
pub(crate) fn xsave(cx: &mut Cx<'_>, op: &Op) -> Step {
    save(cx, op, false)
}

/// XSAVEOPT.
pub(crate) fn xsaveopt(cx: &mut Cx<'_>, op: &Op) -> Step {
    save(cx, op, true)
}

/// XRSTOR of standard format, the only one there is without XSAVEC.
pub(crate) fn xrstor(cx: &mut Cx<'_>, op: &Op) -> Step {
    cx.xsave_usable()?;
    cx.area_aligned(op, 64, false)?;
    let wanted = cx.edx_eax() & cx.cpu.fpu.xcr0;
    let mut image = [0; LEGACY + 24];
    cx.get_area(op, &mut image, &[PRESENT_PART, ZERO_PART])?;
    let present = number::<8>(&image, LEGACY);
    let zero = number::<8>(&image, LEGACY + 8) | number::<8>(&image, LEGACY + 16);
    if present & !cx.cpu.fpu.xcr0 != 0 || zero != 0 {
        return Err(cx.gp(0, Why::XsaveHeader));
    }
    let loaded = wanted & present;
    if loaded & X87 != 0 {
        cx.get_area(op, &mut image, &X87_PARTS)?;
    }
    let mut mxcsr = cx.cpu.fpu.mxcsr;
    if wanted & SSE != 0 {
        // MXCSR is loaded even if XMM is to be initial.
        cx.get_area(op, &mut image, core::slice::from_ref(&MXCSR_PART))?;
        mxcsr = cx.checked_mxcsr(number::<4>(&image, MXCSR_AT) as u32)?;
    }
    if loaded & SSE != 0 {
        let part = cx.xmm_part();
        cx.get_area(op, &mut image, core::slice::from_ref(&part))?;
    }
    let mut pkru = 0;
    if loaded & PKRU != 0 {
        pkru = cx.rd(op.seg, cx.ea_plus(op, PKRU_OFFSET as u64))?;
    }
    if wanted & PKRU != 0 {
        cx.cpu.set_pkru(pkru);
    }
    let registers = cx.xmm_registers();
    let fpu = &mut cx.cpu.fpu;
    fpu.mxcsr = mxcsr;
    if loaded & X87 != 0 {
        fpu.load_x87(&image, wide(op));
    } else if wanted & X87 != 0 {
        fpu.init_x87();
    }
    if wanted & SSE != 0 {
        // Where the component is not there, the image is zero.
        fpu.load_xmm(&image, registers);
    }
    cx.settle_ferr();
    Ok(())
}

/// XGETBV: XCR0 is the only one.
pub(crate) fn xgetbv(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.xsave_enabled()?;
    if cx.reg::<u32>(1) != 0 {
        return Err(cx.gp(0, Why::NoSuchXcr));
    }
    let value = cx.cpu.fpu.xcr0;
    cx.set_reg(0, value as u32);
    cx.set_reg(2, (value >> 32) as u32);
    Ok(())
}

/// XSETBV.
pub(crate) fn xsetbv(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.xsave_enabled()?;
    cx.level_0()?;
    if cx.reg::<u32>(1) != 0 {
        return Err(cx.gp(0, Why::NoSuchXcr));
    }
    let value = cx.edx_eax();
    if value & !cx.cpu.model().xsave_components() != 0 || value & X87 == 0 {
        return Err(cx.gp(0, Why::Xcr0Value));
    }
    cx.cpu.fpu.xcr0 = value;
    Ok(())
}

/// LDMXCSR.
pub(crate) fn ldmxcsr(cx: &mut Cx<'_>, op: &Op) -> Step {
    crate::simd::check(cx)?;
    let value = cx.rd(op.seg, cx.ea(op))?;
    cx.cpu.fpu.mxcsr = cx.checked_mxcsr(value)?;
    Ok(())
}

/// STMXCSR.
pub(crate) fn stmxcsr(cx: &mut Cx<'_>, op: &Op) -> Step {
    crate::simd::check(cx)?;
    let value = cx.cpu.fpu.mxcsr;
    cx.wr(op.seg, cx.ea(op), value)
}
