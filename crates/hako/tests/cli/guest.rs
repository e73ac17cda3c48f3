//! Boot sectors for the tests. They are loaded at 0x7c00 and begin with DL as the drive.

/// Ends the run with `v` at the debug-exit port.
pub fn exit(v: u8) -> Vec<u8> {
    // mov al, v; out 0xf4, al; cli; hlt
    vec![0xb0, v, 0xe6, 0xf4, 0xfa, 0xf4]
}

/// Stops for good.
pub const HALT: &[u8] = &[0xfa, 0xf4];
/// Goes on for ever.
pub const LOOP: &[u8] = &[0xeb, 0xfe];

/// COM1's data register.
pub const COM1: u16 = 0x3f8;
/// The debug console.
pub const DEBUGCON: u16 = 0x402;

/// The bytes of [`say`] before what is done then.
pub const SAYING: u16 = 19;

/// Writes `text` to a port byte by byte, then does `then`.
pub fn say(port: u16, text: &str, then: &[u8]) -> Vec<u8> {
    let [low, high] = port.to_le_bytes();
    #[rustfmt::skip]
    let mut code = vec![
        0x31, 0xc0,       //    xor ax, ax
        0x8e, 0xd8,       //    mov ds, ax
        0xfc,             //    cld
        0xbe, 0, 0,       //    mov si, text
        0xba, low, high,  //    mov dx, port
        0xac,             // 1: lodsb
        0x84, 0xc0,       //    test al, al
        0x74, 0x03,       //    jz 2
        0xee,             //    out dx, al
        0xeb, 0xf8,       //    jmp 1
    ];
    code.extend(then); // 2:
    let at = 0x7c00 + code.len() as u16;
    code[6..8].copy_from_slice(&at.to_le_bytes());
    code.extend(text.as_bytes());
    code.push(0);
    code
}

/// Prints one character by INT 10h.
pub fn print(c: u8) -> Vec<u8> {
    // mov ax, 0x0e00 + c; int 0x10
    vec![0xb8, c, 0x0e, 0xcd, 0x10]
}

/// Sends back every byte that comes in at COM1, by interrupts; stops at 0x04. `at` is its offset in the boot sector.
pub fn echo(at: u16) -> Vec<u8> {
    let [low, high] = (0x7c00 + at + 35).to_le_bytes();
    #[rustfmt::skip]
    let code = vec![
        0x31, 0xc0,                          //    xor ax, ax
        0x8e, 0xd8,                          //    mov ds, ax
        0xc7, 0x06, 0x30, 0x00, low, high,   //    mov word [0x30], 2f (IRQ 4's vector)
        0xa3, 0x32, 0x00,                    //    mov [0x32], ax
        0xba, 0xf9, 0x03, 0xb0, 0x01, 0xee,  //    interrupt enable: data received
        0xba, 0xfc, 0x03, 0xb0, 0x08, 0xee,  //    modem control: OUT2 lets the interrupt out
        0xe4, 0x21, 0x24, 0xef, 0xe6, 0x21,  //    in al, 0x21; and al, ~0x10; out 0x21, al
        0xfb,                                //    sti
        0xf4,                                // 1: hlt
        0xeb, 0xfd,                          //    jmp 1
        0xba, 0xf8, 0x03,                    // 2: mov dx, 0x3f8
        0xec,                                //    in al, dx
        0x3c, 0x04,                          //    cmp al, 4
        0x74, 0x06,                          //    je 3
        0xee,                                //    out dx, al
        0xb0, 0x20, 0xe6, 0x20,              //    mov al, 0x20; out 0x20, al
        0xcf,                                //    iret
        0xfa, 0xf4,                          // 3: cli; hlt
    ];
    code
}

/// A boot sector with this code.
pub fn sector(code: &[u8]) -> Vec<u8> {
    assert!(code.len() <= 510);
    let mut sector = code.to_vec();
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}

/// The smallest CD that boots `code` without emulation: volume descriptors at blocks 16 to 18, the boot catalog at
/// 19, the boot sector at 20 (El Torito 1.0, section 2).
pub fn cd(code: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 2048;
    let mut cd = vec![0; 32 * BLOCK];
    for (block, kind) in [(16, 1), (17, 0), (18, 255)] {
        cd[block * BLOCK] = kind;
        cd[block * BLOCK + 1..][..6].copy_from_slice(b"CD001\x01");
    }
    cd[17 * BLOCK + 7..][..23].copy_from_slice(b"EL TORITO SPECIFICATION");
    cd[17 * BLOCK + 0x47] = 19;
    let catalog = &mut cd[19 * BLOCK..][..64];
    (catalog[0], catalog[32], catalog[38], catalog[40]) = (1, 0x88, 1, 20);
    catalog[28..32].copy_from_slice(&[0xaa, 0x55, 0x55, 0xaa]);
    cd[20 * BLOCK..][..512].copy_from_slice(&sector(code));
    cd
}
