//! SMEP, SMAP, PCIDs and INVPCID (SDM Vol. 3A 4.6, 4.10).

use crate::machine::{CODE, DATA, GDT, Pc};
use hako_cpu::{Config, Cpu, Why};
use hako_x86::{Cr4, Gpr, RFlags, Vector, parse_cpu};

const HIGH: u64 = 0x20_0000;
const STAC: [u8; 3] = [0x0f, 0x01, 0xcb];
const CLAC: [u8; 3] = [0x0f, 0x01, 0xca];

fn with_model(mut pc: Pc, model: &str) -> Pc {
    pc.cpu = Cpu::new(Config { model: parse_cpu(model).unwrap(), ..Config::default() });
    pc
}

/// mov al, [at]
fn load(at: u64) -> Vec<u8> {
    let mut code = vec![0x8a, 0x04, 0x25];
    code.extend((at as u32).to_le_bytes());
    code
}

/// mov [at], al
fn store(at: u64) -> Vec<u8> {
    let mut code = load(at);
    code[0] = 0x88;
    code
}

/// 64-bit mode at level 0 whose code, stack and tables are in supervisor pages: the first 2 MiB again at 2 MiB. The user
/// sees them at 0.
fn split(cr4: Cr4) -> Pc {
    let mut pc = Pc::long(0);
    pc.poke64(0x12008, 0x83);
    pc.state.rip += HIGH;
    pc.state.gdtr.base += HIGH;
    pc.state.idtr.base += HIGH;
    pc.state.tr.base += HIGH;
    pc.state.gpr[Gpr::Rsp as usize] += HIGH;
    pc.state.cr4 |= cr4.bits();
    pc
}

fn code(pc: &mut Pc, bytes: &[u8]) {
    pc.poke(CODE, bytes);
}

#[test]
fn smep_keeps_the_supervisor_from_executing_user_pages() {
    let mut pc = Pc::long(0);
    pc.state.cr4 |= Cr4::SMEP.bits();
    pc.code(&[0x90]).faults(Vector::PF, Some(0x11), Why::SupervisorExecutesUserPage);
    let mut pc = Pc::long(3);
    pc.state.cr4 |= Cr4::SMEP.bits();
    pc.code(&[0x90]).ok();
    let mut pc = split(Cr4::SMEP);
    code(&mut pc, &load(DATA));
    pc.ok();
}

#[test]
fn smap_keeps_the_supervisor_out_of_user_pages_while_ac_is_clear() {
    for (bytes, error) in [(load(DATA), 1), (store(DATA), 3)] {
        let mut pc = split(Cr4::SMAP);
        code(&mut pc, &bytes);
        pc.faults(Vector::PF, Some(error), Why::SupervisorAccessesUserPage);
        pc.set_flags(RFlags::AC);
        pc.ok();
        let mut pc = Pc::long(3);
        pc.state.cr4 |= Cr4::SMAP.bits();
        pc.code(&bytes).ok();
    }
    let mut pc = split(Cr4::SMAP);
    code(&mut pc, &load(HIGH + DATA));
    pc.ok();
}

#[test]
fn clac_closes_what_stac_opened() {
    for access in [load, store] {
        // Few pages, and more than are remembered one by one.
        for pages in [1, 20] {
            let mut pc = split(Cr4::SMAP);
            let mut bytes = STAC.to_vec();
            for page in 0..pages {
                bytes.extend(access(0x10_0000 + page * 0x1000));
            }
            bytes.extend(CLAC);
            let closed = bytes.len() as u64;
            bytes.extend(access(0x10_0000));
            code(&mut pc, &bytes);
            pc.state.idtr.limit = 0;
            pc.run(100);
            let first = *pc.cpu.faults().iter().next().unwrap();
            assert_eq!((first.vector, first.why), (Vector::PF, Some(Why::SupervisorAccessesUserPage)));
            assert_eq!(first.rip, HIGH + CODE + closed);
        }
    }
}

#[test]
fn the_processors_own_accesses_heed_no_ac() {
    let mut pc = split(Cr4::SMAP);
    pc.state.gdtr.base = GDT;
    pc.set_flags(RFlags::AC);
    pc.set_reg(Gpr::Rbx, 0x10);
    // The page is in the TLB when the descriptor is read.
    let mut bytes = load(GDT);
    bytes.extend([0x8e, 0xdb]);
    code(&mut pc, &bytes);
    pc.ok();
    pc.state.idtr.limit = 0;
    pc.cpu.reset();
    pc.state.rip = HIGH + CODE;
    pc.run(2);
    let first = *pc.cpu.faults().iter().next().unwrap();
    assert_eq!((first.vector, first.error, first.cr2), (Vector::PF, Some(1), GDT + 0x10));
    assert_eq!(first.why, Some(Why::SupervisorAccessesUserPage));
}

