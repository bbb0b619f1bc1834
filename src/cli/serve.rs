//! `henge serve`: runs one peer.

use super::global::{read_secret, read_short};
use super::{Exit, Global};
use crate::client::Client;
use crate::gateway::{Token, http, resp};
use crate::limits;
use crate::message::SyncMode;
use crate::ring::{Change, Founder};
use crate::server::{Config, Gateway, Replacement, ServeError, serve};
use crate::vclock::Start;
use std::path::{Path, PathBuf};
use tracing_subscriber::EnvFilter;

/// The flags of `henge serve`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder with the peer's data; made if it does not exist
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// Where to listen; only loopback addresses go without --secret-file
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7401")]
    listen: String,
    /// Where other peers and clients reach this one [default: where it listens]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// What people call it [default: the last part of the folder]
    #[arg(long)]
    name: Option<String>,
    /// Its failure zone: peers of one zone are expected to fail together
    #[arg(long, default_value = "default")]
    zone: String,
    /// Its share of the data, relative to the others
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(limits::WEIGHT_MAX)))]
    weight: u16,
    /// Form a cluster of this one peer, unless it belongs to one already
    #[arg(long)]
    found: bool,
    /// Once: move a damaged log, or one that the others have refused as an old copy, to quarantine/, and go on with what can be read
    #[arg(long)]
    quarantine: bool,
    /// Take the place of this member (name, address or id), whose folder is lost; --dir is a fresh one
    #[arg(long, value_name = "MEMBER", requires = "from", conflicts_with_all = ["found", "quarantine"])]
    replace: Option<String>,
    /// With --replace: a running peer, which is asked for the list of members
    #[arg(long, value_name = "HOST:PORT", requires = "replace")]
    from: Option<String>,
    /// When the log is synced: always, interval:MS, never
    #[arg(long, default_value = "always", value_parser = parse_sync)]
    sync: SyncMode,
    /// A door for HTTP clients
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
    /// A door for Redis clients
    #[arg(long, value_name = "HOST:PORT")]
    resp: Option<String>,
    /// A file with the token that clients of these two doors show (`AUTH`, a bearer token)
    #[arg(long, value_name = "FILE")]
    client_token_file: Option<PathBuf>,
    /// Open these two doors to other machines too, though whatever passes them can be read on the way
    #[arg(long)]
    insecure: bool,
    /// Never ask one replica more than a read needs, however late the others are: to measure what that brings
    #[arg(long)]
    no_hedge: bool,
    /// How to write the log of events on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
    /// Stop gracefully at the end of standard input
    #[arg(long, hide = true)]
    stop_at_eof: bool,
}

/// How events are written on stderr.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs one peer until it is told to stop (SIGTERM, Ctrl-C).
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let secret = global.secret_file.as_deref().map(read_secret).transpose()?;
    start_tracing(args.log);
    let gateways = gateways(&args)?;
    let replace = match (&args.replace, &args.from) {
        (Some(member), Some(from)) => Some(ask_for_members(member, from, global).await?),
        _ => None,
    };
    let config = Config {
        name: args.name.unwrap_or_else(|| name_of(&args.dir)),
        dir: args.dir,
        listen: args.listen,
        advertise: args.advertise,
        zone: args.zone,
        weight: args.weight,
        secret,
        found: args.found,
        quarantine: args.quarantine,
        replace,
        sync: args.sync,
        hedges: !args.no_hedge,
        cache_bytes: limits::CACHE_BYTES_DEFAULT,
        stop_at_eof: args.stop_at_eof,
    };
    serve(config, gateways).await.map_err(|error| Exit::new(code(&error), error.to_string()))
}

/// The doors that are to be opened.
fn gateways(args: &Args) -> Result<Vec<Gateway>, Exit> {
    let token = args.client_token_file.as_deref().map(read_token).transpose()?;
    let http = args.http.clone().map(|listen| http::gateway(listen, args.insecure, http::Options { token: token.clone() }));
    let resp = args.resp.clone().map(|listen| resp::gateway(listen, args.insecure, resp::Options { token }));
    Ok(http.into_iter().chain(resp).collect())
}

/// Reads a token. Exit code 2 if the file cannot be read, or what stands in it is none.
fn read_token(file: &Path) -> Result<Token, Exit> {
    let refused = |reason: String| Exit::new(Exit::USAGE, format!("the token file {} cannot be used: {reason}", file.display()));
    let contents = read_short(file).map_err(|error| refused(error.to_string()))?;
    Token::new(&contents).map_err(|error| refused(error.to_string()))
}

