//! The HTTP door, as its users meet it: through sockets, byte for byte.

mod harness;

use harness::process::run;
use harness::{Cluster, Folder, PATIENCE, Peer, Process, free_base_port, free_ports, says, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// An answer, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Answer {
    status: u16,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// Takes the first answer off what was received; none if it is not complete.
    fn take(received: &mut &[u8], to_head: bool) -> Option<Answer> {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&received[..end]).expect("a head is text");
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").expect("a header has a colon"))
            .map(|(name, value)| (name.to_lowercase(), value.to_string()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        let has_body = !to_head && !matches!(status, 100 | 204 | 304);
        let length = answer.header("content-length").filter(|_| has_body).map_or(0, |length| length.parse().expect("a number"));
        let body = received.get(end + 4..end + 4 + length)?;
        answer.body = body.to_vec();
        *received = &received[end + 4 + length..];
        Some(answer)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    fn context(&self) -> &str {
        self.header("henge-context").expect("an answer about a key has a context")
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("JSON: {error}: {self:?}"))
    }

    /// Asserts the status; of an error also that it is a problem of this type.
    #[track_caller]
    fn is(&self, status: u16, kind: &str) -> &Answer {
        assert_eq!(self.status, status, "{self:?} {}", String::from_utf8_lossy(&self.body));
        if !kind.is_empty() {
            assert_eq!(self.header("content-type"), Some("application/problem+json"));
            let problem = self.json();
            assert_eq!(problem["type"], format!("urn:henge:problem:{kind}"));
            assert_eq!(problem["status"], status);
            for member in ["title", "detail", "next"] {
                assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {problem}");
            }
        }
        self
    }
}

/// One peer's door.
#[derive(Clone)]
struct Site(String);

impl Site {
    /// Sends these bytes, and nothing more, and reads until the peer closes the connection.
    async fn raw(&self, sent: &[u8]) -> Vec<u8> {
        let mut socket = TcpStream::connect(&self.0).await.expect("the door is open");
        // A peer that has heard enough may close while we speak.
        let _ = socket.write_all(sent).await;
        let mut received = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut received)).await.expect("the peer closes the connection");
        received
    }

    /// One request on a connection of its own, with the headers given, and a body if there is one.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        let mut sent = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.0);
        for (name, value) in headers {
            sent.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            sent.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let sent = [format!("{sent}\r\n").as_bytes(), body.unwrap_or_default()].concat();
        let received = self.raw(&sent).await;
        let answer = Answer::take(&mut received.as_slice(), method == "HEAD");
        answer.unwrap_or_else(|| panic!("{method} {path} got {:?}", String::from_utf8_lossy(&received)))
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None).await
    }

    async fn put(&self, path: &str, body: &str) -> Answer {
        self.ask("PUT", path, &[], Some(body.as_bytes())).await
    }

    async fn send_json(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask(method, path, &[JSON], Some(body.as_bytes())).await
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A cluster of three with this door open at each of them.
async fn three(name: &str) -> (Cluster, Vec<Site>) {
    three_with(name, &[]).await
}

async fn three_with(name: &str, arguments: &[&str]) -> (Cluster, Vec<Site>) {
    let folder = Folder::new(name);
    let mut sites = Vec::new();
    let peers = (1..=3)
        .map(|number| {
            let mut peer = Peer::new(folder.path(), &format!("peer-{number}"));
            sites.push(Site(format!("127.0.0.1:{}", free_ports(1))));
            peer.arguments = ["--http".to_string(), sites[number - 1].0.clone()].into();
            peer.arguments.extend(arguments.iter().map(|argument| argument.to_string()));
            peer
        })
        .collect();
    (Cluster::of(peers, folder).await, sites)
}

#[tokio::test]
async fn values_are_written_read_and_removed_byte_for_byte() {
    let (cluster, sites) = three("http-values").await;
    let [one, other] = [&sites[0], &sites[1]];
    one.get("/kv/a").await.is(404, "not-found").context();
    assert_eq!(one.put("/kv/a", "hello").await.is(201, "").body, b"");
    let found = other.get("/kv/a").await;
    assert_eq!(
        (found.is(200, "").body.as_slice(), found.header("content-type")),
        (&b"hello"[..], Some("application/octet-stream"))
    );
    assert_eq!(found.header("x-content-type-options"), Some("nosniff"));

    // Whatever a key is made of, and whoever is asked.
    let odd: Vec<u8> = (0..=255).collect();
    for key in ["a/b//c/", "%00%ff%FE", "%2F", "..%2f..", ".", "k%C3%A4se", "a+b%20c", &"k".repeat(4_096)] {
        one.ask("PUT", &format!("/kv/{key}"), &[], Some(&odd)).await.is(201, "");
        assert_eq!(other.get(&format!("/kv/{key}")).await.is(200, "").body, odd, "{key}");
    }
    other.get("/kv/a%2Fb//c/").await.is(200, "");

    // An empty value is a value.
    one.put("/kv/empty", "").await.is(201, "");
    assert_eq!(other.get("/kv/empty").await.is(200, "").header("content-length"), Some("0"));

    // JSON is a document, kept to the last digit.
    one.send_json("PUT", "/kv/doc", r#"{"b": 1.0, "a": [1e400]}"#).await.is(201, "");
    let found = other.get("/kv/doc").await;
    assert_eq!((found.body.as_slice(), found.header("content-type")), (&br#"{"a":[1e400],"b":1.0}"#[..], Some("application/json")));

    // HEAD says what GET says, without the body.
    for path in ["/kv/a", "/kv/doc", "/kv/missing", "/kv/", "/doc/doc/b", "/status?x", "/nowhere", "/healthz"] {
        let without = |answer: Answer| {
            let headers: Vec<_> = answer.headers.into_iter().filter(|(name, _)| name != "date").collect();
            (answer.status, headers)
        };
        let (get, head) = (one.get(path).await, one.ask("HEAD", path, &[], None).await);
        assert_eq!(head.body, b"");
        // The context of two reads of the same state is the same.
        assert_eq!(without(head), without(get), "{path}");
    }

    // A receipt, if it is wanted.
    let receipt = one.put("/kv/a?receipt&w=all&ttl=3600&strict", "again").await.is(201, "").json();
    assert_eq!((receipt["acks"].as_array().map(Vec::len), &receipt["key"], &receipt["written"]), (Some(3), &json!("a"), &json!(1)));

    assert_eq!(other.ask("DELETE", "/kv/a", &[], None).await.is(204, "").body, b"");
    one.get("/kv/a").await.is(404, "not-found");
    other.ask("DELETE", "/kv/doc?receipt", &[], None).await.is(200, "").json();
    cluster.check_events();
}

#[tokio::test]
async fn documents_are_read_and_changed_path_by_path() {
    let (cluster, sites) = three("http-documents").await;
    let [one, other] = [&sites[0], &sites[1]];
    one.send_json("PUT", "/doc/ada", r#"{"name":"Ada","home":{"city":"London","zip.code":1}}"#).await.is(201, "");
    assert_eq!(other.get("/doc/ada/home").await.is(200, "").json(), json!({"city": "London", "zip.code": 1}));
    assert_eq!(other.get("/doc/ada/home/zip.code").await.is(200, "").json(), json!(1));
    other.get("/doc/ada/home/street").await.is(404, "not-found");

    other.send_json("PUT", "/doc/ada/home/city", r#""Paris""#).await.is(201, "");
    let merge = ("Content-Type", "application/merge-patch+json; charset=utf-8");
    one.ask("PATCH", "/doc/ada/home", &[merge], Some(br#"{"zip.code":null,"a/b":{"c":true}}"#)).await.is(204, "");
    one.send_json("PATCH", "/doc/ada", r#"{"born":1815}"#).await.is(204, "");
    let whole = json!({"name": "Ada", "born": 1815, "home": {"city": "Paris", "a/b": {"c": true}}});
    assert_eq!(other.get("/doc/ada").await.json(), whole);
    one.ask("DELETE", "/doc/ada/home/a%2Fb", &[], None).await.is(204, "");
    assert_eq!(other.get("/doc/ada/home").await.json(), json!({"city": "Paris"}));

    // A key with a slash is one segment here, and everything behind /kv/ there.
    one.send_json("PUT", "/kv/x/y", r#"{"z":7}"#).await.is(201, "");
    assert_eq!(other.get("/doc/x%2Fy/z").await.json(), json!(7));

    one.put("/kv/plain", "bytes").await.is(201, "");
    other.get("/doc/plain").await.is(409, "not-a-document");
    for (method, path, headers, kind) in [
        ("PATCH", "/doc/ada", vec![], "unsupported-type"),
        ("PATCH", "/doc/ada", vec![("Content-Type", "text/plain")], "unsupported-type"),
        ("PUT", "/doc/ada", vec![("Content-Type", "application/merge-patch+json")], "unsupported-type"),
        ("PUT", "/doc/ada", vec![JSON, ("Content-Encoding", "gzip")], "unsupported-type"),
    ] {
        one.ask(method, path, &headers, Some(b"{}")).await.is(415, kind);
    }
    for body in ["{", "", "nonsense", r#"1},"b":{"c":2"#] {
        let problem = one.send_json("PATCH", "/doc/ada/home", body).await.is(400, "").json();
        says(problem["detail"].as_str().unwrap(), &["line"]);
    }
    one.ask("DELETE", "/doc/ada", &[], None).await.is(204, "");
    other.get("/doc/ada").await.is(404, "not-found");
    cluster.check_events();
}

#[tokio::test]
async fn writes_that_did_not_know_of_each_other_are_shown_side_by_side_until_one_has_seen_both() {
    let (cluster, sites) = three("http-siblings").await;
    let [one, other] = [&sites[0], &sites[1]];
    let created = one.put("/kv/plain?w=all", "first").await;
    let context = created.is(201, "").context().to_string();
    let with = |context: &str| vec![("Henge-Context".to_string(), context.to_string())];
    let put = async |site: &Site, context: &str, body: &[u8]| {
        let headers = with(context);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        site.ask("PUT", "/kv/plain?w=all", &headers, Some(body)).await.is(201, "");
    };
    put(one, &context, b"left").await;
    put(other, &context, b"\xff\xfe").await;
    let both = one.get("/kv/plain").await;
    let siblings = both.is(300, "").json();
    assert_eq!((&siblings["value"], &siblings["conflicts"][0]["path"]), (&Value::Null, &json!("")));
    let mut values: Vec<String> = siblings["conflicts"][0]["values"].as_array().unwrap().iter().map(ToString::to_string).collect();
    values.sort();
    assert_eq!(values, [r#"{"base64":"//4="}"#, r#"{"text":"left"}"#]);
    assert!(siblings["next"].as_str().unwrap().contains("Henge-Context"));
    assert_eq!(both.header("etag"), None);

    let newest = other.get("/kv/plain?lww").await;
    assert_eq!((newest.is(200, "").body.as_slice(), newest.header("henge-hidden")), (&b"\xff\xfe"[..], Some("1")));

    // A write that knows only the first joins them; one that has seen them all replaces them.
    put(one, both.context(), b"resolved").await;
    let resolved = other.get("/kv/plain").await;
    assert_eq!(resolved.is(200, "").body, b"resolved");

    // In a document only the path that both have changed.
    one.send_json("PUT", "/doc/d?w=all", r#"{"a":1,"b":2}"#).await.is(201, "");
    let seen = one.get("/doc/d").await;
    let headers = [JSON, ("Henge-Context", seen.context())];
    one.ask("PATCH", "/doc/d?w=all", &headers, Some(br#"{"a":"left","x":1}"#)).await.is(204, "");
    other.ask("PATCH", "/doc/d?w=all", &headers, Some(br#"{"a":"right","y":2}"#)).await.is(204, "");
    let both = other.get("/doc/d").await.is(300, "").json();
    assert_eq!((&both["value"], &both["conflicts"][0]["path"]), (&json!({"b": 2, "x": 1, "y": 2}), &json!("a")));
    assert_eq!(one.get("/doc/d/b").await.is(200, "").json(), json!(2));
    let seen = one.get("/doc/d/a").await;
    one.ask("PUT", "/doc/d/a", &[JSON, ("Henge-Context", seen.is(300, "").context())], Some(b"\"both\"")).await.is(201, "");
    assert_eq!(other.get("/doc/d").await.is(200, "").json(), json!({"a": "both", "b": 2, "x": 1, "y": 2}));

    // A context as the session of a read, and contexts that are none.
    let written = one.put("/kv/mine", "1").await;
    let session = [("Henge-Context", written.context())];
    assert_eq!(other.ask("GET", "/kv/mine?r=one", &session, None).await.is(200, "").body, b"1");
    for wrong in ["", "AAEC", "no context", resolved.context()] {
        one.ask("PUT", "/kv/mine", &[("Henge-Context", wrong)], Some(b"2")).await.is(400, "bad-context");
    }
    assert_eq!(other.get("/kv/mine").await.body, b"1");
    cluster.check_events();
}

/// The first bytes of a picture, which are no UTF-8.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\xff";

fn of_type(content_type: &str) -> [(&str, &str); 1] {
    [("Content-Type", content_type)]
}

#[tokio::test]
async fn a_content_type_belongs_to_its_value_whoever_is_asked_and_whatever_became_of_the_peers() {
    let (mut cluster, sites) = three("http-types").await;
    let [one, other] = [&sites[0], &sites[1]];
    one.ask("PUT", "/kv/cat?w=all", &of_type("image/png"), Some(PICTURE)).await.is(201, "");
    for site in &sites {
        let found = site.get("/kv/cat").await;
        assert_eq!((found.is(200, "").body.as_slice(), found.header("content-type")), (PICTURE, Some("image/png")));
        assert_eq!(site.ask("HEAD", "/kv/cat", &[], None).await.is(200, "").headers.len(), found.headers.len());
        let part = site.ask("GET", "/kv/cat", &[("Range", "bytes=1-3")], None).await;
        assert_eq!((part.is(206, "").body.as_slice(), part.header("content-type")), (&b"PNG"[..], Some("image/png")));
    }
    // As it was said, but for the spaces around it; of no type, JSON, and form data as well.
    for (said, kept) in [
        ("Text/HTML;Charset=\"utf-8\"", "Text/HTML;Charset=\"utf-8\""),
        ("  text/plain ; x=y  ", "text/plain ; x=y"),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        ("application/octet-stream; x=y", "application/octet-stream; x=y"),
        ("Application/Octet-Stream", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("application/JSON; charset=utf-8", "application/json"),
    ] {
        one.ask("PUT", "/kv/said", &of_type(said), Some(b"1")).await.is(201, "");
        let found = other.get("/kv/said").await;
        assert_eq!((found.is(200, "").body.as_slice(), found.header("content-type")), (&b"1"[..], Some(kept)), "{said}");
    }
    // Nothing stored may act as a page of this peer, nor be shown by another site's.
    one.ask("PUT", "/kv/page", &of_type("text/html"), Some(b"<script>alert(1)</script>")).await.is(201, "");
    let page = other.get("/kv/page").await;
    for (name, value) in [
        ("content-type", "text/html"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    other.get("/doc/page").await.is(409, "not-a-document");
    for wrong in ["image", "image/", "a/b/c", "a b/c", "a/b; \u{e9}", &format!("a/{}", "b".repeat(126))] {
        let problem = one.ask("PUT", "/kv/page", &of_type(wrong), Some(b"x")).await.is(400, "bad-header").json();
        says(problem["detail"].as_str().unwrap(), &["Content-Type"]);
    }
    one.ask("PUT", "/kv/page", &[of_type("a/b")[0], of_type("a/b")[0]], Some(b"x")).await.is(400, "bad-header");
    assert_eq!(other.get("/kv/page").await.header("etag"), page.header("etag"), "nothing was written");

    // Only the type is another one: another ETag, and siblings that are told apart.
    let context = page.context();
    for content_type in ["text/html", "text/plain"] {
        let headers = [of_type(content_type)[0], ("Henge-Context", context)];
        one.ask("PUT", "/kv/page?w=all", &headers, Some(b"<p>")).await.is(201, "");
    }
    let both = other.get("/kv/page").await.is(300, "").json();
    let mut values: Vec<String> = both["conflicts"][0]["values"].as_array().unwrap().iter().map(ToString::to_string).collect();
    values.sort();
    let shown = ["html", "plain"].map(|kind| format!(r#"{{"content_type":"text/{kind}","text":"<p>"}}"#));
    assert_eq!(values, shown);
    let newest = other.get("/kv/page?lww").await;
    assert_eq!((newest.is(200, "").header("content-type"), newest.header("henge-hidden")), (Some("text/plain"), Some("1")));
    one.ask("PUT", "/kv/page?w=all", &of_type("text/html"), Some(b"<p>")).await.is(201, "");
    let (html, etag) = (other.get("/kv/page").await, |answer: &Answer| answer.header("etag").map(str::to_string));
    assert_eq!(html.is(200, "").header("content-type"), Some("text/html"));
    one.ask("PUT", "/kv/page?w=all", &of_type("text/plain"), Some(b"<p>")).await.is(201, "");
    let plain = other.get("/kv/page").await;
    assert!(etag(&plain) != etag(&html) && plain.body == html.body);
    let known = etag(&html).expect("an ETag");
    other.ask("GET", "/kv/page", &[("If-None-Match", &known)], None).await.is(200, "");

    // Many at once.
    let entries = json!({"entries": [
        {"key": "b:css", "text": "a{}", "content_type": "text/css"},
        {"key": "b:png", "base64": "//4=", "content_type": "image/png"},
    ]});
    one.send_json("POST", "/batch/put", &entries.to_string()).await.is(200, "");
    assert_eq!(other.get("/kv/b:png").await.header("content-type"), Some("image/png"));
    let results = other.send_json("POST", "/batch/get", r#"{"keys":["b:css","b:png"]}"#).await.is(200, "").json();
    let shown: Vec<&Value> = results["results"].as_array().unwrap().iter().map(|result| &result["value"]).collect();
    assert_eq!(shown[0], &json!({"content_type": "text/css", "text": "a{}"}));
    assert_eq!(shown[1], &json!({"content_type": "image/png", "base64": "//4="}));
    assert_eq!(results["results"][1]["kind"], "bytes");

    // One misses a write, all are killed, and what it missed comes from the others: with its type.
    cluster.peers[2].kill().await;
    until("a write without the third", async || {
        Some(one.ask("PUT", "/kv/late", &of_type("image/png"), Some(PICTURE)).await).filter(|answer| answer.status == 201)
    })
    .await;
    cluster.peers[0].kill().await;
    cluster.peers[1].kill().await;
    for peer in &mut cluster.peers {
        peer.start().await;
    }
    cluster.linked().await;
    for key in ["late", "cat"] {
        let path = format!("/kv/{key}");
        let found = sites[2].get(&format!("{path}?r=all")).await;
        assert_eq!((found.is(200, "").body.as_slice(), found.header("content-type")), (PICTURE, Some("image/png")), "{key}");
        // That has given it to the third, which says the same by itself.
        let own = until("the third's own answer", async || {
            Some(sites[2].get(&format!("{path}?r=one")).await).filter(|answer| answer.status == 200)
        })
        .await;
        assert_eq!((own.body.as_slice(), own.header("content-type")), (PICTURE, Some("image/png")), "{key}");
    }
    cluster.check_events();
}

#[tokio::test]
async fn etags_and_ranges_mean_what_they_mean_elsewhere() {
    let (cluster, sites) = three("http-conditions").await;
    let [one, other] = [&sites[0], &sites[1]];
    one.put("/kv/digits?w=all", "0123456789").await.is(201, "");
    let whole = one.get("/kv/digits").await;
    let etag = whole.is(200, "").header("etag").unwrap().to_string();
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let get = async |headers: &[(&str, &str)]| other.ask("GET", "/kv/digits", headers, None).await;

    let same = get(&[("If-None-Match", &etag)]).await;
    assert_eq!((same.is(304, "").body.as_slice(), same.header("etag")), (&b""[..], Some(etag.as_str())));
    get(&[("If-None-Match", "*")]).await.is(304, "");
    get(&[("If-None-Match", "\"other\"")]).await.is(200, "");
    get(&[("If-Match", &etag)]).await.is(200, "");
    get(&[("If-Match", "\"other\"")]).await.is(412, "precondition-failed");

    let part = get(&[("Range", "bytes=2-4")]).await;
    assert_eq!((part.is(206, "").body.as_slice(), part.header("content-range")), (&b"234"[..], Some("bytes 2-4/10")));
    assert_eq!(get(&[("Range", "bytes=-2")]).await.is(206, "").body, b"89");
    assert_eq!(get(&[("Range", "bytes=8-99")]).await.is(206, "").body, b"89");
    let beyond = get(&[("Range", "bytes=10-")]).await;
    assert_eq!(beyond.is(416, "range-not-satisfiable").header("content-range"), Some("bytes */10"));
    assert_eq!(get(&[("Range", "bytes=0-1,3-4")]).await.is(200, "").body, b"0123456789");
    assert_eq!(get(&[("Range", "bytes=0-1"), ("If-Range", &etag)]).await.is(206, "").body, b"01");
    get(&[("Range", "bytes=0-1"), ("If-Range", "\"other\"")]).await.is(200, "");

    // Another write of the same bytes is another ETag; a removal is none.
    one.put("/kv/digits?w=all", "0123456789").await.is(201, "");
    get(&[("If-None-Match", &etag)]).await.is(200, "");

    for header in ["If-Match", "If-None-Match", "If-Unmodified-Since"] {
        for method in ["PUT", "DELETE"] {
            let refused = one.ask(method, "/kv/digits", &[(header, "*")], Some(b"x")).await;
            says(refused.is(501, "no-preconditions").json()["next"].as_str().unwrap(), &["Henge-Context"]);
        }
    }
    assert_eq!(get(&[]).await.is(200, "").body, b"0123456789");
    cluster.check_events();
}

#[tokio::test]
async fn many_keys_are_listed_read_and_written_at_once() {
    let (cluster, sites) = three("http-batches").await;
    let [one, other] = [&sites[0], &sites[1]];
    let mut entries: Vec<Value> = (0..200).map(|n| json!({"key": format!("n:{n:03}"), "json": {"n": n}})).collect();
    entries.push(json!({"key": {"base64": "/w=="}, "base64": "//4="}));
    entries.push(json!({"key": "text", "text": "hi", "ttl": 3600}));
    entries.push(json!({"key": "large", "text": "x".repeat((1 << 20) + 1)}));
    let put = one.send_json("POST", "/batch/put", &json!({"entries": entries}).to_string()).await.is(200, "").json();
    let statuses: Vec<&Value> = put["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses.len(), 203);
    assert!(statuses[..202].iter().all(|status| **status == 201), "{put}");
    assert_eq!((statuses[202], &put["results"][202]["problem"]["type"]), (&json!(413), &json!("urn:henge:problem:too-large")));

    let asked = json!({"keys": ["n:007", {"base64": "/w=="}, "text", "nobody"]}).to_string();
    let got = other.send_json("POST", "/batch/get?r=all", &asked).await.is(200, "").json();
    let results = got["results"].as_array().unwrap();
    let shown: Vec<(&Value, &Value, &Value)> = results.iter().map(|one| (&one["key"], &one["status"], &one["value"])).collect();
    assert_eq!(shown[0], (&json!("n:007"), &json!(200), &json!({"n": 7})));
    assert_eq!(shown[1], (&json!({"base64": "/w=="}), &json!(200), &json!({"base64": "//4="})));
    assert_eq!((shown[2], shown[3].1), ((&json!("text"), &json!(200), &json!({"text": "hi"})), &json!(404)));
    // What came out of a batch goes into the next one.
    let again = json!({"entries": [{"key": "text", "text": "ho", "context": results[2]["context"]}]}).to_string();
    assert_eq!(one.send_json("POST", "/batch/put", &again).await.json()["results"][0]["status"], 201);

    // Page by page.
    let (mut keys, mut next) = (Vec::new(), "/keys?prefix=n%3A&limit=64&r=all".to_string());
    loop {
        let page = other.get(&next).await.is(200, "").json();
        keys.extend(page["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_string()));
        match page["next"].as_str() {
            Some(url) if page["more"] == true => next = url.to_string(),
            _ => break,
        }
    }
    assert_eq!(keys, (0..200).map(|n| format!("n:{n:03}")).collect::<Vec<_>>());
    assert_eq!(one.get("/keys?prefix=%FF").await.json()["keys"], json!([{"base64": "/w=="}]));

    let twice = json!({"entries": [{"key": "a", "text": "1"}, {"key": "a", "text": "2"}]}).to_string();
    for (path, body, status) in [
        ("/batch/put", twice.as_str(), 400),
        ("/batch/put", r#"{"entries":[]}"#, 400),
        ("/batch/put", r#"{"entries":[{"key":"ok","text":"1"},{"key":"","text":"2"}]}"#, 400),
        ("/batch/get", r#"{"keys":[1]}"#, 400),
        ("/batch/get", r#"{"keys":["a"],"more":1}"#, 400),
        ("/batch/get", "", 400),
        ("/batch/get", &json!({"keys": vec!["a"; 1_001]}).to_string(), 413),
    ] {
        one.send_json("POST", path, body).await.is(status, if status == 413 { "too-large" } else { "" });
    }
    one.get("/kv/ok").await.is(404, "not-found");
    // A page of elsewhere can send text without asking; it must not be taken for a batch.
    one.ask("POST", "/batch/put", &[("Content-Type", "text/plain")], Some(b"{}")).await.is(415, "unsupported-type");
    cluster.check_events();
}

#[tokio::test]
async fn the_cluster_is_shown_to_people_and_machines() {
    let (cluster, sites) = three("http-insight").await;
    let one = &sites[0];
    one.put("/kv/a/b", "1").await.is(201, "");
    let status = one.get("/status").await.is(200, "").json();
    assert_eq!((&status["name"], status["links"].as_array().map(Vec::len)), (&json!("peer-1"), Some(2)));
    let ring = one.get("/ring").await.is(200, "").json();
    assert_eq!((ring["members"].as_array().map(Vec::len), ring["owners"].as_array().map(Vec::len)), (Some(3), Some(256)));
    let why = one.get("/why/a/b").await.is(200, "").json();
    assert_eq!((&why["key"], &why["versions"][0]["kind"]), (&json!("a/b"), &json!("bytes")));
    assert_eq!(one.get("/healthz").await.is(200, "").body, b"ok\n");
    assert_eq!(one.get("/readyz").await.is(200, "").body, b"ready\n");
    assert!(String::from_utf8(one.get("/metrics").await.is(200, "").body.clone()).unwrap().contains("# HELP henge_"));
    let openapi = one.get("/openapi.json").await.is(200, "").json();
    assert_eq!(openapi["openapi"], "3.1.0");

    // The page brings everything along that it needs, and nothing else may run in it.
    let page = one.get("/").await;
    let text = String::from_utf8(page.is(200, "").body.clone()).unwrap();
    let policy = page.header("content-security-policy").unwrap();
    let nonce = policy.split("script-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    says(&text, &[&format!("<script nonce=\"{nonce}\">"), &format!("<style nonce=\"{nonce}\">"), "viewport", "curl "]);
    assert!(!text.contains("http://") && !text.contains("https://") && !text.contains(" style="));
    assert_ne!(one.get("/").await.header("content-security-policy"), Some(policy));
    cluster.check_events();
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_reason_and_harms_nobody() {
    let (cluster, sites) = three("http-refusals").await;
    let one = &sites[0];
    for (method, path, status, kind) in [
        ("GET", "/kv/", 400, "bad-key"),
        ("GET", "/kv/%zz", 400, "bad-key"),
        ("GET", "/kv/%", 400, "bad-key"),
        ("GET", &format!("/kv/{}", "k".repeat(4_097)), 400, "bad-key"),
        ("GET", "/doc/a//b", 400, "bad-path"),
        ("GET", "/doc/a/%ff", 400, "bad-path"),
        ("GET", "/kv/a?w=1", 400, "bad-query"),
        ("GET", "/kv/a?r=8", 400, "bad-query"),
        ("GET", "/kv/a?r=4", 400, "bad-request"),
        ("GET", "/kv/a?r=1&r=1", 400, "bad-query"),
        ("GET", "/kv/a?lww=maybe", 400, "bad-query"),
        ("GET", "/keys?limit=0", 400, "bad-query"),
        ("GET", "/keys?limit=1001", 400, "bad-query"),
        ("GET", "/healthz?x", 400, "bad-query"),
        ("GET", "/why/a?path=a..b", 400, "bad-query"),
        ("PUT", "/kv/a?ttl=0", 400, "bad-query"),
        ("PUT", "/kv/a", 411, "length-required"),
        ("GET", "/nowhere", 404, "no-such-place"),
        ("GET", "/kv", 404, "no-such-place"),
        ("POST", "/kv/a", 405, "method-not-allowed"),
        ("PATCH", "/kv/a", 405, "method-not-allowed"),
        ("PUT", "/status", 405, "method-not-allowed"),
        ("BREW", "/kv/a", 405, "method-not-allowed"),
    ] {
        one.ask(method, path, &[], None).await.is(status, kind);
    }
    assert_eq!(one.ask("POST", "/kv/a", &[], None).await.header("allow"), Some("GET,HEAD,PUT,DELETE"));
    let options = one.ask("OPTIONS", "/doc/a", &[("Origin", "http://elsewhere.example")], None).await;
    assert_eq!(options.is(204, "").header("allow"), Some("GET,HEAD,PUT,PATCH,DELETE"));
    assert!(options.headers.iter().all(|(name, _)| !name.starts_with("access-control")));
    one.ask("PUT", "/kv/a", &[("Content-Range", "bytes 0-1/3")], Some(b"ab")).await.is(400, "bad-header");

    // A page of elsewhere whose name has been made to lead here.
    let elsewhere = one.raw(b"GET /kv/a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    Answer::take(&mut elsewhere.as_slice(), false).unwrap().is(421, "misdirected");
    let nobody = one.raw(b"GET /kv/a HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    Answer::take(&mut nobody.as_slice(), false).unwrap().is(400, "bad-header");

    // Bodies are refused before they are read, and counted where nobody says how long they are.
    let first = |received: &[u8]| Answer::take(&mut &received[..], false).map(|answer| answer.status);
    let head = |rest: &str| format!("PUT /kv/a HTTP/1.1\r\nHost: localhost\r\n{rest}\r\n\r\n");
    let huge = one.raw(head("Content-Length: 99999999999").as_bytes()).await;
    Answer::take(&mut huge.as_slice(), false).unwrap().is(413, "too-large");
    let sent = [head("Content-Length: 3000000").into_bytes(), vec![b'x'; 3_000_000]].concat();
    assert_eq!(first(&one.raw(&sent).await), Some(413));
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
    let sent = [head("Transfer-Encoding: chunked").into_bytes(), chunk.repeat(40), b"0\r\n\r\n".to_vec()].concat();
    assert_eq!(first(&one.raw(&sent).await), Some(413));
    let sent = head("Transfer-Encoding: chunked\r\nConnection: close") + "5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(first(&one.raw(sent.as_bytes()).await), Some(201));
    assert_eq!(one.get("/kv/a").await.body, b"hello");
    for wrong in [
        "Content-Length: -1",
        "Content-Length: x",
        "Content-Length: 1\r\nContent-Length: 2",
        "Transfer-Encoding: gzip",
        "Bad Name: x",
    ] {
        assert_eq!(first(&one.raw(head(wrong).as_bytes()).await), Some(400), "{wrong}");
    }
    let sent = head(&format!("X: {}", "x".repeat(200_000)));
    assert!(matches!(first(&one.raw(sent.as_bytes()).await), Some(431)));

    // What is no HTTP at all.
    let mut noise = 1u64;
    let garbage: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 56) as u8
    })
    .take(20_000)
    .collect();
    for sent in [
        &b"GET /kv/a\r\n\r\n"[..],
        b"GET /kv/a HTTP/0.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        &garbage,
    ] {
        let mut socket = TcpStream::connect(&one.0).await.unwrap();
        let _ = socket.write_all(sent).await;
        let _ = socket.shutdown().await;
        let mut received = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut received)).await.expect("it is closed");
        assert!(received.is_empty() || first(&received) == Some(400), "{}", String::from_utf8_lossy(&received));
    }
    for odd in [
        "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ] {
        assert!(first(&one.raw(odd.as_bytes()).await).is_some_and(|status| status < 500), "{odd}");
    }

    // Half a request, and gone; and one that is not finished: neither holds up anybody else.
    for half in ["GET /kv/a HT", &head("Content-Length: 10"), &(head("Content-Length: 10") + "half")] {
        let mut socket = TcpStream::connect(&one.0).await.unwrap();
        socket.write_all(half.as_bytes()).await.unwrap();
        drop(socket);
    }
    let mut unfinished = TcpStream::connect(&one.0).await.unwrap();
    unfinished.write_all(b"GET /kv/a HTTP/1.1\r\nHost: loc").await.unwrap();
    assert_eq!(one.get("/kv/a").await.is(200, "").body, b"hello");
    unfinished.write_all(b"alhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    unfinished.read_to_end(&mut received).await.unwrap();
    assert_eq!(first(&received), Some(200));
    cluster.check_events();
}

#[tokio::test]
async fn requests_may_follow_each_other_on_one_connection_and_wait_for_a_go_ahead() {
    let (cluster, sites) = three("http-pipelines").await;
    let one = &sites[0];
    let mut sent = String::new();
    for n in 0..20 {
        sent += &format!(
            "PUT /kv/p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{n:02}GET /kv/p HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
    }
    sent += "GET /kv/p HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let received = one.raw(sent.as_bytes()).await;
    let mut rest = received.as_slice();
    let answers: Vec<Answer> = std::iter::from_fn(|| Answer::take(&mut rest, false)).collect();
    assert_eq!(answers.len(), 41);
    for (n, pair) in answers.chunks_exact(2).enumerate() {
        assert_eq!((pair[0].status, pair[1].body.as_slice()), (201, format!("{n:02}").as_bytes()));
    }

    let mut socket = TcpStream::connect(&one.0).await.unwrap();
    let head = "PUT /kv/e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut go_ahead = [0; 25];
    timeout(PATIENCE, socket.read_exact(&mut go_ahead)).await.unwrap().unwrap();
    assert_eq!(&go_ahead, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"hello").await.unwrap();
    let mut received = Vec::new();
    socket.read_to_end(&mut received).await.unwrap();
    assert_eq!(Answer::take(&mut received.as_slice(), false).unwrap().status, 201);
    // Who is refused is not told to go ahead.
    let refused = one.raw(head.replace("Content-Length: 5", "Content-Length: 5000000").as_bytes()).await;
    assert!(refused.starts_with(b"HTTP/1.1 413 "));
    cluster.check_events();
}

#[tokio::test]
async fn with_a_token_only_who_shows_it_gets_to_see_anything() {
    let folder = Folder::new("http-token-file");
    let file = folder.path().join("token");
    std::fs::write(&file, "correct-horse-battery\n").unwrap();
    let (cluster, sites) = three_with("http-token", &["--client-token-file", &file.display().to_string()]).await;
    let one = &sites[0];
    let with = |token: &str| format!("Bearer {token}");
    for (method, path) in [
        ("GET", "/kv/a"),
        ("PUT", "/kv/a"),
        ("GET", "/status"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("GET", "/keys"),
    ] {
        for headers in
            [vec![], vec![("Authorization", with("wrong-horse-battery"))], vec![("Authorization", "Basic x".to_string())]]
        {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let refused = one.ask(method, path, &headers, None).await;
            assert_eq!(refused.is(401, "unauthorized").header("www-authenticate"), Some("Bearer realm=\"henge\""));
        }
    }
    let right = with("correct-horse-battery");
    one.ask("PUT", "/kv/a", &[("Authorization", &right)], Some(b"x")).await.is(201, "");
    one.ask("GET", "/kv/a", &[("authorization", &right)], None).await.is(200, "");
    for open in ["/healthz", "/readyz", "/"] {
        one.get(open).await.is(200, "");
    }
    cluster.check_events();
}

#[tokio::test]
async fn a_peer_that_stops_answers_what_it_has_begun() {
    let (mut cluster, sites) = three("http-stop").await;
    let site = sites[0].clone();
    site.put("/kv/s0", "x").await.is(201, "");
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let (site, tell) = (site.clone(), tell.clone());
        writers.spawn(async move {
            let mut written = 0;
            // Until the door is closed.
            while let Ok(mut socket) = TcpStream::connect(&site.0).await {
                let sent =
                    format!("PUT /kv/s{writer} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");
                let mut received = Vec::new();
                if socket.write_all(sent.as_bytes()).await.is_err() || socket.read_to_end(&mut received).await.is_err() {
                    break;
                }
                if received.is_empty() {
                    break;
                }
                let answer = Answer::take(&mut received.as_slice(), false).expect("no answer breaks off");
                assert!([201, 503, 504].contains(&answer.status), "{answer:?}");
                written += usize::from(answer.status == 201);
                let _ = tell.send(());
            }
            written
        });
    }
    for _ in 0..50 {
        timeout(PATIENCE, told.recv()).await.expect("they write").expect("somebody does");
    }
    cluster.peers[0].signal(Signal::TERM);
    assert!(cluster.peers[0].end().await.success());
    let written: usize = timeout(PATIENCE, writers.join_all()).await.expect("the door is closed").iter().sum();
    assert!(written >= 50);
    cluster.check_events();
}

#[tokio::test]
async fn without_a_majority_requests_are_turned_away_and_the_peer_is_not_ready() {
    let (mut cluster, sites) = three("http-majority").await;
    let one = &sites[0];
    one.put("/kv/a?w=all", "x").await.is(201, "");
    one.get("/readyz").await.is(200, "");
    cluster.peers[1].kill().await;
    cluster.peers[2].kill().await;
    cluster.linked().await;
    for (method, body) in [("GET", None), ("PUT", Some(&b"y"[..])), ("DELETE", None)] {
        let refused = one.ask(method, "/kv/a?deadline=1000", &[], body).await;
        // A write that has begun before the links were known to be down may not know its outcome.
        if refused.status != 504 {
            let retry: u32 = refused.is(503, "unavailable").header("retry-after").expect("when").parse().expect("seconds");
            assert!(retry >= 1);
        }
    }
    assert_eq!(one.get("/kv/a?r=one").await.is(200, "").header("content-type"), Some("application/octet-stream"));
    one.get("/healthz").await.is(200, "");
    until("a peer that knows that it is alone", async || (one.get("/readyz").await.status == 503).then_some(())).await;
    let why = one.get("/readyz").await.is(503, "not-ready").json();
    says(why["detail"].as_str().unwrap(), &["256 partitions", "no majority"]);
    let ready = cluster.peers[0].status().await.expect("it answers");
    assert_eq!(ready.gossip.others.len(), 2);
}

#[tokio::test]
async fn a_large_document_that_two_clients_patch_at_once_loses_nothing() {
    let (cluster, sites) = three("http-large").await;
    let fields: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("f{n:04}"), json!(0))).collect();
    sites[0].send_json("PUT", "/doc/large?w=all", &Value::from(fields).to_string()).await.is(201, "");
    let mut clients = JoinSet::new();
    for (who, site) in sites[..2].iter().cloned().enumerate() {
        clients.spawn(async move {
            for n in (who..1_000).step_by(50) {
                let patch = format!(r#"{{"f{n:04}":{},"last-{who}":{n}}}"#, who + 1);
                site.send_json("PATCH", "/doc/large", &patch).await.is(204, "");
            }
        });
    }
    timeout(PATIENCE, clients.join_all()).await.expect("both are done");
    let both = sites[2].get("/doc/large").await.is(200, "").json();
    assert_eq!(both.as_object().map(serde_json::Map::len), Some(1_002));
    for n in 0..1_000 {
        let wanted = match n % 50 {
            0 => 1,
            1 => 2,
            _ => 0,
        };
        assert_eq!(both[format!("f{n:04}")], wanted, "field {n}");
    }
    cluster.check_events();
}

/// How long other people's programs may take, a package to be fetched counted in.
const OTHERS_PATIENCE: Duration = Duration::from_secs(600);

/// Runs a program of other people's, if it is there and ends in time: what it has said, and whether it liked it.
async fn attempt(command: &mut Command) -> Result<(bool, String), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(std::mem::replace(command, Command::new("")));
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match timeout(OTHERS_PATIENCE, running).await {
        Ok(Ok(output)) => {
            let said = [output.stdout, output.stderr].concat();
            Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
        }
        Ok(Err(error)) => Err(format!("{program} does not run: {error}")),
        Err(_) => Err(format!("{program} takes longer than {} s", OTHERS_PATIENCE.as_secs())),
    }
}

/// Says so even where the output of tests is caught.
fn skipped(what: &str, reason: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {reason}");
}

/// The Python of a virtual environment with this package, which is made if it can be. Otherwise why there is none.
async fn python_with(package: &str) -> Result<String, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("venv-{}", package.replace("==", "-")));
    let python = folder.join("bin/python").display().to_string();
    let is_whole = folder.join("whole");
    if !is_whole.exists() {
        let (made, said) = attempt(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).await?;
        if !made {
            return Err(format!("no virtual environment can be made: {said}"));
        }
        let arguments =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "10", package];
        let (installed, said) = attempt(Command::new(&python).args(arguments)).await?;
        if !installed {
            return Err(format!("{package} cannot be installed: {}", said.lines().last().unwrap_or_default()));
        }
        std::fs::write(is_whole, "").map_err(|error| error.to_string())?;
    }
    Ok(python)
}

#[tokio::test]
async fn the_server_does_what_its_openapi_document_says() {
    let python = match python_with("schemathesis==4.32.5").await {
        Ok(python) => python,
        Err(reason) => return skipped("the OpenAPI document was not tried against the server", &reason),
    };
    let (cluster, sites) = three("http-openapi").await;
    // Some of its requests have a deadline that nobody can keep.
    let settings = r#"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503", "504"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "404", "405", "409", "411", "412", "413", "415", "416", "503", "504"]
"#;
    std::fs::write(cluster.folder.path().join("schemathesis.toml"), settings).expect("a file can be written");
    let url = format!("http://{}/openapi.json", sites[0].0);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                  response_schema_conformance,negative_data_rejection,unsupported_method";
    let mut command = Command::new(python);
    command.args(["-m", "schemathesis.cli", "run", &url, "--checks", checks, "--generation-deterministic", "--max-examples", "5"]);
    command.args([
        "--phases",
        "examples,coverage,fuzzing",
        "--request-timeout",
        "60",
        "--suppress-health-check",
        "all",
        "--no-color",
    ]);
    let (liked, said) = attempt(command.current_dir(cluster.folder.path())).await.expect("it runs");
    assert!(liked, "{said}");
    // It has looked at all there is, but for the document itself.
    let paths = sites[0].get("/openapi.json").await.json()["paths"].clone();
    let members = paths.as_object().expect("paths").values().flat_map(|path| path.as_object().expect("operations").keys());
    let operations = members.filter(|member| *member != "parameters").count() - 1;
    says(&said, &[&format!("{operations} selected / {operations} total"), &format!("Tested: {operations}")]);
    cluster.check_events();
}

const PAGE: &str = include_str!("../docs/http.md");

/// The commands of all `console` blocks, and what is printed below each.
fn steps() -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut is_console = false;
    for line in PAGE.lines() {
        match line {
            "```console" => is_console = true,
            "```" => is_console = false,
            _ if !is_console => {}
            _ => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push((command.to_string(), String::new())),
                (None, Some(step)) => step.1 += &format!("{line}\n"),
                (None, None) => panic!("an answer before the first command: {line}"),
            },
        }
    }
    steps
}

/// Contexts, ETags and the time are other ones each time, and which of several siblings comes first.
fn without_chance(text: &str) -> String {
    if text.contains(r#""conflicts":[{"#) {
        let mut parts: Vec<&str> = text.trim_end().split(['{', '}']).collect();
        parts.sort_unstable();
        return parts.join("\n");
    }
    let is_chance = |word: &str| word.len() >= 24 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let lines = text.lines().filter(|line| !line.to_lowercase().starts_with("date: ")).map(|line| {
        let words = line.trim_end().split_inclusive(|letter: char| !letter.is_ascii_alphanumeric() && !"-_".contains(letter));
        words.map(|word| {
            let (bare, end) = match word.char_indices().last() {
                Some((at, letter)) if !letter.is_ascii_alphanumeric() && !"-_".contains(letter) => word.split_at(at),
                _ => (word, ""),
            };
            if is_chance(bare) { format!("#{end}") } else { word.to_string() }
        })
    });
    lines.map(|words| words.collect::<String>() + "\n").collect()
}

#[tokio::test]
async fn every_command_of_the_page_about_this_door_prints_what_the_page_says() {
    if let Err(reason) = attempt(Command::new("curl").arg("--version")).await {
        return skipped("the commands of docs/http.md were not tried", &reason);
    }
    let folder = Folder::new("http-page");
    let base_port = free_base_port(5);
    let data = folder.path().join("henge-data").display().to_string();
    let up = Process::start(folder.path(), "up", &["up", "--base-port", &base_port.to_string(), "--dir", &data].map(String::from));
    until("the cluster", async || up.said().contains("The cluster is formed").then_some(())).await;

    const MARK: &str = "=== said ===";
    let steps = steps();
    assert!(steps.len() > 20, "the page has more than {} commands", steps.len());
    let mut script = "exec 2>&1\ncurl() {\n".to_string();
    for peer in 1..=5 {
        script += &format!("set -- \"${{@//localhost:{}/localhost:{}}}\"\n", 7_500 + peer, base_port + 100 + peer);
    }
    script += "command curl \"$@\"\n}\n";
    for (command, _) in &steps {
        script += &format!("{command}\necho '{MARK}'\n");
    }
    let said = run(Command::new("bash").args(["-c", &script]).current_dir(folder.path())).await.said;
    let mark = format!("{MARK}\n");
    let answers: Vec<&str> = said.split(mark.as_str()).collect();
    assert_eq!(answers.len(), steps.len() + 1, "all of them were typed: {said}");
    for ((command, printed), said) in steps.iter().zip(answers) {
        assert_eq!(without_chance(said).trim_end(), without_chance(printed).trim_end(), "$ {command}");
    }
}

#[test]
fn only_what_chance_decides_is_left_out_of_the_comparison() {
    let etag = "etag: \"0123456789abcdef0123456789abcdef\"";
    assert_eq!(without_chance(&format!("HTTP/1.1 200 OK\r\n{etag}\r\nDate: now\r\n")), "HTTP/1.1 200 OK\netag: \"#\"\n");
    assert_eq!(without_chance(r#"{"context":"AAECAAECAAECAAECAAECAAEC","n":1}"#), "{\"context\":\"#\",\"n\":1}\n");
    assert_ne!(without_chance("etag: \"x\""), without_chance("etag: \"y\""));
    let siblings = |one: &str, other: &str| format!(r#"{{"conflicts":[{{"values":[{{"text":"{one}"}},{{"text":"{other}"}}]}}]}}"#);
    assert_eq!(without_chance(&siblings("a", "b")), without_chance(&siblings("b", "a")));
    assert_ne!(without_chance(&siblings("a", "b")), without_chance(&siblings("a", "c")));
}