#[test]
fn clac_and_stac_are_level_0_and_of_smap() {
    for (bytes, ac) in [(CLAC, false), (STAC, true)] {
        let mut pc = Pc::long(0);
        pc.state.rflags.set(RFlags::AC, !ac);
        assert_eq!(pc.code(&bytes).ok().flag(RFlags::AC), ac);
        Pc::real().code(&bytes).ok();
        Pc::long(3).code(&bytes).faults(Vector::UD, None, Why::NotLevel0);
        with_model(Pc::long(0), "max,-smap").code(&bytes).faults(Vector::UD, None, Why::NotOffered);
        let prefixed = [&[0x66][..], &bytes].concat();
        Pc::long(0).code(&prefixed).faults(Vector::UD, None, Why::UndefinedOpcode);
    }
}

#[test]
fn gib_pages_are_reserved_bits_where_there_are_none() {
    for (model, offered) in [("max", true), ("max,-pdpe1gb", false)] {
        let mut pc = with_model(Pc::long(0), model);
        pc.poke64(0x11000, 0x87);
        pc.code(&[0x90]);
        if offered {
            pc.ok();
        } else {
            pc.faults(Vector::PF, Some(9), Why::PageReservedBit);
        }
    }
}

// ---- PCIDs ----

const PCID1: u64 = 0x10001;
const PCID2: u64 = 0x10002;
const KEEP: u64 = 1 << 63;
/// The page under test, its entry, and where it leads in turn.
const PAGE: u64 = 0x40_0000;
const ENTRY: u64 = 0x13000;

/// 64-bit mode with PCIDs. RBX goes to PCID 1, RCX to PCID 2, both keeping translations, RDX to PCID 1 without.
fn pcids() -> Pc {
    let mut pc = with_model(Pc::long(0), "max");
    pc.state.cr4 |= Cr4::PCIDE.bits();
    pc.poke64(0x12010, ENTRY | 7);
    pc.poke(DATA, &[1]);
    pc.poke(DATA + 0x1000, &[2]);
    pc.poke64(ENTRY, DATA | 7);
    pc.set_reg(Gpr::Rbx, PCID1 | KEEP);
    pc.set_reg(Gpr::Rcx, PCID2 | KEEP);
    pc.set_reg(Gpr::Rdx, PCID1);
    pc
}

const TO_1: [u8; 3] = [0x0f, 0x22, 0xdb];
const TO_2: [u8; 3] = [0x0f, 0x22, 0xd9];
const TO_1_FLUSHED: [u8; 3] = [0x0f, 0x22, 0xda];

/// Fills PCID 1's translation, makes the entry stale, executes `then`, and reads the page under PCID 1.
fn seen_after(then: &[u8], set_up: impl Fn(&mut Pc)) -> u64 {
    let mut pc = pcids();
    set_up(&mut pc);
    let read = load(PAGE);
    pc.code(&[&TO_1, &read[..], then, &read].concat());
    pc.run(2);
    assert_eq!(pc.reg(Gpr::Rax) & 0xff, 1);
    pc.poke64(ENTRY, (DATA + 0x1000) | 7);
    pc.go_on(if then.is_empty() { 1 } else { then.len() as u64 / 3 + 1 });
    pc.reg(Gpr::Rax) & 0xff
}

#[test]
fn translations_stay_with_their_pcid() {
    let free = |_: &mut Pc| {};
    assert_eq!(seen_after(&[], free), 1, "the TLB holds it");
    assert_eq!(seen_after(&[TO_2, TO_1].concat(), free), 1, "there and back");
    assert_eq!(seen_after(&TO_2, free), 2, "another PCID's are its own");
    assert_eq!(seen_after(&[TO_2, TO_1_FLUSHED].concat(), free), 2, "without bit 63");
    assert_eq!(seen_after(&TO_1_FLUSHED, free), 2);
}

#[test]
fn bit_63_is_not_part_of_cr3() {
    let mut pc = pcids();
    pc.code(&TO_1).ok();
    assert_eq!(pc.state.cr3, PCID1);
    let mut pc = Pc::long(0);
    pc.set_reg(Gpr::Rbx, pc.state.cr3 | KEEP);
    pc.code(&TO_1).gp(0, Why::CrReservedBit);
}

