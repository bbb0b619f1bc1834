//! `henge gen`: random nested records, one `key : value` line each, as `henge load` reads them.

use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX};
use rand::rngs::{ChaCha8Rng, SysRng};
use rand::seq::index;
use rand::{Rng, RngExt, SeedableRng, TryRng};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

/// The names and types of members unless a key file lists others.
const KEYS_DEFAULT: &str = "name string\nage int\nheight float\nstreet string\nlevel int\ncity string\nscore float\nyear int\n\
                            phone string\nprice float\ncount int\ncolour string\n";
/// Longest string that may be asked for (characters): one more in a record that is long enough still fits a document.
const STRING_CHARS_MAX: usize = DOCUMENT_BYTES_MAX / 8;
/// A record that is this long gets no further members: whatever is asked for, it stays a document that can be stored.
/// A quarter, because its packed form is the larger one where there are many small members.
const RECORD_BYTES_ENOUGH: usize = DOCUMENT_BYTES_MAX / 4;
/// In how many of 100 members a map stands instead of a value, as long as the depth allows.
const NESTED_PERCENT: u32 = 30;

/// Writes random nested records, one `'key1' : {'name' : 'Mary' , 'age' : 22}` line each.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// How many lines to write; the keys are key1, key2, …
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 1_000)]
    pub lines: u64,
    /// How many levels of maps may lie below the record itself; 0 for plain values only
    #[arg(short = 'd', long, value_name = "MAX_DEPTH", default_value_t = 2, value_parser = depth_in_range)]
    pub depth: usize,
    /// Most members of the record, and of each map in it
    #[arg(short = 'm', long, value_name = "MAX_KEYS", default_value_t = 5)]
    pub members: usize,
    /// Longest string, in letters and digits; the shortest has one
    #[arg(short = 'l', long, value_name = "MAX_STRING", default_value_t = 12, value_parser = string_in_range)]
    pub string: usize,
    /// A file of names and types (string, int, float), one pair a line; a list is built in
    #[arg(short = 'k', long, value_name = "KEYFILE")]
    pub keys: Option<PathBuf>,
    /// Draw from this seed: the same seed and options write the same lines. Random if left out
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Write to this file instead of standard output
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

fn depth_in_range(text: &str) -> Result<usize, String> {
    in_range(text, 0, DOCUMENT_DEPTH_MAX - 1)
}

fn string_in_range(text: &str) -> Result<usize, String> {
    in_range(text, 1, STRING_CHARS_MAX)
}

fn in_range(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("expected a number from {min} to {max}"))
}

/// Why no records were written, or not all.
#[derive(Debug, thiserror::Error)]
pub enum GenError {
    /// The key file cannot be read; nothing was written.
    #[error("cannot read the key file {path}: {error}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The key file does not list names and types; nothing was written.
    #[error("{path}, {error}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// Which line, and what is wrong with it.
        error: KeysError,
    },
    /// The output failed; what was written before is there.
    #[error("cannot write the records to {to}: {error}")]
    Output {
        /// The file, or standard output.
        to: String,
        /// Why not.
        error: io::Error,
    },
    /// The system gave no randomness; nothing was written.
    #[error("the system gave no random seed ({0}); name one with --seed")]
    Seed(rand::rngs::SysError),
}

/// What is wrong with a key file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct KeysError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong there, for people.
    pub reason: String,
}

/// The type of a member's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Letters and digits.
    String,
    /// A whole number from 0 to 9,999.
    Int,
    /// A number from 0 to 1,000 with two places.
    Float,
}

/// What records look like.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names of members, no two equal, with their types.
    pub keys: Vec<(String, Type)>,
    /// Levels of maps below the record itself.
    pub depth: usize,
    /// Most members of one map.
    pub members: usize,
    /// Longest string, in characters; at least 1.
    pub string: usize,
}

