//! Frames: whatever is said passes through the real codec, as it does on a socket.

use bytes::{Bytes, BytesMut};
use henge::limits::FRAME_BYTES_MAX;
use henge::message::{Message, Reply, Request};
use henge::wire::{
    Frame, WireError, decode_message, decode_reply, decode_request, encode_message, encode_reply, encode_request, take_frame,
};

/// The frame of a message.
pub(super) fn of_message(message: &Message) -> Result<Bytes, String> {
    written(|out| encode_message(message, out))
}

/// The frame of a request.
pub(super) fn of_request(id: u64, request: &Request) -> Result<Bytes, String> {
    written(|out| encode_request(id, request, out))
}

/// The frame of a reply.
pub(super) fn of_reply(id: u64, reply: &Reply) -> Result<Bytes, String> {
    written(|out| encode_reply(id, reply, out))
}

/// The message of a frame.
pub(super) fn message(frame: Bytes) -> Result<Message, String> {
    decode_message(&taken(frame)?).map_err(|error| error.to_string())
}

/// The request of a frame.
pub(super) fn request(frame: Bytes) -> Result<Request, String> {
    decode_request(&taken(frame)?).map_err(|error| error.to_string())
}

/// The reply of a frame.
pub(super) fn reply(frame: Bytes) -> Result<Reply, String> {
    decode_reply(&taken(frame)?).map_err(|error| error.to_string())
}

fn written(write: impl FnOnce(&mut BytesMut) -> Result<(), WireError>) -> Result<Bytes, String> {
    let mut out = BytesMut::new();
    write(&mut out).map_err(|error| error.to_string())?;
    Ok(out.freeze())
}

fn taken(frame: Bytes) -> Result<Frame, String> {
    // Nobody else holds these bytes but a duplicate that is still under way: then they are copied.
    let mut buffer = BytesMut::from(frame);
    match take_frame(&mut buffer, FRAME_BYTES_MAX) {
        Ok(Some(frame)) if buffer.is_empty() => Ok(frame),
        Ok(Some(_)) => Err(format!("{} bytes follow behind the frame", buffer.len())),
        Ok(None) => Err("the frame is not whole".to_string()),
        Err(error) => Err(error.to_string()),
    }
}
