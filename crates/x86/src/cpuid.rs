//! A CPU model and the CPUID leaves it answers (SDM Vol. 2A, CPUID).
//!
//! The model has Intel's semantics: SYSCALL and SYSRET are #UD outside 64-bit mode, SYSENTER works in long mode,
//! segment loads with a null selector clear the base.

use crate::features::{Features, Word};
pub use crate::models::{MAX, X86_64_V2};
use crate::{Cr4, cpuid::leaf::*};

/// Leaf numbers.
pub mod leaf {
    /// Highest basic leaf and vendor.
    pub const VENDOR: u32 = 0;
    /// Signature and features.
    pub const VERSION: u32 = 1;
    /// Cache descriptors.
    pub const CACHE_DESCRIPTORS: u32 = 2;
    /// Deterministic cache parameters.
    pub const CACHES: u32 = 4;
    /// Structured extended features.
    pub const EXTENDED_FEATURES: u32 = 7;
    /// Extended topology.
    pub const TOPOLOGY: u32 = 0xb;
    /// State components of XSAVE.
    pub const XSAVE: u32 = 0xd;
    /// TSC and core crystal frequencies.
    pub const TSC: u32 = 0x15;
    /// Processor frequencies.
    pub const FREQUENCY: u32 = 0x16;
    /// The range that hypervisors use, and its vendor.
    pub const HYPERVISOR: u32 = 0x4000_0000;
    /// Highest extended leaf.
    pub const EXT_MAX: u32 = 0x8000_0000;
    /// Extended features.
    pub const EXT_FEATURES: u32 = 0x8000_0001;
    /// The first of three leaves of the brand string.
    pub const EXT_BRAND: u32 = 0x8000_0002;
    /// L2 cache.
    pub const EXT_L2: u32 = 0x8000_0006;
    /// Invariant TSC.
    pub const EXT_POWER: u32 = 0x8000_0007;
    /// Address sizes.
    pub const EXT_ADDRESS: u32 = 0x8000_0008;
}

/// A CPU model: what CPUID tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name users give.
    pub name: &'static str,
    /// The vendor string.
    pub vendor: &'static [u8; 12],
    /// The brand string, padded with NULs when told.
    pub brand: &'static str,
    /// Family, model and stepping as in leaf 1 EAX; also EDX after reset.
    pub signature: u32,
    /// All features of the model; an engine offers those of them that it has.
    pub features: Features,
    /// Width of physical addresses (MAXPHYADDR).
    pub physical_bits: u8,
    /// Width of linear addresses.
    pub linear_bits: u8,
}

/// What CPUID tells besides the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Moment {
    /// CR4, of which OSXSAVE and PKE are mirrored.
    pub cr4: Cr4,
    /// The initial APIC ID.
    pub apic_id: u8,
    /// CPUs of the machine: cores of one package; 0 counts as 1.
    pub cpus: u8,
    /// IA32_APIC_BASE.EN: without it the APIC feature is hidden.
    pub apic_enabled: bool,
    /// The TSC's frequency in Hz, or 0 where it is not known; then leaf 15h is not offered.
    pub tsc_hz: u64,
}

/// State components of XSAVE, and where they lie in an image of standard format (SDM Vol. 1 13.1, 13.4).
pub mod xsave {
    /// x87.
    pub const X87: u64 = 1 << 0;
    /// SSE.
    pub const SSE: u64 = 1 << 1;
    /// PKRU.
    pub const PKRU: u64 = 1 << PKRU_COMPONENT;
    /// The number of PKRU's component.
    pub const PKRU_COMPONENT: u32 = 9;
    /// Where the header of 64 bytes ends, behind the legacy area of 512, which has x87 and SSE.
    pub const HEADER_END: usize = 512 + 64;
    /// Where PKRU lies: there every processor with AVX-512 has it, and programs that do not ask expect it.
    pub const PKRU_OFFSET: usize = 0xa80;
    /// Bytes set aside for PKRU.
    pub const PKRU_SIZE: usize = 8;

    /// The size of an image with these components.
    pub const fn size(components: u64) -> u32 {
        (if components & PKRU != 0 { PKRU_OFFSET + PKRU_SIZE } else { HEADER_END }) as u32
    }
}

/// EAX, EBX, ECX, EDX.
pub type Regs = [u32; 4];

impl Model {
    /// The same model with only those features that are also in `offered`.
    pub const fn limited_to(self, offered: Features) -> Model {
        Model { features: self.features.and(offered), ..self }
    }

