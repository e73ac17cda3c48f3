//! Registers, bits and command codes (ATA/ATAPI-6, chapters 7 and 8).

use bitflags::bitflags;

/// A register of the command block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// The data port.
    Data,
    /// Error when read, Features when written.
    Error,
    /// Sector Count; Interrupt Reason of a packet device.
    Count,
    /// LBA low; sector number.
    Low,
    /// LBA mid; cylinder low; byte count low.
    Mid,
    /// LBA high; cylinder high; byte count high.
    High,
    /// Device and head.
    Device,
    /// Status when read, Command when written.
    Status,
}

impl From<u8> for Register {
    fn from(offset: u8) -> Register {
        use Register::*;
        [Data, Error, Count, Low, Mid, High, Device, Status][usize::from(offset & 7)]
    }
}

bitflags! {
    /// The status register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Status: u8 {
        /// Busy.
        const BSY = 1 << 7;
        /// Ready for commands.
        const DRDY = 1 << 6;
        /// Device fault.
        const DF = 1 << 5;
        /// Seek complete.
        const DSC = 1 << 4;
        /// A word waits or is wanted at the data port.
        const DRQ = 1 << 3;
        /// The error register says more.
        const ERR = 1 << 0;
    }

    /// The error register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Error: u8 {
        /// Uncorrectable data; of a write: the medium is write-protected.
        const UNC = 1 << 6;
        /// The address was not found.
        const IDNF = 1 << 4;
        /// Aborted: unknown, or impossible now.
        const ABRT = 1 << 2;
    }

    /// The device control register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Control: u8 {
        /// Reads of the command block show the previous contents (48-bit addresses).
        const HOB = 1 << 7;
        /// Software reset.
        const SRST = 1 << 2;
        /// INTRQ is off.
        const NIEN = 1 << 1;
    }
}

/// The write-protect bit is where a read has UNC.
pub const WRITE_PROTECT: Error = Error::UNC;
/// Interrupt reason: the transfer goes to the host.
pub const REASON_TO_HOST: u8 = 1 << 1;
/// Interrupt reason: command packet or completion instead of data.
pub const REASON_COMMAND: u8 = 1 << 0;

/// How a sector command names its sectors and moves its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// 48-bit address and 16-bit count.
    pub ext: bool,
    /// Blocks of several sectors for each interrupt.
    pub multiple: bool,
}

/// What a command code asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the standard
pub enum Command {
    Nop,
    DeviceReset,
    Recalibrate,
    Read(Access),
    Write(Access),
    Verify(Access),
    Seek,
    Diagnostic,
    InitializeParameters,
    Packet,
    IdentifyPacket,
    SetMultiple,
    Standby,
    Idle,
    CheckPowerMode,
    FlushCache,
    Identify,
    SetFeatures,
    ReadNativeMax(Access),
    Unknown,
}

impl From<u8> for Command {
    fn from(code: u8) -> Command {
        let access = |ext, multiple| Access { ext, multiple };
        match code {
            0x00 => Command::Nop,
            0x08 => Command::DeviceReset,
            0x10..=0x1f => Command::Recalibrate,
            0x20 | 0x21 => Command::Read(access(false, false)),
            0x24 => Command::Read(access(true, false)),
            0x29 => Command::Read(access(true, true)),
            0xc4 => Command::Read(access(false, true)),
            0x30 | 0x31 | 0x3c => Command::Write(access(false, false)),
            0x34 => Command::Write(access(true, false)),
            0x39 => Command::Write(access(true, true)),
            0xc5 => Command::Write(access(false, true)),
            0x40 | 0x41 => Command::Verify(access(false, false)),
            0x42 => Command::Verify(access(true, false)),
            0x70..=0x7f => Command::Seek,
            0x90 => Command::Diagnostic,
            0x91 => Command::InitializeParameters,
            0xa0 => Command::Packet,
            0xa1 => Command::IdentifyPacket,
            0xc6 => Command::SetMultiple,
            0x94 | 0x96 | 0x99 | 0xe0 | 0xe2 | 0xe6 => Command::Standby,
            0x95 | 0x97 | 0xe1 | 0xe3 => Command::Idle,
            0x98 | 0xe5 => Command::CheckPowerMode,
            0xe7 | 0xea => Command::FlushCache,
            0xec => Command::Identify,
            0xef => Command::SetFeatures,
            0xf8 => Command::ReadNativeMax(access(false, false)),
            0x27 => Command::ReadNativeMax(access(true, false)),
            _ => Command::Unknown,
        }
    }
}
