use super::*;
use crate::cli::load_lines::parse_line;
use serde_json::Value;

fn config(depth: usize, members: usize, string: usize) -> Config {
    Config { keys: parse_keys(KEYS_DEFAULT).unwrap(), depth, members, string }
}

fn lines(config: &Config, count: u64, seed: u64) -> String {
    let mut output = Vec::new();
    write_lines(config, count, seed, &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

/// Levels of maps below this one, most members of a map, longest string; `None` where a value is not of its name's type.
fn shape(value: &Value, config: &Config) -> Option<(usize, usize, usize)> {
    let members = value.as_object()?;
    let mut most = (0, members.len(), 0);
    for (name, value) in members {
        let kind = config.keys.iter().find(|key| key.0 == *name)?.1;
        let found = match (value, kind) {
            (Value::Object(_), _) => shape(value, config).map(|(depth, most, longest)| (depth + 1, most, longest))?,
            (Value::String(text), Type::String) if text.chars().all(|c| c.is_ascii_alphanumeric()) => (0, 0, text.len()),
            (Value::Number(number), Type::Int) => number.as_u64().map(|_| (0, 0, 0))?,
            (Value::Number(number), Type::Float) => number.to_string().contains('.').then_some((0, 0, 0))?,
            _ => return None,
        };
        most = (most.0.max(found.0), most.1.max(found.1), most.2.max(found.2));
    }
    Some(most)
}

#[test]
fn every_line_can_be_loaded_and_keeps_to_what_was_asked_for() {
    for (depth, members, string) in [(0, 5, 4), (1, 3, 1), (3, 6, 10), (2, 0, 3), (5, 12, 7)] {
        let config = config(depth, members, string);
        let mut reached = (0, 0, 0);
        for (number, line) in (1..).zip(lines(&config, 1_000, 7).lines()) {
            let line = parse_line(line.as_bytes()).unwrap().unwrap();
            assert_eq!(line.key, format!("key{number}"));
            let found = shape(&serde_json::from_str(&line.json).unwrap(), &config).unwrap_or_else(|| panic!("{}", line.json));
            reached = (reached.0.max(found.0), reached.1.max(found.1), reached.2.max(found.2));
        }
        // No more than asked for, and among so many records all of it.
        let wanted = if members == 0 { (0, 0, 0) } else { (depth, members, string) };
        assert_eq!(reached, wanted);
    }
}

#[test]
fn a_line_looks_as_people_know_it() {
    let only = |name: &str| Config { keys: parse_keys(name).unwrap(), depth: 0, members: 1, string: 3 };
    let first = |name: &str| lines(&only(name), 50, 1).lines().find(|line| line.contains(" : {'")).unwrap().to_string();
    let (int, float) = (first("age int"), first("height float"));
    assert!(int.starts_with("'key") && int.contains("' : {'age' : ") && int.ends_with('}'), "{int}");
    assert!(float.contains(" : {'height' : ") && float.contains('.'), "{float}");
    assert!(lines(&config(0, 5, 4), 50, 1).contains(" , "));
}

#[test]
fn the_same_seed_writes_the_same_lines_and_another_seed_others() {
    let config = config(2, 5, 8);
    assert_eq!(lines(&config, 100, 3), lines(&config, 100, 3));
    assert_ne!(lines(&config, 100, 3), lines(&config, 100, 4));
}

#[test]
fn a_record_fits_a_document_whatever_is_asked_for() {
    let keys = (0..40).map(|n| (format!("n{n}"), Type::String)).collect();
    let wild = Config { keys, depth: DOCUMENT_DEPTH_MAX - 1, members: usize::MAX, string: STRING_CHARS_MAX };
    let many = Config { string: 1, ..wild.clone() };
    for config in [wild, many] {
        let longest = lines(&config, 12, 5).lines().map(str::len).max().unwrap();
        assert!(longest > RECORD_BYTES_ENOUGH / 8 && longest < DOCUMENT_BYTES_MAX, "{longest}");
        lines(&config, 3, 6).lines().for_each(|line| assert!(parse_line(line.as_bytes()).is_ok()));
    }
}

#[test]
fn names_of_a_key_file_may_hold_quotes() {
    let keys = parse_keys("it's\tint\n\n# a comment\n  \"b\\c\"   string\r\n").unwrap();
    assert_eq!(keys, [("it's".to_string(), Type::Int), ("\"b\\c\"".to_string(), Type::String)]);
    let config = Config { keys, depth: 1, members: 2, string: 2 };
    for line in lines(&config, 200, 1).lines() {
        let json = parse_line(line.as_bytes()).unwrap().unwrap().json;
        assert!(shape(&serde_json::from_str(&json).unwrap(), &config).is_some());
    }
}

#[test]
fn a_bad_key_file_is_refused_with_its_line() {
    let refused = |text: &str| parse_keys(text).unwrap_err().to_string();
    assert_eq!(refused("name string\n\nage"), "line 3: expected a name and a type, such as \"age int\", found \"age\"");
    assert_eq!(refused("name string int"), "line 1: expected a name and a type, such as \"age int\", found \"name string int\"");
    assert_eq!(refused("name string\nage integer"), "line 2: the type \"integer\" is not known; write string, int or float");
    assert_eq!(refused("a int\nb int\na float"), "line 3: the name \"a\" was listed before");
    assert_eq!(refused("# nothing\n"), "line 1: no names are listed; write one name and type a line, such as \"age int\"");
}

#[test]
fn a_reader_that_goes_away_is_told_apart_from_a_disk_that_fails() {
    struct Gone(ErrorKind);
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for kind in [ErrorKind::BrokenPipe, ErrorKind::StorageFull] {
        let said = outcome(write_lines(&config(1, 3, 3), 10_000, 1, Gone(kind)), "x".into());
        assert_eq!(said.is_ok(), kind == ErrorKind::BrokenPipe);
    }
}

#[test]
fn the_options_have_the_letters_that_people_know() {
    use clap::Parser;
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        gen_args: Args,
    }
    let args = Command::try_parse_from(["gen", "-n", "10", "-d", "0", "-m", "3", "-l", "4", "-k", "keys.txt", "--seed", "9"])
        .unwrap()
        .gen_args;
    assert_eq!((args.lines, args.depth, args.members, args.string, args.seed), (10, 0, 3, 4, Some(9)));
    assert_eq!(args.keys, Some(PathBuf::from("keys.txt")));
    assert!(Command::try_parse_from(["gen", "-l", "0"]).is_err());
    assert!(Command::try_parse_from(["gen", "-d", "64"]).is_err());
}
