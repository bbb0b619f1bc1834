//! What a client asks of a peer.

use super::why::Why;
use crate::ring::{Change, MemberId};
use crate::vclock::{Start, Typed, TypedError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A client's request, as any peer takes it.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// Writes a whole value: bytes, or a document.
    Put(Put),
    /// Removes a key, or what lies at and below a path of it.
    Remove(Remove),
    /// Changes some paths of a document.
    Update(Update),
    /// Reads a key, or what lies at and below a path of it.
    Get(Get),
    /// Lists keys in order.
    List(List),
    /// Asks for the membership and the owners of every partition.
    Ring,
    /// Asks this peer how it is.
    Status,
    /// Asks this peer who it is, for `form`.
    Describe,
    /// Hands change 0 of the membership list to a founder.
    Form(Form),
    /// Asks why a read of a key says what it says.
    Why(Why),
    /// Sets when what a key holds expires.
    Expire(Expire),
}

/// How many replicas must answer: R of a read, W of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Quorum {
    /// The cluster's default: a majority of N.
    #[default]
    Default,
    /// This many, 1 to N.
    Exactly(u8),
    /// All N.
    All,
}

impl From<u8> for Quorum {
    fn from(wire: u8) -> Quorum {
        match wire {
            0 => Quorum::Default,
            255 => Quorum::All,
            n => Quorum::Exactly(n),
        }
    }
}

impl From<Quorum> for u8 {
    fn from(quorum: Quorum) -> u8 {
        match quorum {
            Quorum::Default => 0,
            Quorum::Exactly(n) => n,
            Quorum::All => 255,
        }
    }
}

/// Lets a coordinator recognise a retry of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retry {
    /// Drawn at random by the client when it starts.
    pub session: u64,
    /// Counts the writes of the session.
    pub number: u64,
    /// On a retry: the coordinator that took the first try, and its start then.
    pub first: Option<Attempt>,
}

/// Where a first try went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// The coordinator.
    pub member: MemberId,
    /// Its start at that time.
    pub start: Start,
}

/// A value as it travels: bytes, opaque or of a content type, or JSON text, which becomes a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Opaque bytes.
    Bytes(Bytes),
    /// JSON text in UTF-8.
    Json(Bytes),
    /// Bytes of a content type.
    Typed(Typed),
}

impl Body {
    /// What somebody gives who says what type it is of: `application/json`, whatever its parameters, is a document; `application/octet-stream`, which
    /// says nothing, and an empty text are opaque bytes; anything else is kept as it is said.
    ///
    /// # Errors
    /// It is no content type.
    pub fn of_type(content_type: &str, bytes: Bytes) -> Result<Body, TypedError> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match content_type.trim() {
            "" => Ok(Body::Bytes(bytes)),
            opaque if opaque.eq_ignore_ascii_case("application/octet-stream") => Ok(Body::Bytes(bytes)),
            _ if essence.eq_ignore_ascii_case("application/json") => Ok(Body::Json(bytes)),
            typed => Ok(Body::Typed(Typed::new(typed, &bytes)?)),
        }
    }
}

/// Writes a whole value.
#[derive(Clone, PartialEq, Debug)]
pub struct Put {
    /// The key: 1 to `limits::KEY_BYTES_MAX` bytes.
    pub key: Bytes,
    /// The value.
    pub body: Body,
    /// A sealed context from an earlier answer: covers what that answer showed. Empty: covers what the replicas hold.
    pub context: Bytes,
    /// W.
    pub w: Quorum,
    /// Milliseconds until the caller gives up; 0 for the default.
    pub deadline_ms: u32,
    /// Recognises retries; without it a retry is a new write.
    pub retry: Option<Retry>,
    /// True: only owners count for W, and nobody stands in for one that is down.
    pub strict: bool,
    /// How long the value lives, in milliseconds, by the coordinator's clock; 0: for ever.
    pub ttl_ms: u64,
}

/// Removes a key, or what lies at and below a path of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Remove {
    /// The key.
    pub key: Bytes,
    /// The path in the client's syntax (`a.b`, with `\.` for a dot in a name); empty for the whole key.
    pub path: String,
    /// A sealed context; empty for none.
    pub context: Bytes,
    /// W.
    pub w: Quorum,
    /// Milliseconds until the caller gives up; 0 for the default.
    pub deadline_ms: u32,
    /// Recognises retries.
    pub retry: Option<Retry>,
    /// True: only owners count for W, and nobody stands in for one that is down.
    pub strict: bool,
}

