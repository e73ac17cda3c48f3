//! Every table parsed back.

extern crate std;

use std::path::Path;
use std::process::{Command, Stdio};

use alloc::string::String;
use alloc::vec::Vec;

use super::*;

const BASE: u64 = 0xf_0040;

fn facts(cpus: u8) -> Facts {
    Facts { cpus, coms: [true, true, false, false], pins: [(3, 1), (4, 1), (5, 2)].into() }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

/// Placed tables.
struct Placed {
    tables: Vec<u8>,
    rsdp: Vec<u8>,
}

impl Placed {
    fn new(cpus: u8) -> Placed {
        let (tables, rsdp) = acpi(&facts(cpus)).placed(BASE);
        Placed { tables, rsdp }
    }

    /// The table at an address, as long as its header says, with a good checksum.
    fn table(&self, at: u64) -> &[u8] {
        let rest = &self.tables[usize::try_from(at - BASE).unwrap()..];
        let table = &rest[..number(&rest[4..8]) as usize];
        assert!(&table[..4] == b"FACS" || sum(table) == 0, "{:?}", &table[..4]);
        table
    }

    fn root(&self, at: u64, width: usize) -> Vec<u64> {
        self.table(at)[36..].chunks(width).map(number).collect()
    }

    fn find(&self, signature: &[u8; 4]) -> &[u8] {
        let all = self.root(number(&self.rsdp[24..32]), 8);
        let mut tables = all.into_iter().map(|at| self.table(at));
        tables.find(|t| &t[..4] == signature).unwrap()
    }
}

/// The structures of an MADT or the entries of an MP table: type and bytes.
fn structures(mut bytes: &[u8], len: impl Fn(&[u8]) -> usize) -> Vec<(u8, Vec<u8>)> {
    let mut list = Vec::new();
    while !bytes.is_empty() {
        let (one, rest) = bytes.split_at(len(bytes));
        list.push((one[0], one.to_vec()));
        bytes = rest;
    }
    list
}

#[test]
fn the_root_pointer_has_both_checksums() {
    let p = Placed::new(1);
    assert_eq!(&p.rsdp[..8], b"RSD PTR ");
    assert_eq!((sum(&p.rsdp[..20]), sum(&p.rsdp)), (0, 0));
    assert_eq!((p.rsdp[15], number(&p.rsdp[20..24])), (2, 36));
}

#[test]
fn both_root_tables_lead_to_the_same_tables() {
    let p = Placed::new(4);
    let rsdt = p.root(number(&p.rsdp[16..20]), 4);
    assert_eq!(rsdt, p.root(number(&p.rsdp[24..32]), 8));
    let names: Vec<&[u8]> = rsdt.iter().map(|at| &p.table(*at)[..4]).collect();
    assert_eq!(names, [b"FACP", b"APIC", b"HPET", b"MCFG"]);
}

#[test]
fn the_fadt_leads_to_facs_and_dsdt() {
    let p = Placed::new(1);
    let fadt = p.find(b"FACP");
    let facs = number(&fadt[36..40]);
    assert_eq!((&p.table(facs)[..4], facs % 64), (&b"FACS"[..], 0));
    assert_eq!(&p.table(number(&fadt[40..44]))[..4], b"DSDT");
    assert_eq!(number(&fadt[140..148]), number(&fadt[40..44]));
}

#[test]
fn the_fadt_names_the_ports_that_answer() {
    let p = Placed::new(1);
    let fadt = p.find(b"FACP");
    assert_eq!(number(&fadt[46..48]), 9, "the SCI");
    assert_eq!((number(&fadt[48..52]), fadt[52], fadt[53]), (0xb2, 0xf1, 0xf0));
    assert_eq!([56, 64, 76].map(|at| number(&fadt[at..at + 4])), [0x600, 0x604, 0x608]);
    assert_eq!((fadt[88], fadt[89], fadt[91]), (4, 2, 4));
    assert_eq!((number(&fadt[120..128]), fadt[128]), (0xcf9, 6), "the reset register");
    assert_eq!(number(&fadt[112..116]) >> 8 & 1, 0, "the timer has 24 bits");
}

#[test]
fn the_madt_has_a_local_apic_for_each_cpu() {
    for cpus in [1, 4, 8] {
        let p = Placed::new(cpus);
        let madt = p.find(b"APIC");
        assert_eq!((number(&madt[36..40]), number(&madt[40..44])), (0xfee0_0000, 1));
        let list = structures(&madt[44..], |s| s[1].into());
        let lapics: Vec<u8> = list.iter().filter(|s| s.0 == 0).map(|s| s.1[3]).collect();
        assert_eq!(lapics, (0..cpus).collect::<Vec<u8>>());
        let count = |kind| list.iter().filter(|s| s.0 == kind).count();
        assert_eq!((count(1), count(2), count(4)), (1, 2, 1));
        let ioapic = list.iter().find(|s| s.0 == 1).unwrap();
        assert_eq!((ioapic.1[2], number(&ioapic.1[4..8])), (cpus, 0xfec0_0000));
    }
}

#[test]
fn hpet_and_mcfg_have_their_addresses() {
    let p = Placed::new(1);
    let hpet = p.find(b"HPET");
    assert_eq!((hpet.len(), number(&hpet[36..40]), number(&hpet[44..52])), (56, 0x8086_a201, 0xfed0_0000));
    let mcfg = p.find(b"MCFG");
    assert_eq!((mcfg.len(), number(&mcfg[44..52]), mcfg[54], mcfg[55]), (60, 0xe000_0000, 0, 255));
}

#[test]
fn the_loader_script_makes_what_we_would_place() {
    let [(_, mut tables), (_, mut rsdp), (_, script)] = acpi(&facts(2)).files();
    let field = |e: &[u8], at: usize| number(&e[at..at + 4]) as usize;
    let name = |e: &[u8], at: usize| {
        String::from_utf8(e[at..at + 56].iter().copied().take_while(|b| *b != 0).collect()).unwrap()
    };
    let mut allocated = Vec::new();
    for e in script.chunks(128) {
        assert_eq!(e.len(), 128);
        let piece = if name(e, 4) == "etc/acpi/rsdp" { &mut rsdp } else { &mut tables };
        match e[0] {
            1 => allocated.push((name(e, 4), field(e, 60), e[64])),
            2 => {
                assert_eq!(name(e, 60), "etc/acpi/tables");
                let (at, width) = (field(e, 116), usize::from(e[120]));
                let value = number(&piece[at..at + width]) + BASE;
                piece[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            3 => {
                let (at, start, len) = (field(e, 60), field(e, 64), field(e, 68));
                piece[at] = piece[at].wrapping_sub(sum(&piece[start..start + len]));
            }
            other => panic!("command {other}"),
        }
    }
    assert_eq!(allocated, [("etc/acpi/tables".into(), 64, 1), ("etc/acpi/rsdp".into(), 16, 2)]);
    let placed = Placed::new(2);
    assert_eq!((tables, rsdp), (placed.tables, placed.rsdp));
}

#[test]
fn the_mp_table_has_its_checksums_and_counts() {
    for cpus in [1, 4, 8] {
        let t = mp(&facts(cpus), 0xf_2340);
        assert_eq!((&t[..4], sum(&t[..16])), (&b"_MP_"[..], 0));
        assert_eq!((number(&t[4..8]), t[8], t[9]), (0xf_2350, 1, 4));
        let table = &t[16..];
        assert_eq!((&table[..4], sum(table)), (&b"PCMP"[..], 0));
        assert_eq!(number(&table[4..6]) as usize, table.len());
        let list = structures(&table[44..], |e| if e[0] == 0 { 20 } else { 8 });
        assert_eq!(number(&table[34..36]) as usize, list.len());
        let count = |kind| list.iter().filter(|e| e.0 == kind).count();
        assert_eq!([0, 1, 2, 3, 4].map(count), [cpus.into(), 2, 1, 15 + 3, 2]);
        assert!(list.windows(2).all(|w| w[0].0 <= w[1].0), "entries are sorted by type");
        assert_eq!(list.iter().filter(|e| e.0 == 0 && e.1[3] & 2 != 0).count(), 1, "one CPU boots");
    }
}

#[test]
fn the_mp_table_routes_pins_to_the_inputs_of_their_lines() {
    let t = mp(&facts(1), 0xf_0000);
    let list = structures(&t[60..], |e| if e[0] == 0 { 20 } else { 8 });
    let pci: Vec<(u8, u8)> =
        list.iter().filter(|e| e.0 == 3 && e.1[4] == 0).map(|e| (e.1[5], e.1[7])).collect();
    // Slot 3's INTA# is PIRQC, slot 4's PIRQD, slot 5's INTB# PIRQB.
    assert_eq!(pci, [(3 << 2, 18), (4 << 2, 19), (5 << 2 | 1, 17)]);
    let timer = list.iter().find(|e| e.0 == 3 && e.1[4] == 1 && e.1[5] == 0).unwrap();
    assert_eq!(timer.1[7], 2);
}

/// Runs the reference compiler; `false` if it is not installed.
fn iasl(dir: &Path, args: &[&str]) -> bool {
    match Command::new("iasl").args(args).current_dir(dir).stdin(Stdio::null()).output() {
        Err(_) => false,
        Ok(done) => {
            let said =
                String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
            assert!(
                done.status.success() && !said.contains("Error ") && !said.contains("Warning "),
                "{said}"
            );
            true
        }
    }
}

#[test]
fn the_reference_compiler_takes_the_tables_apart_and_together_again() {
    let dir = std::env::temp_dir().join(std::format!("hako-acpi-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let p = Placed::new(4);
    let fadt = p.find(b"FACP");
    let dsdt = p.table(number(&fadt[40..44]));
    for (name, table) in [
        ("dsdt", dsdt),
        ("facp", fadt),
        ("apic", p.find(b"APIC")),
        ("hpet", p.find(b"HPET")),
        ("mcfg", p.find(b"MCFG")),
    ] {
        std::fs::write(dir.join(name).with_extension("aml"), table).unwrap();
        if iasl(&dir, &["-d", &std::format!("{name}.aml")]) {
            iasl(&dir, &["-oa", "-p", "again", &std::format!("{name}.dsl")]);
            if name == "dsdt" {
                assert_eq!(std::fs::read(dir.join("again.aml")).unwrap()[36..], table[36..]);
            }
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
