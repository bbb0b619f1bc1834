//! `henge get`: reads a whole value.

use super::key_path::whole_key;
use super::request_flags::ReadFlags;
use super::{Exit, Global, output};
use crate::client::{Client, Read};
use crate::message::{Conflict, Found, Get, Missing, Value};
use crate::vclock::Sealed;
use bytes::Bytes;
use serde_json::json;
use std::path::PathBuf;

/// The flags of `henge get`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "A document is printed as JSON, indented at a terminal and on one line in a pipe; a string as its text; bytes as \
                        they are. Exit code 1: there is no such key. Exit code 5: versions are in conflict; all are printed, one block each."
)]
pub struct Args {
    /// The key, as it stands
    key: String,
    /// Write the value to this file, and nothing but the value
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    flags: ReadFlags,
}

/// What is read, and how it is shown.
pub(super) struct Reading<'a> {
    pub(super) key: Bytes,
    /// In the client's syntax; empty for the whole key.
    pub(super) path: String,
    pub(super) output: Option<PathBuf>,
    pub(super) flags: &'a ReadFlags,
}

/// Connects and reads.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let reading = reading(&args)?;
    // Before anybody is asked.
    reading.flags.context()?;
    read(reading, &global.connect().await?, global.json).await
}

/// Reads, on a connection that is there.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    read(reading(&args)?, client, json).await
}

fn reading(args: &Args) -> Result<Reading<'_>, Exit> {
    let key = whole_key(&args.key)?;
    Ok(Reading { key, path: String::new(), output: args.output.clone(), flags: &args.flags })
}

/// Reads and shows what was found.
pub(super) async fn read(reading: Reading<'_>, client: &Client, json: bool) -> Result<(), Exit> {
    let flags = reading.flags;
    let get = Get {
        key: reading.key.clone(),
        path: reading.path.clone(),
        r: flags.r,
        session: flags.context()?,
        last_writer_wins: flags.lww,
        deadline_ms: flags.deadline_ms(),
    };
    match client.get(get).await? {
        Read::Found(found) => show_found(&reading, &found, json),
        Read::Missing(missing) => show_missing(&reading, &missing, json),
    }
}

fn show_found(reading: &Reading, found: &Found, json: bool) -> Result<(), Exit> {
    if let (Some(file), Some(value), true) = (&reading.output, &found.value, found.conflicts.is_empty()) {
        let refused = |error| Exit::new(Exit::REFUSED, format!("{} cannot be written: {error}", file.display()));
        std::fs::write(file, output::value_bytes(value, false)).map_err(refused)?;
    }
    if json {
        output::print_line(found_json(reading, found))?;
    } else if found.conflicts.is_empty() {
        if let (Some(value), None) = (&found.value, &reading.output) {
            output::print_value(value)?;
        }
    } else {
        show_conflicts(found)?;
    }
    if reading.flags.print_context && !json {
        output::print_line(Sealed::to_text(&found.context))?;
    }
    if found.hidden > 0 {
        output::remark_at_terminal(format!("{} older versions in conflict are not shown", found.hidden));
    }
    if found.stood_in > 0 {
        output::remark_at_terminal(format!(
            "{} of the {} peers that answered only stood in for owners; newer versions may exist",
            found.stood_in, found.answered
        ));
    }
    if found.conflicts.is_empty() { Ok(()) } else { Err(in_conflict(reading, found)) }
}

/// One block for what is not in conflict, and one for each sibling.
fn show_conflicts(found: &Found) -> Result<(), Exit> {
    if let Some(value) = &found.value {
        output::print_line("--- the value without what is in conflict")?;
        output::print_value(value)?;
    }
    for Conflict { path, values } in &found.conflicts {
        let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
        for (nth, value) in (1..).zip(values) {
            output::print_line(format!("--- {place}sibling {nth} of {}", values.len()))?;
            output::print_value(value)?;
            let is_bytes = matches!(value, Value::Bytes(_) | Value::Typed(_));
            if is_bytes && !output::value_bytes(value, false).ends_with(b"\n") {
                output::print(b"\n")?;
            }
        }
    }
    Ok(())
}

fn in_conflict(reading: &Reading, found: &Found) -> Exit {
    let key = output::key_text(&reading.key);
    let paths = found.conflicts.len();
    let context = if reading.flags.print_context { "that context" } else { "the context that --print-context shows" };
    let file = reading.output.as_ref().map_or(String::new(), |file| format!("{} was not written; ", file.display()));
    let what = match found.conflicts.first() {
        Some(conflict) if conflict.path.is_empty() => "the versions of".to_string(),
        _ => format!("versions of {paths} path{} of", if paths == 1 { "" } else { "s" }),
    };
    let message =
        format!("{what} {key} are in conflict; {file}to resolve, write with --context and {context}; --lww shows the newest");
    Exit::new(Exit::SIBLINGS, message)
}

fn found_json(reading: &Reading, found: &Found) -> serde_json::Value {
    json!({
        "key": output::key_text(&reading.key),
        "path": reading.path,
        "found": true,
        "kind": match &found.value { Some(Value::Bytes(_) | Value::Typed(_)) => "bytes", Some(Value::Json(_)) => "json",
            Some(Value::Counter(_)) => "counter", Some(Value::Set(_)) => "set", None => "conflict",
        },
        "value": found.value.as_ref().map(output::value_json),
        "conflicts": output::conflicts_json(&found.conflicts),
        "hidden": found.hidden,
        "answered": found.answered,
        "agreed": found.agreed,
        "stood_in": found.stood_in,
        "expiry_ms": found.expiry_ms,
        "context": Sealed::to_text(&found.context),
    })
}

fn show_missing(reading: &Reading, missing: &Missing, json: bool) -> Result<(), Exit> {
    let (key, context) = (output::key_text(&reading.key), Sealed::to_text(&missing.context));
    if json {
        output::print_line(json!({
            "key": key, "path": reading.path, "found": false, "answered": missing.answered, "context": context,
        }))?;
        return Err(Exit::silent(Exit::NOT_FOUND));
    }
    if reading.flags.print_context {
        output::print_line(context)?;
    }
    let message = match reading.path.as_str() {
        "" if key.contains('.') => format!("{key} is not there (a path in a key is read with `query KEY.path`)"),
        "" => format!("{key} is not there"),
        path => format!("{key} has nothing at {path}"),
    };
    Err(Exit::new(Exit::NOT_FOUND, message))
}
