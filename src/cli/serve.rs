//! `henge serve`: runs one peer.

use super::global::{read_secret, read_short};
use super::options::{InForce, LogFormat, Told};
use super::{Exit, Global};
use crate::client::{Client, Options};
use crate::gateway::{Token, http, resp};
use crate::limits;
use crate::ring::{Change, Founder};
use crate::server::{Config, Gateway, Replacement, ServeError, serve};
use crate::vclock::Start;
use crate::wire::Secret;
use clap::ArgMatches;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// The flags of `henge serve`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    told: Told,
    /// A file with options, in TOML; flags and the environment go over it
    #[arg(long, env = "HENGE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Once: move a damaged log, or one that the others have refused as an old copy, to quarantine/, and go on with what can be read
    #[arg(long)]
    quarantine: bool,
    /// Take the place of this member (name, address or id), whose folder is lost; --dir is a fresh one
    #[arg(long, value_name = "MEMBER", requires = "from", conflicts_with_all = ["found", "quarantine"])]
    replace: Option<String>,
    /// With --replace: a running peer, which is asked for the list of members
    #[arg(long, value_name = "HOST:PORT", requires = "replace")]
    from: Option<String>,
    /// Stop gracefully at the end of standard input
    #[arg(long, hide = true)]
    stop_at_eof: bool,
}

/// Runs one peer until it is told to stop (SIGTERM, Ctrl-C).
pub async fn run(args: Args, matches: &ArgMatches, global: &Global) -> Result<(), Exit> {
    let InForce { told, .. } = InForce::settle(args.told, global, matches, args.config.as_deref())?;
    let (mut config, gateways) = prepare(&told)?;
    start_tracing(&told)?;
    config.replace = match (&args.replace, &args.from) {
        (Some(member), Some(from)) => Some(ask_for_members(member, from, config.secret.clone()).await?),
        _ => None,
    };
    (config.quarantine, config.stop_at_eof) = (args.quarantine, args.stop_at_eof);
    serve(config, gateways, notify_ready).await.map_err(|error| Exit::new(code(&error), error.to_string()))
}

/// What the server is told, and the doors that are to be opened. Reads the files that are named. Exit code 2 if something is missing or wrong.
pub(super) fn prepare(told: &Told) -> Result<(Config, Vec<Gateway>), Exit> {
    let Some(dir) = told.dir.clone() else {
        return Err(Exit::new(Exit::USAGE, "which folder? Give --dir FOLDER (or HENGE_DIR, or `dir` in the file of --config)"));
    };
    let config = Config {
        name: told.name.clone().unwrap_or_else(|| name_of(&dir)),
        dir,
        listen: told.listen.clone().unwrap_or_default(),
        advertise: told.advertise.clone(),
        zone: told.zone.clone().unwrap_or_default(),
        weight: told.weight.unwrap_or(1),
        secret: told.secret_file.as_deref().map(read_secret).transpose()?,
        found: told.found.unwrap_or_default(),
        quarantine: false,
        replace: None,
        sync: told.sync.unwrap_or_default(),
        hedges: !told.no_hedge.unwrap_or_default(),
        slow_request: Duration::from_millis(told.slow_ms.unwrap_or(limits::SLOW_REQUEST_MS_DEFAULT)),
        cache_bytes: limits::CACHE_BYTES_DEFAULT,
        stop_at_eof: false,
    };
    Ok((config, gateways(told)?))
}

/// Tells a supervisor that waits for it (systemd's `Type=notify`) that clients are served from now on.
fn notify_ready() {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "the supervisor could not be told that this peer is ready");
    }
}

/// The doors that are to be opened.
fn gateways(told: &Told) -> Result<Vec<Gateway>, Exit> {
    let token = told.client_token_file.as_deref().map(read_token).transpose()?;
    let insecure = told.insecure.unwrap_or_default();
    let http = told.http.clone().map(|listen| http::gateway(listen, insecure, http::Options { token: token.clone() }));
    let resp = told.resp.clone().map(|listen| resp::gateway(listen, insecure, resp::Options { token }));
    Ok(http.into_iter().chain(resp).collect())
}

/// Reads a token. Exit code 2 if the file cannot be read, or what stands in it is none.
fn read_token(file: &Path) -> Result<Token, Exit> {
    let refused = |reason: String| Exit::new(Exit::USAGE, format!("the token file {} cannot be used: {reason}", file.display()));
    let contents = read_short(file).map_err(|error| refused(error.to_string()))?;
    Token::new(&contents).map_err(|error| refused(error.to_string()))
}

/// Asks a running peer for the list of members, and finds in it the one whose place is to be taken.
async fn ask_for_members(member: &str, from: &str, secret: Option<Secret>) -> Result<Replacement, Exit> {
    let client = Client::connect(&[from.to_string()], Options { secret, ..Options::default() }).await?;
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
pub(super) fn code(error: &ServeError) -> u8 {
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

/// Events go to stderr, as the options say. Exit code 2 if the filter is none.
fn start_tracing(told: &Told) -> Result<(), Exit> {
    use std::io::IsTerminal;
    let filter = told.log_filter.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Exit::new(Exit::USAGE, format!("the filter {filter:?} of the log is none: {error}")))?;
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match told.log {
        Some(LogFormat::Json) => events.json().init(),
        _ => events.with_ansi(std::io::stderr().is_terminal()).init(),
    }
    Ok(())
}

/// The last part of the folder's path.
fn name_of(dir: &Path) -> String {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    whole.file_name().map_or_else(|| "peer".to_string(), |name| name.to_string_lossy().into_owned())
}
