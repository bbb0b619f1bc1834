//! Requests as frames.

use super::body_reader::BodyReader;
use super::body_writer::BodyWriter;
use super::contents::Contents;
use super::frame::write_frame;
use super::membership::ChangeBody;
use super::{Frame, Kind, WireError, positional};
use crate::message::{Body, Expire, Form, Get, PatchBody, Put, Remove, Request, Typed, Update};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Room for all that is small and of bounded size in the body of a frequent request.
const SMALL_FIELDS_BYTES: usize = 96;

/// Appends a request to a send buffer. `id` is chosen by the client and echoed in the reply.
///
/// # Errors
/// `FrameTooLarge`: the request is over `limits::FRAME_BYTES_MAX`; the buffer is as it was.
#[inline]
pub fn encode_request(id: u64, request: &Request, out: &mut BytesMut) -> Result<(), WireError> {
    write_frame(out, request_kind(request), id, body_bytes(request), |out| write_body(request, out), request_payload(request))
}

/// Reads a request from a frame. Keys, contexts and values are slices of the frame.
///
/// # Errors
/// `UnknownKind` and `Malformed`: `WireError::failure` is the answer to it, under the frame's id.
#[inline]
pub fn decode_request(frame: &Frame) -> Result<Request, WireError> {
    read_request(&Contents::of(frame, EXPECTED)?)
}

pub(super) const EXPECTED: &str = "request";

#[inline]
pub(super) fn request_kind(request: &Request) -> Kind {
    match request {
        Request::Put(_) => Kind::Put,
        Request::Remove(_) => Kind::Remove,
        Request::Update(_) => Kind::Update,
        Request::Get(_) => Kind::Get,
        Request::List(_) => Kind::List,
        Request::Ring => Kind::AskRing,
        Request::Status => Kind::AskStatus,
        Request::Describe => Kind::Describe,
        Request::Form(_) => Kind::Form,
        Request::Why(_) => Kind::Why,
        Request::Expire(_) => Kind::Expire,
    }
}

/// What stands raw behind the body.
#[inline]
pub(super) fn request_payload(request: &Request) -> &[u8] {
    match request {
        Request::Put(Put { body: Body::Bytes(payload) | Body::Json(payload), .. })
        | Request::Update(Update { patch: PatchBody::Set { json: payload, .. } | PatchBody::Merge { json: payload }, .. }) => {
            payload
        }
        Request::Put(Put { body: Body::Typed(typed), .. }) => typed.as_packed(),
        _ => &[],
    }
}

/// About what the body takes.
#[inline]
fn body_bytes(request: &Request) -> usize {
    let long = match request {
        Request::Put(put) => put.key.len() + put.context.len(),
        Request::Remove(remove) => remove.key.len() + remove.path.len() + remove.context.len(),
        Request::Update(update) => update.key.len() + update.context.len(),
        Request::Expire(expire) => expire.key.len() + expire.context.len(),
        Request::Get(get) => get.key.len() + get.path.len() + get.session.len(),
        _ => 0,
    };
    SMALL_FIELDS_BYTES + long
}

/// Writes the body's array.
#[inline]
pub(super) fn write_body(request: &Request, out: &mut BytesMut) {
    match request {
        Request::Put(put) => BodyWriter::write(out, |out| write_put(put, out)),
        Request::Remove(remove) => BodyWriter::write(out, |out| write_remove(remove, out)),
        Request::Update(update) => BodyWriter::write(out, |out| write_update(update, out)),
        Request::Get(get) => BodyWriter::write(out, |out| write_get(get, out)),
        Request::Expire(expire) => BodyWriter::write(out, |out| write_expire(expire, out)),
        Request::List(list) => positional::write(out, list),
        Request::Ring | Request::Status | Request::Describe => BodyWriter::write(out, |out| out.array(0)),
        Request::Why(why) => positional::write(out, why),
        Request::Form(form) => positional::write(out, &FormBody { change: ChangeBody(form.change.clone()) }),
    }
}

