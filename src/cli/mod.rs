//! The command line: one file per command, each with its `Args` and `run`.

mod exit;
mod form;
mod global;
mod serve;
mod up;

pub use exit::Exit;
pub use global::Global;

use clap::{Parser, Subcommand};

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
    /// Form a cluster of peers that stand by
    Form(form::Args),
}

/// Parses the command line, runs the command, prints what went wrong, and returns the exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
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
    match runtime.block_on(run(cli)) {
        Ok(()) => 0,
        Err(exit) => {
            if let Some(message) = exit.message {
                eprintln!("henge: {message}");
            }
            exit.code
        }
    }
}

async fn run(cli: Cli) -> Result<(), Exit> {
    let global = &cli.global;
    match cli.command {
        Command::Up(args) => up::run(args, global).await,
        Command::Serve(args) => serve::run(args, global).await,
        Command::Form(args) => form::run(args, global).await,
    }
}