    /// The highest basic leaf.
    pub fn max_leaf(&self, now: &Moment) -> u32 {
        if now.tsc_hz != 0 { FREQUENCY } else { XSAVE }
    }

    /// What CPUID returns. A leaf beyond the highest is answered with the highest basic leaf's data, as on Intel
    /// processors.
    pub fn cpuid(&self, leaf: u32, subleaf: u32, now: &Moment) -> Regs {
        let f = &self.features;
        match leaf {
            VENDOR => {
                let [b, d, c] = words(self.vendor);
                [self.max_leaf(now), b, c, d]
            }
            VERSION => self.version(now),
            // AL = 01h and null descriptors: the caches are told by leaf 4.
            CACHE_DESCRIPTORS => [1, 0, 0, 0],
            CACHES => cache(subleaf, now),
            EXTENDED_FEATURES if subleaf == 0 => {
                let f = f.mirroring(Features::OSPKE, now.cr4.contains(Cr4::PKE));
                [0, f.word(Word::Leaf7Ebx), f.word(Word::Leaf7Ecx), f.word(Word::Leaf7Edx)]
            }
            TOPOLOGY => topology(subleaf, now),
            XSAVE if f.has(Features::XSAVE) => self.xsave(subleaf),
            TSC if now.tsc_hz != 0 => tsc(now.tsc_hz),
            FREQUENCY if now.tsc_hz != 0 => frequency(now.tsc_hz),
            _ if leaf <= self.max_leaf(now) => [0; 4],
            HYPERVISOR => {
                let [b, c, d] = words(b"hako    hako");
                [HYPERVISOR, b, c, d]
            }
            EXT_MAX => [EXT_ADDRESS, 0, 0, 0],
            EXT_FEATURES => [0, 0, f.word(Word::Ext1Ecx), f.word(Word::Ext1Edx)],
            EXT_BRAND..=0x8000_0004 => self.brand_leaf(leaf - EXT_BRAND),
            0x8000_0005 => [0; 4],
            EXT_L2 => [0, 0, 256 << 16 | 6 << 12 | CACHE_LINE, 0],
            EXT_POWER => [0, 0, 0, f.word(Word::Ext7Edx)],
            EXT_ADDRESS => [u32::from(self.linear_bits) << 8 | u32::from(self.physical_bits), 0, 0, 0],
            _ => self.cpuid(self.max_leaf(now), subleaf, now),
        }
    }

    fn version(&self, now: &Moment) -> Regs {
        let mut f = self.features.mirroring(Features::OSXSAVE, now.cr4.contains(Cr4::OSXSAVE));
        if !now.apic_enabled {
            f = f.without(Features::APIC.with(Features::X2APIC).with(Features::TSC_DEADLINE));
        }
        let flush = if f.has(Features::CLFSH) { (CACHE_LINE / 8) << 8 } else { 0 };
        [
            self.signature,
            u32::from(now.apic_id) << 24 | now.ids() << 16 | flush,
            f.word(Word::Leaf1Ecx),
            f.word(Word::Leaf1Edx) | if now.cpus > 1 { HTT } else { 0 },
        ]
    }

    /// The state components that XCR0 can enable.
    pub const fn xsave_components(&self) -> u64 {
        let pkru = if self.features.has(Features::PKU) { xsave::PKRU } else { 0 };
        if self.features.has(Features::XSAVE) { xsave::X87 | xsave::SSE | pkru } else { xsave::X87 }
    }

    /// Leaf 0Dh (SDM Vol. 1 13.2). The size of what XCR0 enables, in EBX of subleaf 0, is that after RESET: who has an
    /// XCR0 knows better, by [`xsave::size`].
    fn xsave(&self, subleaf: u32) -> Regs {
        let all = self.xsave_components();
        match subleaf {
            0 => [all as u32, xsave::size(xsave::X87), xsave::size(all), (all >> 32) as u32],
            1 => [self.features.word(Word::LeafDEax), 0, 0, 0],
            xsave::PKRU_COMPONENT if all & xsave::PKRU != 0 => {
                [xsave::PKRU_SIZE as u32, xsave::PKRU_OFFSET as u32, 0, 0]
            }
            _ => [0; 4],
        }
    }