#[test]
fn many_pcids_share_what_room_there_is() {
    let mut pc = pcids();
    // inc rbx; mov cr3, rbx; mov al, [page]; loop
    let bytes = [&[0x48, 0xff, 0xc3][..], &TO_1, &load(PAGE), &[0xe2, 0xf1]].concat();
    pc.set_reg(Gpr::Rcx, 100);
    pc.code(&bytes).run(4 * 99);
    assert_eq!((pc.reg(Gpr::Rax) & 0xff, pc.state.cr3), (1, 0x10001 + 99));
}

#[test]
fn invpcid_drops_what_its_type_says() {
    let descriptor = DATA + 0x200;
    let seen = |kind: u64, pcid: u64, lin: u64| {
        let mut pc = pcids();
        pc.set_reg(Gpr::Rsi, kind);
        pc.poke64(descriptor, pcid);
        pc.poke64(descriptor + 8, lin);
        // invpcid rsi, [descriptor]
        let mut flush = vec![0x66, 0x0f, 0x38, 0x82, 0x34, 0x25];
        flush.extend((descriptor as u32).to_le_bytes());
        let read = load(PAGE);
        pc.code(&[&TO_1, &read[..], &TO_2, &flush, &TO_1, &read].concat());
        pc.run(2);
        pc.poke64(ENTRY, (DATA + 0x1000) | 7);
        pc.go_on(4);
        pc.reg(Gpr::Rax) & 0xff
    };
    assert_eq!(seen(0, 1, PAGE), 2, "the address");
    assert_eq!(seen(0, 1, PAGE + 0x1000), 1, "another address");
    assert_eq!(seen(1, 1, 0), 2, "the context");
    assert_eq!(seen(1, 3, 0), 1, "another context");
    assert_eq!((seen(2, 0, 0), seen(3, 0, 0)), (2, 2), "all contexts");
}

#[test]
fn invpcid_checks() {
    // invpcid rsi, [rdi]
    let bytes = [0x66, 0x0f, 0x38, 0x82, 0x37];
    let make = |kind: u64, pcid: u64, lin: u64, pcide: bool| {
        let mut pc = with_model(Pc::long(0), "max");
        pc.state.cr4 |= if pcide { Cr4::PCIDE.bits() } else { 0 };
        pc.set_reg(Gpr::Rsi, kind);
        pc.set_reg(Gpr::Rdi, DATA);
        pc.poke64(DATA, pcid);
        pc.poke64(DATA + 8, lin);
        pc.code(&bytes);
        pc
    };
    make(4, 0, 0, true).gp(0, Why::InvpcidType);
    make(1, 0x1000, 0, true).gp(0, Why::InvpcidDescriptor);
    make(1, 1, 0, false).gp(0, Why::InvpcidDescriptor);
    make(0, 0, 1 << 47, true).gp(0, Why::NotCanonical);
    make(3, 1, 0, false).ok();
    let mut pc = with_model(Pc::long(3), "max");
    pc.code(&bytes).gp(0, Why::NotLevel0);
    Pc::long(0).code(&bytes).faults(Vector::UD, None, Why::NotOffered);
}

#[test]
fn cr4_pcide_needs_long_mode_and_no_pcid_yet() {
    let mov_cr4 = [0x0f, 0x22, 0xe0];
    let write = |mut pc: Pc, value: u64| {
        pc.set_reg(Gpr::Rax, value);
        pc.code(&mov_cr4);
        pc
    };
    let both = (Cr4::PCIDE | Cr4::PAE).bits();
    write(with_model(Pc::long(0), "max"), both).ok();
    write(with_model(Pc::protected(0), "max"), both).gp(0, Why::PcidOutsideLongMode);
    let mut pc = with_model(Pc::long(0), "max");
    pc.state.cr3 |= 8;
    write(pc, both).gp(0, Why::PcidOutsideLongMode);
    write(Pc::long(0), both).gp(0, Why::CrReservedBit);
    // From compatibility mode paging could be switched off, but for the PCIDs.
    let mut pc = with_model(Pc::compat(0), "max");
    pc.state.cr4 |= Cr4::PCIDE.bits();
    pc.set_reg(Gpr::Rax, 0x11);
    pc.code(&[0x0f, 0x22, 0xc0]).gp(0, Why::PagingOffWithPcid);
}

#[test]
fn states_may_hold_what_only_the_largest_model_tells() {
    let mut pc = Pc::long(0);
    pc.state.cr4 |= (Cr4::PCIDE | Cr4::SMEP | Cr4::SMAP | Cr4::FSGSBASE).bits();
    pc.state.cr3 |= 5;
    pc.cpu.set_state(&pc.state).unwrap();
    assert_eq!((pc.cpu.state().cr4, pc.cpu.state().cr3), (pc.state.cr4, pc.state.cr3));
}
