//! Where a command begins and ends: arrays of bulk strings, and lines typed by hand.
//!
//! Nothing is believed before it is there: a length is held against its bound when it is read, and nothing is allocated for it. What has been
//! looked at is not looked at again when more arrives, however small the pieces.

use super::inline;
use crate::limits;
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::ops::Range;

/// The words of a command, its name first.
pub type Words = SmallVec<[Bytes; 4]>;

/// What a command may have.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    words: usize,
    word_bytes: usize,
    command_bytes: usize,
}

impl Bounds {
    /// Of a client that has been let in.
    pub const CLIENT: Bounds = Bounds {
        words: limits::RESP_WORDS_MAX,
        word_bytes: limits::VALUE_BYTES_MAX,
        command_bytes: limits::RESP_COMMAND_BYTES_MAX,
    };
    /// Of a stranger, who has still to show the token.
    pub const STRANGER: Bounds = Bounds {
        words: limits::RESP_WORDS_BEFORE_AUTH_MAX,
        word_bytes: limits::RESP_WORD_BYTES_BEFORE_AUTH_MAX,
        command_bytes: limits::RESP_LINE_BYTES_MAX,
    };
}

/// What a client sent is no command. Nothing sound can follow: the connection ends.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FramingError {
    /// The length of an array is no number, or above the bound.
    #[error("invalid multibulk length: a command has at most {most} words")]
    Words {
        /// How many are taken.
        most: usize,
    },
    /// The length of a word is no number, or above the bound.
    #[error("invalid bulk length: at most {most} bytes are taken; split a large value over several keys")]
    WordBytes {
        /// How many are taken.
        most: usize,
    },
    /// All words together are too long.
    #[error("the command has more than {most} bytes: split it into several")]
    CommandBytes {
        /// How many are taken.
        most: usize,
    },
    /// Something else stands where a word should begin.
    #[error("expected '$', got '{}'", .found.escape_ascii())]
    NoWord {
        /// The byte that was found.
        found: u8,
    },
    /// A word does not end where it should.
    #[error("a bulk string does not end with \\r\\n where its length says")]
    NoEnd,
    /// A line has no end.
    #[error("too big inline request")]
    Line,
    /// A line ends within quotes.
    #[error("unbalanced quotes in request")]
    Quotes,
}

/// Takes commands from what has arrived, and remembers how far an unfinished one has been looked at.
#[derive(Default, Debug)]
pub struct Framing {
    /// So many bytes of the inbox have been looked at.
    at: usize,
    /// Words that are still to come; 0: no array has begun.
    left: usize,
    /// The length of the word that comes now, if it has been read.
    word: Option<usize>,
    words: SmallVec<[Range<usize>; 4]>,
}

/// Longest line that holds a length: a mark and an `i64`.
const LENGTH_LINE_BYTES_MAX: usize = 32;

impl Framing {
    /// The next command, and how many bytes it had; none until more has arrived. Empty ones are passed over.
    pub fn take(&mut self, inbox: &mut BytesMut, bounds: Bounds) -> Result<Option<(Words, usize)>, FramingError> {
        loop {
            if self.left == 0 && !self.begin(inbox, bounds)? {
                return Ok(None);
            }
            if self.left == 0 {
                // A typed line, or nothing at all.
                let line = inbox.split_to(std::mem::take(&mut self.at)).freeze();
                let words = if line.starts_with(b"*") { Words::new() } else { inline::words(&line)? };
                if words.is_empty() {
                    continue;
                }
                return Ok(Some((words, line.len())));
            }
            while self.left > 0 {
                if !self.next_word(inbox, bounds)? {
                    return Ok(None);
                }
            }
            let whole = inbox.split_to(std::mem::take(&mut self.at)).freeze();
            let words = self.words.drain(..).map(|word| whole.slice(word)).collect();
            return Ok(Some((words, whole.len())));
        }
    }

