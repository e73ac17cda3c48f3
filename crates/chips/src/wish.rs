//! What a chip may want of the machine as a whole.

/// Ends or restarts the run, or calls the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Reset the machine (0xcf9, 8042 pulse, port 0x92 bit 0).
    Reset,
    /// ACPI soft-off or APM power-off.
    PowerOff,
    /// The debug-exit port was written with this value.
    Exit(u32),
    /// The built-in firmware's trap port was written with this service number.
    Firmware(u8),
}
