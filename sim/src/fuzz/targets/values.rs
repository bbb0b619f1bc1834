//! Sets of dots, sealed contexts, packed entries.

use super::super::{Outcome, Probe, Target, outcome_class};
use super::{examples, no_mending};
use crate::dice::Dice;
use bytes::Bytes;
use henge::limits::DOCUMENT_PATH_BYTES_MAX;
use henge::vclock::{
    Actor, Dot, Entry, Interval, Kind, Path, SealKey, SealKeys, Sealed, Seen, Timestamp, Version, decode_seen, encode_seen,
    leaf_hash, leaves_from_json, pack, pack_bare, plain, plain_with_context, render, select, unpack,
};

/// The key of the cluster and of the store in the examples.
const KEYS: SealKeys = SealKeys { newest: SealKey { number: 0, secret: *b"sixteen byte key" }, previous: None };
const KEY: &[u8] = b"user7";
const MAC_BYTES: usize = 16;

const WORDS: &[&[u8]] = &[
    b"\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"a\x00",
];

pub(super) fn targets() -> Vec<Target> {
    let target = |name, seeds, check, perturb, memory_max| Target {
        name,
        seeds,
        words: WORDS,
        mend: no_mending,
        perturb,
        check,
        memory_max,
    };
    vec![
        target("seen", sets, check_seen, perturb_seen, sets_of_dots),
        Target { mend: seal_again, ..target("contexts", contexts, check_context, perturb_context, sets_of_dots) },
        target("entries", entries, check_entry, perturb_entry, leaves),
    ]
}

/// Two bytes are an interval of 16; a vector that grows holds three times what it needs for a moment.
fn sets_of_dots(bytes: usize) -> usize {
    512 + 28 * bytes
}

/// Five bytes are a leaf of some 130, with its place and its dot, in vectors that grow. Its path may share all but a byte of the one before,
/// and has its own bound: four of the largest documents, in a vector that grows.
fn leaves(bytes: usize) -> usize {
    2_048 + 128 * bytes + (2_100 * bytes).min(12 * DOCUMENT_PATH_BYTES_MAX)
}

fn coded(seen: &Seen) -> Vec<u8> {
    let mut out = Vec::new();
    encode_seen(seen, &mut out);
    out
}

fn many_dots() -> Seen {
    let mut seen = Seen::new();
    for n in 0..40u64 {
        seen.insert_interval(Actor(n % 5), Interval { first: n * 1_000, last: n * 1_000 + n % 3 * 300 });
    }
    seen.insert_interval(Actor(u64::MAX), Interval { first: 0, last: u64::MAX });
    seen
}

fn sets() -> Vec<Vec<u8>> {
    let mut sets = examples("seen");
    sets.extend([coded(&Seen::new()), coded(&many_dots())]);
    sets
}

fn contexts() -> Vec<Vec<u8>> {
    let more =
        [Sealed::default(), Sealed { live: many_dots(), context: Seen::new() }, Sealed { live: Seen::new(), context: many_dots() }];
    examples("sealed").into_iter().chain(more.iter().map(|sealed| sealed.seal(&KEYS, KEY).to_vec())).collect()
}

