//! The run as a conversation that a person can read, and its fingerprint.

use crate::conversation::{About, Telling};
use bytes::Bytes;
use henge::message::{Comparing, Message, Reply, Request};
use henge::vclock::{Entry, unpack};
use std::fmt::{self, Write};
use std::hash::Hasher;
use twox_hash::XxHash3_64;

/// Hashes every event; prints it too if somebody looks on.
pub struct Trace {
    hasher: XxHash3_64,
    events: u64,
    telling: Telling,
}

impl Trace {
    /// A silent trace, or one that prints.
    pub fn new(prints: bool) -> Trace {
        Trace::telling(if prints { Telling::All } else { Telling::Nothing })
    }

    /// One that prints this.
    pub fn telling(telling: Telling) -> Trace {
        Trace { hasher: XxHash3_64::with_seed(0), events: 0, telling }
    }

    /// True if it prints.
    pub fn tells(&self) -> bool {
        self.telling.tells()
    }

    /// An event at this time (microseconds). `what` is hashed as it stands; `words` are for people alone.
    pub fn event(&mut self, time: u64, what: fmt::Arguments<'_>, words: impl FnOnce() -> String) {
        self.event_about(&About::Everything, time, what, words);
    }

    /// An event about something: it may be that nobody wants to hear of that.
    pub fn event_about(&mut self, about: &About<'_>, time: u64, what: fmt::Arguments<'_>, words: impl FnOnce() -> String) {
        self.events += 1;
        self.hasher.write_u64(time);
        let mut sink = Sink(&mut self.hasher);
        sink.write_fmt(what).expect("a hasher takes everything");
        if self.telling.wants(about) {
            println!("{:>12.3} ms  {}", time as f64 / 1_000.0, words());
        }
    }

    /// An event that carries a frame, whose bytes are hashed too.
    pub fn frame(&mut self, about: &About<'_>, time: u64, what: fmt::Arguments<'_>, frame: &[u8], words: impl FnOnce() -> String) {
        self.hasher.write(frame);
        self.event_about(about, time, what, words);
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The fingerprint of all events so far.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}

struct Sink<'a>(&'a mut XxHash3_64);

impl fmt::Write for Sink<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// A message in few words.
pub fn message(message: &Message) -> String {
    match message {
        Message::Apply(apply) => {
            let naming = apply.naming.as_ref().map_or("", |_| ", name what it leaves");
            format!("take {} {}{naming} #{}", text(&apply.key), packed(&apply.entry), short(apply.operation.0))
        }
        Message::Applied(applied) => match &applied.refused {
            Some(reason) => format!("refused: {reason} #{}", short(applied.operation.0)),
            None if applied.uncovered.is_empty() => format!("taken #{}", short(applied.operation.0)),
            None => format!("taken, leaving {:?} #{}", applied.uncovered, short(applied.operation.0)),
        },
        Message::Fetch(fetch) => format!("what of {}? ({:?}) #{}", text(&fetch.key), fetch.mode, short(fetch.operation.0)),
        Message::Fetched(fetched) => {
            format!("this: {} ({:?}) #{}", packed(&fetched.entry), fetched.mode, short(fetched.operation.0))
        }
        Message::ScanAsk(ask) => format!("which keys from {}? #{}", text(&ask.after), short(ask.operation.0)),
        Message::ScanPage(page) => {
            let keys: Vec<String> = page.items.iter().map(|item| text(&item.key)).collect();
            format!("keys {} #{}", keys.join(" "), short(page.operation.0))
        }
        Message::Forward(forward) => format!("for you: {} #{}", request(&forward.request), short(forward.operation.0)),
        Message::FenceAsk(ask) => {
            format!("promise to hear {} below {} no more #{}", ask.actor, ask.below.0, short(ask.operation.0))
        }
        Message::FencePromise(promise) => {
            format!("promised, of {} below {} #{}", promise.actor, promise.below.0, short(promise.operation.0))
        }
        Message::Comparing(comparing) => compared(comparing),
        Message::ActorAsk(ask) => format!("is {} yours?", ask.actor),
        Message::ActorDenial(denial) => format!("{} is not mine", denial.actor),
        Message::Forwarded(forwarded) => format!("done for you: {} #{}", reply(&forwarded.reply), short(forwarded.operation.0)),
        other => format!("{other:?}").chars().take(160).collect(),
    }
}

