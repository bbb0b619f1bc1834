//! Answers, and their bytes in RESP 2 and RESP 3.

use bytes::{BufMut, Bytes, BytesMut};
use std::borrow::Cow;

/// Which protocol a client speaks: 2, until it says `HELLO 3`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Protocol {
    /// RESP 2.
    #[default]
    Two,
    /// RESP 3.
    Three,
}

/// The answer to a command.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Answer {
    /// A word that says that it is done.
    Simple(&'static str),
    /// An error: its code in capitals, a space, and what a person can read.
    Error(Cow<'static, str>),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// Text of several lines for people.
    Text(String),
    /// Nothing is there.
    Null,
    /// Answers in a row.
    Array(Vec<Answer>),
    /// Names and what they stand for, in this order; a plain row in RESP 2.
    Map(Vec<(Answer, Answer)>),
    /// Members of a set; a plain row in RESP 2.
    Set(Vec<Answer>),
}

impl Answer {
    /// Done.
    pub(super) const OK: Answer = Answer::Simple("OK");

    /// Bytes that are a text of the program.
    pub(super) fn bulk(text: &'static str) -> Answer {
        Answer::Bulk(Bytes::from_static(text.as_bytes()))
    }

    /// A count. No count comes near the greatest number that can be told.
    pub(super) fn count(count: usize) -> Answer {
        Answer::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// An error.
    pub(super) fn error(text: impl Into<Cow<'static, str>>) -> Answer {
        Answer::Error(text.into())
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        /// What stands around each of them.
        const FRAME: usize = 16;
        FRAME
            + match self {
                Answer::Simple(_) | Answer::Integer(_) | Answer::Null => 0,
                Answer::Error(text) => text.len(),
                Answer::Bulk(bytes) => bytes.len(),
                Answer::Text(text) => text.len(),
                Answer::Array(items) | Answer::Set(items) => items.iter().map(Answer::bytes).sum(),
                Answer::Map(pairs) => pairs.iter().map(|(name, value)| name.bytes() + value.bytes()).sum(),
            }
    }

    /// Appends the answer as the client understands it.
    pub(super) fn write(&self, protocol: Protocol, out: &mut BytesMut) {
        match self {
            Answer::Simple(text) => put_line(out, b'+', text.as_bytes()),
            Answer::Error(text) => put_error(out, text),
            Answer::Integer(number) => put_number(out, b':', *number),
            Answer::Bulk(bytes) => put_bulk(out, b'$', b"", bytes),
            Answer::Text(text) if protocol == Protocol::Three => put_bulk(out, b'=', b"txt:", text.as_bytes()),
            Answer::Text(text) => put_bulk(out, b'$', b"", text.as_bytes()),
            Answer::Null if protocol == Protocol::Three => out.put_slice(b"_\r\n"),
            Answer::Null => out.put_slice(b"$-1\r\n"),
            Answer::Array(items) => put_items(out, b'*', items, protocol),
            Answer::Set(items) => put_items(out, if protocol == Protocol::Three { b'~' } else { b'*' }, items, protocol),
            Answer::Map(pairs) => {
                match protocol {
                    Protocol::Three => put_length(out, b'%', pairs.len()),
                    Protocol::Two => put_length(out, b'*', 2 * pairs.len()),
                }
                for (name, value) in pairs {
                    name.write(protocol, out);
                    value.write(protocol, out);
                }
            }
        }
    }
}

fn put_items(out: &mut BytesMut, mark: u8, items: &[Answer], protocol: Protocol) {
    put_length(out, mark, items.len());
    items.iter().for_each(|item| item.write(protocol, out));
}

fn put_line(out: &mut BytesMut, mark: u8, text: &[u8]) {
    out.put_u8(mark);
    out.put_slice(text);
    out.put_slice(b"\r\n");
}

/// A line end within an error would end it, and what follows would be taken for an answer.
fn put_error(out: &mut BytesMut, text: &str) {
    out.put_u8(b'-');
    out.extend(text.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    out.put_slice(b"\r\n");
}

fn put_bulk(out: &mut BytesMut, mark: u8, prefix: &[u8], bytes: &[u8]) {
    out.reserve(prefix.len() + bytes.len() + 32);
    put_length(out, mark, prefix.len() + bytes.len());
    out.put_slice(prefix);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

fn put_length(out: &mut BytesMut, mark: u8, length: usize) {
    put_number(out, mark, i64::try_from(length).expect("what is in memory has fewer bytes than 2^63"));
}

fn put_number(out: &mut BytesMut, mark: u8, number: i64) {
    // 19 digits and a sign.
    let mut text = [0; 20];
    let mut begin = text.len();
    let mut rest = number.unsigned_abs();
    loop {
        begin -= 1;
        text[begin] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        begin -= 1;
        text[begin] = b'-';
    }
    put_line(out, mark, &text[begin..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &Answer, protocol: Protocol) -> String {
        let mut out = BytesMut::new();
        answer.write(protocol, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn every_kind_of_answer_is_written_as_its_protocol_has_it() {
        let pair = vec![(Answer::bulk("a"), Answer::Integer(1))];
        for (answer, two, three) in [
            (Answer::OK, "+OK\r\n", "+OK\r\n"),
            (Answer::error("ERR no\r\n+OK"), "-ERR no  +OK\r\n", "-ERR no  +OK\r\n"),
            (Answer::bulk("h\r\n"), "$3\r\nh\r\n\r\n", "$3\r\nh\r\n\r\n"),
            (Answer::bulk(""), "$0\r\n\r\n", "$0\r\n\r\n"),
            (Answer::Null, "$-1\r\n", "_\r\n"),
            (Answer::Text("a".into()), "$1\r\na\r\n", "=5\r\ntxt:a\r\n"),
            (Answer::Array(vec![Answer::Null, Answer::count(2)]), "*2\r\n$-1\r\n:2\r\n", "*2\r\n_\r\n:2\r\n"),
            (Answer::Array(vec![]), "*0\r\n", "*0\r\n"),
            (Answer::Set(vec![Answer::bulk("a")]), "*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n"),
            (Answer::Map(pair), "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"),
        ] {
            assert_eq!(written(&answer, Protocol::Two), two);
            assert_eq!(written(&answer, Protocol::Three), three);
        }
    }

    #[test]
    fn numbers_are_written_with_all_their_digits_and_no_more() {
        let tens = (0..19).map(|exponent| 10_i64.pow(exponent)).flat_map(|ten| [ten - 1, ten, ten + 1]);
        for number in tens.flat_map(|number| [number, -number]).chain([0, i64::MIN, i64::MAX]) {
            assert_eq!(written(&Answer::Integer(number), Protocol::Two), format!(":{number}\r\n"));
        }
    }
}
