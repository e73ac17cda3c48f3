# power-off-acpi: switching the machine off by ACPI.
#
# Shows:    sleep type 0 with SLP_EN (0x2000) in the PM1a control register; the firmware has put the PIIX4's
#           power management ports at 0x600, so the register is at 0x604.
# Expected: "bye" on COM1, then a power-off.

.include "boot.inc"

main:
    say "bye\n"
    mov dx, 0x604
    mov ax, 0x2000
    out dx, ax
    say "still on\n"
    inc dword ptr [failures]
    finish
