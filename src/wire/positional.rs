//! Bodies by serde: MessagePack arrays of positional fields, for the kinds that are few.
//!
//! rmp-serde alone refuses an array that is longer than its struct, and trusts a claimed length up to a megabyte. So the body is
//! walked first (every length must be filled by bytes at hand), and its outermost array is handed over element by element: what a
//! newer version has appended is left unread.

use super::body_reader::skip_values;
use super::{Kind, WireError};
use bytes::{BufMut, BytesMut};
use rmp_serde::decode::{Error, ReadRefReader};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, SeqAccess};
use serde::{Deserialize, Serialize};

/// Deepest nesting of a body: far more than any has, far less than a stack minds.
const BODY_DEPTH_MAX: usize = 16;

/// Writes a struct as an array, straight into the send buffer.
pub(super) fn write(out: &mut BytesMut, body: &impl Serialize) {
    body.serialize(&mut rmp_serde::Serializer::new(out.writer())).expect("a body is plain data and memory takes it");
}

/// Reads a struct from an array that has its fields, or more.
pub(super) fn read<T: DeserializeOwned>(kind: Kind, body: &[u8]) -> Result<T, WireError> {
    let malformed = |what: &str| WireError::Malformed { kind, what: what.into() };
    match skip_values(body, 1) {
        Some([]) => {}
        Some(_) => return Err(malformed("bytes stand behind the body's array")),
        None => return Err(malformed("broken, or it ends before its length")),
    }
    let mut rest = body;
    let length = rmp::decode::read_array_len(&mut rest).map_err(|_| malformed("an array should stand here"))?;
    let mut values = rmp_serde::Deserializer::from_read_ref(rest);
    values.set_max_depth(BODY_DEPTH_MAX);
    let elements = Elements { values: &mut values, left: length };
    T::deserialize(SeqAccessDeserializer::new(elements)).map_err(|error| malformed(&error.to_string()))
}

/// The elements of the outermost array.
struct Elements<'a, 'de> {
    values: &'a mut rmp_serde::Deserializer<ReadRefReader<'de, [u8]>>,
    left: u32,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.values).map(Some)
    }
}

/// 16 bytes as a byte string: serde alone would make an array of sixteen numbers of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "u128", into = "u128")]
pub(super) struct Sixteen(pub(super) [u8; 16]);

impl From<u128> for Sixteen {
    fn from(number: u128) -> Sixteen {
        Sixteen(number.to_be_bytes())
    }
}

impl From<Sixteen> for u128 {
    fn from(sixteen: Sixteen) -> u128 {
        u128::from_be_bytes(sixteen.0)
    }
}
