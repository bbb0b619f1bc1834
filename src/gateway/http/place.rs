//! Keys and paths of documents in a URL. Keys are bytes, so the path is taken as it was sent, and not as text.

use super::problem::{Kind, Problem};
use crate::limits::KEY_BYTES_MAX;
use crate::vclock::Path;
use bytes::Bytes;

/// A key, and a path in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) key: Bytes,
    /// Empty for the whole key.
    pub(super) path: Path,
}

/// The key that stands behind this beginning of a URL's path: all of it, slashes included.
pub(super) fn key_behind(beginning: &str, url_path: &str) -> Result<Bytes, Problem> {
    key(url_path.strip_prefix(beginning).unwrap_or_default())
}

/// The key and the path of `/doc/KEY/NAME/NAME`.
pub(super) fn document_place(url_path: &str) -> Result<Place, Problem> {
    let mut segments = url_path.strip_prefix("/doc/").unwrap_or_default().split('/');
    let key = key(segments.next().unwrap_or_default())?;
    let names = segments.map(name).collect::<Result<Vec<String>, Problem>>()?;
    let path = Path::from_segments(names).map_err(|error| Problem::new(Kind::BadPath, error.to_string()))?;
    Ok(Place { key, path })
}

fn key(text: &str) -> Result<Bytes, Problem> {
    let key = percent_decoded(text).map_err(|detail| Problem::new(Kind::BadKey, detail))?;
    check_key(&key).map_err(|detail| Problem::new(Kind::BadKey, detail))?;
    Ok(key.into())
}

/// What is wrong with the length of a key, if something is.
pub(super) fn check_key(key: &[u8]) -> Result<(), String> {
    match key.len() {
        0 => Err("the key is empty".to_string()),
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(format!("the key has {bytes} bytes, and at most {KEY_BYTES_MAX} are allowed")),
    }
}

fn name(text: &str) -> Result<String, Problem> {
    if text.is_empty() {
        let problem = Problem::new(Kind::BadPath, "a name of the path is empty");
        return Err(problem.next(
            "leave out the slash that is too many; a member whose name is really empty is reached through the object that it stands in",
        ));
    }
    let name = percent_decoded(text).map_err(|detail| Problem::new(Kind::BadPath, detail))?;
    String::from_utf8(name).map_err(|_| Problem::new(Kind::BadPath, format!("the name {text:?} is not UTF-8")))
}

/// What a part of a URL stands for. The error says which code is none.
pub(super) fn percent_decoded(text: &str) -> Result<Vec<u8>, String> {
    for (at, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            let shown: String = text[at..].chars().take(3).collect();
            return Err(format!("{shown:?} is no percent code: write a percent sign itself as %25"));
        }
    }
    Ok(percent_encoding::percent_decode_str(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_everything_behind_its_beginning_byte_for_byte() {
        for (url, wanted) in [
            ("/kv/a", &b"a"[..]),
            ("/kv/a/b//c/", b"a/b//c/"),
            ("/kv//", b"/"),
            ("/kv/..", b".."),
            ("/kv/%2F%00%ff%FF", b"/\0\xff\xff"),
            ("/kv/a+b", b"a+b"),
            ("/kv/%25", b"%"),
        ] {
            assert_eq!(key_behind("/kv/", url).unwrap(), wanted, "{url}");
        }
        let longest = "x".repeat(KEY_BYTES_MAX);
        assert!(key_behind("/kv/", &format!("/kv/{longest}")).is_ok());
        for wrong in ["/kv/", "/kv/%", "/kv/%4", "/kv/%zz", "/kv/a%4", "/kv/%+1", "/kv/%é", &format!("/kv/{longest}x")] {
            assert!(key_behind("/kv/", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_further_segment_of_a_document_is_one_name() {
        let place = |url: &str| document_place(url).map(|place| (place.key, place.path.to_text())).ok();
        let is = |key: &'static str, path: &str| Some((Bytes::from(key), path.to_string()));
        assert_eq!(place("/doc/ada"), is("ada", ""));
        assert_eq!(place("/doc/a%2Fb/c.d/e%2Ff"), is("a/b", r"c\.d.e/f"));
        assert_eq!(place("/doc/ada/%5Ce"), is("ada", r"\\e"));
        for wrong in ["/doc/", "/doc//a", "/doc/a/", "/doc/a//b", "/doc/a/%ff", "/doc/a/%", &format!("/doc/a{}", "/b".repeat(65))] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
