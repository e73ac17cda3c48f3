//! Interrupt messages: what travels between local APICs, I/O APICs and devices that send MSIs.

/// Delivery modes (SDM Vol. 3A 11.6.1, table 11-1 for the I/O APIC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To all addressed.
    Fixed,
    /// To one of those addressed.
    LowestPriority,
    /// System management interrupt.
    Smi,
    /// Non-maskable interrupt.
    Nmi,
    /// INIT.
    Init,
    /// Start-up; the vector is the page number to start at.
    StartUp,
    /// The 8259A pair has the vector.
    ExtInt,
}

impl Mode {
    /// From bits 8 to 10 of an ICR, redirection entry, LVT entry or message's data; `None` if reserved.
    pub fn of(bits: u32) -> Option<Mode> {
        Some(match bits >> 8 & 7 {
            0 => Mode::Fixed,
            1 => Mode::LowestPriority,
            2 => Mode::Smi,
            4 => Mode::Nmi,
            5 => Mode::Init,
            6 => Mode::StartUp,
            7 => Mode::ExtInt,
            _ => return None,
        })
    }

    /// Whether it brings a vector into IRR.
    pub fn has_vector(self) -> bool {
        matches!(self, Mode::Fixed | Mode::LowestPriority)
    }
}

/// For whom a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The APIC with this ID.
    Physical(u32),
    /// The APICs with one of these logical IDs.
    Logical(u32),
    /// Every APIC: the broadcast address, or the shorthand "all including self".
    All,
    /// Every APIC but the sender.
    Others,
    /// The sender.
    Myself,
}

impl Destination {
    /// From an address of eight bits, of which 0xff is everybody's.
    pub fn narrow(address: u8, logical: bool) -> Destination {
        match (address, logical) {
            (0xff, _) => Destination::All,
            (_, false) => Destination::Physical(address.into()),
            (_, true) => Destination::Logical(address.into()),
        }
    }

    /// From an address of 32 bits, of which all ones are everybody's.
    pub fn wide(address: u32, logical: bool) -> Destination {
        match (address, logical) {
            (u32::MAX, _) => Destination::All,
            (_, false) => Destination::Physical(address),
            (_, true) => Destination::Logical(address),
        }
    }
}

/// An interrupt on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// For whom.
    pub destination: Destination,
    /// How.
    pub mode: Mode,
    /// The vector.
    pub vector: u8,
    /// Level-triggered: its end is to be told to the I/O APICs.
    pub level: bool,
}

/// Trigger mode of an ICR, redirection entry or message's data.
const LEVEL: u32 = 1 << 15;
/// A message's data: the level is asserted.
const ASSERT: u32 = 1 << 14;

impl Message {
    /// What an entry of an I/O APIC's redirection table sends (82093AA, 3.2.4).
    pub fn of_redirection(entry: u64) -> Option<Message> {
        let low = entry as u32;
        Some(Message {
            destination: Destination::narrow((entry >> 56) as u8, low & 1 << 11 != 0),
            mode: Mode::of(low)?,
            vector: low as u8,
            level: low & LEVEL != 0,
        })
    }

    /// What a write of `data` to `address` means to the APICs (11.11): `None` outside 0xfee00000-0xfeefffff, for
    /// reserved modes, and for the de-assertion of a level.
    pub fn of_msi(address: u64, data: u32) -> Option<Message> {
        if address >> 20 != 0xfee {
            return None;
        }
        let level = data & LEVEL != 0;
        if level && data & ASSERT == 0 {
            return None;
        }
        // Redirection hint: one of those addressed, the one of lowest priority.
        let hint = address & 1 << 3 != 0;
        let mode = match Mode::of(data)? {
            Mode::Fixed if hint => Mode::LowestPriority,
            mode => mode,
        };
        let destination = Destination::narrow((address >> 12) as u8, address & 1 << 2 != 0);
        Some(Message { destination, mode, vector: data as u8, level })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_msi_has_its_destination_in_the_address_and_its_vector_in_the_data() {
        let m = Message::of_msi(0xfee0_3000, 0x0041).unwrap();
        let fixed =
            Message { destination: Destination::Physical(3), mode: Mode::Fixed, vector: 0x41, level: false };
        assert_eq!(m, fixed);
    }

    #[test]
    fn the_redirection_hint_asks_for_the_lowest_priority() {
        let m = Message::of_msi(0xfee0_300c, 0x0041).unwrap();
        assert_eq!((m.destination, m.mode), (Destination::Logical(3), Mode::LowestPriority));
    }

    #[test]
    fn a_level_triggered_msi_counts_when_asserted() {
        assert!(Message::of_msi(0xfee0_0000, 0xc041).unwrap().level);
        assert_eq!(Message::of_msi(0xfee0_0000, 0x8041), None);
    }

    #[test]
    fn other_addresses_and_reserved_modes_are_no_messages() {
        assert_eq!(Message::of_msi(0xfed0_0000, 0x41), None);
        assert_eq!(Message::of_msi(0x1_fee0_0000, 0x41), None);
        assert_eq!(Message::of_msi(0xfee0_0000, 0x341), None);
    }

    #[test]
    fn address_ff_is_everybodys() {
        assert_eq!(Message::of_msi(0xfeef_f000, 0x41).unwrap().destination, Destination::All);
        assert_eq!(Message::of_redirection(0xff << 56 | 0x0841).unwrap().destination, Destination::All);
    }

    #[test]
    fn a_redirection_entry_names_a_logical_destination_with_bit_11() {
        let m = Message::of_redirection(0x02 << 56 | 0x8931).unwrap();
        let wanted = Message {
            destination: Destination::Logical(2),
            mode: Mode::LowestPriority,
            vector: 0x31,
            level: true,
        };
        assert_eq!(m, wanted);
    }
}