/// Reads a list of names and types, one pair a line, parted by white space. Blank lines, and lines that begin with `#`, say nothing.
///
/// Errors: a line is no such pair, a type is not known, a name stands twice, or there is no name at all.
pub fn parse_keys(text: &str) -> Result<Vec<(String, Type)>, KeysError> {
    let (mut keys, mut names) = (Vec::new(), BTreeSet::new());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, content) in (1..).zip(text.lines()) {
        let failed = |reason: String| KeysError { line, reason };
        let words: Vec<&str> = content.split_whitespace().collect();
        let (name, kind) = match words[..] {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            [name, kind] => (name, kind),
            _ => return Err(failed(format!("expected a name and a type, such as \"age int\", found {content:?}"))),
        };
        let kind = match kind {
            "string" => Type::String,
            "int" => Type::Int,
            "float" => Type::Float,
            other => return Err(failed(format!("the type {other:?} is not known; write string, int or float"))),
        };
        if !names.insert(name) {
            return Err(failed(format!("the name {name:?} was listed before")));
        }
        keys.push((name.to_string(), kind));
    }
    match keys.is_empty() {
        true => {
            Err(KeysError { line: 1, reason: "no names are listed; write one name and type a line, such as \"age int\"".into() })
        }
        false => Ok(keys),
    }
}

/// One line, without its end: key `number`, and a record drawn from `rng`. It is never larger than a document may be.
pub fn generate(config: &Config, number: u64, rng: &mut impl Rng) -> String {
    let mut line = format!("'key{number}' : ");
    push_map(&mut line, config, config.depth, rng);
    line
}

fn push_map(line: &mut String, config: &Config, depth: usize, rng: &mut impl Rng) {
    let most = config.members.min(config.keys.len());
    let count = rng.random_range(0..=most);
    line.push('{');
    for (nth, at) in index::sample(rng, config.keys.len(), count).into_iter().enumerate() {
        if line.len() >= RECORD_BYTES_ENOUGH {
            break;
        }
        if nth > 0 {
            line.push_str(" , ");
        }
        let (name, kind) = &config.keys[at];
        push_quoted(line, name);
        line.push_str(" : ");
        if depth > 0 && rng.random_ratio(NESTED_PERCENT, 100) {
            push_map(line, config, depth - 1, rng);
        } else {
            push_value(line, *kind, config.string, rng);
        }
    }
    line.push('}');
}

fn push_value(line: &mut String, kind: Type, string_chars_max: usize, rng: &mut impl Rng) {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    match kind {
        Type::Int => line.push_str(&rng.random_range(0..10_000).to_string()),
        Type::Float => {
            let hundredths = rng.random_range(0..=100_000);
            line.push_str(&format!("{}.{:02}", hundredths / 100, hundredths % 100));
        }
        Type::String => {
            let chars = rng.random_range(1..=string_chars_max.max(1));
            line.push('\'');
            line.extend((0..chars).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])));
            line.push('\'');
        }
    }
}

fn push_quoted(line: &mut String, name: &str) {
    line.push('\'');
    for c in name.chars() {
        if matches!(c, '\'' | '\\') {
            line.push('\\');
        }
        line.push(c);
    }
    line.push('\'');
}

/// Runs the command. A reader that goes away early, such as `head`, is no error.
pub fn run(args: &Args) -> Result<(), GenError> {
    let keys = match &args.keys {
        None => parse_keys(KEYS_DEFAULT).expect("the built-in list is well-formed"),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| GenError::KeyFile { path: path.clone(), error })?;
            parse_keys(&text).map_err(|error| GenError::Keys { path: path.clone(), error })?
        }
    };
    let config = Config { keys, depth: args.depth, members: args.members, string: args.string };
    let seed = match args.seed {
        Some(seed) => seed,
        None => SysRng.try_next_u64().map_err(GenError::Seed)?,
    };
    let (to, written) = match &args.output {
        None => ("standard output".to_string(), write_lines(&config, args.lines, seed, io::stdout().lock())),
        Some(path) => {
            (path.display().to_string(), File::create(path).and_then(|file| write_lines(&config, args.lines, seed, file)))
        }
    };
    outcome(written, to)
}

/// What the command says of how the writing went.
fn outcome(written: io::Result<()>, to: String) -> Result<(), GenError> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| GenError::Output { to, error }),
    }
}

fn write_lines(config: &Config, lines: u64, seed: u64, output: impl Write) -> io::Result<()> {
    let (mut rng, mut output) = (ChaCha8Rng::seed_from_u64(seed), BufWriter::with_capacity(64 << 10, output));
    for number in 1..=lines {
        writeln!(output, "{}", generate(config, number, &mut rng))?;
    }
    output.flush()
}

#[cfg(test)]
mod tests;