/// Asks a running peer for the list of members, and finds in it the one whose place is to be taken.
async fn ask_for_members(member: &str, from: &str, global: &Global) -> Result<Replacement, Exit> {
    let client = Client::connect(&[from.to_string()], global.options()?).await?;
    let description =
        client.describe_at(from).await.map_err(|failure| Exit::new(Exit::UNAVAILABLE, format!("{from}: {}", failure.message)))?;
    let Some(Change::Formed { secret, founders, .. }) = description.changes.first() else {
        return Err(Exit::new(
            Exit::REFUSED,
            format!("{from} belongs to no cluster: name a peer of the member's cluster with --from"),
        ));
    };
    if *secret == [0; 16] {
        let message = format!("{from} does not show its cluster's secret to this machine without proof: use --secret-file");
        return Err(Exit::new(Exit::REFUSED, message));
    }
    let is_meant =
        |founder: &&Founder| [&founder.name, &founder.address, &founder.member.to_string()].contains(&&member.to_string());
    let meant: Vec<&Founder> = founders.iter().filter(is_meant).collect();
    match meant.as_slice() {
        [founder] if founder.member == description.founder.member => {
            Err(Exit::new(Exit::REFUSED, format!("{member} is the running peer at {from}: it has its folder")))
        }
        [founder] => {
            let last =
                description.starts.iter().find(|(member, _)| *member == founder.member).map_or(Start(0), |(_, start)| *start);
            Ok(Replacement { member: founder.member, last, changes: description.changes.clone() })
        }
        _ => {
            let known: Vec<String> = founders.iter().map(|founder| format!("{} ({})", founder.name, founder.address)).collect();
            let message = format!("{member} names {} members of the cluster; there are: {}", meant.len(), known.join(", "));
            Err(Exit::new(Exit::USAGE, message))
        }
    }
}

/// A peer that stops itself ends with 1, so that a supervisor sees a failure; what was asked for wrongly with 2.
fn code(error: &ServeError) -> u8 {
    match error {
        ServeError::Halted { .. } | ServeError::Threads { .. } => 1,
        ServeError::Address { .. }
        | ServeError::PlainDoor { .. }
        | ServeError::NoSecret { .. }
        | ServeError::NoAdvertise { .. } => Exit::USAGE,
        ServeError::PortInUse { .. } | ServeError::Listen { .. } => Exit::UNAVAILABLE,
        ServeError::Store { .. } => Exit::REFUSED,
    }
}

/// Events go to stderr; HENGE_LOG chooses which (`info` if it is not set).
fn start_tracing(format: LogFormat) {
    use std::io::IsTerminal;
    let filter = EnvFilter::try_from_env("HENGE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => events.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => events.json().init(),
    }
}

/// The last part of the folder's path.
fn name_of(dir: &Path) -> String {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    whole.file_name().map_or_else(|| "peer".to_string(), |name| name.to_string_lossy().into_owned())
}

/// `always`, `interval:MS`, `never`.
pub(super) fn parse_sync(text: &str) -> Result<SyncMode, String> {
    match text.split_once(':') {
        None if text == "always" => Ok(SyncMode::Always),
        None if text == "never" => Ok(SyncMode::Never),
        Some(("interval", ms)) => match ms.parse() {
            Ok(ms @ 1..=limits::SYNC_INTERVAL_MS_MAX) => Ok(SyncMode::Interval(ms)),
            _ => Err(format!("the interval is a number of milliseconds from 1 to {}", limits::SYNC_INTERVAL_MS_MAX)),
        },
        _ => Err("it is one of: always, interval:MS (for example interval:1000), never".to_string()),
    }
}

/// The way to write a sync mode that [`parse_sync`] reads.
pub(super) fn show_sync(sync: SyncMode) -> String {
    match sync {
        SyncMode::Always => "always".to_string(),
        SyncMode::Interval(ms) => format!("interval:{ms}"),
        SyncMode::Never => "never".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_modes_are_read_as_they_are_written_and_others_are_refused() {
        for mode in [SyncMode::Always, SyncMode::Interval(250), SyncMode::Never] {
            assert_eq!(parse_sync(&show_sync(mode)), Ok(mode));
        }
        for wrong in ["", "sometimes", "interval", "interval:0", "interval:x", "interval:99999999999", "always:1"] {
            assert!(parse_sync(wrong).is_err(), "{wrong}");
        }
    }
}
