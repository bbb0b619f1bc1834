//! Replies as frames.

use super::body_reader::BodyReader;
use super::body_writer::{BodyWriter, DOT_BYTES};
use super::contents::Contents;
use super::frame::write_frame;
use super::membership::ChangeBody;
use super::request::{FORMAT_BYTES, FORMAT_COUNTER, FORMAT_JSON, FORMAT_SET, FORMAT_TYPED, typed};
use super::status::StatusBody;
use super::{Frame, Kind, WireError, positional};
use crate::message::{Ack, Conflict, Description, Found, Members, Missing, Receipt, Reply, StoodIn, Value};
use crate::ring::{Founder, MemberId};
use crate::vclock::Start;
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Room for all that is small and of bounded size in the body of a frequent reply.
const SMALL_FIELDS_BYTES: usize = 64;
/// An ack at most: the arrays' marks, the member, the sync mode.
const ACK_BYTES: usize = 26;

/// Appends a reply to a send buffer, under the id of the request.
///
/// # Errors
/// `FrameTooLarge`: the reply is over `limits::FRAME_BYTES_MAX`; the buffer is as it was. The client is then owed a `Failed`.
#[inline]
pub fn encode_reply(id: u64, reply: &Reply, out: &mut BytesMut) -> Result<(), WireError> {
    write_frame(out, reply_kind(reply), id, body_bytes(reply), |out| write_body(reply, out), reply_payload(reply))
}

/// Reads a reply from a frame. Values and contexts are slices of the frame.
///
/// # Errors
/// `UnknownKind` and `Malformed`.
#[inline]
pub fn decode_reply(frame: &Frame) -> Result<Reply, WireError> {
    read_reply(&Contents::of(frame, EXPECTED)?)
}

pub(super) const EXPECTED: &str = "reply";

#[inline]
pub(super) fn reply_kind(reply: &Reply) -> Kind {
    match reply {
        Reply::Written(_) => Kind::Written,
        Reply::Found(_) => Kind::Found,
        Reply::Missing(_) => Kind::Missing,
        Reply::Listed(_) => Kind::Listed,
        Reply::Ring(_) => Kind::Ring,
        Reply::Status(_) => Kind::Status,
        Reply::Description(_) => Kind::Description,
        Reply::Formed => Kind::Formed,
        Reply::Failed(_) => Kind::Failed,
        Reply::Explained(_) => Kind::Explained,
    }
}

/// What stands raw behind the body.
#[inline]
pub(super) fn reply_payload(reply: &Reply) -> &[u8] {
    match reply {
        Reply::Found(Found { value: Some(value), .. }) => value_parts(value).1,
        _ => &[],
    }
}

/// About what the body takes.
#[inline]
fn body_bytes(reply: &Reply) -> usize {
    let long = match reply {
        Reply::Written(receipt) => {
            (receipt.acks.len() + 4 * receipt.stood_in.len()) * ACK_BYTES
                + (receipt.dots.len() + receipt.covered.len()) * DOT_BYTES
                + receipt.context.len()
        }
        Reply::Found(found) => found.dots.len() * DOT_BYTES + found.context.len(),
        Reply::Missing(missing) => missing.context.len(),
        _ => 0,
    };
    SMALL_FIELDS_BYTES + long
}

/// Writes the body's array.
#[inline]
pub(super) fn write_body(reply: &Reply, out: &mut BytesMut) {
    match reply {
        Reply::Written(receipt) => BodyWriter::write(out, |out| write_written(receipt, out)),
        Reply::Found(found) => BodyWriter::write(out, |out| write_found(found, out)),
        Reply::Missing(missing) => BodyWriter::write(out, |out| write_missing(missing, out)),
        Reply::Listed(listed) => positional::write(out, listed),
        Reply::Ring(ring) => positional::write(out, ring),
        Reply::Status(status) => positional::write(out, &StatusBody::from((**status).clone())),
        Reply::Description(description) => positional::write(out, &DescriptionBody::from(description.clone())),
        Reply::Formed => BodyWriter::write(out, |out| out.array(0)),
        Reply::Failed(failure) => positional::write(out, failure),
        Reply::Explained(explained) => positional::write(out, explained),
    }
}

#[inline]
pub(super) fn read_reply(contents: &Contents<'_>) -> Result<Reply, WireError> {
    Ok(match contents.kind {
        Kind::Written => Reply::Written(contents.read_alone(6, read_written)?),
        Kind::Found => Reply::Found(contents.read(9, |body| read_found(body, contents))?),
        Kind::Missing => Reply::Missing(contents.read_alone(2, read_missing)?),
        Kind::Listed => Reply::Listed(contents.read_positional()?),
        Kind::Ring => Reply::Ring(contents.read_positional()?),
        Kind::Status => Reply::Status(Box::new(contents.read_positional::<StatusBody>()?.into())),
        Kind::Description => Reply::Description(contents.read_positional::<DescriptionBody>()?.into()),
        Kind::Formed => contents.read_alone(0, |_| Ok(Reply::Formed))?,
        Kind::Failed => Reply::Failed(contents.read_positional()?),
        Kind::Explained => Reply::Explained(Box::new(contents.read_positional()?)),
        _ => return Err(contents.unexpected(EXPECTED)),
    })
}

