//! The lines that `load` reads: one key and one value each.
//!
//! Two forms, told apart by how the line begins:
//!
//! ```text
//! 'key1' : {'name': {'age': 22}, 'city': 'Rome'}
//! {"key": "key1", "value": {"name": {"age": 22}, "city": "Rome"}}
//! ```
//!
//! In both, strings stand in single or double quotes, members are parted by `,` or `;` (one may also follow the last), space
//! may stand anywhere between the parts, and Python's `True`, `False` and `None` are understood beside JSON's words. Numbers are
//! JSON's and are kept as they were written. A line that is blank, or begins with `#`, says nothing.

use crate::limits::{DOCUMENT_DEPTH_MAX, KEY_BYTES_MAX};
use std::collections::BTreeSet;

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The key: 1 to `limits::KEY_BYTES_MAX` bytes of UTF-8.
    pub key: String,
    /// The value as JSON text without space between its parts, members in the order of the line, numbers as they were written.
    pub json: String,
}

/// Why a line could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("column {column}: {reason}")]
pub struct LineError {
    /// Where, in characters, from 1.
    pub column: usize,
    /// What is wrong there, for people.
    pub reason: String,
}

/// Reads one line, with or without its line end and a byte order mark. `None` if it is blank or a comment.
///
/// Errors: the line is not UTF-8 or has neither form; the key is too short or too long; the value is nested deeper than
/// `limits::DOCUMENT_DEPTH_MAX`, or names a member twice.
pub fn parse_line(line: &[u8]) -> Result<Option<Line>, LineError> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&line[..error.valid_up_to()]);
            let column = valid.trim_start_matches('\u{feff}').chars().count() + 1;
            return Err(LineError { column, reason: "the bytes from here on are not UTF-8".into() });
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
    let mut parser = Parser { text, at: 0, json: String::with_capacity(text.len()) };
    parser.skip_space();
    let line = match parser.peek() {
        None | Some('#') => return Ok(None),
        Some('{') => parser.json_line(),
        Some(_) => parser.key_and_value(),
    };
    let line = line.map_err(|(at, reason)| LineError { column: text[..at].chars().count() + 1, reason })?;
    Ok(Some(line))
}

/// The byte where it went wrong, and how.
type Failure = (usize, String);

struct Parser<'a> {
    text: &'a str,
    /// Byte of the next character.
    at: usize,
    /// What has been read of the value so far.
    json: String,
}

