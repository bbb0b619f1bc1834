//! Reads JSON into the shape that documents need: objects as their members, everything else as its text.
//!
//! Why not `serde_json::Value`: with `arbitrary_precision` it keeps numbers as they were written by way of a private object key, and takes an
//! object of the user's that has that key for a number. What is inside strings is left to serde_json all the same.

use super::DocumentError;
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX};
use bytes::Bytes;
use std::ops::Range;

/// A JSON value. The ranges lie in the texts beside it.
#[derive(Debug)]
pub(super) enum Json {
    /// A string, number, `true`, `false` or `null`.
    Scalar(Range<usize>),
    /// An array, whole.
    Array(Range<usize>),
    /// The members in the order of their names, each name once.
    Object(Vec<(String, Json)>),
}

/// A JSON text that has been read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) root: Json,
    /// What scalars and arrays say, without white space.
    pub(super) texts: Bytes,
}

/// Reads a JSON text that will stand below a path of this depth.
pub(super) fn parse(text: &[u8], depth: usize) -> Result<Parsed, DocumentError> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(DocumentError::TooLarge { bytes: text.len() });
    }
    let mut reader = Reader { text, at: 0, texts: Vec::with_capacity(text.len()), depth };
    if let Err(error) = std::str::from_utf8(text) {
        reader.at = error.valid_up_to();
        return Err(reader.wrong("bytes that are not UTF-8"));
    }
    let root = reader.value()?;
    match reader.peek() {
        None => Ok(Parsed { root, texts: reader.texts.into() }),
        Some(_) => Err(reader.wrong("something more after the end of the value")),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// What has been read of scalars and arrays.
    texts: Vec<u8>,
    /// Objects and arrays that are open.
    depth: usize,
}