fn entries() -> Vec<Vec<u8>> {
    let document = |text: &str| {
        let leaves = leaves_from_json(text.as_bytes(), &Path::ROOT).expect("a document");
        let version = |(n, leaf): (u64, henge::vclock::Leaf)| {
            leaf.into_version(Dot { actor: Actor(n % 3), counter: (7 + n % 2) << 32 | (n + 1) }, Timestamp(n << 15), n % 4)
        };
        Entry::new((0..).zip(leaves).map(version).collect(), [Dot { actor: Actor(9), counter: 3 }].into_iter().collect())
    };
    let wide: Vec<String> = (0..40).map(|n| format!(r#""field{n}":{{"value":{n}}}"#)).collect();
    let long = format!(r#"{{"{}":{{"a":1,"b":2,"c":3}}}}"#, "long".repeat(300));
    let made =
        ["{}", r#"{"a":{"b":[1],"c":"x"}}"#, &format!("{{{}}}", wide.join(",")), &long].map(|text| pack(&document(text)).to_vec());
    examples("entry").into_iter().chain(made).chain([pack(&Entry::default()).to_vec()]).collect()
}

fn read_sealed(mut body: &[u8]) -> Option<Sealed> {
    let (context, live) = (decode_seen(&mut body).ok()?, decode_seen(&mut body).ok()?);
    body.is_empty().then_some(Sealed { live, context })
}

/// What is whole but for its seal is sealed.
fn seal_again(sealed: &mut Vec<u8>) {
    let body = sealed.get(2..sealed.len().saturating_sub(MAC_BYTES));
    if let Some(whole) = body.and_then(read_sealed) {
        *sealed = whole.seal(&KEYS, KEY).to_vec();
    }
}

fn some_interval(dice: &mut Dice) -> (Actor, Interval) {
    let first = dice.spread(1, u64::MAX) - 1;
    let last = first.saturating_add(dice.spread(1, 1 << 40) - 1);
    (Actor(if dice.chance(0.7) { dice.below(8) } else { dice.number() }), Interval { first, last })
}

fn perturb_seen(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let Ok(mut seen) = decode_seen(&mut input.as_slice()) else { return };
    for _ in 0..dice.spread(1, 30) {
        let (actor, interval) = some_interval(dice);
        seen.insert_interval(actor, interval);
    }
    if let Ok(other) = decode_seen(&mut &*other)
        && dice.chance(0.2)
    {
        if dice.chance(0.5) { seen.subtract(&other) } else { seen.union_with(&other) }
    }
    *input = coded(&seen);
}

fn perturb_context(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let Some(mut sealed) = input.get(2..input.len().saturating_sub(MAC_BYTES)).and_then(read_sealed) else { return };
    for _ in 0..dice.spread(1, 8) {
        let (actor, interval) = some_interval(dice);
        if dice.chance(0.5) {
            sealed.live.insert_interval(actor, interval)
        } else {
            sealed.context.insert_interval(actor, interval)
        }
    }
    if other.len() > input.len() && dice.chance(0.1) {
        sealed.live = Seen::new();
    }
    *input = sealed.seal(&KEYS, KEY).to_vec();
}

/// Another version, one less, another value, path, time or expiry, what another entry has, a dot more in the context.
fn perturb_entry(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let Ok(entry) = unpack(&Bytes::copy_from_slice(input)) else { return };
    let (mut versions, mut context) = entry.into_parts();
    let at = dice.below(versions.len() as u64) as usize;
    let other = unpack(&Bytes::copy_from_slice(other)).unwrap_or_default();
    match dice.below(8) {
        0 if !versions.is_empty() => {
            versions.remove(at);
        }
        1 if !versions.is_empty() => {
            let mut more = versions[at].clone();
            more.dot.counter = dice.number() >> dice.below(64);
            versions.push(more);
        }
        2 if !versions.is_empty() => versions[at].time = Timestamp(dice.number() >> dice.below(64)),
        3 if !versions.is_empty() => versions[at].expiry_ms = dice.number() >> dice.below(64),
        4 if !versions.is_empty() => {
            let name: &str = dice.pick::<&str>(&["", "a", "b\u{1}\0", "long names take room"]);
            versions[at].path = versions[at].path.push(name).unwrap_or_default();
        }
        5 if !versions.is_empty() => {
            versions[at].kind = *dice.pick(&[
                Kind::Bytes,
                Kind::Scalar,
                Kind::Array,
                Kind::EmptyMap,
                Kind::Amount,
                Kind::Element,
                Kind::Term,
                Kind::Typed,
            ]);
        }
        6 => {
            let (actor, interval) = some_interval(dice);
            context.insert_interval(actor, interval);
        }
        _ => versions.extend(other.versions().iter().take(40).cloned()),
    }
    *input = pack(&Entry::new(versions, context)).to_vec();
}

fn check_seen(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let mut rest = input;
    match probe.decode(|| decode_seen(&mut rest)) {
        Err(error) => Ok(Outcome::Refused(outcome_class(&error.to_string(), &[]))),
        Ok(seen) if coded(&seen) != input[..input.len() - rest.len()] => Err(format!("{seen:?} has another spelling")),
        Ok(seen) => Ok(Outcome::Accepted(outcome_class("seen", &[seen.interval_count(), seen.runs().count()]))),
    }
}

fn check_context(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    match probe.decode(|| Sealed::open(input, &KEYS, KEY)) {
        Err(error) => Ok(Outcome::Refused(outcome_class(&error.to_string(), &[]))),
        Ok(sealed) if sealed.seal(&KEYS, KEY) != input => Err(format!("{sealed:?} has another spelling")),
        Ok(_) if Sealed::from_text(&Sealed::to_text(input)).as_deref() != Ok(input) => Err("its text is another".into()),
        Ok(sealed) => {
            let sizes = [sealed.live.interval_count(), sealed.context.interval_count()];
            Ok(Outcome::Accepted(outcome_class("context", &sizes)))
        }
    }
}

fn same(a: &Entry, b: &Entry) -> bool {
    a == b && a.context() == b.context()
}

fn check_entry(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let packed = Bytes::copy_from_slice(input);
    let (head, with_context) = probe.decode(|| (plain(&packed), plain_with_context(&packed)));
    let somewhere = Path::parse("a.b").expect("a path");
    let entry = match probe.decode(|| unpack(&packed)) {
        Ok(entry) => entry,
        Err(_) if head.is_some() || with_context.is_some() => return Err("it is no entry, and has the head of one".into()),
        Err(error) => {
            // What is damaged elsewhere may go unnoticed here, and must do no harm.
            let selected = probe.decode(|| select(&packed, &somewhere)).is_ok();
            return Ok(Outcome::Refused(outcome_class(&error.to_string(), &[usize::from(selected)])));
        }
    };
    if pack(&entry) != packed {
        return Err(format!("{entry:?} has another spelling"));
    }
    let bare = unpack(&pack_bare(&entry)).map_err(|error| format!("without its values it is none: {error}"))?;
    if !bare.dots().eq(entry.dots()) {
        return Err("without its values it has other dots".into());
    }
    let middle = entry.versions().get(entry.versions().len() / 2).map_or(&somewhere, |version| &version.path);
    for path in [&somewhere, middle] {
        let selected = probe.decode(|| select(&packed, path)).map_err(|error| format!("{path:?} cannot be selected: {error}"))?;
        let is_wanted = |version: &&Version| path.contains(&version.path) || version.path.contains(path);
        let wanted = entry.versions().iter().filter(is_wanted).cloned().collect();
        if !same(&selected, &Entry::new(wanted, entry.context().clone())) {
            return Err(format!("{path:?} is {selected:?}"));
        }
        // What a client asks for next.
        let _ = render(&entry, path, 1, false);
        let _ = render(&entry, path, 0, true);
    }
    let _ = (render(&entry, &Path::ROOT, 1, false), render(&entry, &Path::ROOT, 0, true), leaf_hash(KEY, &entry, &[7; 16]));
    let sizes = [usize::from(head.is_some()), entry.versions().len(), entry.context().interval_count()];
    Ok(Outcome::Accepted(outcome_class("entry", &sizes)))
}
