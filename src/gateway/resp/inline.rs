//! The words of a line that somebody typed: `SET name "Ada Lovelace"`.

use super::framing::{FramingError, Words};
use bytes::Bytes;

/// The words of a line. Quotes keep spaces together; within `"` there are the escapes `\n \r \t \b \a \xHH`, and `\` before anything else is that;
/// within `'` only `\'`. A closing quote ends its word.
pub(super) fn words(line: &[u8]) -> Result<Words, FramingError> {
    let mut words = Words::new();
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        let (word, next) = word(rest)?;
        words.push(word);
        rest = next.trim_ascii_start();
    }
    Ok(words)
}

/// The first word, and what follows it.
fn word(mut rest: &[u8]) -> Result<(Bytes, &[u8]), FramingError> {
    let mut word = Vec::new();
    while let Some((first, behind)) = rest.split_first() {
        match first {
            b'"' | b'\'' => {
                rest = quoted(*first, behind, &mut word)?;
                return if rest.first().is_none_or(u8::is_ascii_whitespace) {
                    Ok((word.into(), rest))
                } else {
                    Err(FramingError::Quotes)
                };
            }
            byte if byte.is_ascii_whitespace() => break,
            byte => {
                word.push(*byte);
                rest = behind;
            }
        }
    }
    Ok((word.into(), rest))
}

/// Appends what stands before the closing quote; returns what stands behind it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], FramingError> {
    loop {
        let (byte, behind) = rest.split_first().ok_or(FramingError::Quotes)?;
        rest = behind;
        match (*byte, rest.first()) {
            (byte, _) if byte == quote => return Ok(rest),
            (b'\\', Some(b'x')) if quote == b'"' && hex(&rest[1..]).is_some() => {
                word.extend(hex(&rest[1..]));
                rest = &rest[3..];
            }
            (b'\\', Some(escaped)) if quote == b'"' || *escaped == quote => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = &rest[1..];
            }
            (byte, _) => word.push(byte),
        }
    }
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digits = digits.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_into_words_as_people_expect() {
        for (line, expected) in [
            (&b"get  key \r\n"[..], &[&b"get"[..], b"key"][..]),
            (br#"set "a b" 'c"d' e"#, &[b"set", b"a b", b"c\"d", b"e"]),
            (br#"set "\x00\n\"\\\q" 'it\'s \n'"#, &[b"set", b"\x00\n\"\\q", b"it's \\n"]),
            (br#"set "" ''"#, &[b"set", b"", b""]),
            (b"   ", &[]),
        ] {
            let words = words(line).unwrap();
            assert_eq!(words.iter().map(|word| &word[..]).collect::<Vec<_>>(), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn quotes_must_close_and_end_their_word() {
        for line in [&b"set \"a"[..], b"set 'a", b"set \"a\"b", b"set 'a'b", b"set \"a\\"] {
            assert_eq!(words(line), Err(FramingError::Quotes), "{}", line.escape_ascii());
        }
    }
}
