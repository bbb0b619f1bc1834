//! Texts: documents, patches, paths, the lines of `load`, contexts as text.

use super::super::{Outcome, Probe, Target, outcome_class};
use super::{lines, no_mending, no_rules};
use bytes::Bytes;
use henge::cli::load_lines::parse_line;
use henge::limits::DOCUMENT_PATH_BYTES_MAX;
use henge::vclock::{
    Actor, DocumentError, Dot, Draft, Entry, Leaf, Path, Sealed, Seen, Timestamp, Value, draft, leaves_from_json, merge_patch,
    pack, render, set, unpack,
};

const JSON_WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"\"",
    b"\"a\":",
    b"{\"a\":",
    b"{\"a\":{\"b\":[",
    b"null",
    b"true",
    b"false",
    b"-0",
    b"1e400",
    b"0.10",
    b"12345678901234567890123",
    b"\\u0000",
    b"\\u0001",
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"\\udc00",
    b"\\\\",
    b"\\\"",
    b"\\/",
    b"\"$serde_json::private::Number\":\"1\"",
    b" \t\r\n",
    b"\xf0\x9f\x98\x80",
    b"\xef\xbb\xbf",
    b"\x7f",
    b"[[[[[[[[[[[[[[[[",
    b"{\"\":{\"\":{\"\":{\"\":{\"\":",
];

const PATH_WORDS: &[&[u8]] =
    &[b".", b"..", b"\\.", b"\\\\", b"\\e", b".\\e.", b"a.b", b"\x01\x01", b"\x01\x02", b"\x00", b"\xc3\xa9", b"\xf0\x9f\x98\x80"];

const LINE_WORDS: &[&[u8]] = &[
    b"'",
    b"\"",
    b" : ",
    b";",
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b"{'a':",
    b"{\"key\": \"k\", \"value\": ",
    b"\"key\":",
    b"\"value\":",
    b"True",
    b"False",
    b"None",
    b"null",
    b"\\'",
    b"\\x41",
    b"\\x00",
    b"\\U0001F600",
    b"\\U00110000",
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"\\n",
    b"#",
    b"\xef\xbb\xbf",
    b"\xc2\xa0",
    b"\xe2\x80\xa8",
    b"-0.5e+10",
    b"1_000",
    b"\xd9\xa1",
    b"\r\n",
];

pub(super) fn targets() -> Vec<Target> {
    let target = |name, seeds, words, check, memory_max| Target {
        name,
        seeds,
        words,
        mend: no_mending,
        perturb: no_rules,
        check,
        memory_max,
    };
    vec![
        target("documents", documents, JSON_WORDS, check_document, leaves),
        target("patches", documents, JSON_WORDS, check_patch, leaves),
        target("paths", paths, PATH_WORDS, check_path, |bytes| 512 + 8 * bytes),
        // A name of a map takes a string and its place in a tree beside its bytes; the shortest members have five.
        target("load", load_lines, LINE_WORDS, check_line, |bytes| 2_048 + 48 * bytes),
        target("tokens", tokens, &[b"-", b"_", b"=", b" ", b"AAAA"], check_token, |bytes| 256 + 2 * bytes),
    ]
}

/// Five bytes are a member, and then a leaf, of some 200 in all, in vectors that grow. Paths have their own bound, in a vector that grows.
fn leaves(bytes: usize) -> usize {
    2_048 + 160 * bytes + (2_100 * bytes).min(3 * DOCUMENT_PATH_BYTES_MAX)
}

fn documents() -> Vec<Vec<u8>> {
    let deep = ["{\"a\":".repeat(64), "1".into(), "}".repeat(64)].concat();
    let arrays = ["[".repeat(64), "]".repeat(64)].concat();
    let wide: Vec<String> = (0..50).map(|n| format!("\"{n}\":{n}")).collect();
    let long = format!("{{\"{}\":{{\"a\":1,\"b\":{{}},\"c\":[2]}}}}", "x".repeat(1_000));
    let made = [deep, arrays, format!("{{{}}}", wide.join(",")), long].map(String::into_bytes);
    lines(include_str!("../../../corpus/documents.txt")).into_iter().chain(made).collect()
}

