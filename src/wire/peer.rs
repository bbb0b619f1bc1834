//! Messages between peers as frames. The frame's id is the coordinator's operation.

use super::body_reader::BodyReader;
use super::body_writer::{BodyWriter, DOT_BYTES};
use super::contents::Contents;
use super::fence::{ActorBody, FenceAskBody, FencePromiseBody};
use super::frame::write_frame;
use super::{Frame, Kind, WireError, comparing, fence, gossip, positional, reply, request};
use crate::broken::{Rule, is_broken};
use crate::message::{
    Applied, Apply, Fetch, FetchMode, Fetched, Forward, Forwarded, Holding, Message, Naming, OperationId, ScanAsk, ScanItem,
    ScanPage, Scope,
};
use crate::vclock::{Path, Timestamp};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Room for all that is small and of bounded size in the body of a frequent message.
const SMALL_FIELDS_BYTES: usize = 64;
/// A member id as a byte string.
pub(super) const MEMBER_BYTES: usize = 18;

/// Appends a message to a send buffer.
///
/// # Errors
/// `FrameTooLarge`: the message is over `limits::FRAME_BYTES_MAX`; the buffer is as it was.
#[inline]
pub fn encode_message(message: &Message, out: &mut BytesMut) -> Result<(), WireError> {
    let (kind, operation) = head(message);
    write_frame(out, kind, operation.0, body_bytes(message), |out| write_body(message, out), payload(message))
}

/// Reads a message from a frame. Keys and entries are slices of the frame.
///
/// # Errors
/// `UnknownKind` and `Malformed`: the link is to be closed; peers of one cluster have agreed on a version.
#[inline]
pub fn decode_message(frame: &Frame) -> Result<Message, WireError> {
    let contents = Contents::of(frame, EXPECTED)?;
    let operation = OperationId(frame.id());
    Ok(match contents.kind {
        Kind::Apply => Message::Apply(contents.read(4, |body| read_apply(operation, body, &contents))?),
        Kind::Applied => Message::Applied(contents.read_alone(4, |body| read_applied(operation, body))?),
        Kind::Fetch => Message::Fetch(contents.read_alone(2, |body| read_fetch(operation, body))?),
        Kind::Fetched => Message::Fetched(contents.read(3, |body| {
            let (mode, complete) = (read_mode(body)?, body.flag("complete")?);
            let holding = body.option(read_holding)?.map(Box::new);
            Ok(Fetched { operation, entry: contents.payload(), mode, complete, holding })
        })?),
        Kind::ScanAsk => {
            let ScanAskBody { partitions, prefix, after, limit } = contents.read_positional()?;
            Message::ScanAsk(ScanAsk { operation, partitions, prefix, after, limit })
        }
        Kind::ScanPage => {
            let ScanPageBody { items, more, complete, incomplete } = contents.read_positional()?;
            Message::ScanPage(ScanPage { operation, items, more, complete, incomplete })
        }
        Kind::Forward => {
            let request = request::read_request(&contents.wrapped(request::EXPECTED)?)?;
            Message::Forward(Box::new(Forward { operation, request }))
        }
        Kind::Forwarded => {
            let reply = reply::read_reply(&contents.wrapped(reply::EXPECTED)?)?;
            Message::Forwarded(Box::new(Forwarded { operation, reply }))
        }
        kind if gossip::is_gossip(kind) => Message::Gossip(Box::new(gossip::read(frame.id(), &contents)?)),
        Kind::FenceAsk => Message::FenceAsk(contents.read_positional::<FenceAskBody>()?.under(operation)),
        Kind::FencePromise => Message::FencePromise(contents.read_positional::<FencePromiseBody>()?.under(operation)),
        Kind::ActorAsk => Message::ActorAsk(contents.read_positional::<ActorBody>()?.asked()),
        Kind::ActorDenial => Message::ActorDenial(contents.read_positional::<ActorBody>()?.denied()),
        _ => match comparing::read(operation, &contents)? {
            Some(comparing) => Message::Comparing(Box::new(comparing)),
            None => return Err(contents.unexpected(EXPECTED)),
        },
    })
}

const EXPECTED: &str = "message between peers";

