//! Symbolic names of ports, for traces and reports.

/// First port, last port, name. Sorted; no two overlap.
const PORTS: &[(u16, u16, &str)] = &[
    (0x0000, 0x000f, "dma1"),
    (0x0020, 0x0020, "pic1.command"),
    (0x0021, 0x0021, "pic1.data"),
    (0x0040, 0x0040, "pit.channel0"),
    (0x0041, 0x0041, "pit.channel1"),
    (0x0042, 0x0042, "pit.channel2"),
    (0x0043, 0x0043, "pit.control"),
    (0x0060, 0x0060, "i8042.data"),
    (0x0061, 0x0061, "system.control_b"),
    (0x0064, 0x0064, "i8042.command"),
    (0x0070, 0x0070, "cmos.index"),
    (0x0071, 0x0071, "cmos.data"),
    (0x0080, 0x0080, "post"),
    (0x0081, 0x008f, "dma.page"),
    (0x0092, 0x0092, "system.control_a"),
    (0x00a0, 0x00a0, "pic2.command"),
    (0x00a1, 0x00a1, "pic2.data"),
    (0x00b2, 0x00b2, "apm.command"),
    (0x00b3, 0x00b3, "apm.status"),
    (0x00b8, 0x00b8, "bios.trap"),
    (0x00c0, 0x00df, "dma2"),
    (0x00e9, 0x00e9, "debugcon.e9"),
    (0x0170, 0x0170, "ide2.data"),
    (0x0171, 0x0171, "ide2.error"),
    (0x0172, 0x0172, "ide2.count"),
    (0x0173, 0x0173, "ide2.lba0"),
    (0x0174, 0x0174, "ide2.lba1"),
    (0x0175, 0x0175, "ide2.lba2"),
    (0x0176, 0x0176, "ide2.device"),
    (0x0177, 0x0177, "ide2.command"),
    (0x01f0, 0x01f0, "ide1.data"),
    (0x01f1, 0x01f1, "ide1.error"),
    (0x01f2, 0x01f2, "ide1.count"),
    (0x01f3, 0x01f3, "ide1.lba0"),
    (0x01f4, 0x01f4, "ide1.lba1"),
    (0x01f5, 0x01f5, "ide1.lba2"),
    (0x01f6, 0x01f6, "ide1.device"),
    (0x01f7, 0x01f7, "ide1.command"),
    (0x02e8, 0x02ef, "com4"),
    (0x02f8, 0x02ff, "com2"),
    (0x0376, 0x0376, "ide2.control"),
    (0x03b4, 0x03b5, "crtc.mono"),
    (0x03c0, 0x03c1, "vga.attribute"),
    (0x03c2, 0x03c2, "vga.misc"),
    (0x03c4, 0x03c5, "vga.sequencer"),
    (0x03c6, 0x03c9, "vga.dac"),
    (0x03cc, 0x03cc, "vga.misc_read"),
    (0x03ce, 0x03cf, "vga.graphics"),
    (0x03d4, 0x03d4, "crtc.index"),
    (0x03d5, 0x03d5, "crtc.data"),
    (0x03da, 0x03da, "vga.status"),
    (0x03e8, 0x03ef, "com3"),
    (0x03f0, 0x03f5, "floppy"),
    (0x03f6, 0x03f6, "ide1.control"),
    (0x03f7, 0x03f7, "floppy.dir"),
    (0x03f8, 0x03f8, "com1.data"),
    (0x03f9, 0x03f9, "com1.ier"),
    (0x03fa, 0x03fa, "com1.iir"),
    (0x03fb, 0x03fb, "com1.lcr"),
    (0x03fc, 0x03fc, "com1.mcr"),
    (0x03fd, 0x03fd, "com1.lsr"),
    (0x03fe, 0x03fe, "com1.msr"),
    (0x03ff, 0x03ff, "com1.scratch"),
    (0x0402, 0x0402, "debugcon"),
    (0x04d0, 0x04d1, "pic.elcr"),
    (0x0510, 0x0510, "fw_cfg.selector"),
    (0x0511, 0x0511, "fw_cfg.data"),
    (0x0600, 0x0603, "pm.event"),
    (0x0604, 0x0605, "pm.control"),
    (0x0606, 0x0607, "pm.reserved"),
    (0x0608, 0x060b, "pm.timer"),
    (0x060c, 0x060f, "pm.reserved"),
    (0x0cf8, 0x0cf8, "pci.address"),
    (0x0cf9, 0x0cf9, "reset.control"),
    (0x0cfc, 0x0cff, "pci.data"),
];

/// What a port of the PC is called, or "" where nothing is known to be.
pub fn port(port: u16) -> &'static str {
    let after = PORTS.partition_point(|p| p.0 <= port);
    match after.checked_sub(1).and_then(|i| PORTS.get(i)) {
        Some(&(_, last, name)) if port <= last => name,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_free_of_overlap() {
        for pair in PORTS.windows(2) {
            assert!(pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0, "{pair:x?}");
        }
    }

    #[test]
    fn ports_have_the_names_of_their_registers() {
        assert_eq!(port(0x3f8), "com1.data");
        assert_eq!(port(0x3fd), "com1.lsr");
        assert_eq!(port(0xc5), "dma2");
        assert_eq!(port(0x1234), "");
    }
}
