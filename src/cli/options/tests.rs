use super::*;
use clap::{Args as _, FromArgMatches as _};

fn command() -> clap::Command {
    Told::augment_args(clap::Command::new("serve"))
}

fn global() -> Global {
    Global { peer: Vec::new(), secret_file: None, json: false }
}

fn settled(line: &[&str], file: Option<&Path>) -> Result<InForce, Exit> {
    let matches = command().try_get_matches_from(std::iter::once("serve").chain(line.iter().copied())).expect("the line is sound");
    let told = Told::from_arg_matches(&matches).expect("it was parsed");
    InForce::settle(told, &global(), &matches, file)
}

fn written(text: &str, test: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("henge-options-{}-{test}.toml", std::process::id()));
    std::fs::write(&file, text).unwrap();
    file
}

fn source_of(in_force: &InForce, name: &str) -> Source {
    in_force.sources.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name} is an option")).1
}

#[test]
fn flags_go_over_the_file_and_the_file_over_the_defaults() {
    let file = written(
        "listen = '127.0.0.1:1'\nzone = 'rack'\nweight = 3\nsync = 'interval:250'\nsecret-file = '/s'\nno-hedge = true",
        "over",
    );
    let in_force = settled(&["--listen", "127.0.0.1:2", "--insecure"], Some(&file)).unwrap();
    std::fs::remove_file(file).unwrap();
    let told = &in_force.told;
    assert_eq!(told.listen.as_deref(), Some("127.0.0.1:2"));
    assert_eq!((told.zone.as_deref(), told.weight, told.sync), (Some("rack"), Some(3), Some(SyncMode::Interval(250))));
    assert_eq!((told.insecure, told.no_hedge, told.found), (Some(true), Some(true), Some(false)));
    assert_eq!((told.secret_file.as_deref(), told.dir.as_deref()), (Some(Path::new("/s")), None));
    let sources = ["listen", "insecure", "zone", "secret-file", "found", "dir"].map(|name| source_of(&in_force, name));
    assert_eq!(sources, [Source::Flag, Source::Flag, Source::File, Source::File, Source::Default, Source::Default]);
    let rows = in_force.rows().unwrap();
    assert!(rows.contains(&("sync".to_string(), Some("interval:250".to_string()), Source::File)), "{rows:?}");
    assert!(rows.contains(&("dir".to_string(), None, Source::Default)), "{rows:?}");
}

#[test]
fn every_option_has_a_flag_and_a_variable_of_its_name() {
    let command = command();
    for name in Told::default().map().unwrap().keys().filter(|name| *name != "secret-file") {
        let argument =
            command.get_arguments().find(|argument| argument.get_long() == Some(name)).unwrap_or_else(|| panic!("--{name}"));
        let variable = argument.get_env().and_then(|variable| variable.to_str()).unwrap_or_default();
        assert!(variable.starts_with("HENGE_"), "--{name} has the variable {variable:?}");
        assert_eq!(argument.get_id().as_str(), name.replace('-', "_"), "sources are looked up by this");
    }
}

#[test]
fn a_file_with_a_mistake_is_refused_with_its_place_and_what_would_be_right() {
    let wrong = [
        ("lisen = 'x'", &["lisen", "listen", "line 1"][..]),
        ("dir = '/x'\nweight = 0", &["line 2", "from 1 to"]),
        ("sync = 'often'", &["always, interval:MS"]),
        ("found = 'yes'", &["found", "boolean"]),
        ("listen = [1", &["line 1"]),
        ("quarantine = true", &["quarantine"]),
    ];
    for (number, (text, parts)) in wrong.into_iter().enumerate() {
        let file = written(text, &format!("wrong-{number}"));
        let refused = settled(&[], Some(&file)).expect_err(text);
        std::fs::remove_file(file).unwrap();
        let message = refused.message.unwrap();
        assert_eq!(refused.code, Exit::USAGE);
        assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
    }
    let missing = settled(&[], Some(Path::new("/nowhere/henge.toml"))).expect_err("it is not there");
    assert!(missing.message.unwrap().contains("/nowhere/henge.toml"));
}

#[test]
fn sync_modes_are_read_as_they_are_written_and_others_are_refused() {
    for mode in [SyncMode::Always, SyncMode::Interval(250), SyncMode::Never] {
        assert_eq!(parse_sync(&show_sync(mode)), Ok(mode));
    }
    for wrong in ["", "sometimes", "interval", "interval:0", "interval:x", "interval:99999999999", "always:1"] {
        assert!(parse_sync(wrong).is_err(), "{wrong}");
    }
}