#[inline]
fn head(message: &Message) -> (Kind, OperationId) {
    match message {
        Message::Apply(apply) => (Kind::Apply, apply.operation),
        Message::Applied(applied) => (Kind::Applied, applied.operation),
        Message::Fetch(fetch) => (Kind::Fetch, fetch.operation),
        Message::Fetched(fetched) => (Kind::Fetched, fetched.operation),
        Message::ScanAsk(ask) => (Kind::ScanAsk, ask.operation),
        Message::ScanPage(page) => (Kind::ScanPage, page.operation),
        Message::Forward(forward) => (Kind::Forward, forward.operation),
        Message::Forwarded(forwarded) => (Kind::Forwarded, forwarded.operation),
        Message::Comparing(comparing) => (comparing::kind_of(comparing), comparing.pull()),
        Message::Gossip(said) => gossip::head(said),
        Message::FenceAsk(ask) => (Kind::FenceAsk, ask.operation),
        Message::FencePromise(promise) => (Kind::FencePromise, promise.operation),
        // No operation waits for the answer, and the answer says what it is about.
        Message::ActorAsk(_) => (Kind::ActorAsk, OperationId(0)),
        Message::ActorDenial(_) => (Kind::ActorDenial, OperationId(0)),
    }
}

/// What stands raw behind the body.
#[inline]
fn payload(message: &Message) -> &[u8] {
    match message {
        Message::Apply(Apply { entry, .. }) | Message::Fetched(Fetched { entry, .. }) => entry,
        Message::Forward(forward) => request::request_payload(&forward.request),
        Message::Forwarded(forwarded) => reply::reply_payload(&forwarded.reply),
        _ => &[],
    }
}

/// About what the body takes.
#[inline]
fn body_bytes(message: &Message) -> usize {
    let long = match message {
        Message::Apply(apply) => {
            apply.key.len()
                + apply.naming.as_ref().map_or(0, |naming| naming.dots.len() * DOT_BYTES)
                + apply.owed.len() * MEMBER_BYTES
        }
        Message::Applied(applied) => applied.uncovered.len() * DOT_BYTES,
        Message::Fetch(fetch) => fetch.key.len(),
        Message::Comparing(comparing) => comparing.bytes_about() as usize,
        Message::Gossip(said) => gossip::body_bytes(said),
        _ => 0,
    };
    SMALL_FIELDS_BYTES + long
}

fn write_body(message: &Message, out: &mut BytesMut) {
    match message {
        Message::Apply(apply) => BodyWriter::write(out, |out| write_apply(apply, out)),
        Message::Applied(applied) => BodyWriter::write(out, |out| write_applied(applied, out)),
        Message::Fetch(fetch) => BodyWriter::write(out, |out| write_fetch(fetch, out)),
        Message::Fetched(fetched) => {
            BodyWriter::write(out, |out| {
                out.array(3);
                out.number(mode_number(fetched.mode));
                out.flag(fetched.complete || is_broken(Rule::CompleteSent));
                out.option(fetched.holding.as_deref(), |out, holding| {
                    out.array(2);
                    out.number(holding.context_intervals);
                    out.list(&holding.owed, |out, member| out.member(*member));
                });
            });
        }
        Message::ScanAsk(ScanAsk { operation: _, partitions, prefix, after, limit }) => {
            let (partitions, prefix, after) = (partitions.clone(), prefix.clone(), after.clone());
            positional::write(out, &ScanAskBody { partitions, prefix, after, limit: *limit });
        }
        Message::ScanPage(ScanPage { operation: _, items, more, complete, incomplete }) => {
            positional::write(
                out,
                &ScanPageBody { items: items.clone(), more: *more, complete: *complete, incomplete: incomplete.clone() },
            );
        }
        Message::FenceAsk(ask) => fence::write_ask(ask, out),
        Message::FencePromise(promise) => fence::write_promise(promise, out),
        Message::ActorAsk(ask) => fence::write_actor(ask.actor, out),
        Message::ActorDenial(denial) => fence::write_actor(denial.actor, out),
        Message::Forward(forward) => {
            wrap(out, request::request_kind(&forward.request));
            request::write_body(&forward.request, out);
        }
        Message::Forwarded(forwarded) => {
            wrap(out, reply::reply_kind(&forwarded.reply));
            reply::write_body(&forwarded.reply, out);
        }
        Message::Comparing(comparing) => comparing::write_body(comparing, out),
        Message::Gossip(said) => BodyWriter::write(out, |out| gossip::write(said, out)),
    }
}