/// What is said in a comparison, in few words.
fn compared(comparing: &Comparing) -> String {
    let keys = |keys: &[Bytes]| keys.iter().map(|key| text(key)).collect::<Vec<_>>().join(" ");
    match comparing {
        Comparing::Compare(compare) => format!("what do you hold of partition {}? #{}", compare.partition, short(compare.pull.0)),
        Comparing::Compared(compared) => format!("{} keys, sum {:x} #{}", compared.count, compared.sum, short(compared.pull.0)),
        Comparing::Walk(walk) => {
            format!("what lies below {} prefixes of partition {}? #{}", walk.prefixes.len(), walk.partition, short(walk.pull.0))
        }
        Comparing::Walked(walked) => format!("what lies below {} prefixes #{}", walked.steps.len(), short(walked.pull.0)),
        Comparing::FetchEntries(fetch) => format!("what do you hold of {}? #{}", keys(&fetch.keys), short(fetch.pull.0)),
        Comparing::Entries(entries) => {
            let held = entries.entries.iter().map(|(place, bytes)| format!("{place}: {}", packed(bytes)));
            format!("this of them: {} #{}", held.collect::<Vec<_>>().join(", "), short(entries.pull.0))
        }
        other => format!("{other:?}").chars().take(160).collect(),
    }
}

/// A request in few words.
pub fn request(request: &Request) -> String {
    let context = |context: &[u8]| if context.is_empty() { " without a context" } else { " with a context" };
    match request {
        Request::Put(put) => {
            format!("put {} {}{} w={:?} {:?}", text(&put.key), body(&put.body), context(&put.context), put.w, put.retry)
        }
        Request::Remove(remove) => {
            format!(
                "remove {} `{}`{} w={:?} {:?}",
                text(&remove.key),
                remove.path,
                context(&remove.context),
                remove.w,
                remove.retry
            )
        }
        Request::Update(update) => {
            format!(
                "patch {} {:?}{} w={:?} {:?}",
                text(&update.key),
                update.patch,
                context(&update.context),
                update.w,
                update.retry
            )
        }
        Request::Get(get) => format!("get {} `{}` r={:?}", text(&get.key), get.path, get.r),
        other => format!("{other:?}").chars().take(120).collect(),
    }
}

/// An answer in few words.
pub fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Written(receipt) => {
            let acks: Vec<String> = receipt.acks.iter().map(|ack| format!("{:?}", ack.member)).collect();
            format!("written as {:?} over {:?}, acks of {}", receipt.dots, receipt.covered, acks.join(" "))
        }
        Reply::Found(found) => {
            let conflicts = if found.conflicts.is_empty() { String::new() } else { format!(" conflicts {:?}", found.conflicts) };
            format!("found {:?}{conflicts} as {:?}, {} of {} agreed", found.value, found.dots, found.agreed, found.answered)
        }
        Reply::Missing(missing) => format!("nothing there, say {}", missing.answered),
        Reply::Failed(failure) => format!("{:?}: {}", failure.kind, failure.message),
        other => format!("{other:?}").chars().take(120).collect(),
    }
}

fn body(body: &henge::message::Body) -> String {
    match body {
        henge::message::Body::Bytes(bytes) | henge::message::Body::Json(bytes) => text(bytes),
        henge::message::Body::Typed(typed) => text(&typed.bytes()),
    }
}

fn packed(bytes: &Bytes) -> String {
    match unpack(bytes) {
        Ok(found) => entry(&found),
        Err(_) if bytes.is_empty() => "(unreadable)".to_string(),
        Err(error) => format!("({error})"),
    }
}

/// An entry in few words.
pub fn entry(entry: &Entry) -> String {
    let versions = entry.versions().iter().map(|version| {
        let path = version.path.to_text();
        let at = if path.is_empty() { String::new() } else { format!("{path}=") };
        format!("{at}{}@{}", text(&version.value), version.dot)
    });
    let versions: Vec<String> = versions.collect();
    let context: Vec<String> = entry
        .context()
        .runs()
        .flat_map(|(actor, intervals)| {
            intervals.iter().map(move |run| {
                let (start, first, last) = (run.first >> 32, run.first & 0xffff_ffff, run.last & 0xffff_ffff);
                if run.last >> 32 == start {
                    format!("{actor}:{start}.{first}-{last}")
                } else {
                    format!("{actor}:{start}.{first}-…")
                }
            })
        })
        .collect();
    format!("{{{}}} seen [{}]", versions.join(" "), context.join(" "))
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let trimmed = text.trim_end();
    match trimmed.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &trimmed[..at]),
        None => trimmed.to_string(),
    }
}

fn short(operation: u64) -> u64 {
    operation & 0xffff_ffff
}
