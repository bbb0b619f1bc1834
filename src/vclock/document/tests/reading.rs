//! What readers see of siblings, expiry, amounts and elements.

use super::*;

#[test]
fn siblings_show_at_their_path_and_nowhere_else() {
    let mut key = Key::with(r#"{"a":{"x":1,"y":2},"b":3}"#);
    key.sibling("a.x", "10");
    key.sibling("a.x", "1");
    let conflict = ("a.x".to_owned(), vec!["1".to_owned(), "10".to_owned()]);
    assert_eq!(key.shown(""), (Some(r#"{"a":{"y":2},"b":3}"#.into()), vec![conflict.clone()]));
    assert_eq!(key.shown("a"), (Some(r#"{"y":2}"#.into()), vec![conflict.clone()]));
    assert_eq!(key.shown("a.x"), (None, vec![conflict]));
    assert_eq!(key.shown("b"), (Some("3".into()), vec![]));
    assert_eq!(key.read("", false).unwrap().dots.len(), 5);

    let newest = key.read("", true).unwrap();
    assert_eq!(
        (newest.value.map(text_of), newest.conflicts, newest.hidden),
        (Some(r#"{"a":{"x":1,"y":2},"b":3}"#.into()), vec![], 1)
    );
    assert_eq!(newest.dots.len(), 5);

    // One write that has seen them resolves them.
    key.change(&set(Path::parse("a.x").unwrap(), b"11").unwrap());
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"x":11,"y":2},"b":3}"#));
}

#[test]
fn a_scalar_over_an_object_is_a_conflict_if_concurrent_and_replaces_it_if_not() {
    let mut key = Key::with(r#"{"a":{"x":1,"y":2},"b":3}"#);
    key.change(&set(Path::parse("a").unwrap(), b"[5]").unwrap());
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(r#"{"a":[5],"b":3}"#));
    assert_eq!(key.read("a.x", false), None, "below an array there is nothing");
    key.change(&set(Path::parse("a.x").unwrap(), b"1").unwrap());
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"x":1},"b":3}"#));

    key.sibling("a", "7");
    key.sibling("a.x", "2");
    let (value, conflicts) = key.shown("");
    let of_a = ("a".into(), vec!["{}".into(), "7".into()]);
    let inside = ("a.x".into(), vec!["1".into(), "2".into()]);
    assert_eq!((value.as_deref(), conflicts), (Some(r#"{"b":3}"#), vec![of_a, inside]));
    assert_eq!(key.read("", false).unwrap().hidden, 0, "what the context covers is seen");
    let newest = key.read("", true).unwrap();
    assert_eq!((newest.value.map(text_of), newest.hidden), (Some(r#"{"a":{"x":2},"b":3}"#.into()), 2), "the newest leaf decides");
    assert_eq!(key.shown("a.x").1, vec![("a.x".into(), vec!["1".into(), "2".into()])]);

    // An empty map says no more than its members do.
    let mut key = Key::with(r#"{"a":{}}"#);
    key.sibling("a.x", "1");
    key.sibling("", "{}");
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"x":1}}"#));
}

#[test]
fn a_conflict_of_the_whole_value_leaves_no_value() {
    let mut key = Key::default();
    key.write(vec![Leaf::bytes(Bytes::from_static(b"\xff\x00"))]);
    assert_eq!(key.shown("").0.as_deref(), Some(r#"bytes b"\xff\0""#));
    key.sibling("", r#"{"a":1}"#);
    let rendered = key.read("", false).unwrap();
    assert_eq!(rendered.value, None);
    let values = vec![Value::Bytes(Bytes::from_static(b"\xff\x00")), Value::Json(Bytes::from_static(br#"{"a":1}"#))];
    assert_eq!(rendered.conflicts, [Conflict { path: String::new(), values }]);
}

#[test]
fn bytes_come_back_with_their_content_type_which_tells_siblings_apart() {
    let leaf = |path: &str, value: &[u8]| Leaf {
        path: Path::parse(path).unwrap(),
        kind: Kind::Typed,
        value: Bytes::copy_from_slice(value),
    };
    let typed = |content_type: &str| crate::vclock::Typed::new(content_type, b"<p>").unwrap();
    let of = |content_type: &str| leaf("", typed(content_type).as_packed());
    let mut key = Key::default();
    key.write(vec![of("text/html")]);
    assert_eq!(key.read("", false).unwrap().value, Some(Value::Typed(typed("text/html"))));
    // Equal siblings are one; another type makes another value, and so do bytes without one.
    key.write(vec![of("text/html")]);
    assert_eq!(key.shown("").1, []);
    key.write(vec![of("text/plain"), Leaf::bytes(Bytes::from_static(b"<p>"))]);
    let values =
        vec![Value::Typed(typed("text/html")), Value::Typed(typed("text/plain")), Value::Bytes(Bytes::from_static(b"<p>"))];
    assert_eq!(key.read("", false).unwrap().conflicts, [Conflict { path: String::new(), values }]);
    // What no client can write: a type that is none, and typed bytes inside a document.
    let mut broken = Key::default();
    broken.write(vec![leaf("", b"\xffx")]);
    assert_eq!(broken.read("", false).unwrap().value, Some(Value::Bytes(Bytes::from_static(b"\xffx"))));
    let mut inside = Key::default();
    inside.write(vec![leaf("a", typed("text/html").as_packed()), leaf("b", b"\xff")]);
    assert_eq!(inside.text(&Path::ROOT).as_deref(), Some(r#"{"a":"<p>","b":"ff"}"#));
    assert_eq!(inside.text(&Path::parse("a").unwrap()).as_deref(), Some("\"<p>\""));
}

#[test]
fn amounts_add_up_and_elements_gather() {
    let leaf =
        |path: &str, kind, value: &[u8]| Leaf { path: Path::parse(path).unwrap(), kind, value: Bytes::copy_from_slice(value) };
    let mut key = Key::with(r#"{"z":0}"#);
    key.write(vec![leaf("n", Kind::Amount, &i64::MAX.to_le_bytes()), leaf("n", Kind::Amount, &5i64.to_le_bytes())]);
    key.write(vec![leaf("n", Kind::Amount, b"broken"), leaf("s.b", Kind::Element, b""), leaf("s.b", Kind::Element, b"")]);
    key.write(vec![leaf("s.a", Kind::Element, b""), leaf("t", Kind::Bytes, b"text"), leaf("u", Kind::Bytes, b"\xff\x01")]);
    let expected = r#"{"n":9223372036854775812,"s":["a","b"],"t":"text","u":"ff01","z":0}"#;
    assert_eq!(key.text(&Path::ROOT).as_deref(), Some(expected));
    assert_eq!(key.text(&Path::parse("s.a").unwrap()).as_deref(), Some("\"a\""));
    assert_eq!(key.text(&Path::parse("n").unwrap()).as_deref(), Some("9223372036854775812"));
    // A register beside them is a sibling of the sum, and an object beside a set one of the set.
    key.sibling("n", "1");
    key.sibling("s.x", "1");
    let conflicts = vec![
        ("n".to_owned(), vec!["9223372036854775812".to_owned(), "1".to_owned()]),
        ("s".to_owned(), vec![r#"set [b"a", b"b"]"#.to_owned(), r#"{"x":1}"#.to_owned()]),
    ];
    assert_eq!(key.shown("").1, conflicts);
    key.write(vec![leaf("", Kind::Element, b"")]);
    assert!(key.read("", true).is_some() && key.read("", false).is_some());
}

#[test]
fn expired_versions_are_hidden_by_the_readers_clock() {
    let version = |path: &str, n, expiry_ms| Version {
        dot: Dot { actor: Actor(1), counter: n },
        path: Path::parse(path).unwrap(),
        kind: Kind::Scalar,
        value: Bytes::from(n.to_string()),
        time: Timestamp(n),
        expiry_ms,
    };
    let entry = Entry::new(vec![version("a", 1, 1_000), version("a", 2, 0), version("b.c", 3, 500)], Seen::new());
    let at = |now_ms| render(&entry, &Path::ROOT, now_ms, false).unwrap();
    assert_eq!((at(499).conflicts.len(), at(499).dots.len(), at(499).value.map(text_of)), (1, 3, Some(r#"{"b":{"c":3}}"#.into())));
    assert_eq!((at(500).conflicts.len(), at(500).dots.len(), at(500).value.map(text_of)), (1, 2, Some("{}".into())));
    assert_eq!((at(1_000).conflicts.len(), at(1_000).dots.len(), at(1_000).value.map(text_of)), (0, 1, Some(r#"{"a":2}"#.into())));
    assert_eq!(render(&entry, &Path::parse("b").unwrap(), 500, false), None);
}

#[test]
fn whatever_versions_an_entry_has_a_reading_accounts_for_each_of_them() {
    let conflicts = Cell::new(0);
    check("readings", 4_000, (crate::vclock::sampling::entry(), path()), |(entry, at)| {
        let live = |v: &&Version| at.contains(&v.path) && (entry.expiry_of(v) == 0 || entry.expiry_of(v) > 50);
        let dots: Vec<Dot> = entry.versions().iter().filter(live).map(|v| v.dot).collect();
        for last_writer_wins in [false, true] {
            let Some(rendered) = render(&entry, &at, 50, last_writer_wins) else {
                // When amounts end is nothing by itself.
                prop_assert!(entry.versions().iter().filter(live).all(|v| v.kind == Kind::Term));
                continue;
            };
            prop_assert_eq!(&rendered.dots, &dots);
            prop_assert!((rendered.hidden as usize) < dots.len());
            prop_assert!(rendered.conflicts.iter().all(|conflict| conflict.values.len() > 1));
            let at_itself = rendered.conflicts.iter().any(|conflict| conflict.path == at.to_text());
            prop_assert_eq!(rendered.value.is_none(), at_itself);
            if last_writer_wins {
                prop_assert!(rendered.conflicts.is_empty());
            }
            conflicts.set(conflicts.get() + rendered.conflicts.len());
        }
        Ok(())
    });
    println!("  {} conflicts", conflicts.get());
}

/// Two copies of a key, changed apart, then merged either way.
fn apart(text: &str, a: &[Change], b: &[Change]) -> Key {
    let base = Key::with(text);
    let (mut ours, mut theirs) = (Key { actor: 1, ..base.clone() }, Key { actor: 2, ..base });
    ours.change(a);
    theirs.change(b);
    let mut other_way = theirs.entry.clone();
    other_way.merge(ours.entry.clone());
    ours.entry.merge(theirs.entry);
    assert_eq!(ours.entry, other_way);
    ours
}

#[test]
fn what_was_changed_apart_at_different_paths_stays_and_at_one_path_becomes_siblings() {
    let document = r#"{"a":{"x":1,"y":2},"b":3}"#;
    let path = |text: &str| Path::parse(text).unwrap();
    let put = |at: &str, json: &str| set(path(at), json.as_bytes()).unwrap();

    let both = apart(document, &put("a.x", "10"), &put("a.z", "30"));
    assert_eq!(both.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"x":10,"y":2,"z":30},"b":3}"#));

    let siblings = apart(document, &put("a.x", "10"), &put("a.x", "11"));
    let conflict = ("a.x".to_owned(), vec!["10".to_owned(), "11".to_owned()]);
    assert_eq!(siblings.shown(""), (Some(r#"{"a":{"y":2},"b":3}"#.into()), vec![conflict]));

    let same = apart(document, &put("a.x", "10"), &put("a.x", "10"));
    assert_eq!(same.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"x":10,"y":2},"b":3}"#));

    // A removal of an object keeps what was written in it meanwhile, and an object emptied meanwhile is not in its way.
    let kept = apart(document, &remove(path("a")), &put("a.x", "10"));
    assert_eq!(kept.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"x":10},"b":3}"#));
    let emptied = apart(document, &merge_patch(br#"{"a":{"x":null,"y":null}}"#).unwrap(), &put("a.z", "30"));
    assert_eq!(emptied.text(&Path::ROOT).as_deref(), Some(r#"{"a":{"z":30},"b":3}"#));

    let over = apart(document, &put("a", "7"), &put("a.x", "10"));
    let conflict = ("a".to_owned(), vec!["7".to_owned(), r#"{"x":10}"#.to_owned()]);
    assert_eq!(over.shown(""), (Some(r#"{"b":3}"#.into()), vec![conflict]));
}
