//! Just enough of RESP, the protocol of Redis, to drive such a server: SET, GET and WAIT, and the shape of answers.

use bytes::BytesMut;
use std::io::Write;

/// An answer, as far as a load generator cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// A simple string or a bulk string.
    Done,
    /// A null: nothing is there.
    Nothing,
    /// An integer.
    Number(i64),
    /// An error.
    Failed,
}

/// Longest line and longest bulk string that are taken from a server (bytes).
const LINE_BYTES_MAX: usize = 64 << 10;
const BULK_BYTES_MAX: usize = 512 << 20;

/// Appends a command.
pub(super) fn push_command(out: &mut BytesMut, words: &[&[u8]]) {
    push_number(out, b'*', words.len());
    for word in words {
        push_number(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_number(out: &mut BytesMut, mark: u8, number: usize) {
    let mut text = [0; 24];
    let mut rest = &mut text[..];
    // 24 bytes hold a mark, 20 digits and a line end.
    let _ = write!(rest, "{}{number}\r\n", char::from(mark));
    let unused = rest.len();
    out.extend_from_slice(&text[..text.len() - unused]);
}

/// The answer that `bytes` begin with, and how many bytes it has. None while it is not complete.
///
/// Errors: the bytes are no answer to these commands.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, String> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() > LINE_BYTES_MAX { Err("a line of the answer has no end".into()) } else { Ok(None) };
    };
    let Some(line) = bytes[..end].strip_suffix(b"\r") else { return Err("a line of the answer ends without \\r\\n".into()) };
    let (mark, text) = line.split_first().ok_or("an answer is empty")?;
    let number = || std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()).ok_or("an answer has a bad number");
    let answer = match mark {
        b'+' => Answer::Done,
        b'-' => Answer::Failed,
        b'_' => Answer::Nothing,
        b':' => Answer::Number(number()?),
        b'$' => match number()? {
            -1 => Answer::Nothing,
            length => {
                let length = usize::try_from(length).ok().filter(|length| *length <= BULK_BYTES_MAX);
                let whole = end + 1 + length.ok_or("an answer has a length out of range")? + 2;
                return Ok((bytes.len() >= whole).then_some((Answer::Done, whole)));
            }
        },
        other => return Err(format!("an answer begins with {:?}", char::from(*other))),
    };
    Ok(Some((answer, end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let mut out = BytesMut::new();
        push_command(&mut out, &[b"SET", b"k", b""]);
        assert_eq!(&out[..], b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n");
    }

    #[test]
    fn answers_are_cut_where_they_end_and_waited_for_until_then() {
        for (bytes, answer) in [
            (&b"+OK\r\n"[..], Answer::Done),
            (b"$5\r\nhe\r\no\r\n", Answer::Done),
            (b"$-1\r\n", Answer::Nothing),
            (b":2\r\n", Answer::Number(2)),
            (b"-ERR no\r\n", Answer::Failed),
        ] {
            let followed = [bytes, b"+x"].concat();
            assert_eq!(parse(&followed), Ok(Some((answer, bytes.len()))));
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(None), "{:?}", String::from_utf8_lossy(&bytes[..end]));
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for bytes in [&b"hello\r\n"[..], b"\r\n", b":x\r\n", b"$-2\r\n", b"$99999999999\r\n", b"+OK\n"] {
            assert!(parse(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