impl Reader<'_> {
    /// The value that begins here. Recursion is bounded by the depth that documents may have.
    fn value(&mut self) -> Result<Json, DocumentError> {
        let begin = self.texts.len();
        match self.peek() {
            Some(b'{') => {
                let mut members = Vec::new();
                self.members(|reader, name| {
                    members.push((name, reader.value()?));
                    Ok(())
                })?;
                Ok(Json::Object(last_of_each_name(members)))
            }
            Some(b'[') => {
                self.array_text()?;
                Ok(Json::Array(begin..self.texts.len()))
            }
            _ => {
                self.scalar_text()?;
                Ok(Json::Scalar(begin..self.texts.len()))
            }
        }
    }

    /// Appends the value that begins here to the texts.
    fn text(&mut self) -> Result<(), DocumentError> {
        match self.peek() {
            Some(b'{') => self.object_text(),
            Some(b'[') => self.array_text(),
            _ => self.scalar_text(),
        }
    }

    fn object_text(&mut self) -> Result<(), DocumentError> {
        let begin = self.texts.len();
        let mut members = Vec::new();
        self.members(|reader, name| {
            let value = reader.texts.len() - begin;
            reader.text()?;
            members.push((name, value..reader.texts.len() - begin));
            Ok(())
        })?;
        let values = self.texts.split_off(begin);
        self.texts.push(b'{');
        for (index, (name, value)) in last_of_each_name(members).into_iter().enumerate() {
            if index > 0 {
                self.texts.push(b',');
            }
            write_string(&name, &mut self.texts);
            self.texts.push(b':');
            self.texts.extend(&values[value]);
        }
        self.texts.push(b'}');
        Ok(())
    }

    fn array_text(&mut self) -> Result<(), DocumentError> {
        self.open()?;
        self.texts.push(b'[');
        if self.peek() != Some(b']') {
            loop {
                self.text()?;
                match self.peek() {
                    Some(b',') => self.texts.push(b','),
                    Some(b']') => break,
                    _ => return Err(self.wrong("no `,` or `]` after an element of an array")),
                }
                self.at += 1;
            }
        }
        self.texts.push(b']');
        self.close();
        Ok(())
    }

    /// Reads an object; `member` is told each name in turn and reads the value.
    fn members(&mut self, mut member: impl FnMut(&mut Self, String) -> Result<(), DocumentError>) -> Result<(), DocumentError> {
        self.open()?;
        if self.peek() != Some(b'}') {
            loop {
                if self.peek() != Some(b'"') {
                    return Err(self.wrong("no name in quotes where a member of an object should begin"));
                }
                let token = self.string_token()?;
                let name = self.decoded(token)?;
                if self.peek() != Some(b':') {
                    return Err(self.wrong("no `:` after the name of a member"));
                }
                self.at += 1;
                member(self, name)?;
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err(self.wrong("no `,` or `}` after a member of an object")),
                }
            }
        }
        self.close();
        Ok(())
    }

    fn open(&mut self) -> Result<(), DocumentError> {
        if self.depth == DOCUMENT_DEPTH_MAX {
            let (line, column) = self.place();
            return Err(DocumentError::TooDeep { line, column });
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn scalar_text(&mut self) -> Result<(), DocumentError> {
        match self.peek() {
            None => Err(self.wrong("the end of the text where a value should begin")),
            Some(b'"') => {
                let token = self.string_token()?;
                if self.text[token.clone()].contains(&b'\\') {
                    let string = self.decoded(token)?;
                    write_string(&string, &mut self.texts);
                } else {
                    self.texts.extend(&self.text[token]);
                }
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number_text(),
            Some(_) => {
                let rest = &self.text[self.at..];
                let word = [&b"true"[..], b"false", b"null"].into_iter().find(|word| rest.starts_with(word));
                let word = word.ok_or_else(|| self.wrong("something that is no value"))?;
                self.at += word.len();
                self.texts.extend(word);
                Ok(())
            }
        }
    }

    /// `-`, then 0 or digits that do not begin with 0, then perhaps a fraction and an exponent.
    fn number_text(&mut self) -> Result<(), DocumentError> {
        let begin = self.at;
        self.skip(|byte| byte == b'-', 1);
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.skip(|byte| byte == b'.', 1) == 1 {
            self.digits()?;
        }
        if self.skip(|byte| matches!(byte, b'e' | b'E'), 1) == 1 {
            self.skip(|byte| matches!(byte, b'+' | b'-'), 1);
            self.digits()?;
        }
        if self.byte().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-' | b'_')) {
            return Err(self.wrong("a number that is not written as JSON has it"));
        }
        self.texts.extend(&self.text[begin..self.at]);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), DocumentError> {
        match self.skip(|byte| byte.is_ascii_digit(), usize::MAX) {
            0 => Err(self.wrong("no digit where a number needs one")),
            _ => Ok(()),
        }
    }

    /// Passes over a string, and says where it lies with its quotes.
    fn string_token(&mut self) -> Result<Range<usize>, DocumentError> {
        let begin = self.at;
        self.at += 1;
        loop {
            self.skip(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20), usize::MAX);
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => self.at = (self.at + 2).min(self.text.len()),
                Some(_) => return Err(self.wrong("a control character in a string; write it with a backslash")),
                None => {
                    self.at = begin;
                    return Err(self.wrong("a string without an end"));
                }
            }
        }
        self.at += 1;
        Ok(begin..self.at)
    }

    fn decoded(&mut self, token: Range<usize>) -> Result<String, DocumentError> {
        let inner = &self.text[token.start + 1..token.end - 1];
        if !inner.contains(&b'\\') {
            return Ok(String::from_utf8_lossy(inner).into_owned());
        }
        serde_json::from_slice(&self.text[token.clone()]).map_err(|error| {
            // A string has no line breaks, so serde_json's column is a number of bytes in it.
            self.at = (token.start + error.column()).saturating_sub(1).clamp(token.start, token.end);
            self.wrong("a wrong escape in a string")
        })
    }

    /// Passes over at most so many bytes that are as wanted, and says over how many.
    fn skip(&mut self, wanted: impl Fn(u8) -> bool, most: usize) -> usize {
        let count = self.text[self.at..].iter().take(most).take_while(|byte| wanted(**byte)).count();
        self.at += count;
        count
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'), usize::MAX);
        self.byte()
    }

    fn wrong(&self, what: &'static str) -> DocumentError {
        let (line, column) = self.place();
        DocumentError::Syntax { what, line, column }
    }

    /// Line and column of the place where we are, from 1; the column in characters.
    fn place(&self) -> (usize, usize) {
        let before = &self.text[..self.at];
        let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let characters = before[line..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        (before.iter().filter(|byte| **byte == b'\n').count() + 1, characters + 1)
    }
}

/// The members in the order of their names; of one name the last.
fn last_of_each_name<T>(mut members: Vec<(String, T)>) -> Vec<(String, T)> {
    members.sort_by(|a, b| a.0.cmp(&b.0));
    // `dedup` keeps the first of its kind, and the sort was stable.
    members.reverse();
    members.dedup_by(|a, b| a.0 == b.0);
    members.reverse();
    members
}

/// Appends a string as JSON text.
pub(super) fn write_string(string: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, string).expect("a string is written to memory");
}
