//! Unpacking LZ4's legacy frame, in which kernels are packed (lz4_Frame_format.md, "Legacy frame"; lz4_Block_format.md).

const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// Unpacks all blocks.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut rest = packed.strip_prefix(&MAGIC).ok_or("no LZ4 legacy frame")?;
    let mut out = Vec::new();
    while let Some((size, after)) = rest.split_first_chunk::<4>() {
        let size = u32::from_le_bytes(*size) as usize;
        let block = after.get(..size).ok_or("an LZ4 block is cut short")?;
        unpack_block(block, &mut out).ok_or("an LZ4 block is damaged")?;
        rest = &after[size..];
    }
    Ok(out)
}

/// Unpacks sequences of literals and matches; `None` where they make no sense.
fn unpack_block(block: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    let mut input = block.iter().copied();
    loop {
        let token = input.next()?;
        let literals = length(token >> 4, &mut input)?;
        let from = out.len();
        out.extend(input.by_ref().take(literals));
        if out.len() - from != literals {
            return None;
        }
        // The last sequence has literals only.
        let Some(low) = input.next() else { return Some(()) };
        let offset = usize::from(u16::from_le_bytes([low, input.next()?]));
        let len = length(token & 15, &mut input)? + 4;
        let from = out.len().checked_sub(offset).filter(|&at| offset != 0 && at >= start)?;
        for at in from..from + len {
            out.push(*out.get(at)?);
        }
    }
}

/// A length of four bits, and of more bytes where they are all ones.
fn length(nibble: u8, input: &mut impl Iterator<Item = u8>) -> Option<usize> {
    let mut len = usize::from(nibble);
    if nibble == 15 {
        loop {
            let more = input.next()?;
            len += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(block: &[u8]) -> Vec<u8> {
        [&MAGIC[..], &(block.len() as u32).to_le_bytes(), block].concat()
    }

    #[test]
    fn a_match_may_overlap_what_it_makes() {
        // One literal, then a match of 8 at offset 1, then two literals.
        let packed = frame(&[0x14, b'a', 1, 0, 0x20, b'b', b'c']);
        assert_eq!(unpack(&packed).unwrap(), b"aaaaaaaaabc");
    }

    #[test]
    fn long_lengths_go_on_in_bytes() {
        let mut block = vec![0xf0, 255, 5];
        block.extend([7; 275]);
        assert_eq!(unpack(&frame(&block)).unwrap(), [7; 275]);
    }

    #[test]
    fn damage_is_an_error() {
        for block in [&[0x14, b'a', 2, 0][..], &[0x40, b'a'], &[0x04, 0, 0], &[]] {
            assert!(unpack(&frame(block)).is_err(), "{block:x?}");
        }
        assert!(unpack(b"abcd").is_err() && unpack(&frame(&[0x10, 1])[..7]).unwrap().is_empty());
    }
}
