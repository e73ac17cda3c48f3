//! The XSAVE image and XCR0 (SDM Vol. 1 13.4).

use hako_engine::EngineError;
use hako_x86::StateError;
use kvm_bindings::{kvm_xcrs, kvm_xsave};
use kvm_ioctls::VcpuFd;

use crate::error::host;

/// The legacy area and the XSAVE header.
const HEADER_END: usize = 576;
/// With the upper halves of the YMM registers, in the standard format.
const AVX_END: usize = 832;
/// What `kvm_xsave` holds.
const KVM_AREA: usize = 4096;
/// Where the header's XSTATE_BV is.
const XSTATE_BV: std::ops::Range<usize> = 512..520;

/// The XSAVE image in standard format (empty: initial state) and XCR0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fpu {
    pub(crate) xsave: Vec<u8>,
    pub(crate) xcr0: u64,
}

impl Fpu {
    /// As after RESET.
    pub(crate) fn reset() -> Fpu {
        Fpu { xsave: Vec::new(), xcr0: 1 }
    }
}

/// Reads both. The image is cut after the last component that is not in its initial state.
pub(crate) fn read(fd: &VcpuFd, has_xcrs: bool) -> Result<Fpu, EngineError> {
    let area = fd.get_xsave().map_err(host("KVM_GET_XSAVE"))?;
    let mut xsave: Vec<u8> = area.region.iter().flat_map(|w| w.to_le_bytes()).collect();
    let present = xsave.get(XSTATE_BV).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    xsave.truncate(match present {
        0..=3 => HEADER_END,
        4..=7 => AVX_END,
        _ => KVM_AREA,
    });
    let mut xcr0 = 1;
    if has_xcrs {
        let xcrs = fd.get_xcrs().map_err(host("KVM_GET_XCRS"))?;
        let n = xcrs.xcrs.len().min(xcrs.nr_xcrs as usize);
        xcr0 = xcrs.xcrs[..n].iter().find(|x| x.xcr == 0).map_or(1, |x| x.value);
    }
    Ok(Fpu { xsave, xcr0 })
}

/// Writes what differs between `old` (or both) and `new`.
pub(crate) fn write(fd: &VcpuFd, has_xcrs: bool, old: Option<&Fpu>, new: &Fpu) -> Result<(), EngineError> {
    if old.is_none_or(|old| old.xcr0 != new.xcr0) {
        let refused = || StateError::Unsupported { field: "XCR0", value: new.xcr0 };
        if has_xcrs {
            let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..Default::default() };
            xcrs.xcrs[0].value = new.xcr0;
            fd.set_xcrs(&xcrs).map_err(|_| refused())?;
        } else if new.xcr0 != 1 {
            return Err(refused().into());
        }
    }
    if old.is_none_or(|old| old.xsave != new.xsave) {
        write_image(fd, &new.xsave)?;
    }
    Ok(())
}

fn write_image(fd: &VcpuFd, image: &[u8]) -> Result<(), EngineError> {
    let unsupported = |field, value| EngineError::from(StateError::Unsupported { field, value });
    let mut bytes = [0; KVM_AREA];
    if image.is_empty() {
        // FINIT's control word and the reset value of MXCSR; x87 and SSE present, so that nothing of before is kept.
        bytes[0..2].copy_from_slice(&0x37fu16.to_le_bytes());
        bytes[24..28].copy_from_slice(&0x1f80u32.to_le_bytes());
        bytes[XSTATE_BV].copy_from_slice(&3u64.to_le_bytes());
    } else if (HEADER_END..=KVM_AREA).contains(&image.len()) {
        bytes[..image.len()].copy_from_slice(image);
    } else {
        return Err(unsupported("the length of the XSAVE image", image.len() as u64));
    }
    let mut area = kvm_xsave::default();
    for (word, four) in area.region.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    }
    // SAFETY: KVM reads more than these 4096 bytes only for a process that has asked the kernel for dynamic XSAVE
    // components (arch_prctl ARCH_REQ_XCOMP_GUEST_PERM), which nothing here does.
    unsafe { fd.set_xsave(&area) }.map_err(|_| {
        let present = u64::from(area.region[128]) | u64::from(area.region[129]) << 32;
        unsupported("the XSAVE image with components", present)
    })
}
