//! `henge incr`: adds to a counter, and shows its sum.

use super::key_path::KeyPath;
use super::request_flags::{WriteFlags, parse_ttl};
use super::{Exit, Global, output, receipt};
use crate::client::{Client, Read};
use crate::message::{Get, Quorum, Receipt, Update};
use crate::vclock::Sealed;
use serde_json::json;

/// The flags of `henge incr`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "No increment is lost, whoever else adds at the same time. In KEY.path the key ends at the first dot; write \\. for a dot that \
                  belongs to the key. The sum is read after the increment, so it holds what others have added meanwhile too. An increment \
                  of what is no counter stands beside it, as a conflict."
)]
pub struct Args {
    /// KEY, or KEY.path
    #[arg(value_name = "KEY[.path]")]
    key: String,
    /// How much; may be negative
    #[arg(default_value_t = 1)]
    amount: i64,
    /// The counter ends after this long, and begins anew: 500ms, 30s, 15m, 12h, 7d. Without it a counter keeps its end
    #[arg(long, value_name = "TIME", value_parser = parse_ttl)]
    ttl: Option<u64>,
    #[command(flatten)]
    flags: WriteFlags,
}

/// Connects and adds.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let place = KeyPath::read(&args.key, None)?;
    add(place, &args, &global.connect().await?, global.json).await
}

/// Adds, on a connection that is there.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    add(KeyPath::read(&args.key, None)?, &args, client, json).await
}

async fn add(place: KeyPath, args: &Args, client: &Client, json: bool) -> Result<(), Exit> {
    let flags = &args.flags;
    let update = Update {
        context: flags.context()?,
        w: flags.w,
        deadline_ms: flags.deadline_ms(),
        strict: flags.strict,
        ttl_ms: args.ttl.unwrap_or(0),
        ..Update::increment(place.key.clone(), &place.path, args.amount)
    };
    let done = client.update(update).await?;
    if !json {
        receipt::show("added to", &place.key, &done, flags, client, false)?;
    }
    show_sum(&place, &done, flags, client, json).await
}

/// The increment is done whatever comes of reading the sum.
async fn show_sum(place: &KeyPath, done: &Receipt, flags: &WriteFlags, client: &Client, json: bool) -> Result<(), Exit> {
    let get = Get {
        key: place.key.clone(),
        path: place.path.clone(),
        r: Quorum::Default,
        session: done.context.clone(),
        last_writer_wins: false,
        deadline_ms: flags.deadline_ms(),
    };
    let value = match client.get(get).await {
        Ok(Read::Found(found)) => found.value,
        Ok(Read::Missing(_)) => None,
        Err(failure) => {
            let message = format!("added, and the sum could not be read: {}", failure.message);
            return Err(Exit { message: Some(message), ..failure.into() });
        }
    };
    if json {
        return output::print_line(json!({
            "key": output::key_text(&place.key), "path": place.path, "value": value.as_ref().map(output::value_json),
            "acks": done.acks.len(), "context": Sealed::to_text(&done.context),
        }));
    }
    match value {
        Some(value) => output::print_value(&value),
        None => {
            Err(Exit::new(Exit::SIBLINGS, "added, beside something that is no counter, or that was removed meanwhile; see `get`"))
        }
    }
}
