//! Variable-length integers: seven bits a byte, the lowest first, the top bit on all bytes but the last.

use super::PackError;

/// Appends a number: 1 to 10 bytes.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number from the front. Only the shortest spelling is accepted.
pub(super) fn take(bytes: &mut &[u8]) -> Result<u64, PackError> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        // The tenth byte has room for one bit.
        if index == 9 && *byte > 1 {
            return Err(PackError::Number);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if *byte == 0 && index > 0 {
                return Err(PackError::Number);
            }
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
    }
    Err(if bytes.len() < 10 { PackError::Truncated } else { PackError::Number })
}

/// Takes a count of things that each take at least `bytes_each` bytes of what follows: so that no allocation is greater
/// than what was received.
pub(super) fn take_count(bytes: &mut &[u8], bytes_each: usize) -> Result<usize, PackError> {
    let count = take(bytes)?;
    let most = bytes.len() / bytes_each;
    usize::try_from(count).ok().filter(|count| *count <= most).ok_or(PackError::Truncated)
}

/// Takes so many bytes from the front.
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], PackError> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(PackError::Truncated)?;
    *bytes = rest;
    Ok(taken)
}

/// Takes an array from the front.
pub(super) fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], PackError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(PackError::Truncated)?;
    *bytes = rest;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::sampling::check;
    use proptest::prelude::*;

    #[test]
    fn numbers_come_back_and_take_a_byte_for_every_seven_bits() {
        let number = (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift);
        check("numbers", 4_000, number, |number| {
            let mut out = Vec::new();
            put(&mut out, number);
            prop_assert_eq!(out.len(), (64 - number.leading_zeros()).max(1).div_ceil(7) as usize);
            prop_assert_eq!(take(&mut out.as_slice()), Ok(number));
            Ok(())
        });
    }

    #[test]
    fn whatever_bytes_are_accepted_are_the_shortest_spelling() {
        let bytes = prop::collection::vec(prop_oneof![Just(0u8), Just(0x80), Just(0xff), any::<u8>()], 0..12);
        check("spellings of numbers", 8_000, bytes, |bytes| {
            let mut rest = bytes.as_slice();
            if let Ok(number) = take(&mut rest) {
                let mut out = Vec::new();
                put(&mut out, number);
                prop_assert_eq!(&bytes[..bytes.len() - rest.len()], &out[..]);
            }
            Ok(())
        });
        assert_eq!(take(&mut &[0x80, 0][..]), Err(PackError::Number));
        assert_eq!(take(&mut &[0xff; 10][..]), Err(PackError::Number));
        assert_eq!(take(&mut &[0x80][..]), Err(PackError::Truncated));
    }
}
