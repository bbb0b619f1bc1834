//! `/doc/KEY/PATH`: documents, and what lies in them.

use super::body::arrived;
use super::place::{Place, document_place};
use super::problem::{Kind, Problem};
use super::read::{Wants, read};
use super::representation::{require_type, require_whole};
use super::routes::Answer;
use super::serving::Serving;
use super::write::{Terms, write};
use crate::limits::DOCUMENT_BYTES_MAX;
use crate::message::Request as Asked;
use crate::message::{Body, PatchBody, Put, Remove, Update};
use crate::vclock::{Path, leaves_from_json};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use bytes::Bytes;

pub(super) async fn get(State(serving): State<Serving>, request: Request) -> Answer {
    let Place { key, path } = document_place(request.uri().path())?;
    let wants = Wants { key, path: path.to_text(), document: true };
    read(&serving, wants, request.method(), request.uri().query(), request.headers()).await
}

pub(super) async fn put(State(serving): State<Serving>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let Place { key, path } = document_place(parts.uri.path())?;
    let terms = Terms::of_value(parts.uri.query(), &parts.headers)?;
    require_type(&parts.headers, &["application/json"])?;
    require_whole(&parts.headers)?;
    let arrived = arrived(&serving, &parts.headers, body, DOCUMENT_BYTES_MAX).await?;
    let json = arrived.bytes.clone();
    let request = match path.is_root() {
        true => Asked::Put(Put {
            key: key.clone(),
            body: Body::Json(json),
            context: terms.context.clone(),
            w: terms.w,
            deadline_ms: terms.deadline_ms,
            retry: None,
            strict: terms.strict,
            ttl_ms: terms.ttl_ms,
        }),
        false => update(key.clone(), PatchBody::Set { path: path.to_text(), json }, &terms),
    };
    write(&serving, &key, &terms, request, StatusCode::CREATED).await
}

pub(super) async fn patch(State(serving): State<Serving>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let Place { key, path } = document_place(parts.uri.path())?;
    let terms = Terms::of_value(parts.uri.query(), &parts.headers)?;
    require_type(&parts.headers, &["application/merge-patch+json", "application/json"])?;
    require_whole(&parts.headers)?;
    let arrived = arrived(&serving, &parts.headers, body, DOCUMENT_BYTES_MAX).await?;
    let json = below(&path, arrived.bytes.clone())?;
    let request = update(key.clone(), PatchBody::Merge { json }, &terms);
    write(&serving, &key, &terms, request, StatusCode::NO_CONTENT).await
}

pub(super) async fn delete(State(serving): State<Serving>, request: Request) -> Answer {
    let Place { key, path } = document_place(request.uri().path())?;
    let terms = Terms::of_removal(request.uri().query(), request.headers())?;
    let remove = Remove {
        key: key.clone(),
        path: path.to_text(),
        context: terms.context.clone(),
        w: terms.w,
        deadline_ms: terms.deadline_ms,
        retry: None,
        strict: terms.strict,
    };
    write(&serving, &key, &terms, Asked::Remove(remove), StatusCode::NO_CONTENT).await
}

fn update(key: Bytes, patch: PatchBody, terms: &Terms) -> Asked {
    Asked::Update(Update {
        key,
        patch,
        context: terms.context.clone(),
        w: terms.w,
        deadline_ms: terms.deadline_ms,
        retry: None,
        strict: terms.strict,
        ttl_ms: terms.ttl_ms,
    })
}

/// A merge patch of what lies at a path, as one of the whole document: `{"a":{"b":PATCH}}`.
fn below(path: &Path, patch: Bytes) -> Result<Bytes, Problem> {
    if path.is_root() {
        return Ok(patch);
    }
    // What is no JSON by itself must not become some by what stands around it.
    leaves_from_json(&patch, path).map_err(|error| Problem::new(Kind::BadBody, error.to_string()))?;
    let mut wrapped = Vec::with_capacity(patch.len() + 2 * path.as_bytes().len());
    for name in path.segments() {
        wrapped.push(b'{');
        wrapped.extend(serde_json::Value::from(name).to_string().bytes());
        wrapped.push(b':');
    }
    wrapped.extend(&patch);
    wrapped.resize(wrapped.len() + path.depth(), b'}');
    Ok(wrapped.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_below_a_path_is_one_of_the_whole_document() {
        let wrapped = |path: &str, patch: &'static str| below(&Path::parse(path).unwrap(), Bytes::from_static(patch.as_bytes()));
        assert_eq!(wrapped("", r#"{"a":1}"#).unwrap(), r#"{"a":1}"#);
        assert_eq!(wrapped(r"a.b\.c", "null").unwrap(), r#"{"a":{"b.c":null}}"#);
        assert_eq!(wrapped(r#"a"b"#, "[1]").unwrap(), r#"{"a\"b":[1]}"#);
        for wrong in [r#"1},"x":{"y":2"#, "", "1 2", "{"] {
            assert!(wrapped("a", wrong).is_err(), "{wrong}");
        }
    }
}
