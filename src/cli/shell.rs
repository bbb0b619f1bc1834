//! `henge shell`: commands typed one after the other, on one connection.

mod words;

use super::{Exit, Global, del, expire, get, incr, output, patch, put, query, scan, status, why};
use crate::client::Client;
use clap::{Parser, Subcommand};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

/// The flags of `henge shell`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {}

/// One line.
#[derive(Parser)]
#[command(
    no_binary_name = true,
    disable_help_flag = true,
    disable_version_flag = true,
    name = "",
    override_usage = "COMMAND …",
    help_template = "{subcommands}\n\nHELP COMMAND says more of one. Words with spaces go in quotes, JSON needs none:\n  PUT ada {\"name\": \"Ada\", \"born\": 1815}\n  QUERY ada.name\n"
)]
struct ShellLine {
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: ShellCommand,
}

/// The commands of the shell.
#[derive(Subcommand)]
#[command(disable_help_subcommand = false)]
enum ShellCommand {
    /// Write a value: JSON becomes a document, other text a string
    Put(put::Args),
    /// Read a value
    Get(get::Args),
    /// Read what lies at a path of a document
    Query(query::Args),
    /// Tell why a read of a key says what it says
    Why(why::Args),
    /// Change some paths of a document, and nothing else
    Patch(patch::Args),
    /// Remove a key, or what lies at a path of it
    #[command(alias = "del")]
    Delete(del::Args),
    /// Add to a counter, and show its sum
    Incr(incr::Args),
    /// Set when a key expires, or that it never does
    Expire(expire::Args),
    /// List the keys that begin with a prefix, in order
    Scan(scan::Args),
    /// Ask every member how it is
    Status(status::Args),
    /// Leave
    #[command(alias = "quit")]
    Exit,
}

/// Connects, and reads commands until the end.
pub async fn run(_: Args, global: &Global) -> Result<(), Exit> {
    let client = global.connect().await?;
    if std::io::stdin().is_terminal() { converse(&client, global.json).await } else { obey(&client, global.json).await }
}

/// Commands from a pipe, without a prompt.
async fn obey(client: &Client, json: bool) -> Result<(), Exit> {
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Exit::new(Exit::USAGE, format!("standard input cannot be read: {error}")))?;
        if !line.trim_start().starts_with('#') && !perform(&line, client, json).await? {
            break;
        }
    }
    Ok(())
}

/// Commands from a person, with line editing and a history.
async fn converse(client: &Client, json: bool) -> Result<(), Exit> {
    let failed = |error: ReadlineError| Exit::new(Exit::USAGE, format!("this terminal cannot be used: {error}"));
    let mut editor = DefaultEditor::new().map_err(failed)?;
    let history = history_file();
    if let Some(file) = &history {
        // The first time there is none.
        let _ = editor.load_history(file);
    }
    output::remark("HELP lists the commands, EXIT or Ctrl-D leaves.");
    loop {
        // While a line is typed the connection rests: nothing is under way on it.
        match editor.readline("henge> ") {
            Ok(line) => {
                if !line.trim().is_empty() {
                    let _ = editor.add_history_entry(line.as_str());
                }
                if !perform(&line, client, json).await? {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        }
    }
    if let Some(file) = &history
        && let Err(error) = editor.save_history(file)
    {
        output::remark(format!("the history cannot be kept in {}: {error}", file.display()));
    }
    Ok(())
}

/// Performs one line. What goes wrong is told, and is no end; false if the person wants to leave.
/// Errors: nobody reads our output any more.
async fn perform(line: &str, client: &Client, json: bool) -> Result<bool, Exit> {
    let mut words = match words::words(line) {
        Ok(words) => words,
        Err(reason) => {
            output::remark(format!("{reason}; nothing was done"));
            return Ok(true);
        }
    };
    let Some(command) = words.first_mut() else { return Ok(true) };
    *command = command.to_lowercase();
    if command == "help"
        && let Some(about) = words.get_mut(1)
    {
        *about = about.to_lowercase();
    }
    let line = match ShellLine::try_parse_from(&words) {
        Ok(line) => line,
        Err(error) => {
            // Help is among these.
            let _ = error.print();
            return Ok(true);
        }
    };
    let json = json || line.json;
    let done = match line.command {
        ShellCommand::Put(args) => put::run_on(args, client, json).await,
        ShellCommand::Get(args) => get::run_on(args, client, json).await,
        ShellCommand::Query(args) => query::run_on(args, client, json).await,
        ShellCommand::Why(args) => why::run_on(args, client, json).await,
        ShellCommand::Patch(args) => patch::run_on(args, client, json).await,
        ShellCommand::Delete(args) => del::run_on(args, client, json).await,
        ShellCommand::Incr(args) => incr::run_on(args, client, json).await,
        ShellCommand::Expire(args) => expire::run_on(args, client, json).await,
        ShellCommand::Scan(args) => scan::run_on(args, client, json).await,
        ShellCommand::Status(args) => status::run_on(args, client, json).await,
        ShellCommand::Exit => return Ok(false),
    };
    match done {
        Err(Exit { code: 0, message: None }) => Err(Exit::silent(0)),
        Err(Exit { message: Some(message), .. }) => {
            output::remark(message);
            Ok(true)
        }
        _ => Ok(true),
    }
}

/// Where the history is kept: in the folder for what programs remember, of whoever uses the shell.
fn history_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    let folder = state.join("henge");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("shell-history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_shell_is_known_to_its_parser() {
        for line in [
            "put k v",
            "get k",
            "query k.a",
            "patch k.a 1",
            "patch k --merge {}",
            "delete k",
            "del k.a",
            "scan",
            "status",
            "exit",
            "quit",
        ] {
            assert!(ShellLine::try_parse_from(words::words(line).unwrap()).is_ok(), "{line}");
        }
        assert!(ShellLine::try_parse_from(["frobnicate"]).is_err());
    }
}
