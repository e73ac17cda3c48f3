//! The differentiated system description table: what hangs where, in AML.

use alloc::string::String;
use alloc::vec::Vec;

use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, And, Arg, CreateDWordField, Device, EISAName, Equal, Field,
    FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, IO, If, Memory32Fixed, Method, Name,
    OpRegion, OpRegionSpace, Or, Package, PackageBuilder, Path, ResourceTemplate, Return, Scope, Store, ZERO,
};
use acpi_tables::{Aml, AmlSink};
use hako_chips::pci::piix::{PIRQ_ROUTE, pirq};

use super::super::coms;
use super::super::layout::{ECAM, ECAM_SIZE, PCI_MEMORY, PM_PORT, VIDEO};
use super::super::post::PIRQ_IRQS;
use super::resources::{Dma, FIRST_NUMBER, IsaIrq, PciIrqs};
use super::{Facts, HPET, PIRQ_GSI, acpi};

/// Pieces of AML, one after the other.
#[derive(Default)]
struct Code(Vec<u8>);

impl Code {
    fn of(parts: &[&dyn Aml]) -> Code {
        let mut code = Code::default();
        parts.iter().for_each(|part| code.push(*part));
        code
    }

    fn push(&mut self, part: &dyn Aml) {
        part.to_aml_bytes(&mut self.0);
    }
}

