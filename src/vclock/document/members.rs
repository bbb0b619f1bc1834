//! The members of a set in an answer.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Members of a set, in the order of their names, each once. Packed as they travel: of each its length (4 bytes, big-endian) and its bytes.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Members(Bytes);

impl Members {
    /// These members.
    pub fn of<M: AsRef<[u8]>>(members: impl IntoIterator<Item = M>) -> Members {
        let mut packed = Vec::new();
        for member in members {
            let member = member.as_ref();
            packed.extend(u32::try_from(member.len()).expect("a member is as long as a path at most").to_be_bytes());
            packed.extend(member);
        }
        Members(packed.into())
    }

    /// Takes the packed form as it came from somebody else; none if it is broken.
    pub fn from_packed(packed: Bytes) -> Option<Members> {
        let mut rest = &packed[..];
        while !rest.is_empty() {
            rest = split(rest)?.1;
        }
        Some(Members(packed))
    }

    /// The packed form.
    pub fn as_packed(&self) -> &Bytes {
        &self.0
    }

    /// The members, as slices of the packed form.
    pub fn iter(&self) -> impl Iterator<Item = Bytes> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (member, behind) = split(rest)?;
            rest = behind;
            Some(self.0.slice_ref(member))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The first member of a packed form, and what stands behind it.
fn split(packed: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = packed.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::sampling::check;
    use proptest::prelude::*;

    #[test]
    fn members_come_back_from_their_packed_form_and_broken_forms_are_refused() {
        check("members of a set", 1_000, any::<Vec<Vec<u8>>>(), |members| {
            let packed = Members::of(&members).as_packed().clone();
            let again = Members::from_packed(packed.clone()).expect("what was packed here");
            prop_assert_eq!(again.len(), members.len());
            prop_assert_eq!(again.is_empty(), members.is_empty());
            prop_assert!(again.iter().eq(members.iter().map(|member| Bytes::copy_from_slice(member))));
            for end in (0..packed.len()).filter(|end| Members::from_packed(packed.slice(..*end)).is_some()) {
                let whole: Vec<usize> = members
                    .iter()
                    .scan(0, |at, member| {
                        *at += 4 + member.len();
                        Some(*at)
                    })
                    .collect();
                prop_assert!(end == 0 || whole.contains(&end));
            }
            Ok(())
        });
        assert_eq!(Members::from_packed(Bytes::from_static(b"\xff\xff\xff\xffx")), None);
    }
}
