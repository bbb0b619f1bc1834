//! What a peer is told that lasts: by flags, by the environment, by a file, in this order of precedence; and what holds if nobody says anything.
//!
//! Each option stands once, in [`Told`]: its flag, its variable `HENGE_…`, and its name in the file, which is that of the flag.

use super::{Exit, Global};
use crate::limits;
use crate::message::SyncMode;
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Options of a peer, as far as one source of them tells.
#[derive(clap::Args, Deserialize, Serialize, Clone, PartialEq, Default, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Told {
    /// The folder with the peer's data; made if it does not exist
    #[arg(long, env = "HENGE_DIR", value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
    /// Where to listen; only loopback addresses go without --secret-file [default: 127.0.0.1:7401]
    #[arg(long, env = "HENGE_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where other peers and clients reach this one [default: where it listens]
    #[arg(long, env = "HENGE_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// What people call it [default: the last part of the folder]
    #[arg(long, env = "HENGE_NAME")]
    pub name: Option<String>,
    /// Its failure zone: peers of one zone are expected to fail together [default: default]
    #[arg(long, env = "HENGE_ZONE")]
    pub zone: Option<String>,
    /// Its share of the data, relative to the others [default: 1]
    #[arg(long, env = "HENGE_WEIGHT", value_parser = clap::value_parser!(u16).range(1..=i64::from(limits::WEIGHT_MAX)))]
    #[serde(deserialize_with = "weight")]
    pub weight: Option<u16>,
    /// Form a cluster of this one peer, unless it belongs to one already
    #[arg(long, env = "HENGE_FOUND", num_args = 0..=1, default_missing_value = "true")]
    pub found: Option<bool>,
    /// When the log is synced: always, interval:MS, never [default: always]
    #[arg(long, env = "HENGE_SYNC", value_name = "MODE", value_parser = parse_sync)]
    #[serde(serialize_with = "put_sync", deserialize_with = "take_sync")]
    pub sync: Option<SyncMode>,
    /// A door for HTTP clients
    #[arg(long, env = "HENGE_HTTP", value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// A door for Redis clients
    #[arg(long, env = "HENGE_RESP", value_name = "HOST:PORT")]
    pub resp: Option<String>,
    /// A file with the token that clients of these two doors show (`AUTH`, a bearer token)
    #[arg(long, env = "HENGE_CLIENT_TOKEN_FILE", value_name = "FILE")]
    pub client_token_file: Option<PathBuf>,
    /// Open these two doors to other machines too, though whatever passes them can be read on the way
    #[arg(long, env = "HENGE_INSECURE", num_args = 0..=1, default_missing_value = "true")]
    pub insecure: Option<bool>,
    /// Never ask one replica more than a read needs, however late the others are: to measure what that brings
    #[arg(long, env = "HENGE_NO_HEDGE", num_args = 0..=1, default_missing_value = "true")]
    pub no_hedge: Option<bool>,
    /// How to write the log of events on stderr [default: text]
    #[arg(long, env = "HENGE_LOG_FORMAT", value_enum)]
    pub log: Option<LogFormat>,
    /// Which events are written: error, warn, info, debug, or a filter of `tracing` [default: info]
    #[arg(long, env = "HENGE_LOG", value_name = "FILTER")]
    pub log_filter: Option<String>,
    /// A request that takes longer is told of in the log of events, in milliseconds [default: 1000]
    #[arg(long, env = "HENGE_SLOW_MS", value_name = "MS")]
    pub slow_ms: Option<u64>,
    /// The flag of all commands, here for the file alone.
    #[arg(skip)]
    pub secret_file: Option<PathBuf>,
}

/// How events are written on stderr.
#[derive(clap::ValueEnum, Deserialize, Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is in force, and where each value came from.
#[derive(Clone, PartialEq, Debug)]
pub struct InForce {
    /// All options; those that nobody has given and that have no default are missing.
    pub told: Told,
    /// Name and source of each, by name.
    pub sources: Vec<(String, Source)>,
}

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The command line.
    Flag,
    /// A variable `HENGE_…`.
    Environment,
    /// The file.
    File,
    /// Nobody has said anything.
    Default,
}

