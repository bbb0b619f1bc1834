//! What goes in comes out, and what is no JSON does not go in.

use super::*;

#[test]
fn what_goes_in_comes_out_and_so_does_every_part_of_it() {
    let (leaves_seen, largest) = (Cell::new(0), Cell::new(0));
    check("documents", 3_000, (doc(), path()), |(doc, at)| {
        for text in [doc.text(), doc.sloppy_text()] {
            let mut key = Key::default();
            let draft = key.change(&set(at.clone(), text.as_bytes()).unwrap());
            prop_assert_eq!(draft.leaves.len(), doc.leaf_count());
            prop_assert!(draft.leaves.is_sorted_by(|a, b| a.path < b.path));
            prop_assert_eq!(key.text(&at), Some(doc.text()));
            leaves_seen.set(leaves_seen.get() + draft.leaves.len());
            largest.set(largest.get().max(draft.leaves.len()));
            if let Object(members) = &doc {
                for (name, member) in members {
                    prop_assert_eq!(key.text(&at.push(name).unwrap()), Some(member.text()));
                }
            }
            for above in at.ancestors() {
                let ending = doc.text() + &"}".repeat(at.depth() - above.depth());
                prop_assert!(key.text(&above).unwrap().ends_with(&ending));
            }
        }
        Ok(())
    });
    println!("  {} leaves, at most {}", leaves_seen.get(), largest.get());
}

#[test]
fn what_comes_out_is_json_to_others() {
    check("documents as serde_json reads them", 1_000, doc(), |doc| {
        let text = Key::with(&doc.sloppy_text()).text(&Path::ROOT).unwrap();
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        if !text.contains("$serde_json") {
            let (ours, theirs): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(&text).unwrap(), serde_json::from_str(&doc.sloppy_text()).unwrap());
            prop_assert_eq!(ours, theirs);
        }
        Ok(())
    });
}

#[test]
fn a_member_with_serde_jsons_private_name_is_a_member_like_any_other() {
    for text in [
        r#"{"$serde_json::private::Number":"1"}"#,
        r#"{"$serde_json::private::Number":"no number"}"#,
        r#"{"$serde_json::private::Number":{"a":1},"b":2}"#,
        r#"{"a":[{"$serde_json::private::Number":"12"}]}"#,
        r#"{"$serde_json::private::RawValue":"{"}"#,
    ] {
        assert_eq!(Key::with(text).text(&Path::ROOT).as_deref(), Some(text));
        let mut key = Key::default();
        key.change(&merge_patch(text.as_bytes()).unwrap());
        assert_eq!(key.text(&Path::ROOT).as_deref(), Some(text));
    }
    // The control: serde_json's own value loses the object.
    let value: serde_json::Value = serde_json::from_str(r#"{"$serde_json::private::Number":"1"}"#).unwrap();
    assert!(!value.is_object());
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for (text, line, column) in [
        ("", 1, 1),
        ("  \n ", 2, 2),
        ("{", 1, 2),
        ("{\"a\":1,}", 1, 8),
        ("{\"a\" 1}", 1, 6),
        ("{a:1}", 1, 2),
        ("[1,]", 1, 4),
        ("[1 2]", 1, 4),
        ("[1}", 1, 3),
        ("nul", 1, 1),
        ("truex", 1, 5),
        ("01", 1, 2),
        ("-", 1, 2),
        ("+1", 1, 1),
        ("1.", 1, 3),
        (".5", 1, 1),
        ("1e", 1, 3),
        ("1e+", 1, 4),
        ("1.2.3", 1, 4),
        ("0x10", 1, 2),
        ("NaN", 1, 1),
        ("'a'", 1, 1),
        ("{\"é\":\n \"x\ty\"}", 2, 4),
        ("\"abc", 1, 1),
        ("\"abc\\", 1, 1),
        ("1 2", 1, 3),
        ("{}\n}", 2, 1),
        ("\u{feff}1", 1, 1),
    ] {
        let error = leaves_from_json(text.as_bytes(), &Path::ROOT).unwrap_err();
        let DocumentError::Syntax { line: found_line, column: found_column, .. } = &error else { panic!("{text}: {error}") };
        assert_eq!((*found_line, *found_column), (line, column), "{text}: {error}");
        assert_eq!(merge_patch(text.as_bytes()).unwrap_err(), error);
    }
    for escape in [r#"["\x"]"#, r#"["\ud800"]"#, r#"["\ud800\u0041"]"#, r#"["\u12"]"#, r#"{"\udc00":1}"#] {
        let error = leaves_from_json(escape.as_bytes(), &Path::ROOT).unwrap_err();
        assert!(matches!(error, DocumentError::Syntax { what: "a wrong escape in a string", line: 1, .. }), "{escape}: {error}");
    }
    let error = leaves_from_json(b"{\"a\":\"\xff\"}", &Path::ROOT).unwrap_err();
    assert_eq!(error, DocumentError::Syntax { what: "bytes that are not UTF-8", line: 1, column: 7 });
}

#[test]
fn the_reader_accepts_what_serde_json_accepts_and_nothing_else() {
    let accepted = Cell::new(0u32);
    let texts = crate::vclock::sampling::mangled(doc().prop_map(|doc| doc.sloppy_text().into()));
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "1",
        "-",
        ".5",
        "e3",
        "null",
        " ",
        "\"\\u00e9\"",
        "\\",
        "\"",
    ]);
    let made_up = prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat().into_bytes());
    check("mangled JSON", 20_000, prop_oneof![texts, made_up], |text| {
        let ours = leaves_from_json(&text, &Path::ROOT);
        // An empty exponent apart, `IgnoredAny` lets lone surrogates pass, and `Value` the private names.
        let theirs = serde_json::from_slice::<Strict>(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}: {:?}, {:?}", String::from_utf8_lossy(&text), ours.err(), theirs.err());
        accepted.set(accepted.get() + u32::from(theirs.is_ok()));
        let _ = merge_patch(&text);
        Ok(())
    });
    println!("  {} of them were accepted", accepted.get());
}