#[inline]
pub(super) fn read_request(contents: &Contents<'_>) -> Result<Request, WireError> {
    Ok(match contents.kind {
        Kind::Put => Request::Put(contents.read(8, |body| read_put(body, contents))?),
        Kind::Remove => Request::Remove(contents.read_alone(7, read_remove)?),
        Kind::Update => Request::Update(contents.read(10, |body| read_update(body, contents))?),
        Kind::Get => Request::Get(contents.read_alone(6, read_get)?),
        Kind::List => Request::List(contents.read_positional()?),
        Kind::AskRing => without_fields(contents, Request::Ring)?,
        Kind::AskStatus => without_fields(contents, Request::Status)?,
        Kind::Describe => without_fields(contents, Request::Describe)?,
        Kind::Expire => Request::Expire(contents.read_alone(7, read_expire)?),
        Kind::Why => Request::Why(contents.read_positional()?),
        Kind::Form => Request::Form(Form { change: contents.read_positional::<FormBody>()?.change.0 }),
        _ => return Err(contents.unexpected(EXPECTED)),
    })
}

fn without_fields(contents: &Contents<'_>, request: Request) -> Result<Request, WireError> {
    contents.read_alone(0, |_| Ok(request))
}

#[derive(Serialize, Deserialize)]
struct FormBody {
    change: ChangeBody,
}

/// What a payload is: the number in the body.
pub(super) const FORMAT_BYTES: u8 = 0;
pub(super) const FORMAT_JSON: u8 = 1;
pub(super) const FORMAT_COUNTER: u8 = 2;
pub(super) const FORMAT_SET: u8 = 3;
pub(super) const FORMAT_TYPED: u8 = 4;

/// What a patch is: the number in the body.
const PATCH_SET: u8 = 0;
const PATCH_MERGE: u8 = 1;
const PATCH_INCREMENT: u8 = 2;
const PATCH_ELEMENTS: u8 = 3;

#[inline]
fn write_put(put: &Put, out: &mut BodyWriter<'_>) {
    out.array(8);
    out.bytes(&put.key);
    out.number(match put.body {
        Body::Bytes(_) => FORMAT_BYTES,
        Body::Json(_) => FORMAT_JSON,
        Body::Typed(_) => FORMAT_TYPED,
    });
    out.bytes(&put.context);
    out.quorum(put.w);
    out.number(put.deadline_ms);
    out.retry(&put.retry);
    out.flag(put.strict);
    out.number(put.ttl_ms);
}

#[inline]
fn read_put(body: &mut BodyReader<'_>, contents: &Contents<'_>) -> Result<Put, WireError> {
    Ok(Put {
        key: body.bytes("key")?,
        body: match body.number("format")? {
            FORMAT_BYTES => Body::Bytes(contents.payload()),
            FORMAT_JSON => Body::Json(contents.payload()),
            FORMAT_TYPED => Body::Typed(typed(body, contents.payload())?),
            _ => return Err(body.malformed("format", "0 (bytes), 1 (JSON) or 4 (bytes of a content type) should stand here")),
        },
        context: body.bytes("context")?,
        w: body.quorum("w")?,
        deadline_ms: body.number("deadline_ms")?,
        retry: body.retry("retry")?,
        strict: body.flag("strict")?,
        ttl_ms: body.number("ttl_ms")?,
    })
}

/// Bytes of a content type, which is looked at where it comes in.
pub(super) fn typed(body: &BodyReader<'_>, packed: Bytes) -> Result<Typed, WireError> {
    Typed::from_packed(packed).map_err(|error| body.malformed("value", &error.to_string()))
}

fn write_remove(remove: &Remove, out: &mut BodyWriter<'_>) {
    out.array(7);
    out.bytes(&remove.key);
    out.text(&remove.path);
    out.bytes(&remove.context);
    out.quorum(remove.w);
    out.number(remove.deadline_ms);
    out.retry(&remove.retry);
    out.flag(remove.strict);
}

fn read_remove(body: &mut BodyReader<'_>) -> Result<Remove, WireError> {
    Ok(Remove {
        key: body.bytes("key")?,
        path: body.text("path")?,
        context: body.bytes("context")?,
        w: body.quorum("w")?,
        deadline_ms: body.number("deadline_ms")?,
        retry: body.retry("retry")?,
        strict: body.flag("strict")?,
    })
}

