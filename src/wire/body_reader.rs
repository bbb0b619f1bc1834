//! Bodies by hand, read: out of MessagePack arrays, without copying. For the kinds that are many; the few others go through
//! serde (`positional`).

use super::{Kind, WireError};
use crate::message::{Attempt, Quorum, Retry, SyncMode};
use crate::ring::MemberId;
use crate::vclock::{Actor, Dot, Start};
use bytes::Bytes;
use rmp::{Marker, decode};

/// Reads MessagePack out of a body. Every read names the field, for the error. Nothing is allocated that the bytes at hand do
/// not fill: a claimed length is held against what is left first. Integers may stand in any width.
pub(super) struct BodyReader<'a> {
    kind: Kind,
    /// The frame that `rest` lies in: byte strings are slices of it.
    frame: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> BodyReader<'a> {
    /// Requires: `body` lies in `frame`.
    #[inline]
    pub(super) fn new(kind: Kind, frame: &'a Bytes, body: &'a [u8]) -> BodyReader<'a> {
        BodyReader { kind, frame, rest: body }
    }

    #[cold]
    pub(super) fn malformed(&self, field: &str, wrong: &str) -> WireError {
        WireError::Malformed { kind: self.kind, what: format!("{field}: {wrong}") }
    }

    /// Enters an array of positional fields, of which `known` are known here; returns how many more a newer version has sent.
    /// After the known ones: `skip` those.
    #[inline]
    pub(super) fn fields(&mut self, field: &str, known: u32) -> Result<u32, WireError> {
        let sent = self.array_length().ok_or_else(|| self.malformed(field, "an array should stand here"))?;
        sent.checked_sub(known).ok_or_else(|| self.malformed(field, &format!("{sent} fields where {known} are needed")))
    }

    /// Steps over values of any shape, without recursion: nesting costs no stack.
    #[inline]
    pub(super) fn skip(&mut self, values: u32) -> Result<(), WireError> {
        if values == 0 {
            return Ok(());
        }
        self.rest = skip_values(self.rest, u64::from(values)).ok_or_else(|| self.malformed("additional fields", "broken"))?;
        Ok(())
    }

    /// The bytes of the next value, which may be of any shape.
    pub(super) fn value(&mut self, field: &str) -> Result<&'a [u8], WireError> {
        let after = skip_values(self.rest, 1).ok_or_else(|| self.malformed(field, "broken"))?;
        let value = &self.rest[..self.rest.len() - after.len()];
        self.rest = after;
        Ok(value)
    }

    /// The body must be read to its end.
    #[inline]
    pub(super) fn finish(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            _ => Err(self.malformed("end", "bytes stand behind the body's array")),
        }
    }

    /// The length of an array. The short form is the frequent one; the others cost a call.
    #[inline]
    fn array_length(&mut self) -> Option<u32> {
        match *self.rest {
            [mark @ 0x90..=0x9f, ref rest @ ..] => {
                self.rest = rest;
                Some(u32::from(mark & 0x0f))
            }
            _ => decode::read_array_len(&mut self.rest).ok(),
        }
    }

    /// A whole number; the forms that we write are read at once.
    #[inline]
    fn integer(&mut self) -> Option<u64> {
        match *self.rest {
            [number @ 0..=0x7f, ref rest @ ..] => {
                self.rest = rest;
                Some(u64::from(number))
            }
            [0xce, a, b, c, d, ref rest @ ..] => {
                self.rest = rest;
                Some(u64::from(u32::from_be_bytes([a, b, c, d])))
            }
            [0xcf, a, b, c, d, e, f, g, h, ref rest @ ..] => {
                self.rest = rest;
                Some(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => decode::read_int(&mut self.rest).ok(),
        }
    }

    /// The length of a byte string.
    #[inline]
    fn byte_length(&mut self) -> Option<u32> {
        match *self.rest {
            [0xc4, length, ref rest @ ..] => {
                self.rest = rest;
                Some(u32::from(length))
            }
            _ => decode::read_bin_len(&mut self.rest).ok(),
        }
    }

    /// A whole number that fits `T`.
    #[inline]
    pub(super) fn number<T: TryFrom<u64>>(&mut self, field: &str) -> Result<T, WireError> {
        let number = self.integer().ok_or_else(|| self.malformed(field, "a number from 0 up should stand here"))?;
        T::try_from(number).map_err(|_| self.malformed(field, &format!("{number} is out of range")))
    }

    /// A whole number that fits an `i64`.
    pub(super) fn signed(&mut self, field: &str) -> Result<i64, WireError> {
        decode::read_int(&mut self.rest).map_err(|_| self.malformed(field, "a whole number of 64 bits should stand here"))
    }

    /// Nil, where there is nothing to say.
    pub(super) fn nothing(&mut self, field: &str) -> Result<(), WireError> {
        match self.rest.split_first() {
            Some((&first, rest)) if first == Marker::Null.to_u8() => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(self.malformed(field, "nil should stand here")),
        }
    }

    #[inline]
    pub(super) fn flag(&mut self, field: &str) -> Result<bool, WireError> {
        decode::read_bool(&mut self.rest).map_err(|_| self.malformed(field, "true or false should stand here"))
    }

    /// A byte string, as a slice of the frame.
    #[inline]
    pub(super) fn bytes(&mut self, field: &str) -> Result<Bytes, WireError> {
        self.raw(field).map(|bytes| self.frame.slice_ref(bytes))
    }

    #[inline]
    fn raw(&mut self, field: &str) -> Result<&'a [u8], WireError> {
        let length = self.byte_length().ok_or_else(|| self.malformed(field, "a byte string should stand here"))?;
        self.take(field, length)
    }

    #[inline]
    pub(super) fn text(&mut self, field: &str) -> Result<String, WireError> {
        let length = decode::read_str_len(&mut self.rest).map_err(|_| self.malformed(field, "a text should stand here"))?;
        let bytes = self.take(field, length)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| self.malformed(field, "the text is not UTF-8"))
    }

    #[inline]
    fn take(&mut self, field: &str, length: u32) -> Result<&'a [u8], WireError> {
        let (taken, rest) =
            self.rest.split_at_checked(length as usize).ok_or_else(|| self.malformed(field, "it ends before its length"))?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, WireError>) -> Result<Option<T>, WireError> {
        match self.rest.split_first() {
            Some((&first, rest)) if first == Marker::Null.to_u8() => {
                self.rest = rest;
                Ok(None)
            }
            _ => read(self).map(Some),
        }
    }

    /// A list. `item_bytes_min` is what an item takes at the least: a claimed length beyond what is left is refused unallocated.
    #[inline]
    pub(super) fn list<T>(
        &mut self,
        field: &str,
        item_bytes_min: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let length = self.array_length().ok_or_else(|| self.malformed(field, "a list should stand here"))?;
        let length = length as usize;
        if length > self.rest.len() / item_bytes_min {
            return Err(self.malformed(field, "it ends before its length"));
        }
        let mut list = Vec::with_capacity(length);
        for _ in 0..length {
            list.push(read(self)?);
        }
        Ok(list)
    }

    #[inline]
    pub(super) fn member(&mut self, field: &str) -> Result<MemberId, WireError> {
        let bytes = self.raw(field)?;
        let bytes = bytes.try_into().map_err(|_| self.malformed(field, "a member's id has 16 bytes"))?;
        Ok(MemberId(u128::from_be_bytes(bytes)))
    }

    #[inline]
    pub(super) fn dots(&mut self, field: &str) -> Result<Vec<Dot>, WireError> {
        self.list(field, 3, |body| {
            let extra = body.fields(field, 2)?;
            let dot = Dot { actor: Actor(body.number(field)?), counter: body.number(field)? };
            body.skip(extra)?;
            Ok(dot)
        })
    }

    #[inline]
    pub(super) fn quorum(&mut self, field: &str) -> Result<Quorum, WireError> {
        self.number::<u8>(field).map(Quorum::from)
    }

    #[inline]
    pub(super) fn sync(&mut self, field: &str) -> Result<SyncMode, WireError> {
        let extra = self.fields(field, 2)?;
        let (number, every_ms) = (self.number(field)?, self.number(field)?);
        self.skip(extra)?;
        sync_from_wire(number, every_ms).ok_or_else(|| self.malformed(field, "0, 1 or 2 should stand here"))
    }

    #[inline]
    pub(super) fn attempt(&mut self, field: &str) -> Result<Attempt, WireError> {
        let extra = self.fields(field, 2)?;
        let attempt = Attempt { member: self.member(field)?, start: Start(self.number(field)?) };
        self.skip(extra)?;
        Ok(attempt)
    }

    #[inline]
    pub(super) fn retry(&mut self, field: &str) -> Result<Option<Retry>, WireError> {
        self.option(|body| {
            let extra = body.fields(field, 3)?;
            let retry = Retry {
                session: body.number(field)?,
                number: body.number(field)?,
                first: body.option(|body| body.attempt(field))?,
            };
            body.skip(extra)?;
            Ok(retry)
        })
    }
}

