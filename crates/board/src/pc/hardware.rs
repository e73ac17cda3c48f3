//! Who is told of the hardware, and how: tables in the F segment, or files for firmware that makes them.

use alloc::vec::Vec;

use hako_mem::{Gpa, SlabOffset};

use super::Pc;
use super::layout::MEGABYTE;
use super::tables::{self, ALIGN, Facts};

/// Where tables may lie: the part of the F segment that the built-in firmware leaves free. Operating systems search it
/// for both root pointers.
const ROOM: (u64, u64) = (0xf_0000, 0xf_c000);
/// Bytes of the F segment, which a ROM has to fill for tables to fit into it.
const SEGMENT: u64 = 0x1_0000;
/// Both root pointers are searched for at multiples of it.
const PARAGRAPH: u64 = 16;

/// The sleep types of S0 to S5 for SeaBIOS; bit 7: there is such a state.
const SYSTEM_STATES: [u8; 6] = [0x80, 0, 0, 0, 0, 0x80];

impl Pc {
    /// What the tables depend on.
    fn facts(&self) -> Facts {
        let mut pins: Vec<(u8, u8)> = self.pins().into_iter().map(|(at, pin)| (at.device(), pin)).collect();
        pins.dedup();
        Facts { cpus: self.cpus, coms: self.coms.present(), pins }
    }

    /// Makes the tables, ACPI's only if wanted.
    pub(super) fn describe_hardware(&mut self, acpi: bool) {
        let facts = self.facts();
        if self.post {
            self.place_tables(&facts, acpi);
        } else if acpi {
            for (name, data) in tables::acpi(&facts).files() {
                // A few files with short names and sizes cannot be refused.
                let _ = self.fw_cfg.add_file(name, data);
            }
            let _ = self.fw_cfg.add_file("etc/system-states", SYSTEM_STATES.to_vec());
        }
    }

    /// Puts the tables into the ROM. There are none where it has no room.
    fn place_tables(&mut self, facts: &Facts, acpi: bool) {
        if self.layout.rom < SEGMENT {
            return;
        }
        let mut next = ROOM.0;
        if acpi {
            let bundle = tables::acpi(facts);
            let at = (next + bundle.rsdp_len() as u64).next_multiple_of(ALIGN);
            let (tables, rsdp) = bundle.placed(at);
            if self.burn(next, &rsdp) && self.burn(at, &tables) {
                self.rsdp = Some(Gpa(next));
            }
            next = (at + tables.len() as u64).next_multiple_of(PARAGRAPH);
        }
        self.burn(next, &tables::mp(facts, next as u32));
    }

    /// Puts bytes into the ROM, without leaving marks as it itself is; whether there was room.
    fn burn(&self, at: u64, bytes: &[u8]) -> bool {
        let room = at + bytes.len() as u64 <= ROOM.1;
        if room {
            let SlabOffset(rom) = self.layout.rom_offset();
            let start = rom + self.layout.rom - (MEGABYTE - at);
            for (offset, byte) in (start..).zip(bytes) {
                self.memory.slab().store(offset, *byte);
            }
        }
        room
    }

    /// The root pointer of the ACPI tables, where the board has placed them.
    pub fn rsdp(&self) -> Option<Gpa> {
        self.rsdp
    }
}