    fn brand_leaf(&self, part: u32) -> Regs {
        let mut bytes = [0; 48];
        for (to, from) in bytes.iter_mut().zip(self.brand.bytes().take(47)) {
            *to = from;
        }
        let mut out = [0; 4];
        for (to, from) in out.iter_mut().zip(bytes.chunks_exact(4).skip(part as usize * 4)) {
            *to = u32::from_le_bytes([from[0], from[1], from[2], from[3]]);
        }
        out
    }
}

/// Leaf 1, EDX: EBX tells how many APIC IDs the package has.
const HTT: u32 = 1 << 28;

impl Moment {
    /// APIC IDs set aside for the package: a power of two.
    fn ids(&self) -> u32 {
        u32::from(self.cpus.max(1)).next_power_of_two().min(128)
    }
}

/// Bytes in a cache line.
const CACHE_LINE: u32 = 64;

/// Twelve letters as three registers.
const fn words(s: &[u8; 12]) -> [u32; 3] {
    [
        u32::from_le_bytes([s[0], s[1], s[2], s[3]]),
        u32::from_le_bytes([s[4], s[5], s[6], s[7]]),
        u32::from_le_bytes([s[8], s[9], s[10], s[11]]),
    ]
}

/// Leaf 4: 32 KiB of L1 data and L1 code, 256 KiB of unified L2, each 8-way, for each core.
fn cache(subleaf: u32, now: &Moment) -> Regs {
    const WAYS: u32 = 8;
    let (ty, level, size) = match subleaf {
        0 => (1, 1, 32 << 10),
        1 => (2, 1, 32 << 10),
        2 => (3, 2, 256 << 10),
        _ => return [0; 4],
    };
    let cores = (now.ids() - 1).min(63) << 26;
    [cores | ty | level << 5 | 1 << 8, (WAYS - 1) << 22 | (CACHE_LINE - 1), size / (WAYS * CACHE_LINE) - 1, 0]
}

/// Leaf 15h: the TSC runs at EBX/EAX times the crystal's frequency in ECX.
fn tsc(hz: u64) -> Regs {
    // The ratio is 1 as long as the frequency fits; above, the crystal runs at a sixteenth.
    match u32::try_from(hz) {
        Ok(hz) => [1, 1, hz, 0],
        Err(_) => [1, 16, u32::try_from(hz / 16).unwrap_or(u32::MAX), 0],
    }
}

/// Leaf 16h: base, highest and bus frequency in MHz.
fn frequency(hz: u64) -> Regs {
    let mhz = (hz / 1_000_000).clamp(1, 0xffff) as u32;
    [mhz, mhz, mhz, 0]
}

