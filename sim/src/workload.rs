//! What clients ask for: few keys, so that they meet; values and documents; with contexts read before, or blindly.

use crate::dice::Dice;
use crate::history::{KeyId, Scope, Target, ValueId};
use crate::plan::ExpiryPlan;
use crate::tally::Counting;
use crate::world::key_name;
use bytes::Bytes;
use henge::message::{Body, Get, List, PatchBody, Put, Quorum, Remove, Request, Typed, Update};

/// The leaves of the documents. `c` is now a leaf, now an object: so a scalar meets a map.
const LEAVES: [&str; 5] = ["a", "b", "c", "c.x", "c.y"];

/// A request that is about to be made, without what only its client knows: contexts, deadlines, retries.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The key; none for a list.
    pub key: KeyId,
    /// The request.
    pub request: Request,
    /// What a write replaces; none for a read.
    pub scope: Option<Scope>,
    /// What a write sets.
    pub values: Vec<(String, ValueId)>,
    /// R or W.
    pub quorum: Quorum,
}

impl Wish {
    /// How long what it sets is to live (milliseconds); 0: for ever.
    pub fn ttl_ms(&self) -> u64 {
        match &self.request {
            Request::Put(put) => put.ttl_ms,
            Request::Update(update) => update.ttl_ms,
            _ => 0,
        }
    }
}

/// Draws wishes; hands out the values.
#[derive(Debug)]
pub struct Workload {
    dice: Dice,
    keys: u16,
    values: u64,
    /// Writes ask for no less than a majority.
    is_careful: bool,
    /// Some of what is written expires. Drawn apart, so that all else is what it would be without.
    expiry: Option<(Dice, ExpiryPlan)>,
    /// It counts, and asks for nothing else.
    counting: Option<Counting>,
}

impl Workload {
    /// Over so many keys.
    pub fn new(dice: Dice, keys: u16) -> Workload {
        Workload { dice, keys, values: 0, is_careful: false, expiry: None, counting: None }
    }

    /// The values that are handed out begin behind this number.
    pub fn begin_values_at(&mut self, number: u64) {
        self.values = number;
    }

    /// From now on no write is content with one replica: where disks are lost, that would be too few.
    pub fn write_with_care(&mut self) {
        self.is_careful = true;
    }

    /// From now on some of what is put and patched expires.
    pub fn let_expire(&mut self, dice: Dice, plan: ExpiryPlan) {
        self.expiry = Some((dice, plan));
    }

    /// From now on it counts, as the client at this place.
    pub fn count(&mut self, digit: usize) {
        self.counting = Some(Counting::of(digit));
    }

    /// The next wish.
    pub fn wish(&mut self) -> Wish {
        if let Some(counting) = &mut self.counting {
            return counting.wish(&mut self.dice);
        }
        let mut wish = self.any_wish();
        if self.is_careful && wish.scope.is_some() && wish.quorum == Quorum::Exactly(1) {
            wish.quorum = Quorum::Default;
            match &mut wish.request {
                Request::Put(put) => put.w = Quorum::Default,
                Request::Update(update) => update.w = Quorum::Default,
                Request::Remove(remove) => remove.w = Quorum::Default,
                _ => {}
            }
        }
        if let Some((dice, plan)) = &mut self.expiry
            && let Request::Put(Put { ttl_ms, .. }) | Request::Update(Update { ttl_ms, .. }) = &mut wish.request
            && dice.chance(plan.share)
        {
            *ttl_ms = dice.spread(plan.shortest_ms, plan.longest_ms);
        }
        wish
    }

