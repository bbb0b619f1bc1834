//! `henge config`: what is in force, and where it came from; whether a file is sound.

use super::options::{InForce, Source, Told};
use super::serve::{code, prepare};
use super::{Exit, Global};
use crate::server::check;
use clap::ArgMatches;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use std::path::{Path, PathBuf};

/// The flags of `henge config`: those of `serve`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(flatten)]
    told: Told,
    /// A file with options, in TOML; flags and the environment go over it
    #[arg(long, env = "HENGE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Say whether `henge serve --config FILE` would find anything to object to, and touch nothing
    Check {
        /// The file
        file: PathBuf,
    },
}

/// Prints the options in force, or checks a file.
pub async fn run(args: Args, matches: &ArgMatches, global: &Global) -> Result<(), Exit> {
    match args.command {
        Some(Command::Check { file }) => check_file(&file, global).await,
        None => show(&InForce::settle(args.told, global, matches, args.config.as_deref())?, args.config.as_deref(), global.json),
    }
}

fn show(in_force: &InForce, file: Option<&Path>, json: bool) -> Result<(), Exit> {
    let from = |name: &str, source: Source| match source {
        Source::Flag => format!("--{name}"),
        Source::Environment => format!("HENGE_{}", name.replace('-', "_").to_uppercase()),
        Source::File => file.map_or_else(String::new, |file| file.display().to_string()),
        Source::Default => "default".to_string(),
    };
    let rows = in_force.rows()?;
    if json {
        for (name, value, source) in rows {
            println!(
                "{}",
                serde_json::json!({ "option": name, "value": value, "source": source.to_string(), "from": from(&name, source) })
            );
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(["option", "value", "from"]);
    for (name, value, source) in rows {
        let from = from(&name, source);
        table.add_row([name, value.unwrap_or_else(|| "-".to_string()), from]);
    }
    println!("{table}");
    Ok(())
}

/// Everything that can be known before a peer starts: the names and values of the options, the files that they name, the addresses.
async fn check_file(file: &Path, global: &Global) -> Result<(), Exit> {
    let in_force = InForce::of_file(Told::from_file(file)?)?;
    let (config, gateways) = prepare(&in_force.told)?;
    check(&config, &gateways)
        .await
        .map_err(|error| Exit::new(code(&error), format!("the configuration {}: {error}", file.display())))?;
    let set = in_force.sources.iter().filter(|(_, source)| *source == Source::File).count();
    if global.json {
        println!("{}", serde_json::json!({ "file": file.display().to_string(), "sound": true, "options": set }));
    } else {
        println!("{} is sound: it sets {set} options, and the defaults do for the others.", file.display());
    }
    Ok(())
}
