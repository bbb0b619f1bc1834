//! Contexts as clients hold them: sealed, so that nobody but a peer of the cluster can have made them, and only for this key.
//!
//! ```text
//! version: 1 = 1 | number of the cluster's key: 1 | context | live dots | MAC: 16
//! ```
//! Both sets are written as `seen_codec` says. The MAC is SipHash-2-4-128 over version, number, the length of the key (4 bytes,
//! little-endian), the key, and the two sets. A client that could make up a context could cover, and so delete, what it never saw, and
//! could make a partition believe in dots that nobody has issued.

use super::{PackError, Seen, decode_seen, encode_seen};
use crate::limits::CONTEXT_BYTES_MAX;
use bytes::Bytes;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::fmt;
use std::hash::Hasher;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 2;
const MAC_BYTES: usize = 16;

/// The context of an answer.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sealed {
    /// The live dots that the answer showed: what a session has seen, and what a patch may replace.
    pub live: Seen,
    /// Everything that the answer covers, completed from the partition clock.
    pub context: Seen,
}

/// A key of the cluster for sealing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SealKey {
    /// Its number; the next key has the next one.
    pub number: u8,
    /// The secret.
    pub secret: [u8; 16],
}

/// The keys that a peer accepts: the newest, with which it seals, and the one before, so that a change of keys breaks no client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealKeys {
    /// The newest.
    pub newest: SealKey,
    /// The one before, if there is one.
    pub previous: Option<SealKey>,
}

/// Why bytes are not a context that may be used. Nothing was done; the client has to read the key again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// They are cut off or damaged, or were never a context.
    #[error("the context is damaged or cut off; read the key again and use the context of that answer")]
    Damaged,
    /// They were sealed with a key that the cluster does not accept any more, or another cluster's.
    #[error(
        "the context was sealed with key {number}, which this cluster does not accept; read the key again and use the context of that answer"
    )]
    UnknownKey {
        /// The number of the key.
        number: u8,
    },
    /// The seal does not fit: it was made for another key of the store, by another cluster, or forged.
    #[error("the context was not sealed for this key by this cluster; read the key again and use the context of that answer")]
    BadSeal,
    /// It is larger than any context that is handed out.
    #[error("the context is larger than {CONTEXT_BYTES_MAX} bytes; read the key again and use the context of that answer")]
    TooLarge,
}

impl Sealed {
    /// The context as a client gets it, for a key of the store. Never empty: empty bytes are no context.
    pub fn seal(&self, keys: &SealKeys, key: &[u8]) -> Bytes {
        let mut out = vec![VERSION, keys.newest.number];
        encode_seen(&self.context, &mut out);
        encode_seen(&self.live, &mut out);
        let mac = mac(&out, key, &keys.newest.secret);
        out.extend(mac);
        out.into()
    }

    /// Opens a context that a client hands in with a key of the store.
    pub fn open(sealed: &[u8], keys: &SealKeys, key: &[u8]) -> Result<Sealed, SealError> {
        if sealed.len() > CONTEXT_BYTES_MAX {
            return Err(SealError::TooLarge);
        }
        let (signed, mac_bytes) = sealed.split_last_chunk::<MAC_BYTES>().ok_or(SealError::Damaged)?;
        let (&[version, number], mut body) = signed.split_first_chunk::<HEAD_BYTES>().ok_or(SealError::Damaged)?;
        if version != VERSION {
            return Err(SealError::Damaged);
        }
        let accepted = [Some(keys.newest), keys.previous].into_iter().flatten().find(|key| key.number == number);
        let secret = accepted.ok_or(SealError::UnknownKey { number })?.secret;
        let fits = is_same(&mac(signed, key, &secret), mac_bytes);
        // A context with a wrong seal is taken apart all the same, to tell what was cut off from what was made for something else.
        let parts = decode_both(&mut body);
        match (parts, fits) {
            (Ok(sealed), true) => Ok(sealed),
            (Ok(_), false) => Err(SealError::BadSeal),
            (Err(_), _) => Err(SealError::Damaged),
        }
    }

