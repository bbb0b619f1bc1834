//! The messages of a pull as frames. The frame's id is the pull. They are many and small, so what stands in them in rows is packed
//! into byte strings (`front_coded`).

use super::body_reader::BodyReader;
use super::body_writer::BodyWriter;
use super::contents::Contents;
use super::front_coded::{Taker, put_halves, put_short, read_keys, read_prefixes, take_halves, write_keys, write_prefixes};
use super::{Kind, WireError};
use crate::message::{
    Compare, Compared, Comparing, Declined, Entries, FetchEntries, KeyContext, OperationId, Step, Walk, Walked, seen_bytes_about,
};
use crate::vclock::{Seen, decode_seen, encode_seen};
use bytes::{Bytes, BytesMut};

/// A step of `Walked` lists keys; without it, it has sums.
const KEYS: u8 = 1;
/// The sums begin with the hash of a key that is the prefix itself.
const OWN: u8 = 2;

pub(super) fn kind_of(comparing: &Comparing) -> Kind {
    match comparing {
        Comparing::Compare(_) => Kind::Compare,
        Comparing::Compared(_) => Kind::Compared,
        Comparing::Walk(_) => Kind::Walk,
        Comparing::Walked(_) => Kind::Walked,
        Comparing::FetchEntries(_) => Kind::FetchEntries,
        Comparing::Entries(_) => Kind::Entries,
        Comparing::Declined(_) => Kind::Declined,
    }
}

pub(super) fn write_body(comparing: &Comparing, out: &mut BytesMut) {
    BodyWriter::write(out, |out| match comparing {
        Comparing::Compare(Compare { pull: _, partition, known, snapshot, page }) => {
            out.array(4);
            out.number(*partition);
            out.number(*known);
            out.number(*snapshot);
            out.number(*page);
        }
        Comparing::Compared(Compared { pull: _, page, count, sum, digest, clock, contexts, snapshot, complete }) => {
            out.array(8);
            out.number(*page);
            out.number(*count);
            out.number(*sum);
            out.number(*digest);
            out.option(clock.as_ref(), write_seen);
            out.list(contexts, |out, KeyContext { key, hash, context }| {
                out.array(3);
                out.bytes(key);
                out.number(*hash);
                write_seen(out, context);
            });
            out.number(*snapshot);
            out.flag(*complete);
        }
        Comparing::Walk(Walk { pull: _, ask, partition, prefixes }) => {
            out.array(3);
            out.number(*ask);
            out.number(*partition);
            write_prefixes(out, prefixes);
        }
        Comparing::Walked(Walked { pull: _, ask, steps }) => {
            out.array(2);
            out.number(*ask);
            out.list(steps, write_step);
        }
        Comparing::FetchEntries(FetchEntries { pull: _, ask, partition, known, keys }) => {
            out.array(4);
            out.number(*ask);
            out.number(*partition);
            out.number(*known);
            write_keys(out, keys);
        }
        Comparing::Entries(Entries { pull: _, ask, digest, clock, entries, unreadable }) => {
            out.array(5);
            out.number(*ask);
            out.number(*digest);
            out.option(clock.as_ref(), write_seen);
            out.list(entries, |out, (place, entry)| {
                out.array(2);
                out.number(*place);
                out.bytes(entry);
            });
            out.list(unreadable, |out, place| out.number(*place));
        }
        Comparing::Declined(Declined { pull: _, reason }) => {
            out.array(1);
            out.text(reason);
        }
    });
}

/// Reads one of these messages; none if the contents are of another kind.
pub(super) fn read(pull: OperationId, contents: &Contents<'_>) -> Result<Option<Comparing>, WireError> {
    let kind = contents.kind;
    Ok(Some(match kind {
        Kind::Compare => Comparing::Compare(contents.read_alone(4, |body| {
            Ok(Compare {
                pull,
                partition: body.number("partition")?,
                known: body.number("known")?,
                snapshot: body.number("snapshot")?,
                page: body.number("page")?,
            })
        })?),
        Kind::Compared => Comparing::Compared(contents.read_alone(8, |body| {
            Ok(Compared {
                pull,
                page: body.number("page")?,
                count: body.number("count")?,
                sum: body.number("sum")?,
                digest: body.number("digest")?,
                clock: body.option(|body| read_seen(kind, body, "clock"))?,
                contexts: body.list("contexts", 5, |body| read_context(kind, body))?,
                snapshot: body.number("snapshot")?,
                complete: body.flag("complete")?,
            })
        })?),
        Kind::Walk => Comparing::Walk(contents.read_alone(3, |body| {
            let (ask, partition) = (body.number("ask")?, body.number("partition")?);
            Ok(Walk { pull, ask, partition, prefixes: read_prefixes(kind, "prefixes", body)? })
        })?),
        Kind::Walked => Comparing::Walked(contents.read_alone(2, |body| {
            Ok(Walked { pull, ask: body.number("ask")?, steps: body.list("steps", 6, |body| read_step(kind, body))? })
        })?),
        Kind::FetchEntries => Comparing::FetchEntries(contents.read_alone(4, |body| {
            let (ask, partition, known) = (body.number("ask")?, body.number("partition")?, body.number("known")?);
            Ok(FetchEntries { pull, ask, partition, known, keys: read_keys(kind, "keys", body)? })
        })?),
        Kind::Entries => Comparing::Entries(contents.read_alone(5, |body| {
            Ok(Entries {
                pull,
                ask: body.number("ask")?,
                digest: body.number("digest")?,
                clock: body.option(|body| read_seen(kind, body, "clock"))?,
                entries: body.list("entries", 4, |body| {
                    let extra = body.fields("entry", 2)?;
                    let entry = (body.number("place")?, body.bytes("entry")?);
                    body.skip(extra)?;
                    Ok(entry)
                })?,
                unreadable: body.list("unreadable", 1, |body| body.number("unreadable"))?,
            })
        })?),
        Kind::Declined => Comparing::Declined(contents.read_alone(1, |body| Ok(Declined { pull, reason: body.text("reason")? }))?),
        _ => return Ok(None),
    }))
}

