//! `henge del`: removes a key, or what lies at a path of it.

use super::key_path::KeyPath;
use super::request_flags::WriteFlags;
use super::{Exit, Global, receipt};
use crate::client::Client;
use crate::message::Remove;

/// The flags of `henge del`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "In KEY.path the key ends at the first dot; write \\. for a dot that belongs to the key: `del www\\.example\\.org` \
                        removes a whole key. With PATH as an argument of its own, KEY is taken as it stands, and an empty PATH means all of it. \
                        Removing what is not there is no error."
)]
pub struct Args {
    /// KEY, or KEY.path
    #[arg(value_name = "KEY[.path]")]
    key: String,
    /// The path, if it is not behind the key; '' for the whole key
    path: Option<String>,
    #[command(flatten)]
    flags: WriteFlags,
}

/// Connects and removes.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let remove = request(&args)?;
    write(remove, &args.flags, &global.connect().await?, global.json).await
}

/// Removes, on a connection that is there.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    write(request(&args)?, &args.flags, client, json).await
}

async fn write(remove: Remove, flags: &WriteFlags, client: &Client, json: bool) -> Result<(), Exit> {
    let key = remove.key.clone();
    let done = client.remove(remove).await?;
    receipt::show("removed", &key, &done, flags, client, json)
}

fn request(args: &Args) -> Result<Remove, Exit> {
    let KeyPath { key, path } = KeyPath::read(&args.key, args.path.as_deref())?;
    let (context, w, deadline_ms) = (args.flags.context()?, args.flags.w, args.flags.deadline_ms());
    Ok(Remove { key, path, context, w, deadline_ms, retry: None, strict: args.flags.strict })
}
