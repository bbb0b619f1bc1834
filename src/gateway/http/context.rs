//! The causal context, in and out, in one header.

use super::problem::{Kind, Problem};
use crate::limits::HTTP_CONTEXT_CHARS_MAX;
use crate::vclock::Sealed;
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;

/// The header.
pub(super) const CONTEXT: HeaderName = HeaderName::from_static("henge-context");
/// In its place, if the context is too long for a header: how many characters it has.
const CONTEXT_LENGTH: HeaderName = HeaderName::from_static("henge-context-length");

/// The context that came with a request; empty if none did. Whether the seal fits, the coordinator says.
pub(super) fn context_in(headers: &HeaderMap) -> Result<Bytes, Problem> {
    let mut given = headers.get_all(CONTEXT).iter();
    let Some(value) = given.next() else { return Ok(Bytes::new()) };
    if given.next().is_some() {
        return Err(Problem::new(Kind::BadContext, "the header Henge-Context stands there more than once"));
    }
    // What is empty or no text at all must not pass for no context.
    let text = value.to_str().ok().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Problem::new(Kind::BadContext, "the header Henge-Context is empty or no text"))?;
    context_of(text)
}

/// The context of a text.
pub(super) fn context_of(text: &str) -> Result<Bytes, Problem> {
    match Sealed::from_text(text) {
        Ok(context) if !context.is_empty() => Ok(context),
        Ok(_) => Err(Problem::new(Kind::BadContext, "the context is empty")),
        Err(error) => Err(Problem::new(Kind::BadContext, error.to_string())),
    }
}

/// Puts a context into the headers of an answer.
pub(super) fn put_context(headers: &mut HeaderMap, context: &[u8]) {
    let text = Sealed::to_text(context);
    if text.len() > HTTP_CONTEXT_CHARS_MAX {
        headers.insert(CONTEXT_LENGTH, text.len().into());
    } else if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(CONTEXT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_back_as_it_went_out_unless_it_is_too_long_for_a_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(context_in(&headers).unwrap(), Bytes::new());
        put_context(&mut headers, b"\0\xffsome context");
        assert_eq!(context_in(&headers).unwrap(), &b"\0\xffsome context"[..]);
        let mut headers = HeaderMap::new();
        put_context(&mut headers, &vec![7; HTTP_CONTEXT_CHARS_MAX]);
        assert!(headers.get(CONTEXT).is_none());
        assert_eq!(headers[CONTEXT_LENGTH], "65536");
    }

    #[test]
    fn what_is_no_context_is_never_taken_for_none() {
        for wrong in ["", "no context", "AAEC=", "A", "é"] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTEXT, HeaderValue::from_bytes(wrong.as_bytes()).unwrap());
            assert!(context_in(&headers).is_err(), "{wrong:?}");
        }
        let mut headers = HeaderMap::new();
        headers.append(CONTEXT, HeaderValue::from_static("AAEC"));
        headers.append(CONTEXT, HeaderValue::from_static("AAEC"));
        assert!(context_in(&headers).is_err());
    }
}
