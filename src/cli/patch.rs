//! `henge patch`: changes some paths of a document.

use super::key_path::{KeyPath, whole_key};
use super::request_flags::{WriteFlags, parse_ttl};
use super::typed_value::{strict_json, typed_json};
use super::{Exit, Global, receipt};
use crate::client::Client;
use crate::message::{PatchBody, Update};
use crate::vclock::Path;

/// The flags of `henge patch`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    allow_negative_numbers = true,
    override_usage = "henge patch [OPTIONS] KEY.path VALUE\n       henge patch [OPTIONS] KEY PATH VALUE\n       henge patch [OPTIONS] KEY --merge JSON",
    after_help = "VALUE that is JSON is put at the path as it is, any other text as a string. It replaces what lies there, and nothing else. \
                  In KEY.path the key ends at the first dot; write \\. for a dot that belongs to the key or to a name. With --merge, and with \
                  PATH as an argument of its own, KEY is taken as it stands."
)]
pub struct Args {
    /// KEY.path, or KEY
    #[arg(value_name = "KEY.path")]
    key: String,
    /// The value; before it the path, if that is not behind the key
    #[arg(value_name = "[PATH] VALUE", num_args = 0..=2)]
    rest: Vec<String>,
    /// A merge patch (RFC 7396): members are set, null removes them
    #[arg(long, value_name = "JSON", conflicts_with = "rest")]
    merge: Option<String>,
    /// What is written expires after this long: 500ms, 30s, 15m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_ttl)]
    ttl: Option<u64>,
    #[command(flatten)]
    flags: WriteFlags,
}

/// Connects and writes.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let update = request(&args)?;
    write(update, &args.flags, &global.connect().await?, global.json).await
}

/// Writes, on a connection that is there.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    write(request(&args)?, &args.flags, client, json).await
}

async fn write(update: Update, flags: &WriteFlags, client: &Client, json: bool) -> Result<(), Exit> {
    let key = update.key.clone();
    let done = client.update(update).await?;
    receipt::show("patched", &key, &done, flags, client, json)
}

fn request(args: &Args) -> Result<Update, Exit> {
    let (key, patch) = match (&args.merge, args.rest.as_slice()) {
        (Some(json), _) => (whole_key(&args.key)?, PatchBody::Merge { json: strict_json(json)? }),
        (None, [value]) => set(KeyPath::read_with_path(&args.key, None)?, value)?,
        (None, [path, value]) => set(KeyPath::read_with_path(&args.key, Some(path))?, value)?,
        (None, _) => return Err(Exit::new(Exit::USAGE, "a patch needs a value, or --merge JSON; see henge patch --help")),
    };
    let (context, w, deadline_ms) = (args.flags.context()?, args.flags.w, args.flags.deadline_ms());
    Ok(Update { key, patch, context, w, deadline_ms, retry: None, strict: args.flags.strict, ttl_ms: args.ttl.unwrap_or(0) })
}

fn set(place: KeyPath, value: &str) -> Result<(bytes::Bytes, PatchBody), Exit> {
    // It has been read once already.
    let at = Path::parse(&place.path).map_err(|error| Exit::new(Exit::USAGE, error.to_string()))?;
    Ok((place.key, PatchBody::Set { path: place.path, json: typed_json(value, &at)? }))
}