/// Changes some paths of a document.
#[derive(Clone, PartialEq, Debug)]
pub struct Update {
    /// The key.
    pub key: Bytes,
    /// The changes.
    pub patch: PatchBody,
    /// A sealed context; empty for none.
    pub context: Bytes,
    /// W.
    pub w: Quorum,
    /// Milliseconds until the caller gives up; 0 for the default.
    pub deadline_ms: u32,
    /// Recognises retries.
    pub retry: Option<Retry>,
    /// True: only owners count for W, and nobody stands in for one that is down.
    pub strict: bool,
    /// How long what is set lives, in milliseconds, by the coordinator's clock; 0: for ever.
    pub ttl_ms: u64,
}

/// The changes of an update.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PatchBody {
    /// Puts a JSON value at a path (in the client's syntax), over whatever lies there.
    Set {
        /// The path; not empty.
        path: String,
        /// The JSON text.
        json: Bytes,
    },
    /// An RFC 7396 merge patch for the whole document, as JSON text.
    Merge {
        /// The JSON text.
        json: Bytes,
    },
    /// Adds to the counter at a path. It replaces nothing, whatever lies there, and no other increment; a context is only carried on.
    Increment {
        /// The path; empty for a counter that is all of its key.
        path: String,
        /// How much; may be negative.
        amount: i64,
    },
    /// Puts members into the set at a path and takes members out of it, each for itself. Who is in both lists is put in.
    Elements {
        /// The path; empty for a set that is all of its key.
        path: String,
        /// Any bytes, as long as a path may be long.
        add: Vec<Bytes>,
        /// Any bytes.
        remove: Vec<Bytes>,
    },
}

/// Sets when what a key holds expires, or that it never does. Values and their times stay.
///
/// The coordinator first reads a majority of the owners, and whatever its context has seen. The answer is a receipt, or `Missing` if the key
/// holds nothing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Expire {
    /// The key.
    pub key: Bytes,
    /// When it expires, in milliseconds since 1970; 0: never. A time that is over hides it at once.
    pub expiry_ms: u64,
    /// A sealed context, which must have been seen; empty for none.
    pub context: Bytes,
    /// W.
    pub w: Quorum,
    /// Milliseconds until the caller gives up; 0 for the default.
    pub deadline_ms: u32,
    /// Recognises retries.
    pub retry: Option<Retry>,
    /// True: only owners count for W, and nobody stands in for one that is down.
    pub strict: bool,
}

impl Update {
    /// Adds to a counter; everything else is as usual.
    pub fn increment(key: Bytes, path: &str, amount: i64) -> Update {
        Update::of(key, PatchBody::Increment { path: path.to_string(), amount })
    }

    /// Puts members into a set and takes members out of it; everything else is as usual.
    pub fn elements(key: Bytes, path: &str, add: Vec<Bytes>, remove: Vec<Bytes>) -> Update {
        Update::of(key, PatchBody::Elements { path: path.to_string(), add, remove })
    }

    /// Changes a key; everything else is as usual: no context, the default W and deadline, stand-ins allowed, no expiry.
    pub fn of(key: Bytes, patch: PatchBody) -> Update {
        let (context, w) = (Bytes::new(), Quorum::Default);
        Update { key, patch, context, w, deadline_ms: 0, retry: None, strict: false, ttl_ms: 0 }
    }
}

impl Expire {
    /// Sets when a key expires (milliseconds since 1970; 0: never); everything else is as usual.
    pub fn of(key: Bytes, expiry_ms: u64) -> Expire {
        let (context, w) = (Bytes::new(), Quorum::Default);
        Expire { key, expiry_ms, context, w, deadline_ms: 0, retry: None, strict: false }
    }
}

/// Reads a key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Get {
    /// The key.
    pub key: Bytes,
    /// The path in the client's syntax; empty for the whole key.
    pub path: String,
    /// R.
    pub r: Quorum,
    /// A sealed context whose live dots the answer must have seen (a session); empty for none.
    pub session: Bytes,
    /// True: conflicts are resolved by last-writer-wins in the answer, and counted.
    pub last_writer_wins: bool,
    /// Milliseconds until the caller gives up; 0 for the default.
    pub deadline_ms: u32,
}

/// Lists keys that start with a prefix, in order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct List {
    /// The prefix; empty for all keys.
    pub prefix: Bytes,
    /// Only keys after this one; empty for the beginning.
    pub after: Bytes,
    /// At most this many keys: 1 to `limits::SCAN_PAGE_KEYS_MAX`.
    pub limit: u32,
    /// R.
    pub r: Quorum,
    /// Milliseconds until the caller gives up; 0 for the default.
    pub deadline_ms: u32,
}

/// Hands change 0 of the membership list to a founder.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Form {
    /// The change.
    pub change: Change,
}
