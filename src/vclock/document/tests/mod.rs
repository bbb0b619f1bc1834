//! The laws of documents, and the model of them that the tests share: a plain tree.

mod patches;
mod reading;
mod texts;

use super::*;
use crate::vclock::sampling::{check, name, path};
use crate::vclock::{Actor, Entry, Seen, pack, unpack};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;

/// A JSON value as the tests know it: scalars by their text.
#[derive(Clone, PartialEq, Debug)]
enum Doc {
    Scalar(String),
    Array(Vec<Doc>),
    Object(BTreeMap<String, Doc>),
}
use Doc::{Array, Object, Scalar};

impl Doc {
    /// The text that is expected in answers.
    fn text(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(",");
        match self {
            Scalar(text) => text.clone(),
            Array(items) => format!("[{}]", joined(items.iter().map(Doc::text).collect())),
            Object(members) => {
                format!("{{{}}}", joined(members.iter().map(|(name, doc)| format!("{}:{}", quoted(name), doc.text())).collect()))
            }
        }
    }

    /// The same value as people might write it: members the other way round, some twice, white space, needless escapes.
    fn sloppy_text(&self) -> String {
        match self {
            Scalar(text) => format!(" {}\t", text.replace('a', "\\u0061").replace("f\\u0061lse", "false")),
            Array(items) => format!("[\n{} ]", items.iter().map(Doc::sloppy_text).collect::<Vec<_>>().join(" ,")),
            Object(members) => {
                let mut parts: Vec<String> = members
                    .iter()
                    .rev()
                    .map(|(name, doc)| format!("{} : {}", quoted(name).replace('a', "\\u0061"), doc.sloppy_text()))
                    .collect();
                parts.extend(members.first_key_value().map(|(name, doc)| format!("{}:{}", quoted(name), doc.sloppy_text())));
                parts.splice(0..0, members.first_key_value().map(|(name, _)| format!("{}:[{{\"lost\":0}}]", quoted(name))));
                format!("{{ {}\r\n}}", parts.join(",\n"))
            }
        }
    }

    fn leaf_count(&self) -> usize {
        match self {
            Object(members) if !members.is_empty() => members.values().map(Doc::leaf_count).sum(),
            _ => 1,
        }
    }

    /// RFC 7396, section 2, as it is written there.
    fn merge_patch(target: Option<Doc>, patch: &Doc) -> Doc {
        let Object(patch) = patch else { return patch.clone() };
        let mut members = if let Some(Object(members)) = target { members } else { BTreeMap::new() };
        for (name, value) in patch {
            if *value == Scalar("null".into()) {
                members.remove(name);
            } else {
                let member = members.get(name).cloned();
                members.insert(name.clone(), Doc::merge_patch(member, value));
            }
        }
        Object(members)
    }

    /// Puts a value at a path, making objects on the way.
    fn set(target: Option<Doc>, path: &[String], value: Doc) -> Doc {
        let Some((name, below)) = path.split_first() else { return value };
        let mut members = if let Some(Object(members)) = target { members } else { BTreeMap::new() };
        let member = members.remove(name);
        members.insert(name.clone(), Doc::set(member, below, value));
        Object(members)
    }

    /// Removes what lies at a path that is not the root.
    fn remove(&mut self, path: &[String]) {
        let Object(members) = self else { return };
        match path {
            [name] => drop(members.remove(name)),
            [name, below @ ..] => members.get_mut(name).into_iter().for_each(|member| member.remove(below)),
            [] => {}
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn scalar() -> impl Strategy<Value = Doc> {
    let fixed = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.0",
        "1e400",
        "1E+2",
        "-12.50e-7",
        "9007199254740993",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827",
        "\"\"",
        "\"null\"",
        r#""\u0000\"\\""#,
        "\"größe 名前 \u{1F5FF}\"",
    ];
    prop_oneof![
        3 => prop::sample::select(fixed.to_vec()).prop_map(|text| Scalar(text.to_owned())),
        1 => name().prop_map(|text| Scalar(quoted(&text))),
        1 => any::<i64>().prop_map(|number| Scalar(number.to_string())),
    ]
}

fn doc() -> impl Strategy<Value = Doc> {
    scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Array),
            4 => prop::collection::btree_map(name(), inner, 0..6).prop_map(Object),
        ]
    })
}

/// Patches that often meet what is there.
fn patch() -> impl Strategy<Value = Doc> {
    let leaf = prop_oneof![2 => Just(Scalar("null".into())), 1 => scalar()];
    leaf.prop_recursive(4, 30, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Array),
            6 => prop::collection::btree_map(name(), inner, 0..6).prop_map(Object),
        ]
    })
}

/// A store of one key with one author, who sees everything in it.
#[derive(Clone, Default)]
struct Key {
    entry: Entry,
    actor: u64,
    counter: u64,
}

impl Key {
    fn change(&mut self, changes: &[Change]) -> Draft {
        let draft = draft(&self.entry, changes);
        let covers: Seen = draft.covers.iter().copied().collect();
        self.entry.cover(&covers);
        self.write(draft.leaves.clone());
        draft
    }

    /// Adds leaves, covering nothing.
    fn write(&mut self, leaves: Vec<Leaf>) {
        let (mut versions, context) = std::mem::take(&mut self.entry).into_parts();
        for leaf in leaves {
            self.counter += 1;
            versions.push(leaf.into_version(
                Dot { actor: Actor(self.actor), counter: self.counter },
                Timestamp(self.counter << 16),
                0,
            ));
        }
        // Over the wire and back, each time.
        self.entry = unpack(&pack(&Entry::new(versions, context))).unwrap();
    }

    fn with(text: &str) -> Key {
        let mut key = Key::default();
        key.change(&set(Path::ROOT, text.as_bytes()).unwrap());
        key
    }

    fn sibling(&mut self, at: &str, text: &str) {
        self.write(leaves_from_json(text.as_bytes(), &Path::parse(at).unwrap()).unwrap());
    }

    fn read(&self, at: &str, last_writer_wins: bool) -> Option<Rendered> {
        render(&self.entry, &Path::parse(at).unwrap(), 0, last_writer_wins)
    }

    /// The value at a path as text; it has no conflict.
    fn text(&self, at: &Path) -> Option<String> {
        let rendered = render(&self.entry, at, 0, false)?;
        assert_eq!((rendered.conflicts.as_slice(), rendered.hidden), (&[][..], 0));
        rendered.value.map(text_of)
    }

    /// The value, and the conflicts as (path, values).
    fn shown(&self, at: &str) -> (Option<String>, Vec<(String, Vec<String>)>) {
        let rendered = self.read(at, false).unwrap();
        let conflicts = rendered.conflicts.into_iter().map(|it| (it.path, it.values.into_iter().map(text_of).collect()));
        (rendered.value.map(text_of), conflicts.collect())
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::Json(text) => String::from_utf8(text.to_vec()).unwrap(),
        Value::Bytes(bytes) => format!("bytes {bytes:?}"),
        Value::Typed(typed) => format!("{} {:?}", typed.content_type(), typed.bytes()),
        Value::Counter(text) => String::from_utf8(text.to_vec()).unwrap(),
        Value::Set(members) => format!("set {:?}", members.iter().collect::<Vec<_>>()),
    }
}
