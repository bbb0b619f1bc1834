//! `henge scan`: lists the keys that begin with a prefix, in order.

use super::request_flags::ReadFlags;
use super::{Exit, Global, output};
use crate::client::{Client, Read};
use crate::limits::SCAN_PAGE_KEYS_MAX;
use crate::message::{Get, List, Value};
use crate::vclock::Sealed;
use bytes::Bytes;
use serde_json::json;

/// The flags of `henge scan`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Pages are asked for as they are printed: a scan is no snapshot, but a key that is there all the time is listed."
)]
pub struct Args {
    /// Only keys that begin with this; all if left out
    #[arg(default_value = "")]
    prefix: String,
    /// Stop after this many keys
    #[arg(short, long, value_name = "KEYS")]
    limit: Option<u64>,
    /// Only keys after this one
    #[arg(long, value_name = "KEY", default_value = "")]
    after: String,
    /// Print the values too: the key, a tab, the value on one line (text with line ends as a JSON string)
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    flags: ReadFlags,
}

/// Connects and lists.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    run_on(args, &global.connect().await?, global.json).await
}

/// Lists, on a connection that is there.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    let session = args.flags.context()?;
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut after = Bytes::from(args.after.clone());
    while left > 0 {
        let list = List {
            prefix: Bytes::from(args.prefix.clone()),
            after: after.clone(),
            limit: left.min(SCAN_PAGE_KEYS_MAX as u64) as u32,
            r: args.flags.r,
            deadline_ms: args.flags.deadline_ms(),
        };
        let page = client.list(list).await?;
        left = left.saturating_sub(page.keys.len() as u64);
        show_page(&args, page.keys, session.clone(), client, json).await?;
        if !page.more {
            break;
        }
        if page.resume_after <= after {
            let message = "a page of the scan did not go on; check that both sides run the same version";
            return Err(Exit::new(Exit::REFUSED, message));
        }
        after = page.resume_after;
    }
    Ok(())
}

async fn show_page(args: &Args, keys: Vec<Bytes>, session: Bytes, client: &Client, json: bool) -> Result<(), Exit> {
    let mut out = Vec::new();
    if !args.values {
        for key in keys {
            match json {
                true => out.extend(json!({ "key": output::key_text(&key) }).to_string().bytes()),
                false => out.extend(&key),
            }
            out.push(b'\n');
        }
        return output::print(&out);
    }
    // All values of some keys at once: a page of a thousand round trips would be slow, one of a thousand values large.
    for some in keys.chunks(VALUES_AT_ONCE) {
        let asked: Vec<_> = some
            .iter()
            .map(|key| {
                let (client, get) = (client.clone(), get(args, key.clone(), session.clone()));
                tokio::spawn(async move { client.get(get).await })
            })
            .collect();
        for (key, answer) in some.iter().zip(asked) {
            let answer = answer.await.map_err(|error| Exit::new(Exit::UNAVAILABLE, error.to_string()))??;
            show_value(key, answer, &mut out, json);
        }
        output::print(&out)?;
        out.clear();
    }
    Ok(())
}

/// How many values are asked for at once.
const VALUES_AT_ONCE: usize = 32;

fn get(args: &Args, key: Bytes, session: Bytes) -> Get {
    let (r, deadline_ms) = (args.flags.r, args.flags.deadline_ms());
    Get { key, path: String::new(), r, session, last_writer_wins: args.flags.lww, deadline_ms }
}

/// One line for one key. A key that has gone since its page was made is left out.
fn show_value(key: &[u8], answer: Read, out: &mut Vec<u8>, json: bool) {
    let Read::Found(found) = answer else { return };
    if json {
        let value = found.value.as_ref().map(output::value_json);
        let conflicts = output::conflicts_json(&found.conflicts);
        let context = Sealed::to_text(&found.context);
        let line = json!({ "key": output::key_text(key), "value": value, "conflicts": conflicts, "context": context });
        out.extend(line.to_string().bytes());
    } else {
        out.extend(key);
        out.push(b'\t');
        match (&found.value, found.conflicts.len()) {
            (Some(value), 0) => out.extend(one_line(value)),
            (Some(value), paths) => {
                out.extend(one_line(value));
                out.extend(format!(" ({paths} more paths are in conflict; see `get`)").bytes());
            }
            (None, _) => out.extend(b"(versions in conflict; see `get`)"),
        }
    }
    out.push(b'\n');
}

/// A value that takes one line whatever is in it: text with line ends or tabs as a JSON string, other bytes as their number.
fn one_line(value: &Value) -> Vec<u8> {
    let bytes = output::value_bytes(value, false);
    match (value, std::str::from_utf8(&bytes)) {
        (_, Ok(text)) if !text.contains(char::is_control) => bytes,
        (Value::Json(json), _) => json.to_vec(),
        (Value::Counter(_) | Value::Set(_), _) => bytes,
        (Value::Bytes(_) | Value::Typed(_), Ok(text)) => serde_json::Value::from(text).to_string().into_bytes(),
        (Value::Bytes(_) | Value::Typed(_), Err(_)) => format!("({} bytes)", bytes.len()).into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_one_line_whatever_is_in_it() {
        let bytes = |bytes: &'static [u8]| Value::Bytes(Bytes::from_static(bytes));
        let json = |text: &'static str| Value::Json(Bytes::from_static(text.as_bytes()));
        assert_eq!(one_line(&bytes(b"plain")), b"plain");
        assert_eq!(one_line(&bytes(b"a\nb")), br#""a\nb""#);
        assert_eq!(one_line(&bytes(b"\xff\n")), b"(2 bytes)");
        assert_eq!(one_line(&json(r#""two words""#)), b"two words");
        assert_eq!(one_line(&json(r#""a\nb""#)), br#""a\nb""#);
        assert_eq!(one_line(&json("{}")), b"{}");
    }
}
