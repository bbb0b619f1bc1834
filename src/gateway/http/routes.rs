//! Which function answers which path, and who is let in at all.

use super::problem::{Kind, Problem};
use super::serving::Serving;
use super::{batch, doc, health, insight, keys, kv, metrics, openapi, page};
use axum::Router;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use hyper::body::Incoming;
use std::net::{IpAddr, Ipv6Addr};
use tower_service::Service;

/// What a function answers.
pub(super) type Answer = Result<Response, Problem>;

/// Paths for which no token is asked: they tell nothing of what is stored.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/"];

/// All that is served.
pub(super) struct Site {
    router: Router,
    serving: Serving,
}

impl Site {
    pub(super) fn new(serving: Serving) -> Site {
        let kv = || get(kv::get).put(kv::put).delete(kv::delete);
        let doc: fn() -> MethodRouter<Serving> = || get(doc::get).put(doc::put).patch(doc::patch).delete(doc::delete);
        let router = Router::new()
            .route("/kv/", kv())
            .route("/kv/{*key}", kv())
            .route("/doc/", doc())
            .route("/doc/{*place}", doc())
            .route("/keys", get(keys::keys))
            .route("/batch/get", post(batch::get))
            .route("/batch/put", post(batch::put))
            .route("/status", get(insight::status))
            .route("/ring", get(insight::ring))
            .route("/why/", get(insight::why))
            .route("/why/{*key}", get(insight::why))
            .route("/metrics", get(metrics::metrics))
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/openapi.json", get(openapi::document))
            .route("/", get(page::page))
            .fallback(no_such_place)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(serving.clone());
        Site { router, serving }
    }

    /// Answers a request. `is_loopback`: it came in at an address that only this machine has.
    pub(super) fn answer(&self, request: Request<Incoming>, is_loopback: bool) -> impl Future<Output = Response> + use<> {
        let admitted = self.admit(&request, is_loopback);
        let mut router = self.router.clone();
        async move {
            let mut response = match admitted {
                // A router is always ready, and never fails.
                Ok(()) => router.call(request).await.unwrap_or_else(|never| match never {}),
                Err(problem) => problem.into_response(),
            };
            response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }
    }

    fn admit(&self, request: &Request<Incoming>, is_loopback: bool) -> Result<(), Problem> {
        let host = host_of(request.version(), request.uri(), request.headers())?;
        let Some(token) = self.serving.token() else {
            // A page of anywhere could have its own name lead to this machine, and would then be let in by the browser as if it were ours.
            return match host {
                Some(host) if is_loopback && !is_local(&host) => {
                    let detail = format!("{host:?} is no name of this machine's own, and this peer asks for no token");
                    Err(Problem::new(Kind::Misdirected, detail))
                }
                _ => Ok(()),
            };
        };
        if OPEN.contains(&request.uri().path()) {
            return Ok(());
        }
        match bearer(request.headers()) {
            Some(shown) if token.is(shown) => Ok(()),
            shown => {
                let detail = if shown.is_some() { "that token is not the one" } else { "no token was sent" };
                let challenge = HeaderValue::from_static("Bearer realm=\"henge\"");
                Err(Problem::new(Kind::Unauthorized, detail).with(WWW_AUTHENTICATE, challenge))
            }
        }
    }
}

/// Which host the request is for, without its port; none if it does not say.
fn host_of(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut named = headers.get_all(HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() || (first.is_none() && version == Version::HTTP_11) {
        return Err(Problem::new(Kind::BadHeader, "a request has exactly one header Host"));
    }
    let Some(first) = uri.authority().map(|authority| authority.as_str().as_bytes()).or(first.map(HeaderValue::as_bytes)) else {
        return Ok(None);
    };
    let host = std::str::from_utf8(first).ok().and_then(|text| match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(address, _)| address),
        None => text.split(':').next(),
    });
    host.map(|host| Some(host.to_ascii_lowercase())).ok_or_else(|| Problem::new(Kind::BadHeader, "the header Host is no host"))
}

/// True for names that never lead anywhere by somebody else's doing.
fn is_local(host: &str) -> bool {
    let is_address = host.parse::<IpAddr>().is_ok() || host.parse::<Ipv6Addr>().is_ok();
    is_address || host.is_empty() || host == "localhost" || host.ends_with(".localhost")
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

async fn no_such_place(request: Request) -> Problem {
    Problem::new(Kind::NoSuchPlace, format!("nothing is served at {}", request.uri().path()))
}

/// The header Allow is added by the router.
async fn method_not_allowed(request: Request) -> Response {
    match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        ref other => Problem::new(Kind::MethodNotAllowed, format!("{other} is not for {}", request.uri().path())).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(uri: &str, hosts: &[&'static str]) -> Result<Option<String>, ()> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        host_of(Version::HTTP_11, &uri.parse().unwrap(), &headers).map_err(drop)
    }

    #[test]
    fn a_host_is_told_without_its_port() {
        assert_eq!(host("/", &["Localhost:7501"]), Ok(Some("localhost".into())));
        assert_eq!(host("/", &["[::1]:7501"]), Ok(Some("::1".into())));
        assert_eq!(host("http://a.example/x", &["b.example"]), Ok(Some("a.example".into())));
        assert_eq!(host("/", &[]), Err(()));
        assert_eq!(host("/", &["a", "a"]), Err(()));
        assert_eq!(host_of(Version::HTTP_10, &"/".parse().unwrap(), &HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn only_names_that_nobody_else_can_point_here_are_local() {
        for local in ["localhost", "henge.localhost", "127.0.0.1", "::1", "10.0.0.1"] {
            assert!(is_local(local), "{local}");
        }
        for other in ["localhost.example", "example.org", "127.0.0.1.nip.io", "xlocalhost"] {
            assert!(!is_local(other), "{other}");
        }
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        let shown = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(shown("Bearer abc").as_deref(), Some(&b"abc"[..]));
        assert_eq!(shown("bEARER  abc ").as_deref(), Some(&b"abc"[..]));
        for other in ["Basic abc", "Bearer", "abc", ""] {
            assert_eq!(shown(other), None, "{other}");
        }
    }
}