/// Begins the array of a kind and a body.
fn wrap(out: &mut BytesMut, kind: Kind) {
    BodyWriter::write(out, |out| {
        out.array(2);
        out.number(kind as u8);
    });
}

#[derive(Serialize, Deserialize)]
struct ScanAskBody {
    partitions: Vec<u16>,
    prefix: Bytes,
    after: Bytes,
    limit: u32,
}

#[derive(Serialize, Deserialize)]
struct ScanPageBody {
    items: Vec<ScanItem>,
    more: bool,
    complete: bool,
    incomplete: Vec<u16>,
}

#[inline]
fn write_apply(apply: &Apply, out: &mut BodyWriter<'_>) {
    out.array(4);
    out.bytes(&apply.key);
    out.option(apply.naming.as_ref(), |out, naming| {
        out.array(5);
        for paths in [&naming.scope.set, &naming.scope.removed, &naming.scope.objects] {
            out.list(paths, |out, path| out.bytes(path.as_bytes()));
        }
        out.dots(&naming.dots);
        out.number(naming.before.0);
    });
    out.list(&apply.owed, |out, member| out.member(*member));
    out.flag(apply.relief);
}

#[inline]
fn read_apply(operation: OperationId, body: &mut BodyReader<'_>, contents: &Contents<'_>) -> Result<Apply, WireError> {
    Ok(Apply {
        operation,
        key: body.bytes("key")?,
        entry: contents.payload(),
        naming: body.option(read_naming)?.map(Arc::new),
        owed: body.list("owed", MEMBER_BYTES, |body| body.member("owed"))?,
        relief: body.flag("relief")?,
    })
}

fn read_naming(body: &mut BodyReader<'_>) -> Result<Naming, WireError> {
    let extra = body.fields("naming", 5)?;
    let paths = |body: &mut BodyReader<'_>| {
        body.list("naming's paths", 1, |body| {
            let encoded = body.bytes("naming's path")?;
            Path::from_encoded(encoded).map_err(|_| body.malformed("naming's path", "it is no encoded path"))
        })
    };
    let scope = Scope { set: paths(body)?, removed: paths(body)?, objects: paths(body)? };
    let dots = body.dots("naming's dots")?;
    let naming = Naming { scope, dots, before: Timestamp(body.number("naming's time")?) };
    body.skip(extra)?;
    Ok(naming)
}

#[inline]
fn write_applied(applied: &Applied, out: &mut BodyWriter<'_>) {
    out.array(4);
    out.sync(applied.sync);
    out.dots(&applied.uncovered);
    out.option(applied.refused.as_deref(), BodyWriter::text);
    out.flag(applied.complete);
}

#[inline]
fn read_applied(operation: OperationId, body: &mut BodyReader<'_>) -> Result<Applied, WireError> {
    Ok(Applied {
        operation,
        sync: body.sync("sync")?,
        uncovered: body.dots("uncovered")?,
        refused: body.option(|body| body.text("refused"))?,
        complete: body.flag("complete")?,
    })
}

fn mode_number(mode: FetchMode) -> u8 {
    match mode {
        FetchMode::Full => 0,
        FetchMode::Dots => 1,
        FetchMode::Explain => 2,
    }
}

fn read_holding(body: &mut BodyReader<'_>) -> Result<Holding, WireError> {
    let extra = body.fields("holding", 2)?;
    let context_intervals = body.number("context intervals")?;
    let owed = body.list("owed", MEMBER_BYTES, |body| body.member("owed"))?;
    body.skip(extra)?;
    Ok(Holding { context_intervals, owed })
}

fn read_mode(body: &mut BodyReader<'_>) -> Result<FetchMode, WireError> {
    match body.number("mode")? {
        0u8 => Ok(FetchMode::Full),
        1 => Ok(FetchMode::Dots),
        2 => Ok(FetchMode::Explain),
        _ => Err(body.malformed("mode", "0 (full), 1 (dots) or 2 (explain) should stand here")),
    }
}

#[inline]
fn write_fetch(fetch: &Fetch, out: &mut BodyWriter<'_>) {
    out.array(2);
    out.bytes(&fetch.key);
    out.number(mode_number(fetch.mode));
}

#[inline]
fn read_fetch(operation: OperationId, body: &mut BodyReader<'_>) -> Result<Fetch, WireError> {
    Ok(Fetch { operation, key: body.bytes("key")?, mode: read_mode(body)? })
}
