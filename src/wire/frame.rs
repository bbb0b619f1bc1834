//! Frames: what stands on the wire.
//!
//! ```text
//! 0        4      5                13                17            17 + body
//! | length | kind | request id     | body length     | body ...    | payload ...      |
//! | u32    | u8   | u64            | u32             | MessagePack | raw, to the end  |
//! ```
//!
//! Numbers are big-endian, as in MessagePack. The length counts all that follows it.

use super::WireError;
use crate::limits::FRAME_BYTES_MAX;
use bytes::{BufMut, Bytes, BytesMut};

/// The length field.
pub(super) const LENGTH_BYTES: usize = 4;
/// Everything before the body.
pub(super) const HEADER_BYTES: usize = 17;

/// One frame, as it was received. Its body and payload are slices of the receive buffer.
///
/// They keep the whole buffer that they were received in alive: whoever keeps a key or a value beyond the request copies it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    kind: u8,
    id: u64,
    /// The whole frame with its header.
    bytes: Bytes,
    /// Where the body ends and the payload begins; never beyond `bytes`.
    body_end: usize,
}

impl Frame {
    /// The number of its kind, which may be one that we do not know.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The request id; in messages between peers, the coordinator's operation.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The MessagePack body.
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..self.body_end]
    }

    /// What stands raw behind the body, without copying it.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(self.body_end..)
    }

    /// Body and payload.
    #[inline]
    pub(super) fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes[HEADER_BYTES..].split_at(self.body_end - HEADER_BYTES)
    }

    /// The whole frame as it stood on the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Takes the first frame out of a receive buffer, if all of it has arrived. `max` bounds the whole frame, in bytes.
///
/// Nothing is copied, and nothing is allocated for a frame that has not arrived: a length that somebody merely claims must not
/// cost memory. The buffer grows with what was really received.
///
/// # Errors
/// `FrameTooLarge` and `BrokenHeader`, as soon as the header shows it. The buffer is left as it is; the stream cannot go on.
#[inline]
pub fn take_frame(buffer: &mut BytesMut, max: usize) -> Result<Option<Frame>, WireError> {
    let Some(length) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let bytes = u64::from(u32::from_be_bytes(*length)) + LENGTH_BYTES as u64;
    if bytes > max as u64 {
        return Err(WireError::FrameTooLarge { bytes, max });
    }
    if bytes < HEADER_BYTES as u64 {
        return Err(WireError::BrokenHeader { bytes, body_bytes: 0 });
    }
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let [_, _, _, _, kind, id @ .., b0, b1, b2, b3] = *header;
    let body_bytes = u64::from(u32::from_be_bytes([b0, b1, b2, b3]));
    if HEADER_BYTES as u64 + body_bytes > bytes {
        return Err(WireError::BrokenHeader { bytes, body_bytes });
    }
    if (buffer.len() as u64) < bytes {
        return Ok(None);
    }
    // Both fit a usize: neither is above `max`.
    let taken = buffer.split_to(bytes as usize).freeze();
    Ok(Some(Frame { kind, id: u64::from_be_bytes(id), bytes: taken, body_end: HEADER_BYTES + body_bytes as usize }))
}

/// Appends a frame to a send buffer: reserves room once, writes the body straight into it, then the payload, and then the
/// lengths into the header. `body_bytes` is about what the body will take.
///
/// # Errors
/// `FrameTooLarge`: the buffer is as it was.
#[inline]
pub(super) fn write_frame(
    out: &mut BytesMut,
    kind: super::Kind,
    id: u64,
    body_bytes: usize,
    body: impl FnOnce(&mut BytesMut),
    payload: &[u8],
) -> Result<(), WireError> {
    let start = out.len();
    out.reserve(HEADER_BYTES + body_bytes + payload.len());
    let mut header = [0; HEADER_BYTES];
    header[LENGTH_BYTES] = kind as u8;
    header[LENGTH_BYTES + 1..HEADER_BYTES - 4].copy_from_slice(&id.to_be_bytes());
    out.put_slice(&header);
    body(out);
    let body_bytes = out.len() - start - HEADER_BYTES;
    let bytes = out.len() - start + payload.len();
    if bytes > FRAME_BYTES_MAX {
        out.truncate(start);
        return Err(WireError::FrameTooLarge { bytes: bytes as u64, max: FRAME_BYTES_MAX });
    }
    out.put_slice(payload);
    // Both fit a u32: they are at most FRAME_BYTES_MAX.
    let header = &mut out[start..start + HEADER_BYTES];
    header[..LENGTH_BYTES].copy_from_slice(&((bytes - LENGTH_BYTES) as u32).to_be_bytes());
    header[HEADER_BYTES - 4..].copy_from_slice(&(body_bytes as u32).to_be_bytes());
    Ok(())
}

const _: () = assert!(FRAME_BYTES_MAX <= u32::MAX as usize, "a frame's length fits its field");
