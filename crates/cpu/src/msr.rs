//! RDMSR, WRMSR, RDTSC, RDTSCP, RDPMC and the MSRs that the CPU owns (SDM Vol. 4, table 2-2). All others are the
//! bus's; an MSR that nobody knows is #GP.

use hako_engine::At;
use hako_x86::{Cr0, Cr4, Efer, Features, SegReg, msr};

use crate::Cpu;
use crate::access::canonical;
use crate::cx::{Cx, Step, Trap};
use crate::mtrr::{self, Mtrrs};
use crate::op::Op;
use crate::sysregs::SysRegs;
use crate::why::Why;

/// IA32_ARCH_CAPABILITIES: an interpreter speculates nothing, so it has none of the known leaks (RDCL_NO,
/// SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO,
/// RFDS_NO, ITS_NO).
const ARCH_CAPABILITIES: u64 = 1 << 0
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 8
    | 7 << 13
    | 1 << 20
    | 1 << 24
    | 1 << 26
    | 1 << 27
    | 1 << 62;
/// IBRS_ALL: IBRS, once set, need not be set again. Where it can be set.
const IBRS_ALL: u64 = 1 << 1;
/// IA32_BIOS_SIGN_ID: microcode revision 1.
const MICROCODE: u64 = 1 << 32;
/// IA32_MISC_ENABLE: fast strings; no branch trace, no precise event sampling.
pub(crate) const MISC_ENABLE_RESET: u64 = 1 << 12 | 1 << 11 | 1;
/// CPUID tells leaf 2 as its highest.
pub(crate) const LIMIT_CPUID: u64 = 1 << 22;
/// CPUID tells that there are no no-execute pages, and EFER.NXE cannot be set.
pub(crate) const XD_DISABLE: u64 = 1 << 34;
/// The bits of it that can be written. Those of fast strings, thermal control, SpeedStep, MONITOR and task-priority
/// messages on the front-side bus do nothing.
const MISC_ENABLE_WRITABLE: u64 = 1 << 0 | 1 << 3 | 1 << 16 | 1 << 18 | LIMIT_CPUID | 1 << 23 | XD_DISABLE;
/// Bits of it that are read-only: what is written there is ignored.
const MISC_ENABLE_FIXED: u64 = 1 << 12 | 1 << 11 | 1 << 7;
/// IA32_PAT after reset: WB, WT, UC-, UC twice.
pub(crate) const PAT_RESET: u64 = 0x0007_0406_0007_0406;
const EFER_WRITABLE: u64 = Efer::SCE.bits() | Efer::LME.bits() | Efer::NXE.bits();

/// The feature without which an MSR does not exist.
fn feature_of(index: u32) -> Features {
    match index {
        msr::STAR | msr::LSTAR | msr::FMASK => Features::SYSCALL,
        msr::CSTAR | msr::KERNEL_GS_BASE | msr::FS_BASE | msr::GS_BASE => Features::LM,
        msr::EFER => Features::NX,
        msr::SYSENTER_CS | msr::SYSENTER_ESP | msr::SYSENTER_EIP => Features::SEP,
        msr::TSC_AUX => Features::RDTSCP,
        msr::TSC_ADJUST => Features::TSC_ADJUST,
        msr::PAT => Features::PAT,
        msr::MCG_CAP | msr::MCG_STATUS => Features::MCA,
        msr::ARCH_CAPABILITIES => Features::ARCH_CAPABILITIES,
        msr::SPEC_CTRL | msr::PRED_CMD => Features::SPEC_CTRL,
        msr::PKRS => Features::PKS,
        msr::MTRR_CAP => Features::MTRR,
        0x200..=0x2ff if Mtrrs::indices().any(|i| i == index) => Features::MTRR,
        msr::TSC => Features::TSC,
        // The local APIC's, which the bus answers.
        msr::APIC_BASE => Features::APIC,
        0x800..=0x8ff => Features::X2APIC,
        msr::TSC_DEADLINE => Features::TSC_DEADLINE,
        _ => Features::NONE,
    }
}

/// What a write comes to.
enum Written {
    Done,
    /// A reserved bit, type or address.
    Refused(Why),
    /// Not the CPU's own.
    NotOwned,
}

fn when(valid: bool, why: Why) -> Result<(), Why> {
    if valid { Ok(()) } else { Err(why) }
}

/// What an MSR takes.
pub(crate) type Check = fn(u64) -> Result<(), Why>;

