//! `henge query`: reads what lies at a path of a document.

use super::get::{self, Reading};
use super::key_path::KeyPath;
use super::request_flags::ReadFlags;
use super::{Exit, Global};
use crate::client::Client;
use std::path::PathBuf;

/// The flags of `henge query`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "In KEY.path the key ends at the first dot; write \\. for a dot that belongs to the key or to a name, \\\\ for a \
                        backslash, \\e for an empty name. With PATH as an argument of its own, KEY is taken as it stands."
)]
pub struct Args {
    /// KEY.path.to.leaf, or KEY
    #[arg(value_name = "KEY.path")]
    key: String,
    /// The path, if it is not behind the key
    path: Option<String>,
    /// Write the value to this file, and nothing but the value
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    flags: ReadFlags,
}

/// Connects and reads.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let reading = reading(&args)?;
    reading.flags.context()?;
    get::read(reading, &global.connect().await?, global.json).await
}

/// Reads, on a connection that is there.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    get::read(reading(&args)?, client, json).await
}

fn reading(args: &Args) -> Result<Reading<'_>, Exit> {
    let KeyPath { key, path } = KeyPath::read(&args.key, args.path.as_deref())?;
    Ok(Reading { key, path, output: args.output.clone(), flags: &args.flags })
}