    fn any_wish(&mut self) -> Wish {
        let key = KeyId(self.dice.below(u64::from(self.keys)) as u16);
        // A third of the keys hold plain values alone, a third documents alone, a third both.
        let (plain, documents) = (key.0 % 3 != 1, !key.0.is_multiple_of(3));
        let quorum =
            *self.dice.pick(&[Quorum::Default, Quorum::Default, Quorum::Default, Quorum::Default, Quorum::Exactly(1), Quorum::All]);
        let document = u32::from(documents);
        match self.dice.weighted(&[30, 6, 20 * u32::from(plain), 12 * document, 14 * document, 6 * document, 6, 4 * document, 1]) {
            0 => self.get(key, "", quorum),
            1 => {
                let path = *self.dice.pick(&LEAVES);
                self.get(key, path, quorum)
            }
            2 => self.put_plain(key, quorum),
            3 => self.put_document(key, quorum),
            4 => self.set(key, quorum),
            5 => self.merge(key, quorum),
            6 => remove(key, "", quorum),
            7 => {
                let path = *self.dice.pick(&LEAVES);
                remove(key, path, quorum)
            }
            _ => self.list(quorum),
        }
    }

    /// Reads a key whole.
    pub fn get(&self, key: KeyId, path: &str, quorum: Quorum) -> Wish {
        let request = Request::Get(Get {
            key: key_name(key),
            path: path.to_string(),
            r: quorum,
            session: Bytes::new(),
            last_writer_wins: false,
            deadline_ms: 0,
        });
        Wish { key, request, scope: None, values: Vec::new(), quorum }
    }

    /// Lists all keys.
    pub fn list(&mut self, quorum: Quorum) -> Wish {
        let limit = if self.dice.chance(0.5) { 1_000 } else { 2 };
        let request =
            Request::List(List { prefix: Bytes::from_static(b"key"), after: Bytes::new(), limit, r: quorum, deadline_ms: 0 });
        Wish { key: KeyId(0), request, scope: None, values: Vec::new(), quorum }
    }

    fn value(&mut self, path: &str) -> (String, ValueId) {
        self.values += 1;
        (path.to_string(), ValueId(self.values))
    }

    /// Writes a plain value.
    pub fn put_plain(&mut self, key: KeyId, quorum: Quorum) -> Wish {
        let value = self.value("");
        // Some are longer than a sector of the disk.
        let padding = if self.dice.chance(0.1) { self.dice.below(3_000) as usize } else { self.dice.below(30) as usize };
        let text = format!("{}{}", value.1, " ".repeat(padding));
        let body = match self.dice.chance(0.5) {
            true => bytes(value.1, text),
            false => Body::Json(format!("\"{text}\"").into()),
        };
        put(key, body, vec![value], quorum)
    }

    fn put_document(&mut self, key: KeyId, quorum: Quorum) -> Wish {
        let mut values = Vec::new();
        for path in ["a", "b"] {
            if self.dice.chance(0.6) {
                values.push(self.value(path));
            }
        }
        if self.dice.chance(0.3) || values.is_empty() {
            values.push(self.value("c"));
        } else {
            for path in ["c.x", "c.y"] {
                if self.dice.chance(0.5) {
                    values.push(self.value(path));
                }
            }
        }
        let json = object(&values, &[]);
        put(key, Body::Json(json.into()), values, quorum)
    }