impl SysRegs {
    /// A plain MSR, one that only keeps its value, and the check of what it takes.
    pub fn plain(&mut self, index: u32) -> Option<(&mut u64, Check)> {
        fn any(_: u64) -> Result<(), Why> {
            Ok(())
        }
        fn address(v: u64) -> Result<(), Why> {
            when(canonical(v), Why::MsrNotCanonical)
        }
        fn low32(v: u64) -> Result<(), Why> {
            when(v >> 32 == 0, Why::MsrReservedBit)
        }
        fn spec_ctrl(v: u64) -> Result<(), Why> {
            // IBRS, STIBP, SSBD.
            when(v & !7 == 0, Why::MsrReservedBit)
        }
        fn pat(v: u64) -> Result<(), Why> {
            let known = |t: u8| matches!(t, 0 | 1 | 4..=7);
            when(v.to_le_bytes().into_iter().all(known), Why::MsrReservedBit)
        }
        let s = self;
        Some(match index {
            msr::STAR => (&mut s.star, any as Check),
            msr::LSTAR => (&mut s.lstar, address),
            msr::CSTAR => (&mut s.cstar, address),
            msr::FMASK => (&mut s.fmask, low32),
            msr::KERNEL_GS_BASE => (&mut s.kernel_gs_base, address),
            msr::SYSENTER_CS => (&mut s.sysenter_cs, low32),
            msr::SYSENTER_ESP => (&mut s.sysenter_esp, address),
            msr::SYSENTER_EIP => (&mut s.sysenter_eip, address),
            msr::TSC_AUX => (&mut s.tsc_aux, low32),
            msr::PAT => (&mut s.pat, pat),
            msr::SPEC_CTRL => (&mut s.spec_ctrl, spec_ctrl),
            msr::PKRS => (&mut s.pkrs, low32),
            msr::TSC_ADJUST => (&mut s.tsc_adjust, any),
            _ => return None,
        })
    }
}

/// Bits that belong to a feature of their own.
const FEATURE_BITS: [(u32, u64, Features); 4] = [
    (msr::EFER, Efer::SCE.bits(), Features::SYSCALL),
    (msr::EFER, Efer::LME.bits(), Features::LM),
    (msr::APIC_BASE, X2APIC_ENABLE, Features::X2APIC),
    (msr::SPEC_CTRL, 1 << 2, Features::SSBD),
];
/// IA32_SPEC_CTRL.STIBP.
const STIBP: u64 = 1 << 1;
/// IA32_APIC_BASE.EXTD.
const X2APIC_ENABLE: u64 = 1 << 10;

impl Cpu {
    /// Bits of an MSR that are reserved since the model lacks what they belong to.
    fn missing_bits(&self, index: u32) -> u64 {
        let of = FEATURE_BITS.iter().filter(|(i, _, feature)| *i == index && !self.has(*feature));
        of.fold(0, |all, (_, bit, _)| all | bit)
    }

    /// An MSR that needs neither bus nor side effects.
    fn read_own_msr(&mut self, index: u32) -> Option<u64> {
        if let Some((r, _)) = self.sys.plain(index) {
            return Some(*r);
        }
        Some(match index {
            msr::EFER => self.efer,
            msr::FS_BASE => self.seg[SegReg::Fs as usize].base,
            msr::GS_BASE => self.seg[SegReg::Gs as usize].base,
            msr::MISC_ENABLE => self.sys.misc_enable,
            msr::ARCH_CAPABILITIES if self.has(Features::SPEC_CTRL) => ARCH_CAPABILITIES | IBRS_ALL,
            msr::ARCH_CAPABILITIES => ARCH_CAPABILITIES,
            msr::BIOS_SIGN_ID => MICROCODE,
            msr::MTRR_CAP => mtrr::CAP,
            // No machine-check bank, no platform, no branch records.
            msr::PLATFORM_ID | msr::MCG_CAP | msr::MCG_STATUS | msr::DEBUGCTL => 0,
            _ => return self.sys.mtrrs.read(index),
        })
    }

