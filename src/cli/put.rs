//! `henge put`: writes a whole value.

use super::key_path::whole_key;
use super::request_flags::{WriteFlags, parse_ttl};
use super::typed_value::{piped_body, typed_json};
use super::{Exit, Global, output, receipt};
use crate::client::Client;
use crate::limits::VALUE_BYTES_MAX;
use crate::message::{Body, Put};
use crate::vclock::Path;
use bytes::Bytes;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};

/// The flags of `henge put`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "VALUE that is JSON becomes a document, any other text a string: `put greeting hello` and `put greeting '\"hello\"'` \
                  mean the same. Text that begins like JSON ({, [ or \") but is broken is refused. What comes through a pipe (-) is a \
                  document if it is JSON, and kept byte for byte if not."
)]
pub struct Args {
    /// The key
    key: String,
    /// JSON, or a string; - reads standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    value: Option<String>,
    /// Write the bytes of this file, as they are
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Keep the bytes of VALUE or of standard input as they are, JSON or not
    #[arg(long)]
    raw: bool,
    /// The content type of VALUE, FILE or standard input, which is kept as it is: image/png. With application/json it is a document
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "raw")]
    content_type: Option<String>,
    /// What is written expires after this long: 500ms, 30s, 15m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_ttl)]
    ttl: Option<u64>,
    #[command(flatten)]
    flags: WriteFlags,
}

/// Connects and writes.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let put = request(&args)?;
    write(put, &args.flags, &global.connect().await?, global.json).await
}

/// Writes, on a connection that is there. Standard input belongs to whoever calls this, and is not read.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    if args.value.as_deref() == Some("-") {
        return Err(Exit::new(Exit::USAGE, "standard input holds the commands here; write '\"-\"' if you mean a dash"));
    }
    write(request(&args)?, &args.flags, client, json).await
}

async fn write(put: Put, flags: &WriteFlags, client: &Client, json: bool) -> Result<(), Exit> {
    let key = put.key.clone();
    let done = client.put(put).await?;
    receipt::show("put", &key, &done, flags, client, json)
}

/// Everything that can be wrong is found before anybody is asked.
fn request(args: &Args) -> Result<Put, Exit> {
    let key = whole_key(&args.key)?;
    let body = match (&args.file, args.value.as_deref().unwrap_or_default()) {
        (Some(file), _) => body_of(args, read_file(file)?)?,
        (None, "-") => {
            let bytes = read_bounded(std::io::stdin().lock(), "standard input")?;
            if is_kept(args) { body_of(args, bytes)? } else { piped_body(bytes)? }
        }
        (None, text) if is_kept(args) => body_of(args, Bytes::copy_from_slice(text.as_bytes()))?,
        (None, text) => Body::Json(typed_json(text, &Path::ROOT)?),
    };
    let (context, w, deadline_ms) = (args.flags.context()?, args.flags.w, args.flags.deadline_ms());
    Ok(Put { key, body, context, w, deadline_ms, retry: None, strict: args.flags.strict, ttl_ms: args.ttl.unwrap_or(0) })
}

/// True if the bytes are what they are said to be, and nobody looks whether they are JSON.
fn is_kept(args: &Args) -> bool {
    args.raw || args.content_type.is_some()
}

/// Bytes that are kept as they are, of the type that they are said to be of.
fn body_of(args: &Args, bytes: Bytes) -> Result<Body, Exit> {
    let body = Body::of_type(args.content_type.as_deref().unwrap_or_default(), bytes);
    body.map_err(|error| Exit::new(Exit::USAGE, format!("--type: {error}; nothing was written")))
}

fn read_file(file: &FilePath) -> Result<Bytes, Exit> {
    let opened = std::fs::File::open(file).map_err(|error| unreadable(&file.display().to_string(), &error))?;
    read_bounded(opened, &file.display().to_string())
}

/// Reads no more than a value may have: a device without an end must not take our memory.
fn read_bounded(source: impl Read, name: &str) -> Result<Bytes, Exit> {
    let mut bytes = Vec::new();
    source.take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(name, &error))?;
    if bytes.len() > VALUE_BYTES_MAX {
        let most = output::bytes_text(VALUE_BYTES_MAX as u64);
        let message = format!("{name} has more than {most}, the largest value; nothing was written; split it over several keys");
        return Err(Exit::new(Exit::REFUSED, message));
    }
    Ok(bytes.into())
}

fn unreadable(name: &str, error: &std::io::Error) -> Exit {
    Exit::new(Exit::USAGE, format!("{name} cannot be read: {error}; nothing was written"))
}
