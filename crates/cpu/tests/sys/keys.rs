//! Protection keys: PKRU for user pages, IA32_PKRS for supervisor pages (SDM Vol. 3A 4.6.2; Vol. 1 13.5.7).

use crate::machine::{CODE, DATA, GDT, IDT, Pc, STACK, TSS};
use hako_cpu::{Config, Cpu, Why};
use hako_x86::cpuid::xsave::{PKRU, PKRU_OFFSET};
use hako_x86::{CpuState, Cr0, Cr4, Efer, Gpr, Vector, msr, parse_cpu};

/// The first 2 MiB again, supervisor pages without a key.
const HIGH: u64 = 0x20_0000;
/// Its entry, and that of the pages with the key.
const HIGH_ENTRY: u64 = 0x1_2008;
const KEYED_ENTRY: u64 = 0x1_2000;
const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const USER: u64 = 4;
const LARGE: u64 = 0x80;

const KEY: u32 = 5;
/// Rights taken away.
const AD: u32 = 1;
const WD: u32 = 2;

const RDPKRU: [u8; 3] = [0x0f, 0x01, 0xee];
const WRPKRU: [u8; 3] = [0x0f, 0x01, 0xef];
/// mov bl, [DATA]
const LOAD: [u8; 7] = [0x8a, 0x1c, 0x25, DATA as u8, (DATA >> 8) as u8, 0, 0];
/// mov [DATA], bl
const STORE: [u8; 7] = [0x88, 0x1c, 0x25, DATA as u8, (DATA >> 8) as u8, 0, 0];

fn max(mut pc: Pc) -> Pc {
    pc.cpu = Cpu::new(Config { model: parse_cpu("max").unwrap(), ..Config::default() });
    pc
}

/// PKRU of a state.
fn pkru(pc: &Pc) -> u32 {
    pc.state.xsave.get(PKRU_OFFSET..PKRU_OFFSET + 4).map_or(0, |b| u32::from_le_bytes(b.try_into().unwrap()))
}

