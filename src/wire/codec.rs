//! The codec for `tokio_util`: frames out of a stream, and everything that can be said into one.

use super::{Frame, Hello, WireError, encode_hello, encode_message, encode_reply, encode_request, take_frame};
use crate::limits::{FRAME_BYTES_BEFORE_HELLO_MAX, FRAME_BYTES_MAX};
use crate::message::{Message, Reply, Request};
use bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

/// Cuts a stream into frames, and writes frames into one.
#[derive(Clone, Debug)]
pub struct FrameCodec {
    frame_bytes_max: usize,
}

impl FrameCodec {
    /// A codec for a new connection: frames are short until the other side's hello has been accepted.
    pub fn new() -> FrameCodec {
        FrameCodec { frame_bytes_max: FRAME_BYTES_BEFORE_HELLO_MAX }
    }

    /// The other side's hello (and its proof, where one is asked for) has been accepted: frames may be long now.
    pub fn accept_hello(&mut self) {
        self.frame_bytes_max = FRAME_BYTES_MAX;
    }
}

impl Default for FrameCodec {
    fn default() -> FrameCodec {
        FrameCodec::new()
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = WireError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, WireError> {
        take_frame(buffer, self.frame_bytes_max)
    }
}

impl Encoder<&Hello> for FrameCodec {
    type Error = WireError;

    fn encode(&mut self, hello: &Hello, out: &mut BytesMut) -> Result<(), WireError> {
        encode_hello(hello, out)
    }
}

impl Encoder<(u64, &Request)> for FrameCodec {
    type Error = WireError;

    fn encode(&mut self, (id, request): (u64, &Request), out: &mut BytesMut) -> Result<(), WireError> {
        encode_request(id, request, out)
    }
}

impl Encoder<(u64, &Reply)> for FrameCodec {
    type Error = WireError;

    fn encode(&mut self, (id, reply): (u64, &Reply), out: &mut BytesMut) -> Result<(), WireError> {
        encode_reply(id, reply, out)
    }
}

impl Encoder<&Message> for FrameCodec {
    type Error = WireError;

    fn encode(&mut self, message: &Message, out: &mut BytesMut) -> Result<(), WireError> {
        encode_message(message, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_gets_short_frames_only_and_the_error_says_both_numbers() {
        let claim = (FRAME_BYTES_BEFORE_HELLO_MAX as u32 - 4 + 1).to_be_bytes();
        let mut codec = FrameCodec::new();
        let mut buffer = BytesMut::from(&claim[..]);
        let refused = codec.decode(&mut buffer).unwrap_err();
        assert_eq!(refused.to_string(), "a frame of 65537 bytes is over the limit of 65536 bytes; send less at once");
        assert!(refused.failure().is_none(), "nothing sound can follow it");
        codec.accept_hello();
        assert!(codec.decode(&mut buffer).unwrap().is_none(), "the same frame may now arrive");
        let mut buffer = BytesMut::from(&(FRAME_BYTES_MAX as u32 - 3).to_be_bytes()[..]);
        assert!(matches!(codec.decode(&mut buffer), Err(WireError::FrameTooLarge { .. })));
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut codec = FrameCodec::new();
        codec.accept_hello();
        let mut buffer = BytesMut::with_capacity(64);
        buffer.extend_from_slice(&(FRAME_BYTES_MAX as u32 - 4).to_be_bytes());
        assert!(codec.decode(&mut buffer).unwrap().is_none());
        assert!(buffer.capacity() <= 64, "{} bytes for four", buffer.capacity());
    }
}
