//! The MP configuration table (MultiProcessor Specification 1.4, chapter 4).

use alloc::vec::Vec;

use hako_chips::pci::piix::pirq;

use super::{Facts, IOAPIC, LAPIC, PIRQ_GSI, TIMER_GSI, checksum};

/// Numbers of the buses.
const PCI_BUS: u8 = 0;
const ISA_BUS: u8 = 1;
/// Interrupt types (4.3.4).
const INT: u8 = 0;
const NMI: u8 = 1;
const EXT_INT: u8 = 3;
/// All local APICs.
const EVERYBODY: u8 = 0xff;
/// The interrupt of the second 8259A, which no device has.
const CASCADE: u8 = 2;
/// Versions that the APICs' registers show.
const LAPIC_VERSION: u8 = 0x14;
const IOAPIC_VERSION: u8 = 0x20;

/// Bytes of the floating pointer structure.
const POINTER: u32 = 16;

/// The floating pointer structure for address `at`, a multiple of 16, and the table behind it.
pub fn tables(facts: &Facts, at: u32) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(b"_MP_");
    out.extend_from_slice(&at.wrapping_add(POINTER).to_le_bytes());
    // Length in paragraphs, revision, checksum, and features: a table, and virtual wire mode after reset.
    out.extend_from_slice(&[1, 4, 0, 0, 0, 0, 0, 0]);
    out[10] = checksum(&out);
    out.extend_from_slice(&table(facts));
    out
}

fn table(facts: &Facts) -> Vec<u8> {
    let entries = entries(facts);
    let count = entries.len() as u16;
    let mut t = Vec::new();
    t.extend_from_slice(b"PCMP");
    t.extend_from_slice(&[0, 0, 4, 0]);
    t.extend_from_slice(b"HAKO    PC          ");
    t.extend_from_slice(&[0; 6]);
    t.extend_from_slice(&count.to_le_bytes());
    t.extend_from_slice(&LAPIC.to_le_bytes());
    t.extend_from_slice(&[0; 4]);
    entries.iter().for_each(|e| t.extend_from_slice(e));
    let len = t.len() as u16;
    t[4..6].copy_from_slice(&len.to_le_bytes());
    t[7] = checksum(&t);
    t
}

/// All entries, by type.
fn entries(facts: &Facts) -> Vec<Vec<u8>> {
    let ioapic = facts.ioapic_id();
    let mut list: Vec<Vec<u8>> = (0..facts.cpus).map(processor).collect();
    list.push(bus(PCI_BUS, b"PCI   "));
    list.push(bus(ISA_BUS, b"ISA   "));
    let mut entry = [2, ioapic, IOAPIC_VERSION, 1].to_vec();
    entry.extend_from_slice(&IOAPIC.to_le_bytes());
    list.push(entry);
    for irq in (0..16).filter(|irq| *irq != CASCADE) {
        let pin = if irq == 0 { TIMER_GSI } else { irq };
        list.push(interrupt(3, INT, (ISA_BUS, irq), (ioapic, pin)));
    }
    for &(device, pin) in &facts.pins {
        let source = device << 2 | pin.wrapping_sub(1) & 3;
        list.push(interrupt(3, INT, (PCI_BUS, source), (ioapic, PIRQ_GSI + pirq(device, pin))));
    }
    list.push(interrupt(4, EXT_INT, (ISA_BUS, 0), (EVERYBODY, 0)));
    list.push(interrupt(4, NMI, (ISA_BUS, 0), (EVERYBODY, 1)));
    list
}

/// A processor (4.3.1): enabled, the first one boots. Family 6, with an FPU and a local APIC; CPUID says the rest.
fn processor(id: u8) -> Vec<u8> {
    let mut entry = [0, id, LAPIC_VERSION, 1 | u8::from(id == 0) << 1].to_vec();
    entry.extend_from_slice(&0x0600u32.to_le_bytes());
    entry.extend_from_slice(&0x0201u32.to_le_bytes());
    entry.extend_from_slice(&[0; 8]);
    entry
}

fn bus(id: u8, name: &[u8; 6]) -> Vec<u8> {
    let mut entry = [1, id].to_vec();
    entry.extend_from_slice(name);
    entry
}

/// An interrupt's way from bus and IRQ to APIC and input (4.3.4, 4.3.5), of the polarity and trigger of its bus.
fn interrupt(entry: u8, kind: u8, (bus, irq): (u8, u8), (apic, input): (u8, u8)) -> Vec<u8> {
    [entry, kind, 0, 0, bus, irq, apic, input].to_vec()
}