impl Told {
    /// What holds if nobody says anything else.
    fn defaults() -> Told {
        Told {
            listen: Some("127.0.0.1:7401".to_string()),
            zone: Some("default".to_string()),
            weight: Some(1),
            found: Some(false),
            sync: Some(SyncMode::Always),
            insecure: Some(false),
            no_hedge: Some(false),
            log: Some(LogFormat::Text),
            log_filter: Some("info".to_string()),
            slow_ms: Some(limits::SLOW_REQUEST_MS_DEFAULT),
            ..Told::default()
        }
    }

    /// What a file tells. Exit code 2 if it cannot be read, names an option that there is not, or gives one a value that it cannot have.
    pub fn from_file(file: &Path) -> Result<Told, Exit> {
        let refused = |reason: String| Exit::new(Exit::USAGE, format!("the configuration {}: {reason}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| refused(format!("it cannot be read: {error}")))?;
        toml::from_str(&text).map_err(|error| refused(error.to_string().trim_end().to_string()))
    }

    /// Each option that is told, by its name.
    fn map(&self) -> Result<Map<String, Value>, Exit> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(other) => unreachable!("options are an object, and not {other}"),
            Err(error) => Err(Exit::new(Exit::USAGE, format!("an option has no text: {error}; names in UTF-8 are needed"))),
        }
    }
}

impl InForce {
    /// Puts what the command line and the environment say over what the file says, and that over the defaults. `matches` are those of the
    /// command that `told` comes from.
    pub fn settle(told: Told, global: &Global, matches: &ArgMatches, file: Option<&Path>) -> Result<InForce, Exit> {
        let typed = Told { secret_file: global.secret_file.clone(), ..told };
        let filed = file.map_or_else(|| Ok(Told::default()), Told::from_file)?;
        InForce::overlay(&typed, &filed, |name| matches.value_source(name) == Some(ValueSource::EnvVariable))
    }

    /// What a file says over the defaults.
    pub fn of_file(filed: Told) -> Result<InForce, Exit> {
        InForce::overlay(&Told::default(), &filed, |_| false)
    }

    fn overlay(typed: &Told, filed: &Told, is_from_environment: impl Fn(&str) -> bool) -> Result<InForce, Exit> {
        let (typed, filed) = (typed.map()?, filed.map()?);
        let mut all = Told::defaults().map()?;
        let mut sources = Vec::new();
        for (name, value) in &mut all {
            let (typed, filed) = (&typed[name], &filed[name]);
            let source = match (typed, filed) {
                (Value::Null, Value::Null) => Source::Default,
                (Value::Null, _) => Source::File,
                _ if is_from_environment(&name.replace('-', "_")) => Source::Environment,
                _ => Source::Flag,
            };
            match source {
                Source::Default => {}
                Source::File => *value = filed.clone(),
                Source::Flag | Source::Environment => *value = typed.clone(),
            }
            sources.push((name.clone(), source));
        }
        let told = serde_json::from_value(Value::Object(all)).expect("what was an option is one again");
        Ok(InForce { told, sources })
    }

    /// Name, value and source of each option; no value if nobody has given one.
    pub fn rows(&self) -> Result<Vec<(String, Option<String>, Source)>, Exit> {
        let map = self.told.map()?;
        let shown = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Ok(self.sources.iter().map(|(name, source)| (name.clone(), shown(&map[name]), *source)).collect())
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Flag => "flag",
            Source::Environment => "environment",
            Source::File => "file",
            Source::Default => "default",
        })
    }
}

/// `always`, `interval:MS`, `never`.
pub fn parse_sync(text: &str) -> Result<SyncMode, String> {
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
pub fn show_sync(sync: SyncMode) -> String {
    crate::gateway::json::sync_text(sync)
}

fn put_sync<S: serde::Serializer>(sync: &Option<SyncMode>, out: S) -> Result<S::Ok, S::Error> {
    sync.map(show_sync).serialize(out)
}

fn take_sync<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<SyncMode>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| parse_sync(&text).map_err(|reason| D::Error::custom(format!("sync is not {text:?}: {reason}")))).transpose()
}

fn weight<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    match Option::<u16>::deserialize(from)? {
        Some(weight) if !(1..=limits::WEIGHT_MAX).contains(&weight) => {
            Err(D::Error::custom(format!("weight is {weight}, and goes from 1 to {}", limits::WEIGHT_MAX)))
        }
        weight => Ok(weight),
    }
}

#[cfg(test)]
mod tests;