#[inline]
fn write_written(receipt: &Receipt, out: &mut BodyWriter<'_>) {
    out.array(6);
    out.attempt(&receipt.coordinator);
    out.list(&receipt.acks, |out, ack| {
        out.array(2);
        out.member(ack.member);
        out.sync(ack.sync);
    });
    out.dots(&receipt.dots);
    out.dots(&receipt.covered);
    out.bytes(&receipt.context);
    out.list(&receipt.stood_in, |out, stood_in| {
        out.array(2);
        out.member(stood_in.member);
        out.list(&stood_in.owed, |out, owner| out.member(*owner));
    });
}

#[inline]
fn read_written(body: &mut BodyReader<'_>) -> Result<Receipt, WireError> {
    Ok(Receipt {
        coordinator: body.attempt("coordinator")?,
        acks: body.list("acks", 22, |body| {
            let extra = body.fields("ack", 2)?;
            let ack = Ack { member: body.member("ack's member")?, sync: body.sync("ack's sync")? };
            body.skip(extra)?;
            Ok(ack)
        })?,
        dots: body.dots("dots")?,
        covered: body.dots("covered")?,
        context: body.bytes("context")?,
        stood_in: body.list("stood in", 20, |body| {
            let extra = body.fields("stood in", 2)?;
            let member = body.member("stand-in")?;
            let owed = body.list("owed", 18, |body| body.member("owed"))?;
            body.skip(extra)?;
            Ok(StoodIn { member, owed })
        })?,
    })
}

#[inline]
fn value_parts(value: &Value) -> (u8, &Bytes) {
    match value {
        Value::Bytes(bytes) => (FORMAT_BYTES, bytes),
        Value::Json(text) => (FORMAT_JSON, text),
        Value::Counter(text) => (FORMAT_COUNTER, text),
        Value::Set(members) => (FORMAT_SET, members.as_packed()),
        Value::Typed(typed) => (FORMAT_TYPED, typed.as_packed()),
    }
}

fn value(body: &BodyReader<'_>, format: u8, bytes: Bytes) -> Result<Value, WireError> {
    match format {
        FORMAT_BYTES => Ok(Value::Bytes(bytes)),
        FORMAT_JSON => Ok(Value::Json(bytes)),
        FORMAT_COUNTER => Ok(Value::Counter(bytes)),
        FORMAT_SET => {
            let members = Members::from_packed(bytes);
            members.map(Value::Set).ok_or_else(|| body.malformed("value", "a set's members end before their lengths"))
        }
        FORMAT_TYPED => Ok(Value::Typed(typed(body, bytes)?)),
        _ => {
            Err(body
                .malformed("format", "0 (bytes), 1 (JSON), 2 (counter), 3 (set) or 4 (bytes of a content type) should stand here"))
        }
    }
}

#[inline]
fn write_found(found: &Found, out: &mut BodyWriter<'_>) {
    out.array(9);
    out.option(found.value.as_ref(), |out, value| out.number(value_parts(value).0));
    out.list(&found.conflicts, |out, conflict| {
        out.array(2);
        out.text(&conflict.path);
        out.list(&conflict.values, |out, value| {
            let (format, bytes) = value_parts(value);
            out.array(2);
            out.number(format);
            out.bytes(bytes);
        });
    });
    out.number(found.hidden);
    out.bytes(&found.context);
    out.number(found.answered);
    out.number(found.agreed);
    out.dots(&found.dots);
    out.number(found.stood_in);
    out.number(found.expiry_ms);
}

#[inline]
fn read_found(body: &mut BodyReader<'_>, contents: &Contents<'_>) -> Result<Found, WireError> {
    let value = match body.option(|body| body.number("format"))? {
        Some(format) => Some(value(body, format, contents.payload())?),
        None => {
            contents.no_payload()?;
            None
        }
    };
    Ok(Found {
        value,
        conflicts: body.list("conflicts", 3, read_conflict)?,
        hidden: body.number("hidden")?,
        context: body.bytes("context")?,
        answered: body.number("answered")?,
        agreed: body.number("agreed")?,
        dots: body.dots("dots")?,
        stood_in: body.number("stood_in")?,
        expiry_ms: body.number("expiry_ms")?,
    })
}

fn read_conflict(body: &mut BodyReader<'_>) -> Result<Conflict, WireError> {
    let extra = body.fields("conflict", 2)?;
    let conflict = Conflict {
        path: body.text("conflict's path")?,
        values: body.list("conflict's values", 4, |body| {
            let extra = body.fields("conflict's value", 2)?;
            let format = body.number("conflict's format")?;
            let bytes = body.bytes("conflict's value")?;
            body.skip(extra)?;
            value(body, format, bytes)
        })?,
    };
    body.skip(extra)?;
    Ok(conflict)
}

fn write_missing(missing: &Missing, out: &mut BodyWriter<'_>) {
    out.array(2);
    out.bytes(&missing.context);
    out.number(missing.answered);
}

fn read_missing(body: &mut BodyReader<'_>) -> Result<Missing, WireError> {
    Ok(Missing { context: body.bytes("context")?, answered: body.number("answered")? })
}

#[derive(Serialize, Deserialize)]
struct DescriptionBody {
    founder: Founder,
    changes: Vec<ChangeBody>,
    starts: Vec<(MemberId, Start)>,
}

impl From<Description> for DescriptionBody {
    fn from(description: Description) -> DescriptionBody {
        let Description { founder, changes, starts } = description;
        DescriptionBody { founder, changes: changes.into_iter().map(ChangeBody).collect(), starts }
    }
}

impl From<DescriptionBody> for Description {
    fn from(body: DescriptionBody) -> Description {
        Description {
            founder: body.founder,
            changes: body.changes.into_iter().map(|change| change.0).collect(),
            starts: body.starts,
        }
    }
}