fn paths() -> Vec<Vec<u8>> {
    lines(include_str!("../../../corpus/paths.txt")).into_iter().chain([b"a\0b\x01\x01\0".to_vec(), b"\0".to_vec()]).collect()
}

fn load_lines() -> Vec<Vec<u8>> {
    lines(include_str!("../../../corpus/load.txt"))
}

fn tokens() -> Vec<Vec<u8>> {
    super::examples("sealed").iter().map(|sealed| Sealed::to_text(sealed).into_bytes()).chain([b"Zm9v".to_vec()]).collect()
}

/// An entry of these leaves, written by one actor after another.
fn written(leaves: &[Leaf], round: u64) -> Entry {
    let dot = |n| Dot { actor: Actor(round), counter: 7 << 32 | (n + 1) };
    let version = |(n, leaf): (u64, &Leaf)| leaf.clone().into_version(dot(n), Timestamp(round << 16), 0);
    Entry::new((0..).zip(leaves).map(version).collect(), Seen::new())
}

/// What a reader sees of an entry; none if there is nothing. Siblings and bytes cannot come of one document.
fn shown(entry: &Entry) -> Result<Option<Bytes>, String> {
    let Some(rendered) = render(entry, &Path::ROOT, 0, false) else { return Ok(None) };
    match rendered.value {
        Some(Value::Json(text)) if rendered.conflicts.is_empty() => Ok(Some(text)),
        _ => Err(format!("one document is shown as {rendered:?}")),
    }
}

fn reason(error: &DocumentError) -> u64 {
    match error {
        DocumentError::PathTooLong { .. } => outcome_class("a path is too long", &[]),
        other => outcome_class(&other.to_string(), &[]),
    }
}

fn check_document(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let leaves = match probe.decode(|| leaves_from_json(input, &Path::ROOT)) {
        Ok(leaves) => leaves,
        Err(error) => return Ok(Outcome::Refused(reason(&error))),
    };
    let entry = written(&leaves, 1);
    if entry.versions().len() != leaves.len() || unpack(&pack(&entry)).as_ref() != Ok(&entry) {
        return Err(format!("{leaves:?} are not what is kept"));
    }
    let text = shown(&entry)?.ok_or("nothing is shown of a document")?;
    let again = leaves_from_json(&text, &Path::ROOT).map_err(|error| format!("{text:?} is shown, and refused: {error}"))?;
    if again != leaves || shown(&written(&again, 1))? != Some(text.clone()) {
        return Err(format!("{text:?} is shown, and read as {again:?} instead of {leaves:?}"));
    }
    // The same below a path: there may be no room for it.
    let path = Path::parse("a.b").expect("a path");
    if let Ok(below) = probe.decode(|| leaves_from_json(input, &path))
        && (below.len() != leaves.len() || !below.iter().all(|leaf| path.contains(&leaf.path)))
    {
        return Err(format!("below a path it is {below:?}"));
    }
    let depth = leaves.iter().map(|leaf| leaf.path.depth()).max().unwrap_or(0);
    Ok(Outcome::Accepted(outcome_class("document", &[leaves.len(), depth, leaves[0].kind as usize])))
}

/// What a change makes of an entry.
fn patched(entry: &Entry, draft: &Draft, round: u64) -> Entry {
    let (mut versions, context) = entry.clone().into_parts();
    versions.retain(|version| !draft.covers.contains(&version.dot));
    versions.extend(written(&draft.leaves, round).into_parts().0);
    Entry::new(versions, context)
}