fn set_pkru(pc: &mut Pc, value: u32) {
    pc.state.xsave = CpuState::reset().xsave;
    if value != 0 {
        pc.state.xsave.resize(PKRU_OFFSET + 8, 0);
        pc.state.xsave[512..520].copy_from_slice(&(3 | PKRU).to_le_bytes());
        pc.state.xsave[PKRU_OFFSET..PKRU_OFFSET + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// A user's or the supervisor's pages at 0 with the key; the supervisor's code, stack and tables are elsewhere.
fn keyed(cpl: u8, user_page: bool) -> Pc {
    let mut pc = max(Pc::long(cpl));
    let user = if user_page { USER } else { 0 };
    pc.poke64(KEYED_ENTRY, PRESENT | WRITE | LARGE | user | u64::from(KEY) << 59);
    pc.poke64(HIGH_ENTRY, PRESENT | WRITE | LARGE);
    pc.state.gdtr.base = HIGH + GDT;
    pc.state.idtr.base = HIGH + IDT;
    pc.state.tr.base = HIGH + TSS;
    if cpl == 0 {
        pc.state.rip = HIGH + CODE;
        pc.state.gpr[Gpr::Rsp as usize] = HIGH + STACK;
    }
    pc.state.cr0 |= Cr0::WP.bits();
    pc.state.cr4 |= (Cr4::PKE | Cr4::PKS).bits();
    pc
}

/// With rights to the pages of the key, and all rights to the others' or none.
fn with_rights(mut pc: Pc, user_page: bool, rights: u32, others: bool) -> Pc {
    let all = if others { 0 } else { !(3 << (2 * KEY) | 3) };
    let value = all | rights << (2 * KEY);
    if user_page {
        set_pkru(&mut pc, value);
    } else {
        pc.state.msrs.retain(|m| m.0 != msr::PKRS);
        pc.state.msrs.push((msr::PKRS, value.into()));
    }
    pc
}

/// Level, whether the page is the user's, CR0.WP, the rights that are taken away, the instruction, and the error code.
type Case = (u8, bool, bool, u32, [u8; 7], Option<u32>);

const CASES: &[Case] = &[
    // The user in its own pages.
    (3, true, true, 0, STORE, None),
    (3, true, true, AD, LOAD, Some(0x25)),
    (3, true, true, AD, STORE, Some(0x27)),
    (3, true, true, WD, LOAD, None),
    (3, true, true, WD, STORE, Some(0x27)),
    (3, true, false, WD, STORE, Some(0x27)),
    // The supervisor in the user's pages: writes heed WD as they heed R/W.
    (0, true, true, AD, LOAD, Some(0x21)),
    (0, true, false, AD, LOAD, Some(0x21)),
    (0, true, true, AD, STORE, Some(0x23)),
    (0, true, true, WD, LOAD, None),
    (0, true, true, WD, STORE, Some(0x23)),
    (0, true, false, WD, STORE, None),
    // The supervisor in its own.
    (0, false, true, 0, STORE, None),
    (0, false, true, AD, LOAD, Some(0x21)),
    (0, false, false, AD, STORE, Some(0x23)),
    (0, false, true, WD, LOAD, None),
    (0, false, true, WD, STORE, Some(0x23)),
    (0, false, false, WD, STORE, None),
];

#[test]
fn rights_forbid_reads_and_writes_of_data() {
    for &(cpl, user_page, wp, rights, code, error) in CASES {
        for others in [false, true] {
            let mut pc = with_rights(keyed(cpl, user_page), user_page, rights, others);
            if !wp {
                pc.state.cr0 &= !Cr0::WP.bits();
            }
            pc.poke(CODE, &code);
            match error {
                None => drop(pc.ok()),
                Some(error) => pc.faults(Vector::PF, Some(error), Why::ProtectionKey),
            }
        }
    }
}

#[test]
fn each_register_of_rights_is_for_its_own_kind_of_pages() {
    for user_page in [false, true] {
        let mut pc = with_rights(keyed(0, user_page), !user_page, AD | WD, false);
        pc.poke(CODE, &STORE);
        pc.ok();
    }
}

#[test]
fn each_kind_of_keys_has_its_bit_in_cr4() {
    for (user_page, bit) in [(true, Cr4::PKE), (false, Cr4::PKS)] {
        let mut pc = with_rights(keyed(0, user_page), user_page, AD, false);
        pc.state.cr4 &= !bit.bits();
        pc.poke(CODE, &LOAD);
        pc.ok();
    }
}

#[test]
fn instructions_may_be_fetched_from_pages_that_may_not_be_read() {
    let mut pc = with_rights(keyed(3, true), true, AD, false);
    pc.poke(CODE, &[0x90]);
    pc.ok();
}

#[test]
fn a_key_that_forbids_shows_beside_what_else_does() {
    let mut pc = with_rights(keyed(3, true), true, WD, false);
    pc.poke64(KEYED_ENTRY, PRESENT | USER | LARGE | u64::from(KEY) << 59);
    pc.poke(CODE, &STORE);
    pc.faults(Vector::PF, Some(0x27), Why::PageReadOnly);
}

#[test]
fn pages_have_keys_in_long_mode_only() {
    let mut pc = max(Pc::protected(3));
    set_pkru(&mut pc, AD);
    pc.poke64(0x1_5000, 0x1_2000 | PRESENT);
    pc.state.cr0 |= Cr0::PG.bits();
    pc.state.cr4 |= (Cr4::PAE | Cr4::PKE).bits();
    pc.state.efer &= !(Efer::LME | Efer::LMA).bits();
    pc.state.cr3 = 0x1_5000;
    pc.poke64(KEYED_ENTRY, PRESENT | WRITE | USER | LARGE);
    // mov bl, [DATA]
    pc.code(&[0x8a, 0x1d, DATA as u8, (DATA >> 8) as u8, 0, 0]).ok();
}

/// Loads from the pages with the key, changes rights, and loads again: whether the last one faulted.
fn second_load_faults(mut pc: Pc, change: &[u8], instructions: u64) -> bool {
    pc.poke(CODE, &[&LOAD, change, &LOAD].concat());
    pc.state.idtr.limit = 0;
    pc.run(1 + instructions);
    assert_eq!(pc.cpu.faults().total(), 0, "{:x?}", pc.cpu.faults().last());
    pc.go_on(1);
    pc.cpu.faults().iter().next().is_some_and(|f| f.why == Some(Why::ProtectionKey))
}

#[test]
fn a_change_of_rights_counts_for_translations_that_are_cached() {
    let rights = u64::from(AD << (2 * KEY));
    for (value, faults) in [(rights, true), (u64::from(AD) << 4, false), (0, false)] {
        let mut pc = keyed(0, true);
        (pc.state.gpr[0], pc.state.gpr[1], pc.state.gpr[2]) = (value, 0, 0);
        assert_eq!(second_load_faults(pc, &WRPKRU, 1), faults, "{value:x}");
        let mut pc = keyed(0, false);
        (pc.state.gpr[0], pc.state.gpr[1], pc.state.gpr[2]) = (value, msr::PKRS.into(), 0);
        assert_eq!(second_load_faults(pc, &[0x0f, 0x30], 1), faults, "{value:x}");
        // xrstor [HIGH + DATA], by RSI
        let mut pc = keyed(0, true);
        pc.state.cr4 |= Cr4::OSXSAVE.bits();
        pc.state.xcr0 = 1 | PKRU;
        pc.poke64(DATA + 512, PKRU);
        pc.poke64(DATA + PKRU_OFFSET as u64, value);
        (pc.state.gpr[0], pc.state.gpr[2], pc.state.gpr[6]) = (PKRU, 0, HIGH + DATA);
        assert_eq!(second_load_faults(pc, &[0x0f, 0xae, 0x2e], 1), faults, "{value:x}");
    }
}

#[test]
fn rights_that_come_back_open_the_page_again() {
    let mut pc = keyed(0, true);
    (pc.state.gpr[0], pc.state.gpr[1], pc.state.gpr[2]) = (u64::from(AD << (2 * KEY)), 0, 0);
    // wrpkru; xor eax, eax; wrpkru; mov bl, [DATA]
    pc.poke(CODE, &[&WRPKRU[..], &[0x31, 0xc0], &WRPKRU, &LOAD].concat());
    pc.run(4);
    assert_eq!(pc.cpu.faults().total(), 0);
}

#[test]
fn rdpkru_and_wrpkru_are_there_with_pke_at_any_level() {
    for cpl in [0, 3] {
        let mut pc = max(Pc::long(cpl));
        pc.state.cr4 |= Cr4::PKE.bits();
        (pc.state.gpr[0], pc.state.gpr[1], pc.state.gpr[2]) = (0x1234_5678 << 32 | 0x5555_5550, 0, 0);
        pc.code(&WRPKRU).ok();
        assert_eq!(pkru(&pc), 0x5555_5550);
        (pc.state.gpr[0], pc.state.gpr[2]) = (!0, !0);
        pc.code(&RDPKRU).ok();
        assert_eq!((pc.reg(Gpr::Rax), pc.reg(Gpr::Rdx)), (0x5555_5550, 0));
    }
    for code in [RDPKRU, WRPKRU] {
        max(Pc::long(0)).code(&code).faults(Vector::UD, None, Why::PkruDisabled);
    }
}

#[test]
fn rdpkru_wants_zero_in_ecx_and_wrpkru_in_edx_too() {
    for (code, reg) in [(RDPKRU, Gpr::Rcx), (WRPKRU, Gpr::Rcx), (WRPKRU, Gpr::Rdx)] {
        let mut pc = max(Pc::long(3));
        pc.state.cr4 |= Cr4::PKE.bits();
        (pc.state.gpr[1], pc.state.gpr[2]) = (0, 0);
        pc.set_reg(reg, 1);
        pc.code(&code).gp(0, Why::PkruOperand);
        pc.set_reg(reg, 1 << 32);
        pc.code(&code).ok();
    }
}

#[test]
fn pkrs_has_32_bits() {
    let mut pc = max(Pc::long(0));
    (pc.state.gpr[0], pc.state.gpr[1], pc.state.gpr[2]) = (0xffff_ffff, msr::PKRS.into(), 1);
    pc.code(&[0x0f, 0x30]).gp(0, Why::MsrReservedBit);
    pc.set_reg(Gpr::Rdx, 0);
    pc.code(&[0x0f, 0x30]).ok();
    assert_eq!(pc.state.msr(msr::PKRS), Some(0xffff_ffff));
}

/// Ready for XSAVE of PKRU at DATA, to which RSI points.
fn saving(value: u32) -> Pc {
    let mut pc = max(Pc::long(0));
    pc.state.cr4 |= (Cr4::OSXSAVE | Cr4::PKE).bits();
    set_pkru(&mut pc, value);
    pc.state.xcr0 = 3 | PKRU;
    (pc.state.gpr[0], pc.state.gpr[2], pc.state.gpr[6]) = (PKRU, 0, DATA);
    pc
}

#[test]
fn xsave_saves_pkru_behind_all_others() {
    let mut pc = saving(0x1234);
    pc.code(&[0x0f, 0xae, 0x26]).ok();
    assert_eq!((pc.peek64(DATA + 512), pc.peek64(DATA + PKRU_OFFSET as u64)), (PKRU, 0x1234));
    // XSAVEOPT leaves it out while it is zero.
    let mut pc = saving(0);
    pc.poke64(DATA + PKRU_OFFSET as u64, 7);
    pc.code(&[0x0f, 0xae, 0x36]).ok();
    assert_eq!((pc.peek64(DATA + 512), pc.peek64(DATA + PKRU_OFFSET as u64)), (0, 7));
}

#[test]
fn xrstor_loads_pkru_or_makes_it_zero() {
    for (present, want) in [(PKRU, 0x77), (0, 0)] {
        let mut pc = saving(0x1234);
        pc.poke64(DATA + 512, present);
        pc.poke64(DATA + PKRU_OFFSET as u64, 0x77);
        pc.code(&[0x0f, 0xae, 0x2e]).ok();
        assert_eq!(pkru(&pc), want);
    }
    // Not asked for.
    let mut pc = saving(0x1234);
    pc.set_reg(Gpr::Rax, 1);
    pc.poke64(DATA + 512, PKRU);
    pc.code(&[0x0f, 0xae, 0x2e]).ok();
    assert_eq!(pkru(&pc), 0x1234);
}

#[test]
fn xcr0_has_pkru_where_the_model_has_it() {
    const XSETBV: [u8; 3] = [0x0f, 0x01, 0xd1];
    let mut pc = saving(0);
    (pc.state.gpr[0], pc.state.gpr[1]) = (1 | PKRU, 0);
    assert_eq!(pc.code(&XSETBV).ok().state.xcr0, 1 | PKRU);
    let mut pc = saving(0);
    pc.cpu = Cpu::new(Config { model: parse_cpu("max,-pku").unwrap(), ..Config::default() });
    pc.state.cr4 &= !Cr4::PKE.bits();
    (pc.state.gpr[0], pc.state.gpr[1]) = (1 | PKRU, 0);
    pc.code(&XSETBV).gp(0, Why::Xcr0Value);
}

#[test]
fn cpuid_tells_the_size_of_what_xcr0_enables() {
    for (xcr0, size) in [(1, 576), (3, 576), (1 | PKRU, 2696)] {
        let mut pc = saving(0);
        pc.state.xcr0 = xcr0;
        (pc.state.gpr[0], pc.state.gpr[1]) = (0xd, 0);
        pc.code(&[0x0f, 0xa2]).ok();
        assert_eq!((pc.reg(Gpr::Rax), pc.reg(Gpr::Rbx), pc.reg(Gpr::Rcx)), (0x203, size, 2696));
    }
}
