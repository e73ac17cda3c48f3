//! Code page 437: what the character generator of a PC shows, as Unicode.

/// 0x00 to 0x1f: the symbols of the control codes.
const LOW: &str = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";
/// 0x7f to 0xff.
const HIGH: &str = "⌂ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The Unicode character of a byte in text memory.
pub fn to_char(byte: u8) -> char {
    match byte {
        0x20..=0x7e => char::from(byte),
        0x00..=0x1f => LOW.chars().nth(byte.into()).unwrap_or(' '),
        _ => HIGH.chars().nth(usize::from(byte) - 0x7f).unwrap_or(' '),
    }
}