    fn set(&mut self, key: KeyId, quorum: Quorum) -> Wish {
        let path = *self.dice.pick(&LEAVES);
        let (json, values) = if path == "c" && self.dice.chance(0.5) {
            let values = vec![self.value("c.x"), self.value("c.y")];
            (format!(r#"{{"x":"{}","y":"{}"}}"#, values[0].1, values[1].1), values)
        } else {
            let value = self.value(path);
            (format!("\"{}\"", value.1), vec![value])
        };
        let targets = vec![Target { path: path.to_string(), is_removal: false }];
        update(key, PatchBody::Set { path: path.to_string(), json: json.into() }, targets, values, quorum)
    }

    fn merge(&mut self, key: KeyId, quorum: Quorum) -> Wish {
        let mut removed: Vec<&str> = Vec::new();
        let mut values = Vec::new();
        for path in ["a", "b"] {
            match self.dice.below(3) {
                0 => values.push(self.value(path)),
                1 => removed.push(path),
                _ => {}
            }
        }
        if values.is_empty() || self.dice.chance(0.5) {
            let path = *self.dice.pick(&["c", "c.x", "c.y"]);
            values.push(self.value(path));
        }
        let json = object(&values, &removed);
        let set = values.iter().map(|(path, _)| Target { path: path.clone(), is_removal: false });
        let gone = removed.iter().map(|path| Target { path: path.to_string(), is_removal: true });
        let targets = set.chain(gone).collect();
        update(key, PatchBody::Merge { json: json.into() }, targets, values, quorum)
    }
}

/// A JSON object of these leaves, and of nulls. Requires: those of `c.` stand together.
fn object(values: &[(String, ValueId)], nulls: &[&str]) -> String {
    let member = |name: &str, value: &ValueId| format!("\"{name}\":\"{value}\"");
    let mut members: Vec<String> =
        values.iter().filter(|(path, _)| !path.contains('.')).map(|(path, value)| member(path, value)).collect();
    let inner: Vec<String> = values.iter().filter_map(|(path, value)| Some(member(path.strip_prefix("c.")?, value))).collect();
    if !inner.is_empty() {
        members.push(format!("\"c\":{{{}}}", inner.join(",")));
    }
    members.extend(nulls.iter().map(|name| format!("\"{name}\":null")));
    format!("{{{}}}", members.join(","))
}

fn put(key: KeyId, body: Body, values: Vec<(String, ValueId)>, quorum: Quorum) -> Wish {
    let request = Request::Put(Put {
        key: key_name(key),
        body,
        context: Bytes::new(),
        w: quorum,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    });
    Wish { key, request, scope: Some(Scope::Whole), values, quorum }
}

fn update(key: KeyId, patch: PatchBody, targets: Vec<Target>, values: Vec<(String, ValueId)>, quorum: Quorum) -> Wish {
    let request = Request::Update(Update {
        key: key_name(key),
        patch,
        context: Bytes::new(),
        w: quorum,
        deadline_ms: 0,
        retry: None,
        strict: false,
        ttl_ms: 0,
    });
    Wish { key, request, scope: Some(Scope::Paths(targets)), values, quorum }
}

/// Removes a key, or a path of it.
pub fn remove(key: KeyId, path: &str, quorum: Quorum) -> Wish {
    let scope = match path {
        "" => Scope::Whole,
        path => Scope::Paths(vec![Target { path: path.to_string(), is_removal: true }]),
    };
    let request = Request::Remove(Remove {
        key: key_name(key),
        path: path.to_string(),
        context: Bytes::new(),
        w: quorum,
        deadline_ms: 0,
        retry: None,
        strict: false,
    });
    Wish { key, request, scope: Some(scope), values: Vec::new(), quorum }
}

/// Bytes; every other one of a content type, which names the value too, so that it is noticed if it comes with the bytes of another. It is as long as it would
/// be without one, and costs no dice: what happens to either is the same.
fn bytes(value: ValueId, text: String) -> Body {
    let (content_type, bare) = (format!("text/{value}"), value.to_string().len());
    match text.len().checked_sub(1 + content_type.len()) {
        Some(rest) if rest >= bare && value.0.is_multiple_of(2) => {
            Body::Typed(Typed::new(&content_type, &text.as_bytes()[..rest]).expect("a content type"))
        }
        _ => Body::Bytes(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{typed_values, values_in};

    #[test]
    fn what_a_wish_says_it_writes_is_what_its_request_holds() {
        let mut workload = Workload::new(Dice::of(1, 1), 6);
        let mut typed = 0;
        for _ in 0..500 {
            let wish = workload.wish();
            let text = match &wish.request {
                Request::Put(put) => match &put.body {
                    Body::Bytes(bytes) | Body::Json(bytes) => bytes.clone(),
                    Body::Typed(it) => {
                        typed += 1;
                        assert_eq!(typed_values(it).len(), 1, "its type names its value");
                        it.bytes()
                    }
                },
                Request::Update(update) => match &update.patch {
                    PatchBody::Set { json, .. } | PatchBody::Merge { json } => json.clone(),
                    other => panic!("this workload does not count: {other:?}"),
                },
                _ => Bytes::new(),
            };
            assert_eq!(values_in(&text), wish.values.iter().map(|(_, value)| *value).collect());
        }
        assert!(typed > 10, "only {typed} have a content type");
    }
}
