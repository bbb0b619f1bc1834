//! Changes of parts agree with a plain tree, and with RFC 7396 as it is written.

use super::*;

#[test]
fn a_merge_patch_does_what_rfc_7396_says() {
    let changed = Cell::new(0u32);
    check("merge patches", 6_000, (doc(), prop::collection::vec(patch(), 1..4)), |(doc, patches)| {
        let mut key = Key::with(&doc.text());
        let mut model = doc;
        for patch in patches {
            let before = model.clone();
            model = Doc::merge_patch(Some(model), &patch);
            let draft = key.change(&merge_patch(patch.sloppy_text().as_bytes()).unwrap());
            prop_assert_eq!(key.text(&Path::ROOT), Some(model.text()), "{} patched with {}", before.text(), patch.text());
            prop_assert_eq!(key.entry.versions().len(), model.leaf_count(), "no leaf too many");
            prop_assert!(draft.leaves.is_sorted_by(|a, b| a.path < b.path));
            changed.set(changed.get() + u32::from(before != model));
        }
        Ok(())
    });
    println!("  {} patches changed something", changed.get());
}

#[test]
fn setting_and_removing_paths_does_what_a_plain_tree_does() {
    let (removed, emptied) = (Cell::new(0u32), Cell::new(0u32));
    let names = || prop::collection::vec(prop::sample::select(vec!["a", "b", "c", ""]).prop_map(str::to_owned), 1..4);
    let step = (names(), prop_oneof![1 => doc().prop_map(Some), 2 => scalar().prop_map(Some), 4 => Just(None)]);
    check("sets and removals", 4_000, prop::collection::vec(step, 1..12), |steps| {
        let (mut key, mut model) = (Key::with("{}"), Object(BTreeMap::new()));
        for (names, value) in steps {
            let path = Path::from_segments(&names).unwrap();
            let draft = match value {
                Some(value) => {
                    let changes = set(path, value.sloppy_text().as_bytes()).unwrap();
                    model = Doc::set(Some(model), &names, value);
                    key.change(&changes)
                }
                None => {
                    model.remove(&names);
                    key.change(&remove(path))
                }
            };
            removed.set(removed.get() + u32::from(!draft.removed.is_empty() && !draft.covers.is_empty()));
            emptied.set(emptied.get() + u32::from(!draft.removed.is_empty() && !draft.leaves.is_empty()));
            prop_assert_eq!(key.text(&Path::ROOT), Some(model.text()));
            prop_assert_eq!(key.entry.versions().len(), model.leaf_count(), "no leaf too many");
        }
        Ok(())
    });
    println!("  {} removals removed something, {} left an empty map", removed.get(), emptied.get());
    assert!(emptied.get() > 100);
}

#[test]
fn the_examples_of_rfc_7396_hold() {
    for (original, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, r#"null"#, r#"null"#),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
        (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        // Not from the RFC's list, but from its rules.
        (r#"{"a":1}"#, r#"{"a":{"b":null}}"#, r#"{"a":{}}"#),
        (r#"{"a":{"x":1}}"#, r#"{"a":{"x":null,"y":2}}"#, r#"{"a":{"y":2}}"#),
        (r#"{"a":{"x":1}}"#, r#"{"a":{}}"#, r#"{"a":{"x":1}}"#),
    ] {
        let mut key = Key::with(original);
        key.change(&merge_patch(patch.as_bytes()).unwrap());
        assert_eq!(key.text(&Path::ROOT).as_deref(), Some(result), "{original} patched with {patch}");
    }
    let mut nothing = Key::default();
    nothing.change(&merge_patch(b"{}").unwrap());
    assert_eq!(nothing.text(&Path::ROOT).as_deref(), Some("{}"));
}

#[test]
fn a_draft_says_what_it_writes_and_what_it_replaces() {
    let key = Key::with(r#"{"a":{"x":1,"y":2},"b":3}"#);
    let path = |text: &str| Path::parse(text).unwrap();
    let dots: Vec<Dot> = key.entry.dots().collect();

    let over_a_scalar = draft(&key.entry, &set(path("b.c"), b"4").unwrap());
    assert_eq!((over_a_scalar.covers, over_a_scalar.paths), (vec![dots[2]], vec![path("b.c")]));
    assert_eq!(over_a_scalar.leaves.iter().map(|leaf| leaf.path.to_text()).collect::<Vec<_>>(), ["b.c"]);

    let of_an_object = draft(&key.entry, &remove(path("a")));
    assert_eq!((of_an_object.covers, of_an_object.leaves, of_an_object.removed), (dots[..2].to_vec(), vec![], vec![path("a")]));

    let of_nothing = draft(&key.entry, &remove(path("b.c.d")));
    assert_eq!((of_nothing.covers, of_nothing.leaves), (vec![], vec![]), "a removal covers nothing above");

    let of_all = draft(&key.entry, &remove(Path::ROOT));
    assert_eq!((of_all.covers, of_all.leaves), (dots.clone(), vec![]), "a key that is removed leaves no empty map");

    let last_members = draft(&key.entry, &merge_patch(br#"{"a":{"x":null,"y":null},"b":null}"#).unwrap());
    assert_eq!(last_members.leaves, [Leaf { path: path("a"), kind: Kind::EmptyMap, value: Bytes::new() }]);
    assert_eq!(last_members.removed, [path("a.x"), path("a.y"), path("b")]);
    assert_eq!(last_members.objects, [Path::ROOT, path("a")]);

    let one_after_the_other = [set(path("a.z"), b"1").unwrap(), remove(path("a")), set(path("a.q"), b"2").unwrap()].concat();
    assert_eq!(draft(&key.entry, &one_after_the_other).leaves.len(), 1);
}