/// Any JSON whose strings are all decoded, and whose private names do no harm.
struct Strict;

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Strict;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
                while items.next_element::<Strict>()?.is_some() {}
                Ok(Strict)
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
                while members.next_entry::<String, Strict>()?.is_some() {}
                Ok(Strict)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[test]
fn a_document_over_a_limit_is_refused() {
    let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for text in [nested(DOCUMENT_DEPTH_MAX), arrays(DOCUMENT_DEPTH_MAX)] {
        assert_eq!(Key::with(&text).text(&Path::ROOT), Some(text.clone()));
        let error = leaves_from_json(text.as_bytes(), &Path::parse("x").unwrap()).unwrap_err();
        assert!(matches!(error, DocumentError::TooDeep { line: 1, .. }));
    }
    let is_too_deep = |text: String| matches!(leaves_from_json(text.as_bytes(), &Path::ROOT), Err(DocumentError::TooDeep { .. }));
    assert!(
        is_too_deep(nested(DOCUMENT_DEPTH_MAX + 1))
            && is_too_deep(arrays(DOCUMENT_DEPTH_MAX + 1))
            && is_too_deep("[".repeat(1 << 20))
    );

    let bytes = DOCUMENT_BYTES_MAX + 1;
    assert_eq!(leaves_from_json(&vec![b' '; bytes], &Path::ROOT), Err(DocumentError::TooLarge { bytes }));

    let many = |count: usize| format!("{{{}}}", (0..count).map(|n| format!(r#""{n}":1"#)).collect::<Vec<_>>().join(","));
    assert_eq!(leaves_from_json(many(DOCUMENT_LEAVES_MAX).as_bytes(), &Path::ROOT).unwrap().len(), DOCUMENT_LEAVES_MAX);
    assert_eq!(leaves_from_json(many(DOCUMENT_LEAVES_MAX + 1).as_bytes(), &Path::ROOT), Err(DocumentError::TooManyLeaves));
    assert_eq!(merge_patch(many(DOCUMENT_LEAVES_MAX + 1).as_bytes()), Err(DocumentError::TooManyLeaves));

    let long = format!(r#"{{"{}":1}}"#, "x".repeat(PATH_BYTES_MAX));
    assert!(matches!(leaves_from_json(long.as_bytes(), &Path::ROOT), Err(DocumentError::PathTooLong { .. })));
    let long_above_many = format!(r#"{{"{}":{}}}"#, "x".repeat(PATH_BYTES_MAX - 10), many(10_000));
    assert_eq!(leaves_from_json(long_above_many.as_bytes(), &Path::ROOT), Err(DocumentError::PathsTooLong));
}