impl Aml for Code {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

fn path(name: &str) -> Path {
    Path::new(name)
}

fn name(name: &str, value: &dyn Aml) -> Name {
    Name::new(path(name), value)
}

/// The links of PIRQA to PIRQD, and the fields of their route control registers.
const LINKS: [(&str, &str); 4] = [("LNKA", "PRQA"), ("LNKB", "PRQB"), ("LNKC", "PRQC"), ("LNKD", "PRQD")];

fn resources(descriptors: &[&dyn Aml]) -> Code {
    Code::of(&[&ResourceTemplate::new(descriptors.to_vec())])
}

/// A device with this ID and these resources.
fn device(at: &str, id: &str, uid: u8, resources: &[&dyn Aml]) -> Code {
    let id = EISAName::new(id);
    let crs = self::resources(resources);
    Code::of(&[&Device::new(
        path(at),
        alloc::vec![&name("_HID", &id), &name("_UID", &uid), &name("_CRS", &crs)],
    )])
}

/// Ports `first` to `first + len - 1`.
fn ports(first: u16, len: u8) -> IO {
    IO::new(first, first, 1, len)
}

/// The table with its header; the checksum is for whoever places it.
pub fn dsdt(facts: &Facts) -> Vec<u8> {
    let mut code = Code::default();
    // Soft off is sleep type 0.
    code.push(&name("_S5_", &Package::new(alloc::vec![&ZERO, &ZERO, &ZERO, &ZERO])));
    // Which interrupt controllers the system uses: 0 the pair of 8259A, 1 the APICs.
    code.push(&name("PICF", &ZERO));
    code.push(&Method::new(path("_PIC"), 1, false, alloc::vec![&Store::new(&path("PICF"), &Arg(0))]));
    let mut system = Code::default();
    (0..facts.cpus).for_each(|cpu| system.push(&processor(cpu)));
    system.push(&host_bridge(facts));
    (0..4).for_each(|n| system.push(&link(n)));
    system.push(&device("HPET", "PNP0103", 0, &[&Memory32Fixed::new(false, HPET, 0x400)]));
    system.push(&motherboard());
    code.push(&Scope::new(path("_SB_"), alloc::vec![&system]));
    let mut table = acpi::table(b"DSDT", 2, 36);
    table.append_slice(&code.0);
    table.as_slice().to_vec()
}

fn processor(cpu: u8) -> Code {
    let at = String::from_iter(['C', '0', '0', char::from(b'0' + cpu % 10)]);
    Code::of(&[&Device::new(path(&at), alloc::vec![&name("_HID", &"ACPI0007"), &name("_UID", &cpu)])])
}

/// The bus, what addresses lead to it, and what is on it.
fn host_bridge(facts: &Facts) -> Code {
    let memory = |first: u64, last: u64| {
        AddressSpace::new_memory(AddressSpaceCacheable::NotCacheable, true, first as u32, last as u32, None)
    };
    let [low, high] = PCI_MEMORY.map(|(first, last)| memory(first, last));
    let crs = resources(&[
        &AddressSpace::new_bus_number(0u16, 255u16),
        &ports(0xcf8, 8),
        &AddressSpace::new_io(0u16, 0xcf7u16, None),
        &AddressSpace::new_io(0xd00u16, 0xffffu16, None),
        &memory(VIDEO, 0xb_ffff),
        &low,
        &high,
    ]);
    Code::of(&[&Device::new(
        path("PCI0"),
        alloc::vec![
            &name("_HID", &EISAName::new("PNP0A03")),
            &name("_UID", &ZERO),
            &name("_CRS", &crs),
            &routing(facts),
            &isa_bridge(facts),
        ],
    )])
}

/// The way of each device's pins: to a link, or to an input of the I/O APIC.
fn routing(facts: &Facts) -> Code {
    let (mut links, mut inputs) = (PackageBuilder::new(), PackageBuilder::new());
    for &(slot, pin) in &facts.pins {
        let address = u32::from(slot) << 16 | 0xffff;
        let (pin, line) = (pin.wrapping_sub(1) & 3, pirq(slot, pin));
        let link = path(LINKS[usize::from(line & 3)].0);
        links.add_element(&Package::new(alloc::vec![&address, &pin, &link, &ZERO]));
        inputs.add_element(&Package::new(alloc::vec![&address, &pin, &ZERO, &(PIRQ_GSI + line)]));
    }
    Code::of(&[
        &name("PRTP", &links),
        &name("PRTA", &inputs),
        &Method::new(
            path("_PRT"),
            0,
            false,
            alloc::vec![
                &If::new(&Equal::new(&path("PICF"), &ZERO), alloc::vec![&Return::new(&path("PRTP"))]),
                &Return::new(&path("PRTA")),
            ],
        ),
    ])
}

/// The interrupt that a PIRQ route control register leads to; bit 7 switches it off.
fn link(n: u8) -> Code {
    let (at, field) = LINKS[usize::from(n & 3)];
    let route = path(&alloc::format!("\\_SB_.PCI0.ISA_.{field}"));
    let irqs = [PIRQ_IRQS[0].into(), PIRQ_IRQS[1].into()];
    let choice = resources(&[&PciIrqs(&irqs)]);
    let current = resources(&[&PciIrqs(&[0])]);
    let off = 0x80u8;
    Code::of(&[&Device::new(
        path(at),
        alloc::vec![
            &name("_HID", &EISAName::new("PNP0C0F")),
            &name("_UID", &n),
            &name("_PRS", &choice),
            &name("PRR0", &current),
            &Method::new(
                path("_STA"),
                0,
                false,
                alloc::vec![
                    &If::new(&And::new(&ZERO, &route, &off), alloc::vec![&Return::new(&0x09u8)]),
                    &Return::new(&0x0bu8),
                ],
            ),
            &Method::new(path("_DIS"), 0, false, alloc::vec![&Or::new(&route, &route, &off)]),
            &Method::new(
                path("_CRS"),
                0,
                true,
                alloc::vec![
                    &CreateDWordField::new(&path("PRRI"), &path("PRR0"), &FIRST_NUMBER),
                    &If::new(
                        &Equal::new(&And::new(&ZERO, &route, &off), &ZERO),
                        alloc::vec![&Store::new(&path("PRRI"), &route)],
                    ),
                    &Return::new(&path("PRR0")),
                ],
            ),
            &Method::new(
                path("_SRS"),
                1,
                false,
                alloc::vec![
                    &CreateDWordField::new(&path("PRRI"), &Arg(0), &FIRST_NUMBER),
                    &Store::new(&route, &path("PRRI")),
                ],
            ),
        ],
    )])
}

/// The ISA bridge with its route control registers, and the devices of the ISA bus.
fn isa_bridge(facts: &Facts) -> Code {
    let fields = LINKS.map(|(_, field)| {
        let mut name = [0; 4];
        name.copy_from_slice(&field.as_bytes()[..4]);
        FieldEntry::Named(name, 8)
    });
    let mut isa = Code::of(&[
        &name("_ADR", &0x0001_0000u32),
        &OpRegion::new(path("PIRQ"), OpRegionSpace::PCIConfig, &PIRQ_ROUTE, &4u8),
        &Field::new(
            path("PIRQ"),
            FieldAccessType::Byte,
            FieldLockRule::NoLock,
            FieldUpdateRule::Preserve,
            fields.into(),
        ),
        &device("PIC_", "PNP0000", 0, &[&ports(0x20, 2), &ports(0xa0, 2), &ports(0x4d0, 2), &IsaIrq(2)]),
        &device("DMAC", "PNP0200", 0, &[&ports(0, 0x10), &ports(0x80, 0x10), &ports(0xc0, 0x20), &Dma(4)]),
        &device("TIMR", "PNP0100", 0, &[&ports(0x40, 4), &IsaIrq(0)]),
        &device("RTC_", "PNP0B00", 0, &[&ports(0x70, 2), &IsaIrq(8)]),
        &device("SPKR", "PNP0800", 0, &[&ports(0x61, 1)]),
        &device("FPU_", "PNP0C04", 0, &[&ports(0xf0, 1), &IsaIrq(13)]),
        &device("KBD_", "PNP0303", 0, &[&ports(0x60, 1), &ports(0x64, 1), &IsaIrq(1)]),
        &device("MOU_", "PNP0F13", 0, &[&IsaIrq(12)]),
    ]);
    for (n, com) in
        (1u8..).zip(coms::COMS).filter(|(n, _)| facts.coms.get(usize::from(*n) - 1) == Some(&true))
    {
        let at = String::from_iter(['C', 'O', 'M', char::from(b'0' + n)]);
        isa.push(&device(&at, "PNP0501", n, &[&ports(com.port, 8), &IsaIrq(com.irq)]));
    }
    Code::of(&[&Device::new(path("ISA_"), alloc::vec![&isa])])
}

/// What else is taken: the ECAM window, power management, system control ports.
fn motherboard() -> Code {
    device(
        "MBRD",
        "PNP0C02",
        0,
        &[
            &Memory32Fixed::new(true, ECAM as u32, ECAM_SIZE as u32),
            &ports(PM_PORT, 0x40),
            &ports(0x92, 1),
            &ports(0xb2, 2),
            &ports(0x510, 2),
        ],
    )
}
