//! Where a record lies.

use super::frame::UNIT;

/// Where a record lies in the log, in nine bytes: enough to read it with one call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Location {
    /// The number of the segment.
    pub segment: u32,
    /// The first byte of the record in the segment, divided by 8.
    pub offset: u32,
    /// An upper bound of its size, at most an eighth too large: see [`bytes_max`](Location::bytes_max).
    pub class: u8,
}

impl Location {
    /// Where a record of this many bytes lies that begins at this byte. Requires: both are multiples of 8.
    pub(super) fn new(segment: u32, byte: u64, bytes: usize) -> Location {
        assert!(byte.is_multiple_of(UNIT as u64) && bytes.is_multiple_of(UNIT), "records are aligned");
        let offset = u32::try_from(byte / UNIT as u64).expect("a segment is smaller than 32 GiB");
        Location { segment, offset, class: class(bytes) }
    }

    /// The first byte of the record in its segment.
    pub fn byte(self) -> u64 {
        u64::from(self.offset) * UNIT as u64
    }

    /// The record has at most this many bytes.
    pub fn bytes_max(self) -> usize {
        class_bytes(self.class)
    }
}

/// The size class of a record: a tiny floating-point number, three bits of fraction above a power of two, rounded up.
fn class(bytes: usize) -> u8 {
    let units = (bytes.div_ceil(UNIT) as u64).max(8);
    let exponent = units.ilog2() - 3;
    // A fraction that rounds up to 8 is the next exponent with fraction 0: the sum says just that.
    let class = u64::from(exponent) * 8 + units.div_ceil(1 << exponent) - 8;
    u8::try_from(class).expect("a record is smaller than the last class")
}

/// What a class stands for, in bytes: in units of 8, (8 + fraction) << exponent. Saturates at the largest possible record.
fn class_bytes(class: u8) -> usize {
    let units = (8 + u64::from(class & 7)) << (class >> 3);
    usize::try_from(units * UNIT as u64).unwrap_or(usize::MAX).min(crate::limits::RECORD_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_never_too_small_and_at_most_an_eighth_too_large() {
        for bytes in (8..100_000).step_by(8).chain((100_000..crate::limits::RECORD_BYTES_MAX).step_by(99_992)) {
            let bound = class_bytes(class(bytes));
            assert!(bound >= bytes && (bound as f64) <= (bytes as f64 * 1.125).max(64.0), "{bytes} {bound}");
        }
    }
}
