//! The static tables (ACPI 6.4, section 5.2), as of ACPI 2.0.

use alloc::vec::Vec;

use acpi_tables::sdt::Sdt;
use hako_chips::hpet::CAPABILITIES;

use super::super::layout::{ECAM, PM_PORT};
use super::super::{SCI, system};
use super::linker::Bundle;
use super::{Facts, HPET, IOAPIC, LAPIC, TIMER_GSI, dsdt};

const OEM: [u8; 6] = *b"HAKO  ";
const OEM_TABLE: [u8; 8] = *b"HAKOPC  ";
const HEADER: u32 = 36;

/// A table of `len` bytes with nothing but its header in it.
pub fn table(signature: &[u8; 4], revision: u8, len: u32) -> Sdt {
    Sdt::new(*signature, len, revision, OEM, OEM_TABLE, 1)
}

/// All tables.
pub fn bundle(facts: &Facts) -> Bundle {
    let mut bundle = Bundle::default();
    let facs = bundle.add(&facs());
    let dsdt = bundle.add_sdt(&dsdt::dsdt(facts), []);
    let fadt = bundle.add_sdt(&fadt(facs, dsdt), [(36, 4), (40, 4), (140, 8)]);
    let tables = [
        fadt,
        bundle.add_sdt(madt(facts).as_slice(), []),
        bundle.add_sdt(hpet().as_slice(), []),
        bundle.add_sdt(mcfg().as_slice(), []),
    ];
    let rsdt = root(&mut bundle, b"RSDT", 4, &tables);
    let xsdt = root(&mut bundle, b"XSDT", 8, &tables);
    let mut rsdp = Vec::with_capacity(36);
    rsdp.extend_from_slice(b"RSD PTR ");
    rsdp.push(0);
    rsdp.extend_from_slice(&OEM);
    rsdp.push(2);
    rsdp.extend_from_slice(&(rsdt as u32).to_le_bytes());
    rsdp.extend_from_slice(&36u32.to_le_bytes());
    rsdp.extend_from_slice(&(xsdt as u64).to_le_bytes());
    rsdp.resize(36, 0);
    bundle.set_rsdp(rsdp, &[(16, 4), (24, 8)], &[(8, 20), (32, 36)]);
    bundle
}

/// A root table, with pointers of `width` bytes.
fn root(bundle: &mut Bundle, signature: &[u8; 4], width: u8, tables: &[usize]) -> usize {
    let mut root = table(signature, 1, HEADER);
    for at in tables {
        root.append_slice(&at.to_le_bytes()[..usize::from(width)]);
    }
    let pointers = (0..tables.len()).map(|n| (HEADER as usize + n * usize::from(width), width));
    bundle.add_sdt(root.as_slice(), pointers)
}

/// Firmware control structure (5.2.10): it wakes nothing.
fn facs() -> Vec<u8> {
    let mut facs = alloc::vec![0; 64];
    facs[..4].copy_from_slice(b"FACS");
    facs[4] = 64;
    facs[32] = 1;
    facs
}

/// Fixed hardware (5.2.9). The bits of the flags that are set: WBINVD works; C1 works; no sleep button and no RTC wake
/// status in fixed registers; there is a reset register.
const FADT_FLAGS: u32 = 1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 10;
/// Devices of the ISA bus, a keyboard controller; no PCIe ASPM.
const BOOT_ARCH: u16 = 1 << 0 | 1 << 1 | 1 << 4;
/// The clock's century byte.
const CENTURY: u8 = 0x32;
/// The reset control register, and what resets.
const RESET: (u16, u8) = (0xcf9, 0x06);

fn fadt(facs: usize, dsdt: usize) -> Vec<u8> {
    let mut t = table(b"FACP", 3, 244);
    t.write_u32(36, facs as u32);
    t.write_u32(40, dsdt as u32);
    t.write_u16(46, SCI.into());
    t.write_u32(48, system::SMI_COMMAND.into());
    t.write_u8(52, system::ACPI_ENABLE);
    t.write_u8(53, system::ACPI_DISABLE);
    // PM1a events, PM1a control, the timer: ports and lengths, and the same as generic addresses.
    for (at, len_at, x_at, port, len) in
        [(56, 88, 148, PM_PORT, 4), (64, 89, 172, PM_PORT + 4, 2), (76, 91, 208, PM_PORT + 8, 4)]
    {
        t.write_u32(at, u32::from(port));
        t.write_u8(len_at, len);
        t.write_bytes(x_at, &port_address(port, len));
    }
    // C2 and C3 take longer than any OS would wait: there are none.
    t.write_u16(96, 0xfff);
    t.write_u16(98, 0xfff);
    t.write_u8(108, CENTURY);
    t.write_u16(109, BOOT_ARCH);
    t.write_u32(112, FADT_FLAGS);
    t.write_bytes(116, &port_address(RESET.0, 1));
    t.write_u8(128, RESET.1);
    t.write_bytes(140, &(dsdt as u64).to_le_bytes());
    t.as_slice().to_vec()
}

/// A generic address (5.2.3.2): a register of `len` bytes at a port, of any access size.
fn port_address(port: u16, len: u8) -> [u8; 12] {
    let mut gas = [0; 12];
    (gas[0], gas[1]) = (1, len * 8);
    gas[4..6].copy_from_slice(&port.to_le_bytes());
    gas
}

/// Interrupt controllers (5.2.12): a pair of 8259A beside the APICs.
fn madt(facts: &Facts) -> Sdt {
    let mut t = table(b"APIC", 3, HEADER);
    t.append_slice(&LAPIC.to_le_bytes());
    t.append_slice(&1u32.to_le_bytes());
    for cpu in 0..facts.cpus {
        t.append_slice(&[0, 8, cpu, cpu, 1, 0, 0, 0]);
    }
    t.append_slice(&[1, 12, facts.ioapic_id(), 0]);
    t.append_slice(&IOAPIC.to_le_bytes());
    t.append_slice(&0u32.to_le_bytes());
    // Interrupt source overrides: bus, IRQ, GSI, polarity and trigger. The SCI is a level, active high as the wires of
    // the board are.
    t.append_slice(&[2, 10, 0, 0, TIMER_GSI, 0, 0, 0, 0, 0]);
    t.append_slice(&[2, 10, 0, SCI, SCI, 0, 0, 0, 0x0d, 0]);
    // NMI at LINT1 of all.
    t.append_slice(&[4, 6, 0xff, 0, 0, 1]);
    t
}

/// The HPET (IA-PC HPET specification 1.0a, 3.2.4).
fn hpet() -> Sdt {
    let mut t = table(b"HPET", 1, HEADER);
    t.append_slice(&(CAPABILITIES as u32).to_le_bytes());
    t.append_slice(&[0, 0, 0, 0]);
    t.append_slice(&u64::from(HPET).to_le_bytes());
    t.append_slice(&[0; 4]);
    t
}

/// The ECAM window (PCI Firmware Specification 3.2, 4.1.2): segment 0, buses 0 to 255.
fn mcfg() -> Sdt {
    let mut t = table(b"MCFG", 1, HEADER + 8);
    t.append_slice(&ECAM.to_le_bytes());
    t.append_slice(&[0, 0, 0, 0xff, 0, 0, 0, 0]);
    t
}