    /// Looks at the first line of a command. False until it is complete.
    fn begin(&mut self, inbox: &[u8], bounds: Bounds) -> Result<bool, FramingError> {
        let Some(first) = inbox.first() else { return Ok(false) };
        if *first != b'*' {
            // Up to `at` there is no end.
            let most = limits::RESP_LINE_BYTES_MAX.min(bounds.command_bytes);
            return match inbox.iter().take(most).skip(self.at).position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.at += end + 1;
                    Ok(true)
                }
                None if inbox.len() >= most => Err(FramingError::Line),
                None => {
                    self.at = inbox.len();
                    Ok(false)
                }
            };
        }
        let wrong = FramingError::Words { most: bounds.words };
        let Some((length, next)) = length(inbox, &wrong)? else { return Ok(false) };
        self.at = next;
        // None at all is passed over, as is the null array.
        self.left = usize::try_from(length.max(0)).ok().filter(|left| *left <= bounds.words).ok_or(wrong)?;
        Ok(true)
    }

    /// Looks at one word. False until it is complete.
    fn next_word(&mut self, inbox: &[u8], bounds: Bounds) -> Result<bool, FramingError> {
        let Some(bytes) = self.word else {
            let rest = &inbox[self.at..];
            match rest.first() {
                None => return Ok(false),
                Some(b'$') => {}
                Some(found) => return Err(FramingError::NoWord { found: *found }),
            }
            let wrong = FramingError::WordBytes { most: bounds.word_bytes };
            let Some((length, next)) = length(rest, &wrong)? else { return Ok(false) };
            let bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= bounds.word_bytes).ok_or(wrong)?;
            if self.at + next + bytes > bounds.command_bytes {
                return Err(FramingError::CommandBytes { most: bounds.command_bytes });
            }
            self.at += next;
            self.word = Some(bytes);
            return self.next_word(inbox, bounds);
        };
        let end = self.at + bytes;
        if inbox.len() < end + 2 {
            return Ok(false);
        }
        if &inbox[end..end + 2] != b"\r\n" {
            return Err(FramingError::NoEnd);
        }
        self.words.push(self.at..end);
        self.at = end + 2;
        self.left -= 1;
        self.word = None;
        Ok(true)
    }
}

enum Line {
    /// Its bytes without the end, and where the next one begins.
    Ends(usize, usize),
    Unfinished,
    TooLong,
}

/// The line that `bytes` begin with; `\r` before the end is no part of it.
fn find_line(bytes: &[u8], bytes_max: usize) -> Line {
    match bytes.iter().take(bytes_max).position(|byte| *byte == b'\n') {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Line::Ends(end - 1, end + 1),
        Some(end) => Line::Ends(end, end + 1),
        None if bytes.len() >= bytes_max => Line::TooLong,
        None => Line::Unfinished,
    }
}

