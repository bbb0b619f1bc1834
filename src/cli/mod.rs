//! The command line: one file per command, each with its `Args` and `run`.

mod bench;
mod completions;
mod config;
mod del;
mod exit;
mod expire;
mod form;
mod r#gen;
mod get;
mod global;
mod incr;
mod indent;
mod key_path;
mod load;
pub mod load_lines;
mod options;
mod output;
mod patch;
mod put;
mod query;
mod receipt;
mod request_flags;
mod ring;
mod scan;
mod serve;
mod shell;
mod status;
mod typed_value;
mod up;
mod why;

pub use exit::Exit;
pub use global::Global;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

/// A leaderless peer-to-peer key-value and document store.
#[derive(Parser)]
#[command(name = "henge", version, about, long_about = None, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Start a cluster on this machine: several peers, formed, with one command
    Up(up::Args),
    /// Run one peer
    Serve(serve::Args),
    /// Show the options of a peer that are in force, and where each came from; check a file of them
    Config(config::Args),
    /// Form a cluster of peers that stand by
    Form(form::Args),
    /// Write a value: JSON becomes a document, other text a string
    Put(put::Args),
    /// Read a value
    Get(get::Args),
    /// Read what lies at a path of a document
    Query(query::Args),
    /// Tell why a read of a key says what it says: who holds what, and who won
    Why(why::Args),
    /// Change some paths of a document, and nothing else
    Patch(patch::Args),
    /// Remove a key, or what lies at a path of it
    Del(del::Args),
    /// Add to a counter, and show its sum
    Incr(incr::Args),
    /// Set when a key expires, or that it never does
    Expire(expire::Args),
    /// List the keys that begin with a prefix, in order
    Scan(scan::Args),
    /// Ask every member how it is
    Status(status::Args),
    /// Show the members, their shares, and who owns what
    Ring(ring::Args),
    /// Write the records of a file, many at a time
    Load(load::Args),
    /// Type commands one after the other
    Shell(shell::Args),
    /// Measure throughput and latency
    Bench(bench::Args),
    /// Write random nested records, one line each, for `load`
    Gen(r#gen::Args),
    /// Print a script that lets a shell complete henge's commands
    Completions(completions::Args),
}

/// Parses the command line, runs the command, prints what went wrong, and returns the exit code.
pub fn main() -> u8 {
    // The matches say which values come from the environment.
    let parsed = Cli::command().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are no errors; `exit_code` knows. Printing fails only if nobody reads.
            let _ = error.print();
            return if error.use_stderr() { Exit::USAGE } else { 0 };
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("henge: the operating system gives no event loop: {error}");
            return Exit::UNAVAILABLE;
        }
    };
    match runtime.block_on(run(cli, &matches)) {
        Ok(()) => 0,
        Err(exit) => {
            if let Some(message) = exit.message {
                eprintln!("henge: {message}");
            }
            exit.code
        }
    }
}

async fn run(cli: Cli, matches: &ArgMatches) -> Result<(), Exit> {
    let global = &cli.global;
    let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
    match cli.command {
        Command::Up(args) => up::run(args, global).await,
        Command::Serve(args) => serve::run(args, matches, global).await,
        Command::Config(args) => config::run(args, matches, global).await,
        Command::Form(args) => form::run(args, global).await,
        Command::Put(args) => put::run(args, global).await,
        Command::Get(args) => get::run(args, global).await,
        Command::Query(args) => query::run(args, global).await,
        Command::Why(args) => why::run(args, global).await,
        Command::Patch(args) => patch::run(args, global).await,
        Command::Del(args) => del::run(args, global).await,
        Command::Incr(args) => incr::run(args, global).await,
        Command::Expire(args) => expire::run(args, global).await,
        Command::Scan(args) => scan::run(args, global).await,
        Command::Status(args) => status::run(args, global).await,
        Command::Ring(args) => ring::run(args, global).await,
        Command::Load(args) => load::run(args, global).await,
        Command::Shell(args) => shell::run(args, global).await,
        Command::Bench(args) => bench::run(args, global).await,
        Command::Gen(args) => r#gen::run(&args).map_err(Exit::from),
        Command::Completions(args) => {
            completions::run(&args);
            Ok(())
        }
    }
}