/// What is left behind the first `values` values of any shape, or none if they are broken or do not end within `bytes`.
/// A count of values that are still to come takes the place of recursion; each takes a byte at least, which bounds it.
pub(super) fn skip_values(mut bytes: &[u8], values: u64) -> Option<&[u8]> {
    let mut to_come = values;
    while to_come > 0 {
        if to_come > bytes.len() as u64 {
            return None;
        }
        to_come -= 1;
        let (&mark, rest) = bytes.split_first()?;
        bytes = rest;
        // How many bytes a length field has, what it counts, and what stands besides.
        let (length_bytes, values_per, bytes_per, more) = match Marker::from_u8(mark) {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => (0, 0, 0, 0),
            Marker::U8 | Marker::I8 => (0, 0, 0, 1),
            Marker::U16 | Marker::I16 => (0, 0, 0, 2),
            Marker::U32 | Marker::I32 | Marker::F32 => (0, 0, 0, 4),
            Marker::U64 | Marker::I64 | Marker::F64 => (0, 0, 0, 8),
            Marker::FixStr(length) => (0, 0, 0, u64::from(length)),
            Marker::FixArray(length) => {
                to_come += u64::from(length);
                (0, 0, 0, 0)
            }
            Marker::FixMap(length) => {
                to_come += 2 * u64::from(length);
                (0, 0, 0, 0)
            }
            Marker::Str8 | Marker::Bin8 => (1, 0, 1, 0),
            Marker::Str16 | Marker::Bin16 => (2, 0, 1, 0),
            Marker::Str32 | Marker::Bin32 => (4, 0, 1, 0),
            Marker::Array16 => (2, 1, 0, 0),
            Marker::Array32 => (4, 1, 0, 0),
            Marker::Map16 => (2, 2, 0, 0),
            Marker::Map32 => (4, 2, 0, 0),
            Marker::FixExt1 => (0, 0, 0, 2),
            Marker::FixExt2 => (0, 0, 0, 3),
            Marker::FixExt4 => (0, 0, 0, 5),
            Marker::FixExt8 => (0, 0, 0, 9),
            Marker::FixExt16 => (0, 0, 0, 17),
            Marker::Ext8 => (1, 0, 1, 1),
            Marker::Ext16 => (2, 0, 1, 1),
            Marker::Ext32 => (4, 0, 1, 1),
            Marker::Reserved => return None,
        };
        let (length, rest) = bytes.split_at_checked(length_bytes)?;
        let length = length.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        to_come += length * values_per;
        bytes = rest.split_at_checked(usize::try_from(length * bytes_per + more).ok()?)?.1;
    }
    Some(bytes)
}

/// The way back; none if the first number is no mode. The second counts only for an interval.
pub(super) fn sync_from_wire(number: u8, every_ms: u32) -> Option<SyncMode> {
    match number {
        0 => Some(SyncMode::Always),
        1 => Some(SyncMode::Interval(every_ms)),
        2 => Some(SyncMode::Never),
        _ => None,
    }
}
