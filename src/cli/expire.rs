//! `henge expire`: sets when a key expires, or that it never does.

use super::key_path::whole_key;
use super::request_flags::{WriteFlags, parse_ttl};
use super::{Exit, Global, output, receipt};
use crate::client::Client;
use crate::message::Expire;
use bytes::Bytes;
use std::time::{SystemTime, UNIX_EPOCH};

/// The flags of `henge expire`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "What the key holds keeps its value and the time at which it was written. Exit code 1: the key is not there."
)]
pub struct Args {
    /// The key
    key: String,
    /// In how long: a number of seconds, or 500ms, 30s, 15m, 12h, 7d; or never
    #[arg(value_name = "SECONDS|TIME|never", value_parser = parse_term)]
    term: Term,
    #[command(flatten)]
    flags: WriteFlags,
}

/// In so many milliseconds; none: never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Term(Option<u64>);

fn parse_term(text: &str) -> Result<Term, String> {
    match text {
        "never" => Ok(Term(None)),
        number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            parse_ttl(&format!("{number}s")).map(|ms| Term(Some(ms)))
        }
        time => parse_ttl(time).map(|ms| Term(Some(ms))),
    }
}

/// Connects and asks.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let key = whole_key(&args.key)?;
    ask(key, &args, &global.connect().await?, global.json).await
}

/// Asks, on a connection that is there.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    ask(whole_key(&args.key)?, &args, client, json).await
}

async fn ask(key: Bytes, args: &Args, client: &Client, json: bool) -> Result<(), Exit> {
    let flags = &args.flags;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let expire = Expire {
        context: flags.context()?,
        w: flags.w,
        deadline_ms: flags.deadline_ms(),
        strict: flags.strict,
        ..Expire::of(key.clone(), args.term.0.map_or(0, |ms| now_ms + ms))
    };
    match client.expire(expire).await? {
        Some(done) => {
            let did = if args.term.0.is_none() { "set never to expire:" } else { "set to expire:" };
            receipt::show(did, &key, &done, flags, client, json)
        }
        None if json => {
            output::print_line(serde_json::json!({ "key": output::key_text(&key), "found": false }))?;
            Err(Exit::silent(Exit::NOT_FOUND))
        }
        None => Err(Exit::new(Exit::NOT_FOUND, format!("{} is not there", output::key_text(&key)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_a_number_of_seconds_a_time_with_its_unit_or_never() {
        assert_eq!(parse_term("60"), Ok(Term(Some(60_000))));
        assert_eq!(parse_term("500ms"), Ok(Term(Some(500))));
        assert_eq!(parse_term("never"), Ok(Term(None)));
        for wrong in ["", "0", "-1", "soon"] {
            assert!(parse_term(wrong).is_err(), "{wrong}");
        }
    }
}