fn write_seen(out: &mut BodyWriter<'_>, seen: &Seen) {
    let mut coded = Vec::with_capacity(seen_bytes_about(seen));
    encode_seen(seen, &mut coded);
    out.bytes(&coded);
}

fn read_seen(kind: Kind, body: &mut BodyReader<'_>, field: &'static str) -> Result<Seen, WireError> {
    let coded = body.bytes(field)?;
    let mut rest = &coded[..];
    match decode_seen(&mut rest) {
        Ok(seen) if rest.is_empty() => Ok(seen),
        Ok(_) => Err(WireError::Malformed { kind, what: format!("{field}: bytes stand behind the set of dots") }),
        Err(error) => Err(WireError::Malformed { kind, what: format!("{field}: {error}") }),
    }
}

fn read_context(kind: Kind, body: &mut BodyReader<'_>) -> Result<KeyContext, WireError> {
    let extra = body.fields("context", 3)?;
    let context = KeyContext {
        key: body.bytes("context's key")?,
        hash: body.number("context's hash")?,
        context: read_seen(kind, body, "context")?,
    };
    body.skip(extra)?;
    Ok(context)
}

/// A step: flags, the half bytes beyond the prefix, and sums or keys.
fn write_step(out: &mut BodyWriter<'_>, step: &Step) {
    let (mut longer, mut data) = (Vec::new(), Vec::with_capacity(step.bytes_about()));
    let flags = match step {
        Step::Sums { beyond, own, sums } => {
            put_short(&mut longer, beyond.len());
            put_halves(&mut longer, beyond);
            data.extend(own.map(u64::to_be_bytes).into_iter().flatten());
            let present = sums.iter().fold(0u16, |bits, (half, _)| bits | 1 << half);
            data.extend(present.to_be_bytes());
            sums.iter().for_each(|(_, sum)| data.extend(sum.to_be_bytes()));
            if own.is_some() { OWN } else { 0 }
        }
        Step::Keys(keys) => {
            for (rest, hash) in keys {
                put_short(&mut data, rest.len());
                data.extend(&rest[..]);
                data.extend(hash.to_be_bytes());
            }
            KEYS
        }
    };
    out.array(3);
    out.number(flags);
    out.bytes(&longer);
    out.bytes(&data);
}

fn read_step(kind: Kind, body: &mut BodyReader<'_>) -> Result<Step, WireError> {
    let extra = body.fields("step", 3)?;
    let (flags, longer, data): (u8, Bytes, Bytes) = (body.number("step")?, body.bytes("beyond")?, body.bytes("step")?);
    body.skip(extra)?;
    let mut taker = Taker::new(kind, "step", &data);
    let step = if flags == KEYS {
        let mut keys = Vec::new();
        while !taker.is_empty() {
            let length = taker.short()?;
            let rest = data.slice_ref(taker.take(length)?);
            keys.push((rest, taker.u64()?));
        }
        Step::Keys(keys)
    } else if flags & !OWN == 0 {
        let own = if flags == OWN { Some(taker.u64()?) } else { None };
        let present = taker.take(2)?.iter().fold(0u16, |bits, byte| bits << 8 | u16::from(*byte));
        let mut sums = Vec::with_capacity(present.count_ones() as usize);
        for half in (0..16).filter(|half| present >> half & 1 == 1) {
            sums.push((half, taker.u64()?));
        }
        let mut longer = Taker::new(kind, "beyond", &longer);
        let count = longer.short()?;
        let beyond = take_halves(&mut longer, count)?;
        if !longer.is_empty() {
            return Err(longer.malformed("bytes stand behind it"));
        }
        Step::Sums { beyond, own, sums }
    } else {
        return Err(taker.malformed("unknown flags"));
    };
    match taker.is_empty() {
        true => Ok(step),
        false => Err(taker.malformed("bytes stand behind it")),
    }
}