impl Parser<'_> {
    /// `'key' : value`
    fn key_and_value(mut self) -> Result<Line, Failure> {
        let begin = self.at;
        let key = self.string("a line begins with the key in quotes, or with {\"key\": …, \"value\": …}")?;
        check_key(&key, begin)?;
        self.expect(':', "expected ':' after the key")?;
        self.value(0)?;
        self.end()?;
        Ok(Line { key, json: self.json })
    }

    /// `{"key": …, "value": …}`, the two in any order.
    fn json_line(mut self) -> Result<Line, Failure> {
        let (begin, mut key, mut has_value) = (self.at, None, false);
        self.expect('{', "expected '{'")?;
        while !self.closes('}') {
            let at = self.at;
            let name = self.string("expected \"key\" or \"value\" in quotes")?;
            self.expect(':', &format!("expected ':' after \"{name}\""))?;
            match name.as_str() {
                "key" if key.is_none() => {
                    self.skip_space();
                    let begin = self.at;
                    let text = self.string("the key must be a string in quotes")?;
                    check_key(&text, begin)?;
                    key = Some(text);
                }
                "value" if !has_value => {
                    self.value(0)?;
                    has_value = true;
                }
                "key" | "value" => return Err((at, format!("\"{name}\" stands twice in this line"))),
                _ => return Err((at, "a line that begins with { has the members \"key\" and \"value\" and no others".into())),
            }
            self.separator('}')?;
        }
        self.end()?;
        match (key, has_value) {
            (Some(key), true) => Ok(Line { key, json: self.json }),
            (None, _) => Err((begin, "this line has no \"key\"".into())),
            (_, false) => Err((begin, "this line has no \"value\"".into())),
        }
    }

    /// Any value, `depth` maps and arrays down. Calls itself, but no deeper than documents may be.
    fn value(&mut self, depth: usize) -> Result<(), Failure> {
        self.skip_space();
        match self.peek() {
            Some('{' | '[') if depth >= DOCUMENT_DEPTH_MAX => {
                Err((self.at, format!("values may be nested {DOCUMENT_DEPTH_MAX} deep; flatten this one, or store it as bytes")))
            }
            Some('{') => self.map(depth),
            Some('[') => self.array(depth),
            Some('\'' | '"') => {
                let text = self.string("expected a string")?;
                self.push_string(&text);
                Ok(())
            }
            Some('-' | '+' | '.' | '0'..='9') => self.number(),
            Some(c) if c.is_alphabetic() => self.word(),
            Some(c) => Err((self.at, format!("expected a value, found {c:?}"))),
            None => Err((self.at, "the line ends where a value should stand".into())),
        }
    }

    fn map(&mut self, depth: usize) -> Result<(), Failure> {
        self.expect('{', "expected '{'")?;
        self.json.push('{');
        let mut names = BTreeSet::new();
        while !self.closes('}') {
            let begin = self.at;
            let name = self.string("expected the next name in quotes, or '}'")?;
            if !names.is_empty() {
                self.json.push(',');
            }
            self.push_string(&name);
            self.expect(':', "expected ':' after the name")?;
            self.json.push(':');
            if names.contains(&name) {
                return Err((begin, "this name stands twice in its map".into()));
            }
            names.insert(name);
            self.value(depth + 1)?;
            self.separator('}')?;
        }
        self.json.push('}');
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), Failure> {
        self.expect('[', "expected '['")?;
        self.json.push('[');
        let mut first = true;
        while !self.closes(']') {
            if !first {
                self.json.push(',');
            }
            first = false;
            self.value(depth + 1)?;
            self.separator(']')?;
        }
        self.json.push(']');
        Ok(())
    }

    /// A number as JSON writes it, taken over as it stands.
    fn number(&mut self) -> Result<(), Failure> {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let rest = &self.text[self.at..];
        let text = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        if !is_json_number(text) {
            return Err((self.at, format!("{} is not a number as JSON writes it; put quotes round it if it is text", shown(text))));
        }
        self.json.push_str(text);
        self.at += text.len();
        Ok(())
    }

    fn word(&mut self) -> Result<(), Failure> {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())];
        self.json.push_str(match word {
            "true" | "True" => "true",
            "false" | "False" => "false",
            "null" | "None" => "null",
            _ => return Err((self.at, format!("{} is no value; put quotes round it if it is text", shown(word)))),
        });
        self.at += word.len();
        Ok(())
    }

    /// A string in quotes of either kind.
    fn string(&mut self, otherwise: &str) -> Result<String, Failure> {
        self.skip_space();
        let begin = self.at;
        let quote = match self.take() {
            Some(quote @ ('\'' | '"')) => quote,
            _ => return Err((begin, otherwise.into())),
        };
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.take() {
                None => return Err((begin, "the string that begins here has no closing quote".into())),
                Some(c) if c == quote => return Ok(text),
                Some('\\') => text.push(self.escape(at)?),
                Some(c) => text.push(c),
            }
        }
    }

    /// What stands behind a backslash at `begin`: JSON's escapes, `\'`, and Python's `\x` and `\U`.
    fn escape(&mut self, begin: usize) -> Result<char, Failure> {
        let bad = |reason: &str| (begin, reason.to_string());
        let code = match self.take() {
            Some(c @ ('\'' | '"' | '\\' | '/')) => return Ok(c),
            Some('n') => return Ok('\n'),
            Some('t') => return Ok('\t'),
            Some('r') => return Ok('\r'),
            Some('b') => return Ok('\u{8}'),
            Some('f') => return Ok('\u{c}'),
            Some('x') => self.hex(2).ok_or_else(|| bad("\\x needs two hexadecimal digits"))?,
            Some('U') => self.hex(8).ok_or_else(|| bad("\\U needs eight hexadecimal digits"))?,
            Some('u') => {
                let code = self.hex(4).ok_or_else(|| bad("\\u needs four hexadecimal digits"))?;
                if !(0xd800..0xdc00).contains(&code) {
                    code
                } else {
                    let pair = if self.take() == Some('\\') && self.take() == Some('u') { self.hex(4) } else { None };
                    let low = pair.filter(|low| (0xdc00..0xe000).contains(low));
                    let low =
                        low.ok_or_else(|| bad("this half of a surrogate pair must be followed by the other, \\uDC00 to \\uDFFF"))?;
                    0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00)
                }
            }
            _ => return Err(bad("this escape is not known; write \\\\ for a backslash")),
        };
        char::from_u32(code).ok_or_else(|| bad("this escape names no character"))
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        (0..digits).try_fold(0, |code: u32, _| Some(code.checked_mul(16)? + self.take()?.to_digit(16)?))
    }

    /// After a member: a separator, or the closing bracket, which is left standing.
    fn separator(&mut self, close: char) -> Result<(), Failure> {
        self.skip_space();
        match self.peek() {
            Some(',' | ';') => self.at += 1,
            Some(c) if c == close => {}
            Some(c) => return Err((self.at, format!("expected ',' or '{close}', found {c:?}"))),
            None => return Err((self.at, format!("the line ends where ',' or '{close}' should stand"))),
        }
        Ok(())
    }

    /// Takes the closing bracket if it is next.
    fn closes(&mut self, close: char) -> bool {
        self.skip_space();
        let closes = self.peek() == Some(close);
        self.at += usize::from(closes);
        closes
    }

    fn expect(&mut self, wanted: char, otherwise: &str) -> Result<(), Failure> {
        self.skip_space();
        match self.peek() {
            Some(c) if c == wanted => self.at += c.len_utf8(),
            _ => return Err((self.at, otherwise.into())),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(c) => {
                Err((self.at, format!("the value has ended, but {c:?} follows; each key and value must have a line of their own")))
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn push_string(&mut self, text: &str) {
        self.json.push_str(&serde_json::Value::from(text).to_string());
    }
}

fn check_key(key: &str, begin: usize) -> Result<(), Failure> {
    match key.len() {
        0 => Err((begin, "a key must not be empty".into())),
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err((begin, format!("the key has {bytes} bytes; at most {KEY_BYTES_MAX} are allowed"))),
    }
}

/// A word from the line, not too long, for a message.
fn shown(word: &str) -> String {
    let begin: String = word.chars().take(24).collect();
    if begin.len() < word.len() { format!("{begin}…") } else { begin }
}

/// `-? (0 | 1-9 digits) (. digits)? (e ±? digits)?`, as RFC 8259 has it.
fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits) && exponent.is_none_or(digits)
}

#[cfg(test)]
mod tests;
