//! Which part of a run is told: all of it, all but the routine, or what concerns one key.

use crate::history::{History, KeyId, Outcome, Write};
use crate::world::key_name;
use bytes::Bytes;
use henge::message::{Comparing, Message, Request};
use henge::peer::Origin;
use std::collections::BTreeSet;

/// What an event is about.
pub enum About<'a> {
    /// Faults, starts, links: always told.
    Everything,
    /// Timers and disks: told only if all is.
    Routine,
    /// A message between peers.
    Message(&'a Message),
    /// A client's request.
    Request(Origin, &'a Request),
    /// The answer to it.
    Answer(Origin),
}

/// What is told.
#[derive(Clone, Default, Debug)]
pub enum Telling {
    /// Nothing.
    #[default]
    Nothing,
    /// All events, timers and disks too.
    All,
    /// All but timers, disks and gossip.
    Conversation,
    /// What concerns one key, and what goes wrong.
    OfKey(OfKey),
}

/// What is said of one key: what names it, and the answers to that.
#[derive(Clone, Debug)]
pub struct OfKey {
    name: Bytes,
    operations: BTreeSet<u64>,
    requests: BTreeSet<Origin>,
}

impl Telling {
    /// What concerns this key.
    pub fn of_key(key: KeyId) -> Telling {
        Telling::OfKey(OfKey { name: key_name(key), operations: BTreeSet::new(), requests: BTreeSet::new() })
    }

    /// True if something is told at all.
    pub fn tells(&self) -> bool {
        !matches!(self, Telling::Nothing)
    }

    /// True if this is told.
    pub fn wants(&mut self, about: &About<'_>) -> bool {
        match (self, about) {
            (Telling::Nothing, _) => false,
            (Telling::All, _) | (_, About::Everything) => true,
            (_, About::Routine) => false,
            (Telling::Conversation, About::Message(message)) => !matches!(message, Message::Gossip(_)),
            (Telling::Conversation, _) => true,
            (Telling::OfKey(of), About::Message(message)) => of.concerns(message),
            (Telling::OfKey(of), About::Request(origin, request)) => {
                of.names(request) && (of.requests.insert(*origin) || of.requests.contains(origin))
            }
            (Telling::OfKey(of), About::Answer(origin)) => of.requests.contains(origin),
        }
    }
}

impl OfKey {
    fn names(&self, request: &Request) -> bool {
        let key = match request {
            Request::Put(put) => &put.key,
            Request::Update(update) => &update.key,
            Request::Remove(remove) => &remove.key,
            Request::Get(get) => &get.key,
            _ => return false,
        };
        *key == self.name
    }

    /// True if a message names the key, or answers one that did.
    fn concerns(&mut self, message: &Message) -> bool {
        let (names, operation) = match message {
            Message::Apply(apply) => (apply.key == self.name, apply.operation.0),
            Message::Fetch(fetch) => (fetch.key == self.name, fetch.operation.0),
            Message::Forward(forward) => (self.names(&forward.request), forward.operation.0),
            Message::Comparing(comparing) => match &**comparing {
                Comparing::FetchEntries(fetch) => (fetch.keys.contains(&self.name), fetch.pull.0),
                Comparing::Entries(entries) => return self.operations.contains(&entries.pull.0),
                _ => return false,
            },
            Message::Applied(applied) => return self.operations.contains(&applied.operation.0),
            Message::Fetched(fetched) => return self.operations.contains(&fetched.operation.0),
            Message::Forwarded(forwarded) => return self.operations.contains(&forwarded.operation.0),
            _ => return false,
        };
        if names {
            self.operations.insert(operation);
        }
        names
    }
}

/// The writes of a key in the order in which they were asked for, as the oracles know them: what each had seen, and what became of it.
pub fn writes_of(history: &History, key: KeyId) -> Vec<String> {
    history.of_key(key).map(told).collect()
}

fn told(write: &Write) -> String {
    let values: Vec<String> = write
        .values
        .iter()
        .map(|(path, value)| if path.is_empty() { value.to_string() } else { format!("{path}={value}") })
        .collect();
    let what = if values.is_empty() { "a removal".to_string() } else { values.join(" ") };
    let context = write.context.as_ref().map_or("without a context".to_string(), |seen| format!("having seen {seen:?}"));
    let outcome = match write.outcome {
        Outcome::Acked { at, w } => format!("acknowledged at {:.3} ms by {w}, covering {:?}", at as f64 / 1_000.0, write.covered),
        Outcome::Unknown => "unknown".to_string(),
        Outcome::Refused => "refused".to_string(),
    };
    let lifetime = if write.expiry.ttl_ms > 0 { format!(" for {} ms", write.expiry.ttl_ms) } else { String::new() };
    format!("{:>12.3} ms  client {}: {what}{lifetime}, {context}: {outcome}", write.invoked as f64 / 1_000.0, write.client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use henge::message::{Applied, Fetch, FetchMode, Get, OperationId, Quorum, SyncMode};

    fn fetch(operation: u64, key: u16) -> Message {
        Message::Fetch(Fetch { operation: OperationId(operation), key: key_name(KeyId(key)), mode: FetchMode::Full })
    }

    fn applied(operation: u64) -> Message {
        let operation = OperationId(operation);
        Message::Applied(Applied { operation, sync: SyncMode::Always, uncovered: Vec::new(), refused: None, complete: true })
    }

    #[test]
    fn of_a_key_is_told_what_names_it_and_what_answers_that() {
        let mut telling = Telling::of_key(KeyId(3));
        assert!(!telling.wants(&About::Message(&applied(1))));
        assert!(telling.wants(&About::Message(&fetch(1, 3))) && telling.wants(&About::Message(&applied(1))));
        assert!(!telling.wants(&About::Message(&fetch(2, 4))) && !telling.wants(&About::Message(&applied(2))));
        let get = |key| {
            let (key, r) = (key_name(KeyId(key)), Quorum::Default);
            Request::Get(Get { key, path: String::new(), r, session: Bytes::new(), last_writer_wins: false, deadline_ms: 0 })
        };
        let origin = |client| Origin { client, request: 1 };
        assert!(telling.wants(&About::Request(origin(1), &get(3))) && telling.wants(&About::Answer(origin(1))));
        assert!(!telling.wants(&About::Request(origin(2), &get(30))) && !telling.wants(&About::Answer(origin(2))));
        assert!(telling.wants(&About::Everything) && !telling.wants(&About::Routine));
    }
}