    /// A sealed context as text for people and command lines: base64 for URLs (RFC 4648, section 5) without padding.
    pub fn to_text(sealed: &[u8]) -> String {
        let mut text = String::with_capacity(sealed.len().div_ceil(3) * 4);
        for group in sealed.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
            (0..=group.len()).for_each(|digit| text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63])));
        }
        text
    }

    /// The sealed context of a text. It has not been opened: the seal is not looked at.
    pub fn from_text(text: &str) -> Result<Bytes, SealError> {
        let mut sealed = Vec::with_capacity(text.len() / 4 * 3 + 2);
        for group in text.trim().as_bytes().chunks(4) {
            let mut bits = 0u32;
            for digit in group {
                let value = DIGITS.iter().position(|known| known == digit).ok_or(SealError::Damaged)?;
                bits = bits << 6 | value as u32;
            }
            bits <<= 6 * (4 - group.len());
            let (bytes, unused) = bits.to_be_bytes()[1..]
                .split_at_checked(group.len() - 1)
                .map(|(a, b)| (a.to_vec(), b.to_vec()))
                .ok_or(SealError::Damaged)?;
            if bytes.is_empty() || unused.iter().any(|byte| *byte != 0) {
                return Err(SealError::Damaged);
            }
            sealed.extend(bytes);
        }
        Ok(sealed.into())
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey {{ number: {}, secret: … }}", self.number)
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn decode_both(body: &mut &[u8]) -> Result<Sealed, PackError> {
    let (context, live) = (decode_seen(body)?, decode_seen(body)?);
    if body.is_empty() { Ok(Sealed { live, context }) } else { Err(PackError::Trailing) }
}

fn mac(signed: &[u8], key: &[u8], secret: &[u8; 16]) -> [u8; MAC_BYTES] {
    let mut hasher = SipHasher24::new_with_key(secret);
    let (head, body) = signed.split_at(HEAD_BYTES);
    hasher.write(head);
    hasher.write(&(key.len() as u32).to_le_bytes());
    hasher.write(key);
    hasher.write(body);
    hasher.finish128().as_bytes()
}

/// Compares without stopping at the first difference: how long it takes says nothing of where that is.
fn is_same(a: &[u8; MAC_BYTES], b: &[u8; MAC_BYTES]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::sampling::{check, mangled, seen};
    use crate::vclock::{Actor, Dot};
    use proptest::prelude::*;

    const KEYS: SealKeys =
        SealKeys { newest: SealKey { number: 7, secret: [7; 16] }, previous: Some(SealKey { number: 6, secret: [6; 16] }) };

    fn sealed() -> impl Strategy<Value = Sealed> {
        (seen(), seen()).prop_map(|(live, context)| Sealed { live, context })
    }

    #[test]
    fn a_context_opens_for_its_key_and_for_no_other_and_with_the_two_newest_keys_alone() {
        check("contexts", 2_000, (sealed(), any::<Vec<u8>>()), |(sealed, key)| {
            let bytes = sealed.seal(&KEYS, &key);
            prop_assert_eq!(Sealed::open(&bytes, &KEYS, &key), Ok(sealed.clone()));
            let next = SealKeys { newest: SealKey { number: 8, secret: [8; 16] }, previous: Some(KEYS.newest) };
            prop_assert_eq!(Sealed::open(&bytes, &next, &key), Ok(sealed.clone()));
            let after = SealKeys { newest: SealKey { number: 9, secret: [9; 16] }, previous: Some(next.newest) };
            prop_assert_eq!(Sealed::open(&bytes, &after, &key), Err(SealError::UnknownKey { number: 7 }));
            let stranger = SealKeys { newest: SealKey { number: 7, secret: [1; 16] }, previous: None };
            prop_assert_eq!(Sealed::open(&bytes, &stranger, &key), Err(SealError::BadSeal));
            prop_assert_eq!(Sealed::open(&bytes, &KEYS, &[&key[..], b"x"].concat()), Err(SealError::BadSeal));
            if let Some((last, rest)) = key.split_last() {
                prop_assert_eq!(Sealed::open(&bytes, &KEYS, &[rest, &[last ^ 1]].concat()), Err(SealError::BadSeal));
            }
            prop_assert_eq!(Sealed::from_text(&Sealed::to_text(&bytes)), Ok(bytes));
            Ok(())
        });
    }

    #[test]
    fn a_context_that_was_touched_anywhere_is_refused() {
        let valid = sealed().prop_map(|sealed| sealed.seal(&KEYS, b"key"));
        check("mangled contexts", 10_000, (mangled(valid), sealed()), |(bytes, other)| {
            if let Ok(opened) = Sealed::open(&bytes, &KEYS, b"key") {
                // Two harms may have undone each other.
                prop_assert_eq!(opened.seal(&KEYS, b"key"), bytes);
            }
            let whole = other.seal(&KEYS, b"key");
            // The seal of one context on another one.
            let more = Sealed { live: Seen::new(), context: [Dot { actor: Actor(1), counter: 1 }].into_iter().collect() };
            let foreign = more.seal(&KEYS, b"key");
            let swapped = [&foreign[..foreign.len() - MAC_BYTES], &whole[whole.len() - MAC_BYTES..]].concat();
            prop_assert_eq!(Sealed::open(&swapped, &KEYS, b"key"), if other == more { Ok(more) } else { Err(SealError::BadSeal) });
            for end in 0..whole.len() {
                prop_assert!(Sealed::open(&whole[..end], &KEYS, b"key").is_err());
            }
            Ok(())
        });
        let whole = Sealed::default().seal(&KEYS, b"key");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Sealed::open(&bytes, &KEYS, b"key").is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_errors_tell_damage_foreign_keys_and_forged_seals_apart() {
        let whole = Sealed::default().seal(&KEYS, b"key");
        assert_eq!(whole.len(), 20);
        assert_eq!(Sealed::open(b"", &KEYS, b"key"), Err(SealError::Damaged));
        assert_eq!(Sealed::open(&whole[..19], &KEYS, b"key"), Err(SealError::Damaged));
        let mut forged = whole.to_vec();
        forged[19] ^= 1;
        assert_eq!(Sealed::open(&forged, &KEYS, b"key"), Err(SealError::BadSeal));
        forged[1] = 5;
        assert_eq!(Sealed::open(&forged, &KEYS, b"key"), Err(SealError::UnknownKey { number: 5 }));
        assert_eq!(Sealed::open(&vec![0; CONTEXT_BYTES_MAX + 1], &KEYS, b"key"), Err(SealError::TooLarge));
        assert!(SealError::BadSeal.to_string().contains("read the key again"));
        assert!(!format!("{KEYS:?}").contains("7, 7"));
    }

    #[test]
    fn the_text_of_a_context_is_base64_for_urls() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"foob", "Zm9vYg"), (b"\xfb\xff", "-_8")]
        {
            assert_eq!(Sealed::to_text(bytes), text);
            assert_eq!(Sealed::from_text(text).unwrap(), bytes);
        }
        for bad in ["Z", "Zh", "Zm9", "Zg==", "Z g", "Zm9vY"] {
            assert_eq!(Sealed::from_text(bad), Err(SealError::Damaged), "{bad}");
        }
    }
}
