//! What CPUID tells a guest: hako's model as far as this processor has it, written to the state page once, so that the
//! kernel answers alone.

use core::arch::x86_64::__cpuid_count;

use hako_x86::cpuid::{Model, Moment, X86_64_V2};
use hako_x86::features::Word;
use hako_x86::{Cr4, Features};
use hakoniwa_abi::Info;
use hakoniwa_abi::guest::{ANY_SUBLEAF, CPUID_COUNT, CPUID_ENTRY, CPUID_MOST, CPUID_TABLE};
use hakoniwa_runtime as rt;

/// Features that do not depend on the processor below: the board's or the model's own.
const OURS: Features = Features::APIC
    .with(Features::X2APIC)
    .with(Features::TSC_DEADLINE)
    .with(Features::HYPERVISOR)
    .with(Features::ARCH_CAPABILITIES);
/// What guests of the kernel cannot have yet: machine checks and memory types are not theirs.
const NOT_YET: Features = Features::MTRR.with(Features::MCE).with(Features::MCA).with(Features::TSC_ADJUST);

/// Leaves whose subleaves differ, and how many of those are told one by one.
const BY_SUBLEAF: [(u32, u32); 3] = [(4, 4), (7, 1), (0xb, 2)];
const EXTENDED: u32 = 0x8000_0000;
const HYPERVISOR: u32 = 0x4000_0000;

fn processor(leaf: u32) -> [u32; 4] {
    let r = __cpuid_count(leaf, 0);
    [r.eax, r.ebx, r.ecx, r.edx]
}

/// The model less what the processor lacks.
fn model() -> Model {
    let (one, seven, extended) = (processor(1), processor(7), processor(EXTENDED + 1));
    let mut has = Features::NONE;
    for (word, bits) in [
        (Word::Leaf1Edx, one[3]),
        (Word::Leaf1Ecx, one[2]),
        (Word::Leaf7Ebx, seven[1]),
        (Word::Leaf7Ecx, seven[2]),
        (Word::Leaf7Edx, seven[3]),
        (Word::Ext1Edx, extended[3]),
        (Word::Ext1Ecx, extended[2]),
        (Word::Ext7Edx, processor(EXTENDED + 7)[3]),
    ] {
        has = has.with_word(word, bits);
    }
    X86_64_V2.limited_to(has.with(OURS).without(NOT_YET))
}

/// Fills the table in the state page of a processor with this APIC ID, one of so many; `put` writes a word of it.
pub fn fill(apic_id: u8, cpus: u8, mut put: impl FnMut(usize, u64)) {
    let model = model();
    let tsc_hz = rt::info(Info::TscHz);
    let now = Moment { cr4: Cr4::empty(), apic_id, cpus, apic_enabled: true, tsc_hz };
    let mut count = 0;
    let mut add = |leaf: u32, subleaf: u32, told: u64| {
        if count == CPUID_MOST {
            return;
        }
        let [a, b, c, d] = model.cpuid(leaf, subleaf, &now).map(u64::from);
        let place = CPUID_TABLE + count * CPUID_ENTRY;
        put(place, u64::from(leaf) | told << 32);
        put(place + 1, a | b << 32);
        put(place + 2, c | d << 32);
        count += 1;
    };
    let [highest, ..] = model.cpuid(0, 0, &now);
    let [highest_extended, ..] = model.cpuid(EXTENDED, 0, &now);
    // Those that are asked for most come first: the kernel looks from the front.
    for leaf in [1, 0, HYPERVISOR].into_iter().chain(2..=highest).chain(EXTENDED..=highest_extended) {
        match BY_SUBLEAF.iter().find(|(l, _)| *l == leaf) {
            Some((_, several)) => (0..*several).for_each(|subleaf| add(leaf, subleaf, subleaf.into())),
            None => add(leaf, 0, ANY_SUBLEAF),
        }
    }
    put(CPUID_COUNT, count as u64);
}