    fn write_own_msr(&mut self, index: u32, value: u64) -> Written {
        if let Some((r, check)) = self.sys.plain(index) {
            let checked = check(value);
            let old = *r;
            if checked.is_ok() {
                *r = value;
                if index == msr::PKRS {
                    self.rights_changed(false, (old ^ value) as u32);
                }
            }
            return checked.map_or_else(Written::Refused, |()| Written::Done);
        }
        let result = match index {
            msr::EFER => self.write_efer(value),
            msr::FS_BASE => self.write_base(SegReg::Fs, value),
            msr::GS_BASE => self.write_base(SegReg::Gs, value),
            msr::MISC_ENABLE => {
                let known = MISC_ENABLE_WRITABLE | MISC_ENABLE_FIXED;
                let keep = self.sys.misc_enable & MISC_ENABLE_FIXED;
                when(value & !known == 0, Why::MsrReservedBit)
                    .map(|()| self.sys.misc_enable = value & MISC_ENABLE_WRITABLE | keep)
            }
            // Written before CPUID to read the microcode's revision.
            msr::BIOS_SIGN_ID => Ok(()),
            // IBPB, of which there is nothing to do.
            msr::PRED_CMD => when(value & !1 == 0, Why::MsrReservedBit),
            msr::MCG_STATUS | msr::DEBUGCTL => when(value == 0, Why::MsrReservedBit),
            msr::PLATFORM_ID | msr::MCG_CAP | msr::MTRR_CAP | msr::ARCH_CAPABILITIES => Err(Why::MsrReadOnly),
            _ => match self.sys.mtrrs.write(index, value) {
                Some(valid) => when(valid, Why::MsrReservedBit),
                None => return Written::NotOwned,
            },
        };
        match result {
            Ok(()) => Written::Done,
            Err(why) => Written::Refused(why),
        }
    }

    fn write_base(&mut self, reg: SegReg, value: u64) -> Result<(), Why> {
        when(canonical(value), Why::MsrNotCanonical)?;
        self.set_base(reg, value);
        Ok(())
    }

    /// LMA is read-only: what is written there is ignored.
    fn write_efer(&mut self, value: u64) -> Result<(), Why> {
        when(value & !(EFER_WRITABLE | Efer::LMA.bits()) == 0, Why::MsrReservedBit)?;
        let changed = (value ^ self.efer) & EFER_WRITABLE;
        let xd = value & changed & Efer::NXE.bits() != 0 && self.sys.misc_enable & XD_DISABLE != 0;
        when(!xd, Why::MsrReservedBit)?;
        when(changed & Efer::LME.bits() == 0 || !self.cr0_has(Cr0::PG), Why::LmeWhilePaging)?;
        self.efer = value & EFER_WRITABLE | self.efer & Efer::LMA.bits();
        if changed & Efer::NXE.bits() != 0 {
            self.flush_tlb();
        }
        Ok(())
    }
}