/// Leaf 0Bh: one thread to a core, all cores in one package.
fn topology(subleaf: u32, now: &Moment) -> Regs {
    const SMT: u32 = 1 << 8;
    const CORE: u32 = 2 << 8;
    let id = u32::from(now.apic_id);
    match subleaf {
        0 => [0, 1, SMT, id],
        1 => [now.ids().trailing_zeros(), u32::from(now.cpus.max(1)), CORE | 1, id],
        // The subleaf comes back, with no level.
        _ => [0, 0, subleaf & 0xff, id],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment =
        Moment { cr4: Cr4::empty(), apic_id: 3, cpus: 1, apic_enabled: true, tsc_hz: 100_000_000 };

    #[test]
    fn the_vendor_is_spelled_in_ebx_edx_ecx() {
        let [max, b, c, d] = X86_64_V2.cpuid(0, 0, &NOW);
        assert_eq!(max, 0x16);
        assert_eq!((b, d, c), (0x756e_6547, 0x4965_6e69, 0x6c65_746e));
    }

    #[test]
    fn osxsave_mirrors_cr4_and_the_apic_hides() {
        let on = X86_64_V2.cpuid(1, 0, &Moment { cr4: Cr4::OSXSAVE, ..NOW });
        let off = X86_64_V2.cpuid(1, 0, &Moment { apic_enabled: false, ..NOW });
        assert_eq!((on[2] >> 27 & 1, off[2] >> 27 & 1), (1, 0));
        assert_eq!((on[3] >> 9 & 1, off[3] >> 9 & 1), (1, 0));
        assert_eq!(on[1] >> 24, 3);
    }

    #[test]
    fn leaves_beyond_the_highest_repeat_the_highest_basic_leaf() {
        assert_eq!(X86_64_V2.cpuid(0x15, 0, &NOW), [1, 1, 100_000_000, 0]);
        let last = X86_64_V2.cpuid(0x16, 0, &NOW);
        assert_eq!(last, [100, 100, 100, 0]);
        for leaf in [0x17, 0x4000_0001, 0x8000_0009, u32::MAX] {
            assert_eq!(X86_64_V2.cpuid(leaf, 0, &NOW), last);
        }
        let unknown = Moment { tsc_hz: 0, ..NOW };
        assert_eq!(X86_64_V2.cpuid(0x15, 0, &unknown), [0; 4]);
    }

    #[test]
    fn the_brand_ends_with_nul() {
        let mut text = [0u8; 48];
        for (i, chunk) in text.chunks_exact_mut(16).enumerate() {
            for (to, word) in chunk.chunks_exact_mut(4).zip(X86_64_V2.cpuid(EXT_BRAND + i as u32, 0, &NOW)) {
                to.copy_from_slice(&word.to_le_bytes());
            }
        }
        assert!(text.starts_with(X86_64_V2.brand.as_bytes()));
        assert_eq!(text[47], 0);
    }

    #[test]
    fn limiting_removes_what_an_engine_has_not() {
        let m = X86_64_V2.limited_to(Features::TSC);
        assert_eq!(m.cpuid(1, 0, &NOW)[3], 1 << 4);
        assert_eq!(m.cpuid(1, 0, &NOW)[2], 0);
    }

    #[test]
    fn one_cpu_has_no_topology_to_tell() {
        assert_eq!(X86_64_V2.cpuid(1, 0, &NOW)[1] >> 16 & 0xff, 1);
        assert_eq!(X86_64_V2.cpuid(1, 0, &NOW)[3] & HTT, 0);
        assert_eq!(X86_64_V2.cpuid(CACHES, 0, &NOW)[0] >> 26, 0);
    }

    #[test]
    fn several_cpus_are_the_cores_of_one_package() {
        let now = Moment { cpus: 3, apic_id: 2, ..NOW };
        let v = |leaf, subleaf| X86_64_V2.cpuid(leaf, subleaf, &now);
        assert_eq!((v(1, 0)[1] >> 16, v(1, 0)[3] & HTT), (0x0204, HTT));
        assert_eq!((v(4, 0)[0] >> 26, v(4, 0)[0] >> 14 & 0xfff), (3, 0), "four ids, caches not shared");
        assert_eq!(v(0xb, 0), [0, 1, 0x100, 2]);
        assert_eq!(v(0xb, 1), [2, 3, 0x201, 2]);
        assert_eq!(v(0xb, 2), [0, 0, 2, 2]);
    }

    #[test]
    fn xsave_has_x87_and_sse_and_pkru() {
        assert_eq!(MAX.cpuid(0xd, 0, &NOW), [0x203, 576, 2696, 0]);
        assert_eq!(MAX.cpuid(0xd, 1, &NOW), [1, 0, 0, 0]);
        assert_eq!(MAX.cpuid(0xd, 9, &NOW), [8, 2688, 0, 0]);
        let without = Model { features: MAX.features.without(Features::PKU), ..MAX };
        assert_eq!(without.cpuid(0xd, 0, &NOW), [3, 576, 576, 0]);
        assert_eq!(without.cpuid(0xd, 9, &NOW), [0; 4]);
        assert_eq!(X86_64_V2.cpuid(0xd, 0, &NOW), [0; 4], "not in this model");
    }

    #[test]
    fn ospke_mirrors_cr4() {
        let ecx = |cr4| MAX.cpuid(7, 0, &Moment { cr4, ..NOW })[2] >> 3 & 3;
        assert_eq!((ecx(Cr4::empty()), ecx(Cr4::PKE)), (1, 3));
    }

    #[test]
    fn the_hypervisor_is_hako_and_has_no_further_leaves() {
        let [max, b, c, d] = X86_64_V2.cpuid(0x4000_0000, 0, &NOW);
        let name: alloc::vec::Vec<u8> = [b, c, d].into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!((max, name.as_slice()), (0x4000_0000, &b"hako    hako"[..]));
    }

    #[test]
    fn cache_sizes_are_what_they_say() {
        let size = |s| {
            let [_, b, c, _] = X86_64_V2.cpuid(CACHES, s, &NOW);
            ((b >> 22) + 1) * ((b & 0xfff) + 1) * (c + 1)
        };
        assert_eq!((size(0), size(1), size(2)), (32 << 10, 32 << 10, 256 << 10));
        assert_eq!(X86_64_V2.cpuid(CACHES, 3, &NOW), [0; 4]);
    }
}
