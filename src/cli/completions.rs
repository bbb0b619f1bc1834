//! `henge completions`: what a shell needs to complete henge's commands and flags.

use super::Cli;
use clap::CommandFactory;

/// The flags of `henge completions`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// For which shell
    shell: clap_complete::Shell,
}

/// Prints the script. Source it, or put it where the shell looks for such scripts.
pub fn run(args: &Args) {
    clap_complete::generate(args.shell, &mut Cli::command(), "henge", &mut std::io::stdout());
}
