//! Members of sets: any bytes, as names in a path, which are UTF-8.
//!
//! A member that is UTF-8 is its own name. Any other is U+10FFFF, a code point that means nothing, and its bytes in hex; and so is one that
//! begins with that code point itself. So each member has exactly one name, and gets its bytes back from it.

use bytes::Bytes;
use std::fmt::Write;

const MARK: char = '\u{10FFFF}';

/// The name under which a member of a set stands in a path, one below that of the set.
pub fn element_name(member: &[u8]) -> String {
    match std::str::from_utf8(member) {
        Ok(text) if !text.starts_with(MARK) => text.to_owned(),
        _ => {
            let mut name = String::with_capacity(MARK.len_utf8() + 2 * member.len());
            name.push(MARK);
            member.iter().for_each(|byte| write!(name, "{byte:02x}").expect("a string takes what is written to it"));
            name
        }
    }
}

/// The member that has this name. (A name that belongs to none stands for its own bytes.)
pub fn element_member(name: &str) -> Bytes {
    let hex = name.strip_prefix(MARK).filter(|hex| hex.len().is_multiple_of(2));
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes = hex.and_then(|hex| hex.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>());
    bytes.map_or_else(|| Bytes::copy_from_slice(name.as_bytes()), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vclock::Path;
    use crate::vclock::sampling::check;
    use proptest::prelude::*;

    #[test]
    fn every_member_has_a_name_of_its_own_and_comes_back_from_it() {
        let odd = [&b""[..], b"a.b", b"\xff\xfe", "\u{10FFFF}".as_bytes(), "\u{10FFFF}ff".as_bytes(), b"\0\x01", b"\xf4\x8f\xbf"];
        for member in odd {
            assert_eq!(element_member(&element_name(member)), member, "{member:?}");
        }
        assert_eq!(element_name("größe".as_bytes()), "größe");
        let bytes = || prop_oneof![any::<Vec<u8>>(), any::<String>().prop_map(String::into_bytes)];
        check("members", 2_000, (bytes(), bytes()), |(a, b)| {
            let path = Path::ROOT.push(&element_name(&a)).expect("it is short");
            let name = path.segments().next().expect("it has a name").into_owned();
            prop_assert_eq!(element_member(&name), &a[..]);
            prop_assert_eq!(Path::parse(&path.to_text()).expect("a path"), path);
            prop_assert_eq!(a == b, element_name(&a) == element_name(&b));
            Ok(())
        });
    }

    #[test]
    fn any_name_stands_for_some_bytes() {
        for name in ["\u{10FFFF}", "\u{10FFFF}f", "\u{10FFFF}zz", "\u{10FFFF}+1", "\u{10FFFF}é"] {
            let _ = element_member(name);
        }
        check("names", 1_000, any::<String>(), |name| {
            let _ = element_member(&format!("{MARK}{name}"));
            Ok(())
        });
    }
}
