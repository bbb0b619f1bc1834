//! Prefixes in half bytes: the steps of a walk down 16-way, whatever the nodes of either trie look like.

use std::fmt;

/// A sequence of half bytes, the high half of each byte first: a prefix of keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Nibbles {
    /// Whole bytes.
    bytes: Vec<u8>,
    /// The high half of one more byte.
    half: Option<u8>,
}

impl Nibbles {
    /// Whole bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Nibbles {
        Nibbles { bytes: bytes.to_vec(), half: None }
    }

    /// The half bytes of `bytes`, the last one's low half left out if `odd`. None if that is impossible, or not in its only form
    /// (the half left out is 0): as it comes from another peer.
    #[must_use]
    pub fn from_parts(bytes: &[u8], odd: bool) -> Option<Nibbles> {
        if !odd {
            return Some(Nibbles::new(bytes));
        }
        let (last, whole) = bytes.split_last()?;
        (last & 15 == 0).then(|| Nibbles { bytes: whole.to_vec(), half: Some(last >> 4) })
    }

    /// The bytes, the last one's low half 0 if it is left out, and whether it is: as it goes to another peer.
    #[must_use]
    pub fn to_parts(&self) -> (Vec<u8>, bool) {
        let mut bytes = self.bytes.clone();
        bytes.extend(self.half.map(|half| half << 4));
        (bytes, self.half.is_some())
    }

    /// Adds a half byte. Requires: it is below 16.
    pub fn push(&mut self, nibble: u8) {
        assert!(nibble < 16, "a half byte is below 16, not {nibble}");
        match self.half.take() {
            Some(high) => self.bytes.push(high << 4 | nibble),
            None => self.half = Some(nibble),
        }
    }

    /// This one and a half byte more. Requires: it is below 16.
    #[must_use]
    pub fn with(&self, nibble: u8) -> Nibbles {
        let mut longer = self.clone();
        longer.push(nibble);
        longer
    }

    /// Number of half bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        2 * self.bytes.len() + usize::from(self.half.is_some())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the key begins with it.
    #[must_use]
    pub fn begins(&self, key: &[u8]) -> bool {
        match key.strip_prefix(&self.bytes[..]) {
            Some(rest) => self.half.is_none_or(|half| rest.first().is_some_and(|byte| byte >> 4 == half)),
            None => false,
        }
    }

    /// The whole bytes, and the high half of one more.
    pub(super) fn parts(&self) -> (&[u8], Option<u8>) {
        (&self.bytes, self.half)
    }

    /// What two keys have in common at their beginnings.
    pub(super) fn common(a: &[u8], b: &[u8]) -> Nibbles {
        let whole = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let half = match (a.get(whole), b.get(whole)) {
            (Some(a), Some(b)) if a >> 4 == b >> 4 => Some(a >> 4),
            _ => None,
        };
        Nibbles { bytes: a[..whole].to_vec(), half }
    }
}

impl fmt::Debug for Nibbles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        self.half.iter().try_for_each(|half| write!(f, "{half:x}"))
    }
}
