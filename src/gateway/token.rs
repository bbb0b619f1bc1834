//! What clients of these doors show to be let in: the password of `AUTH`, the bearer token of HTTP.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// Fewest bytes of a token: enough that nobody finds it by trying.
const BYTES_MIN: usize = 16;
/// Most bytes of a token.
const BYTES_MAX: usize = 512;

/// What clients have to show. Only its hash, under a key that nobody knows, is kept: so a comparison tells nothing by the time it takes.
#[derive(Clone)]
pub struct Token {
    key: [u8; 16],
    hash: u128,
}

/// The contents of a token file are no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a token is {BYTES_MIN} to {BYTES_MAX} printable characters without spaces, and this one {what}; \
     make one with: head -c 32 /dev/urandom | base64 > FILE"
)]
pub struct TokenError {
    what: &'static str,
}

impl Token {
    /// A token from the contents of its file; white space at either end is no part of it.
    ///
    /// # Errors
    /// It is too short, too long, or could not be sent in a header.
    pub fn new(contents: &[u8]) -> Result<Token, TokenError> {
        let token = contents.trim_ascii();
        let wrong = match token.len() {
            ..BYTES_MIN => Some("is shorter"),
            BYTES_MIN..=BYTES_MAX => None,
            _ => Some("is longer"),
        };
        let wrong = wrong.or((!token.iter().all(u8::is_ascii_graphic)).then_some("has others"));
        if let Some(what) = wrong {
            return Err(TokenError { what });
        }
        let key = rand::random();
        Ok(Token { key, hash: hash(&key, token) })
    }

    /// True if this is it.
    pub fn is(&self, shown: &[u8]) -> bool {
        hash(&self.key, shown) == self.hash
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(not shown)")
    }
}

fn hash(key: &[u8; 16], bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_knows_itself_alone_and_does_not_show_itself() {
        let token = Token::new(b"  correct-horse-battery\n").unwrap();
        assert!(token.is(b"correct-horse-battery"));
        for other in [&b""[..], b"correct-horse-batter", b"correct-horse-battery\n", b"Correct-horse-battery"] {
            assert!(!token.is(other));
        }
        assert_eq!(format!("{token:?}"), "Token(not shown)");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for wrong in [&b""[..], b"short", b"fifteen-letters", b"with a space inside", b"not\x00printable-at-all", &[b'x'; 513]] {
            assert!(Token::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(Token::new(&[b'x'; 16]).is_ok() && Token::new(&[b'x'; 512]).is_ok());
    }
}