/// The number behind the mark of a line, and where the next line begins; none until the line is complete.
fn length(bytes: &[u8], wrong: &FramingError) -> Result<Option<(i64, usize)>, FramingError> {
    match find_line(bytes, LENGTH_LINE_BYTES_MAX) {
        Line::Unfinished => Ok(None),
        Line::TooLong => Err(wrong.clone()),
        Line::Ends(end, next) => {
            let number = std::str::from_utf8(&bytes[1..end]).ok().and_then(|text| text.parse().ok());
            number.map(|number| Some((number, next))).ok_or_else(|| wrong.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRng, TestRunner};

    fn take_all(inbox: &mut BytesMut, framing: &mut Framing) -> Result<Vec<Vec<Vec<u8>>>, FramingError> {
        let mut taken = Vec::new();
        while let Some((words, _)) = framing.take(inbox, Bounds::CLIENT)? {
            taken.push(words.iter().map(|word| word.to_vec()).collect());
        }
        Ok(taken)
    }

    fn taken(bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, FramingError> {
        take_all(&mut bytes.into(), &mut Framing::default())
    }

    fn encoded(command: &[Vec<u8>]) -> Vec<u8> {
        let mut out = format!("*{}\r\n", command.len()).into_bytes();
        for word in command {
            out.extend(format!("${}\r\n", word.len()).bytes());
            out.extend(word);
            out.extend(b"\r\n");
        }
        out
    }

    #[test]
    fn commands_come_out_as_they_went_in_however_they_are_cut() {
        let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(Default::default()));
        let word = proptest::collection::vec(any::<u8>(), 0..40);
        let commands = proptest::collection::vec(proptest::collection::vec(word, 1..6), 0..6);
        runner
            .run(&(commands, proptest::collection::vec(1_usize..50, 1..20)), |(commands, cuts)| {
                let bytes: Vec<u8> = commands.iter().flat_map(|command| encoded(command)).collect();
                let (mut inbox, mut framing, mut out, mut sent) = (BytesMut::new(), Framing::default(), Vec::new(), 0);
                for cut in cuts.iter().cycle() {
                    if sent == bytes.len() {
                        break;
                    }
                    let end = (sent + cut).min(bytes.len());
                    inbox.extend_from_slice(&bytes[sent..end]);
                    sent = end;
                    out.extend(take_all(&mut inbox, &mut framing).unwrap());
                }
                prop_assert_eq!(out, commands);
                prop_assert!(inbox.is_empty());
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let config = Config { cases: 2_000, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(Default::default()));
        let pieces = proptest::sample::select(vec![
            &b"*"[..],
            b"$",
            b"1",
            b"3",
            b"-1",
            b"\r\n",
            b"\r",
            b"\n",
            b"x",
            b"\"",
            b"'",
            b"\\",
            b" ",
            b"+9",
            b"99999999999999999999",
        ]);
        runner
            .run(&proptest::collection::vec(pieces, 0..12), |pieces| {
                let _ = taken(&pieces.concat());
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn lines_typed_by_hand_work_and_nothing_is_passed_over() {
        let words = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(taken(b"PING\r\n\r\n*0\r\n*-1\r\nset a \"b c\"\n"), Ok(vec![words(&["PING"]), words(&["set", "a", "b c"])]));
        assert_eq!(taken(b"PIN"), Ok(vec![]));
        assert_eq!(taken(b"PING \"x\n"), Err(FramingError::Quotes));
        assert_eq!(taken(&vec![b'x'; limits::RESP_LINE_BYTES_MAX]), Err(FramingError::Line));
    }

    #[test]
    fn lying_lengths_are_refused_when_they_are_read_and_nothing_is_allocated_for_them() {
        let most = limits::RESP_WORDS_MAX;
        for lie in ["*2147483647\r\n", "*131073\r\n", "*x\r\n", "*9999999999999999999999999999999\r\n", "*\r\n"] {
            assert_eq!(taken(lie.as_bytes()), Err(FramingError::Words { most }), "{lie}");
        }
        let most = limits::VALUE_BYTES_MAX;
        for lie in ["$1048577\r\n", "$-1\r\n", "$x\r\n", "$9223372036854775807\r\n", "$111111111111111111111111111111111111"] {
            assert_eq!(taken(format!("*1\r\n{lie}").as_bytes()), Err(FramingError::WordBytes { most }), "{lie}");
        }
        assert_eq!(taken(b"*1\r\n*1\r\n"), Err(FramingError::NoWord { found: b'*' }));
        assert_eq!(taken(b"*1\r\n$1\r\nabc"), Err(FramingError::NoEnd));
        // An array that announces as much as it may, and brings nothing.
        let (mut inbox, mut framing) = (BytesMut::from(&b"*131072\r\n$1048576\r\n"[..]), Framing::default());
        assert_eq!(framing.take(&mut inbox, Bounds::CLIENT), Ok(None));
        assert!(inbox.capacity() < 64 && !framing.words.spilled());
    }

    #[test]
    fn a_command_is_bounded_as_a_whole_and_a_strangers_more_so() {
        let word = encoded(&[vec![b'x'; limits::VALUE_BYTES_MAX]]).split_off(4);
        let mut bytes = b"*17\r\n".to_vec();
        (0..17).for_each(|_| bytes.extend(&word));
        assert_eq!(taken(&bytes), Err(FramingError::CommandBytes { most: limits::RESP_COMMAND_BYTES_MAX }));
        let stranger = |bytes: &[u8]| Framing::default().take(&mut bytes.into(), Bounds::STRANGER).map(|taken| taken.is_some());
        assert_eq!(stranger(b"*11\r\n"), Err(FramingError::Words { most: 10 }));
        assert_eq!(stranger(b"*1\r\n$16385\r\n"), Err(FramingError::WordBytes { most: 16_384 }));
        assert_eq!(stranger(b"*1\r\n$4\r\nPING\r\n"), Ok(true));
    }
}