impl Cx<'_> {
    /// The time-stamp counter.
    fn tsc(&mut self) -> u64 {
        let at = self.at();
        self.bus.tsc(at).wrapping_add(self.cpu.sys.tsc_offset)
    }

    /// Moves the time-stamp counter; IA32_TSC_ADJUST shows by how much (SDM Vol. 3B 17.17.3). The local APIC's deadline
    /// is one of the moved counter.
    fn move_tsc(&mut self, by: u64) {
        let deadline = self.tsc_deadline();
        let now = self.tsc().wrapping_add(by);
        let s = &mut self.cpu.sys;
        s.tsc_offset = s.tsc_offset.wrapping_add(by);
        s.tsc_adjust = s.tsc_adjust.wrapping_add(by);
        s.tsc_given = Some(now);
        if let Some(deadline) = deadline.filter(|d| *d != 0) {
            let _ = self.set_tsc_deadline(deadline);
        }
    }

    /// IA32_TSC_DEADLINE, where the bus has one: 0, or a value of this CPU's counter (SDM Vol. 3A 11.5.4.1). The local
    /// APIC keeps it as one of the bus's, which nobody moves.
    fn tsc_deadline(&mut self) -> Option<u64> {
        let at = self.at();
        let deadline = self.bus.msr_read(at, msr::TSC_DEADLINE)?;
        Some(if deadline == 0 { 0 } else { deadline.wrapping_add(self.cpu.sys.tsc_offset) })
    }

    fn set_tsc_deadline(&mut self, deadline: u64) -> Option<()> {
        let left = deadline.saturating_sub(self.tsc());
        let at = self.at();
        let value = match (deadline, left) {
            (0, _) => 0,
            // It has passed.
            (_, 0) => 1,
            _ => self.bus.tsc(at).saturating_add(left),
        };
        let attention = self.bus.msr_write(at, msr::TSC_DEADLINE, value)?;
        self.cpu.attend_bus(attention);
        Some(())
    }

    /// The time-stamp counter of a loaded state runs on from here.
    #[inline]
    pub fn set_due_tsc(&mut self) {
        if let Some(tsc) = self.cpu.sys.tsc_due.take() {
            let at = At { cpu: self.cpu.config.cpu, count: self.cpu.count };
            self.cpu.sys.tsc_offset = tsc.wrapping_sub(self.bus.tsc(at));
            self.cpu.sys.tsc_given = Some(tsc);
        }
    }

    fn put_edx_eax(&mut self, value: u64) {
        self.set_reg(0, value as u32);
        self.set_reg(2, (value >> 32) as u32);
    }

    /// #GP(0) above level 0 while CR4.TSD is set.
    fn may_read_tsc(&mut self) -> Step {
        if self.cpu.cr4_has(Cr4::TSD) && self.cpu.cpl != 0 {
            return Err(self.gp(0, Why::TimeStampDisabled));
        }
        Ok(())
    }

    /// An MSR that belongs to a feature exists where the feature does.
    fn msr_exists(&mut self, index: u32) -> Step {
        if self.cpu.has(feature_of(index)) { Ok(()) } else { Err(self.gp(0, Why::UnknownMsr)) }
    }

    fn read_msr(&mut self, index: u32) -> Result<u64, Trap> {
        self.msr_exists(index)?;
        if index == msr::TSC {
            return Ok(self.tsc());
        }
        if let Some(value) = self.cpu.read_own_msr(index) {
            return Ok(value);
        }
        let at = self.at();
        let value = match index {
            msr::TSC_DEADLINE => self.tsc_deadline(),
            _ => self.bus.msr_read(at, index),
        };
        value.ok_or_else(|| self.gp(0, Why::UnknownMsr))
    }

    fn write_msr(&mut self, index: u32, value: u64) -> Step {
        self.msr_exists(index)?;
        if self.cpu.missing_bits(index) & value != 0 {
            return Err(self.gp(0, Why::MsrReservedBit));
        }
        // Where IBRS is enumerated and STIBP is not, that bit is ignored.
        let stibp = index == msr::SPEC_CTRL && !self.cpu.has(Features::STIBP);
        let value = if stibp { value & !STIBP } else { value };
        let at = self.at();
        let before = match index {
            msr::TSC => Some(self.tsc()),
            msr::TSC_ADJUST => Some(self.cpu.sys.tsc_adjust),
            _ => None,
        };
        if let Some(before) = before {
            self.move_tsc(value.wrapping_sub(before));
            return Ok(());
        }
        match self.cpu.write_own_msr(index, value) {
            Written::Done => return Ok(()),
            Written::Refused(why) => return Err(self.gp(0, why)),
            Written::NotOwned => {}
        }
        let done = match index {
            msr::TSC_DEADLINE => self.set_tsc_deadline(value),
            _ => self.bus.msr_write(at, index, value).map(|attention| self.cpu.attend_bus(attention)),
        };
        done.ok_or_else(|| self.gp(0, Why::UnknownMsr))
    }
}

/// RDMSR.
pub(crate) fn rdmsr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.level_0()?;
    let index = cx.reg(1);
    let value = cx.read_msr(index)?;
    cx.put_edx_eax(value);
    Ok(())
}

/// WRMSR.
pub(crate) fn wrmsr(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.level_0()?;
    let index = cx.reg(1);
    let value = u64::from(cx.reg::<u32>(0)) | u64::from(cx.reg::<u32>(2)) << 32;
    cx.write_msr(index, value)
}

/// RDTSC.
pub(crate) fn rdtsc(cx: &mut Cx<'_>, _op: &Op) -> Step {
    cx.may_read_tsc()?;
    let tsc = cx.tsc();
    cx.put_edx_eax(tsc);
    Ok(())
}

/// RDTSCP.
pub(crate) fn rdtscp(cx: &mut Cx<'_>, op: &Op) -> Step {
    rdtsc(cx, op)?;
    cx.set_reg(1, cx.cpu.sys.tsc_aux as u32);
    Ok(())
}

/// RDPMC: there is no counter.
pub(crate) fn rdpmc(cx: &mut Cx<'_>, _op: &Op) -> Step {
    if cx.cpu.cpl != 0 && !cx.cpu.cr4_has(Cr4::PCE) {
        return Err(cx.gp(0, Why::PerformanceCountersDisabled));
    }
    Err(cx.gp(0, Why::NoSuchCounter))
}