fn write_update(update: &Update, out: &mut BodyWriter<'_>) {
    let (patch, path) = match &update.patch {
        PatchBody::Set { path, .. } => (PATCH_SET, path.as_str()),
        PatchBody::Merge { .. } => (PATCH_MERGE, ""),
        PatchBody::Increment { path, .. } => (PATCH_INCREMENT, path.as_str()),
        PatchBody::Elements { path, .. } => (PATCH_ELEMENTS, path.as_str()),
    };
    out.array(10);
    out.bytes(&update.key);
    out.number(patch);
    out.text(path);
    out.bytes(&update.context);
    out.quorum(update.w);
    out.number(update.deadline_ms);
    out.retry(&update.retry);
    out.flag(update.strict);
    out.number(update.ttl_ms);
    match &update.patch {
        PatchBody::Set { .. } | PatchBody::Merge { .. } => out.nil(),
        PatchBody::Increment { amount, .. } => out.signed(*amount),
        PatchBody::Elements { add, remove, .. } => {
            out.array(2);
            out.list(add, |out, member| out.bytes(member));
            out.list(remove, |out, member| out.bytes(member));
        }
    }
}

fn read_update(body: &mut BodyReader<'_>, contents: &Contents<'_>) -> Result<Update, WireError> {
    let key: Bytes = body.bytes("key")?;
    let number = body.number("patch")?;
    let path = body.text("path")?;
    let mut update = Update {
        key,
        patch: PatchBody::Increment { path: String::new(), amount: 0 },
        context: body.bytes("context")?,
        w: body.quorum("w")?,
        deadline_ms: body.number("deadline_ms")?,
        retry: body.retry("retry")?,
        strict: body.flag("strict")?,
        ttl_ms: body.number("ttl_ms")?,
    };
    update.patch = read_patch(body, contents, number, path)?;
    Ok(update)
}

/// The last field says what an increment or a change of a set is; the others stand in the payload.
fn read_patch(body: &mut BodyReader<'_>, contents: &Contents<'_>, number: u8, path: String) -> Result<PatchBody, WireError> {
    let json = contents.payload();
    match number {
        PATCH_MERGE if !path.is_empty() => Err(body.malformed("path", "a merge patch has none")),
        PATCH_SET | PATCH_MERGE => {
            body.nothing("change")?;
            Ok(if number == PATCH_SET { PatchBody::Set { path, json } } else { PatchBody::Merge { json } })
        }
        PATCH_INCREMENT => {
            contents.no_payload()?;
            Ok(PatchBody::Increment { path, amount: body.signed("change")? })
        }
        PATCH_ELEMENTS => {
            contents.no_payload()?;
            let extra = body.fields("change", 2)?;
            let mut members = || body.list("change", 2, |body| body.bytes("change"));
            let (add, remove) = (members()?, members()?);
            body.skip(extra)?;
            Ok(PatchBody::Elements { path, add, remove })
        }
        _ => Err(body.malformed("patch", "0 (set), 1 (merge), 2 (increment) or 3 (elements) should stand here")),
    }
}

fn write_expire(expire: &Expire, out: &mut BodyWriter<'_>) {
    out.array(7);
    out.bytes(&expire.key);
    out.number(expire.expiry_ms);
    out.bytes(&expire.context);
    out.quorum(expire.w);
    out.number(expire.deadline_ms);
    out.retry(&expire.retry);
    out.flag(expire.strict);
}

fn read_expire(body: &mut BodyReader<'_>) -> Result<Expire, WireError> {
    Ok(Expire {
        key: body.bytes("key")?,
        expiry_ms: body.number("expiry_ms")?,
        context: body.bytes("context")?,
        w: body.quorum("w")?,
        deadline_ms: body.number("deadline_ms")?,
        retry: body.retry("retry")?,
        strict: body.flag("strict")?,
    })
}

#[inline]
fn write_get(get: &Get, out: &mut BodyWriter<'_>) {
    out.array(6);
    out.bytes(&get.key);
    out.text(&get.path);
    out.quorum(get.r);
    out.bytes(&get.session);
    out.flag(get.last_writer_wins);
    out.number(get.deadline_ms);
}

#[inline]
fn read_get(body: &mut BodyReader<'_>) -> Result<Get, WireError> {
    Ok(Get {
        key: body.bytes("key")?,
        path: body.text("path")?,
        r: body.quorum("r")?,
        session: body.bytes("session")?,
        last_writer_wins: body.flag("last_writer_wins")?,
        deadline_ms: body.number("deadline_ms")?,
    })
}
