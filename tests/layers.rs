//! The modules and what each of them may import: a table, held against the `use crate::` lines and paths of the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with the modules that it may name; `limits` and `broken` may be named by all. In layer order, like `src/lib.rs`.
const LAYERS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("broken", &[]),
    ("hedging", &[]),
    ("vclock", &[]),
    ("ring", &["vclock"]),
    ("message", &["vclock", "ring"]),
    ("storage", &["vclock", "ring", "message"]),
    ("gossip", &["vclock", "ring", "message"]),
    ("coordinator", &["vclock", "ring", "message"]),
    ("hinted_handoff", &["vclock", "ring", "message", "storage", "coordinator"]),
    ("anti_entropy", &["vclock", "ring", "message", "storage", "coordinator"]),
    ("peer", &["hedging", "vclock", "ring", "message", "storage", "gossip", "coordinator", "hinted_handoff", "anti_entropy"]),
    ("wire", &["vclock", "ring", "message"]),
    ("client", &["hedging", "vclock", "ring", "message", "wire"]),
    ("server", &["vclock", "ring", "message", "storage", "peer", "wire"]),
    ("gateway", &["vclock", "ring", "message", "server"]),
    (
        "cli",
        &[
            "hedging",
            "vclock",
            "ring",
            "message",
            "storage",
            "gossip",
            "coordinator",
            "hinted_handoff",
            "anti_entropy",
            "peer",
            "wire",
            "client",
            "server",
            "gateway",
        ],
    ),
];

/// The modules below the rim: no clock, socket, thread, file, async or randomness of their own.
const CORE: &[&str] = &["vclock", "ring", "message", "storage", "gossip", "coordinator", "hinted_handoff", "anti_entropy", "peer"];

#[test]
fn every_module_imports_only_what_its_layer_allows() {
    let mut wrong = Vec::new();
    for (module, allowed) in LAYERS {
        for file in files_of(module) {
            let text = fs::read_to_string(&file).expect("the file is there");
            let named = crate_paths(&text);
            for name in named
                .iter()
                .filter(|name| *name != module && *name != "limits" && *name != "broken" && !allowed.contains(&name.as_str()))
            {
                wrong.push(format!("{} names crate::{name}, and {module} may name {allowed:?}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_holds_every_module_in_order() {
    let map = fs::read_to_string("src/lib.rs").expect("the map is there");
    let modules: Vec<&str> = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(modules, LAYERS.iter().map(|layer| layer.0).collect::<Vec<_>>());
}

#[test]
fn the_architecture_page_has_the_same_table() {
    let page = fs::read_to_string("ARCHITECTURE.md").expect("the page is there");
    let table = page.lines().skip_while(|line| !line.starts_with("| module |")).take_while(|line| line.starts_with('|'));
    let rows: Vec<&str> = table.filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), LAYERS.len(), "one row for each module");
    for ((module, allowed), row) in LAYERS.iter().zip(rows) {
        let cells: Vec<&str> = row.trim_matches('|').split(" |").map(str::trim).collect();
        assert_eq!(cells[0], format!("`{module}`"));
        let last = cells.last().copied().unwrap_or_default();
        let expected = match *module {
            "cli" if allowed.len() + 3 == LAYERS.len() => "all above".to_string(),
            _ => allowed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" "),
        };
        assert_eq!(last, expected, "{module}");
    }
}

#[test]
fn the_core_is_forbidden_what_clippy_toml_names() {
    for module in CORE {
        let face = fs::read_to_string(format!("src/{module}/mod.rs")).expect("a core module is a folder");
        assert!(
            face.contains("#![forbid(clippy::disallowed_methods, clippy::disallowed_types)]"),
            "src/{module}/mod.rs lacks the lint"
        );
        for file in files_of(module) {
            let text = fs::read_to_string(&file).expect("the file is there");
            for word in ["async fn", ".await", "tokio::", "std::thread", "std::net", "std::fs", "allow(clippy::disallowed"] {
                assert!(!text.contains(word), "{} has `{word}`", file.display());
            }
        }
    }
}

#[test]
fn the_table_is_read_strictly() {
    assert_eq!(
        crate_paths("use crate::ring::A;\nlet x = crate::peer::Peer::new();"),
        BTreeSet::from(["ring".into(), "peer".into()])
    );
    assert_eq!(crate_paths("use crate::{vclock::{Dot}, ring};"), BTreeSet::from(["vclock".into(), "ring".into()]));
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(format!("src/{module}"));
    if !folder.is_dir() {
        return vec![PathBuf::from(format!("src/{module}.rs"))];
    }
    let mut found = Vec::new();
    collect(&folder, &mut found);
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The first segments of all paths that begin with `crate::`, groups in braces included.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for after in code.split("crate::").skip(1) {
        if let Some(group) = after.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => name.clear(),
                    letter if depth == 0 && (letter.is_alphanumeric() || letter == '_') => name.push(letter),
                    _ => {
                        named.extend((depth == 0 && !name.is_empty()).then(|| name.clone()));
                        if letter == ':' {
                            name.clear();
                        }
                    }
                }
                if depth == 0 && LAYERS.iter().any(|layer| layer.0 == name) {
                    named.insert(name.clone());
                }
            }
        } else {
            let name: String = after.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            named.insert(name);
        }
    }
    named.retain(|name| LAYERS.iter().any(|layer| layer.0 == name));
    named
}
