//! What a frame contains: a kind, a body, a payload. A forwarded request or reply has them too, inside another frame.

use super::body_reader::BodyReader;
use super::{Frame, Kind, WireError, positional};
use bytes::Bytes;
use serde::de::DeserializeOwned;

/// The parts of a request, a reply or a message as they lie in a frame.
#[derive(Clone, Copy)]
pub(super) struct Contents<'a> {
    pub(super) kind: Kind,
    frame: &'a Bytes,
    body: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Contents<'a> {
    /// Those of a whole frame. `expected` says for an error what should stand here.
    #[inline]
    pub(super) fn of(frame: &'a Frame, expected: &'static str) -> Result<Contents<'a>, WireError> {
        let kind = kind(frame.kind(), expected)?;
        let whole = frame.bytes();
        let (body, payload) = frame.parts();
        Ok(Contents { kind, frame: whole, body, payload })
    }

    /// Those of what this one wraps: a kind and a body inside this body; the payload is that of the frame.
    pub(super) fn wrapped(&self, expected: &'static str) -> Result<Contents<'a>, WireError> {
        let mut reader = BodyReader::new(self.kind, self.frame, self.body);
        let extra = reader.fields("wrapped", 2)?;
        let number = reader.number("wrapped kind")?;
        let body = reader.value("wrapped body")?;
        reader.skip(extra)?;
        reader.finish()?;
        Ok(Contents { kind: kind(number, expected)?, body, ..*self })
    }

    /// Reads the body's array by hand: `known` fields, and what a newer version has appended is stepped over.
    #[inline]
    pub(super) fn read<T>(
        &self,
        known: u32,
        read: impl FnOnce(&mut BodyReader<'a>) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        let mut reader = BodyReader::new(self.kind, self.frame, self.body);
        let extra = reader.fields("body", known)?;
        let value = read(&mut reader)?;
        reader.skip(extra)?;
        reader.finish()?;
        Ok(value)
    }

    /// Reads the body's array by hand, of a kind that has no payload.
    #[inline]
    pub(super) fn read_alone<T>(
        &self,
        known: u32,
        read: impl FnOnce(&mut BodyReader<'a>) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        self.no_payload()?;
        self.read(known, read)
    }

    /// Reads the body by serde. These kinds have no payload.
    pub(super) fn read_positional<T: DeserializeOwned>(&self) -> Result<T, WireError> {
        self.no_payload()?;
        positional::read(self.kind, self.body)
    }

    /// The payload, without copying it.
    #[inline]
    pub(super) fn payload(&self) -> Bytes {
        self.frame.slice_ref(self.payload)
    }

    /// There must be no payload.
    #[inline]
    pub(super) fn no_payload(&self) -> Result<(), WireError> {
        match self.payload.len() {
            0 => Ok(()),
            bytes => Err(WireError::Malformed { kind: self.kind, what: format!("{bytes} bytes of payload where none belongs") }),
        }
    }

    /// For a kind that may not stand here.
    #[cold]
    pub(super) fn unexpected(&self, expected: &'static str) -> WireError {
        WireError::UnknownKind { number: self.kind as u8, expected }
    }
}

#[inline]
fn kind(number: u8, expected: &'static str) -> Result<Kind, WireError> {
    Kind::from_number(number).ok_or(WireError::UnknownKind { number, expected })
}