fn check_patch(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let path = Path::parse("a.b").expect("a path");
    let _ = probe.decode(|| set(path, input));
    let changes = match probe.decode(|| merge_patch(input)) {
        Ok(changes) => changes,
        Err(error) => return Ok(Outcome::Refused(reason(&error))),
    };
    let before = leaves_from_json(br#"{"a":{"b":1,"c":[2]},"d":"x","e":{}}"#, &Path::ROOT).expect("a document");
    for view in [Entry::default(), written(&before, 1)] {
        let once = patched(&view, &draft(&view, &changes), 2);
        let twice = patched(&once, &draft(&once, &changes), 3);
        let (once, twice) = (shown(&once)?, shown(&twice)?);
        if once != twice {
            return Err(format!("it makes {once:?}, and of that {twice:?}"));
        }
        if let Some(text) = once {
            leaves_from_json(&text, &Path::ROOT).map_err(|error| format!("it makes {text:?}, which is refused: {error}"))?;
        }
    }
    Ok(Outcome::Accepted(outcome_class("patch", &[changes.len()])))
}

fn check_path(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let encoded = Bytes::copy_from_slice(input);
    let (mut class, mut accepted) = (0, false);
    match probe.decode(|| Path::from_encoded(encoded)) {
        Err(error) => class ^= outcome_class(&error.to_string(), &[]),
        Ok(path) if path.as_bytes() != input => return Err("it is encoded in another way".into()),
        Ok(path) if Path::parse(&path.to_text()).as_ref() != Ok(&path) => return Err(format!("{path:?} is read as another path")),
        Ok(path) => {
            accepted = true;
            class ^= outcome_class("encoded", &[path.depth()]);
        }
    }
    if let Ok(text) = std::str::from_utf8(input) {
        match probe.decode(|| Path::parse(text)) {
            Err(error) => class ^= outcome_class(&format!("text: {error}"), &[]),
            Ok(path) if path.to_text() != text => return Err(format!("{text:?} has another spelling, {:?}", path.to_text())),
            Ok(path) => {
                let checked = Path::from_encoded(Bytes::copy_from_slice(path.as_bytes()));
                if checked.as_ref() != Ok(&path) || Path::from_segments(path.segments()).as_ref() != Ok(&path) {
                    return Err(format!("{path:?} is not the path of its names"));
                }
                if path.ancestors().any(|above| !above.contains(&path)) {
                    return Err(format!("{path:?} does not lie below what is above it"));
                }
                accepted = true;
                class ^= outcome_class("text", &[path.depth()]);
            }
        }
    }
    Ok(if accepted { Outcome::Accepted(class) } else { Outcome::Refused(class) })
}

/// A text in quotes, all that is not plain in escapes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

fn check_line(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let line = match probe.decode(|| parse_line(input)) {
        Err(error) => {
            let reason = outcome_class(&error.reason, &[]);
            let width = String::from_utf8_lossy(input).chars().count();
            // It points into the line, or just behind it.
            return if (1..=width + 1).contains(&error.column) { Ok(Outcome::Refused(reason)) } else { Err(error.to_string()) };
        }
        Ok(None) => return Ok(Outcome::Accepted(outcome_class("blank", &[]))),
        Ok(Some(line)) => line,
    };
    for same in
        [format!("{} : {}", quoted(&line.key), line.json), format!("{{\"value\":{},\"key\":{}}}\r\n", line.json, quoted(&line.key))]
    {
        if parse_line(same.as_bytes()) != Ok(Some(line.clone())) {
            return Err(format!("{same:?} says something else than {line:?}"));
        }
    }
    match leaves_from_json(line.json.as_bytes(), &Path::ROOT) {
        Err(error @ (DocumentError::Syntax { .. } | DocumentError::TooDeep { .. })) => {
            Err(format!("{:?} is refused by the store: {error}", line.json))
        }
        _ => Ok(Outcome::Accepted(outcome_class("line", &[line.key.len(), line.json.len()]))),
    }
}

fn check_token(input: &[u8], probe: &mut Probe) -> Result<Outcome, String> {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(Outcome::Refused(outcome_class("no text", &[]))) };
    match probe.decode(|| Sealed::from_text(text)) {
        Err(error) => Ok(Outcome::Refused(outcome_class(&error.to_string(), &[text.len() % 4]))),
        Ok(sealed) if Sealed::to_text(&sealed) != text.trim() => Err(format!("{text:?} has another spelling")),
        Ok(sealed) => Ok(Outcome::Accepted(outcome_class("token", &[sealed.len()]))),
    }
}
