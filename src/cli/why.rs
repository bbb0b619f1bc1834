//! `henge why`: why a read of a key says what it says.

use super::key_path::KeyPath;
use super::{Exit, Global, output};
use crate::client::Client;
use crate::gateway::json::{dot_text, kind_text, name_text, why_json};
use crate::message::{Choice, Explained, Fate, Judged, Replica, Reply, Request, Says, Why, Would};
use crate::ring::MemberId;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

/// The flags of `henge why`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Asks every peer that can be reached what it holds of the key, and waits for all of them or for the deadline. In KEY.path the \
                        key ends at the first dot, as with `query`. Exit code 1: nobody holds it."
)]
pub struct Args {
    /// KEY.path.to.leaf, or KEY
    #[arg(value_name = "KEY.path")]
    key: String,
    /// The path, if it is not behind the key
    path: Option<String>,
    /// How long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=60))]
    deadline: u32,
}

/// Connects and asks.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let asked = KeyPath::read(&args.key, args.path.as_deref())?;
    ask(asked, args.deadline, &global.connect().await?, global.json).await
}

/// Asks, on a connection that is there.
pub(super) async fn run_on(args: Args, client: &Client, json: bool) -> Result<(), Exit> {
    ask(KeyPath::read(&args.key, args.path.as_deref())?, args.deadline, client, json).await
}

async fn ask(asked: KeyPath, deadline_s: u32, client: &Client, json: bool) -> Result<(), Exit> {
    let why = Why { key: asked.key, path: asked.path, deadline_ms: deadline_s * 1_000 };
    let explained = match client.request(Request::Why(why)).await {
        Reply::Explained(explained) => explained,
        Reply::Failed(failure) => return Err(failure.into()),
        _ => {
            return Err(Exit::new(
                Exit::REFUSED,
                "the peer gave an answer of another kind; check that both sides run the same version",
            ));
        }
    };
    if json {
        output::print_line(why_json(&explained))?;
    } else {
        output::print_line(in_words(&explained))?;
    }
    if explained.versions.is_empty() { Err(Exit::silent(Exit::NOT_FOUND)) } else { Ok(()) }
}

fn in_words(explained: &Explained) -> String {
    let mut text = place(explained);
    text.push_str(&format!("\n{}\n", replicas(explained)));
    for (replica, held) in explained.replicas.iter().filter_map(|replica| Some((replica, replica.held.as_ref()?))) {
        if !held.owed.is_empty() {
            let owed = names(explained, &held.owed);
            text.push_str(&format!("{} keeps what it holds for {owed}, and hands it over when it is back.\n", replica.name));
        }
    }
    text.push('\n');
    text.push_str(&held(explained));
    text.push_str("\nWhat reads would have said, by the number of owners that answer:\n");
    for would in &explained.quorums {
        text.push_str(&format!("  R={}: {}\n", would.r, would_say(explained, would)));
    }
    text.pop();
    text
}

/// Where the key lies, and why there.
fn place(explained: &Explained) -> String {
    let key = output::key_text(&explained.key);
    let hashed = match explained.group == explained.key {
        true => "the key".to_string(),
        false => format!("{:?}, what stands in its braces", output::key_text(&explained.group)),
    };
    let path = if explained.path.is_empty() { String::new() } else { format!(" (asked about {})", explained.path) };
    let Explained { hash, partition, partitions, .. } = explained;
    format!("{key}{path} lies in partition {partition} of {partitions}: the hash of {hashed} is {hash:016x}.")
}

fn replicas(explained: &Explained) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(["peer", "address", "zone", "is", "state", "versions", "context"]);
    let holds = |replica: &Replica| replica.held.as_ref().is_some_and(|held| held.versions > 0 || held.context_intervals > 0);
    for (at, replica) in explained.replicas.iter().enumerate().filter(|(_, replica)| replica.is_owner || holds(replica)) {
        let held = replica.held.as_ref();
        let state = match (replica.is_live, held) {
            (false, _) => "down",
            (true, None) => "no answer",
            (true, Some(held)) if !held.is_readable => "unreadable",
            (true, Some(held)) if replica.is_owner && !held.complete => "incomplete",
            (true, Some(_)) => "up",
        };
        let intervals = |count: u32| if count == 0 { "-".to_string() } else { format!("{count} intervals") };
        table.add_row([
            replica.name.clone(),
            replica.address.clone(),
            replica.zone.clone(),
            if replica.is_owner { format!("owner {}", at + 1) } else { "stand-in".to_string() },
            state.to_string(),
            held.map_or_else(|| "?".to_string(), |held| held.versions.to_string()),
            held.map_or_else(|| "?".to_string(), |held| intervals(held.context_intervals)),
        ]);
    }
    table
}

fn held(explained: &Explained) -> String {
    let what = if explained.path.is_empty() { "the key".to_string() } else { format!("anything at {}", explained.path) };
    if explained.versions.is_empty() {
        let silent = explained.replicas.iter().filter(|replica| replica.is_owner && replica.held.is_none()).count();
        let unsure = match silent {
            0 => String::new(),
            1 => " One owner did not answer, and may.".to_string(),
            more => format!(" {more} owners did not answer, and may."),
        };
        return format!(
            "Nobody that answered holds {what}: it was removed, and every trace of it is gone, or it was never written.{unsure}\n"
        );
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(["version", "path", "value", "written", "held by", "it"]);
    for version in &explained.versions {
        table.add_row([
            dot_text(explained, version.dot),
            if version.path.is_empty() { "-".to_string() } else { version.path.clone() },
            format!("{}, {} bytes", kind_text(version.kind), version.bytes),
            time_text(version.wall_ms),
            names(explained, &version.held_by),
            fate_text(explained, version),
        ]);
    }
    let more = if explained.more == 0 { String::new() } else { format!("{} more versions are not listed.\n", explained.more) };
    format!("{table}\n{more}")
}

fn fate_text(explained: &Explained, version: &Judged) -> String {
    let beside = version.beside.iter().map(|dot| dot_text(explained, *dot)).collect::<Vec<_>>().join(", ");
    match version.fate {
        Fate::Shown => {
            let what = match version.kind {
                4 => "counts",
                5 => "is a member",
                6 => return format!("ends what was counted before, at {}", time_text(version.expiry_ms)),
                _ => "is the value",
            };
            let until = if version.expiry_ms == 0 { String::new() } else { format!(", until {}", time_text(version.expiry_ms)) };
            format!("{what}{until}")
        }
        Fate::SiblingNewest => {
            format!("is a sibling of {beside}: neither writer had seen the other's; the newest, which --lww shows")
        }
        Fate::SiblingOlder => format!("is a sibling of {beside}: neither writer had seen the other's; older, hidden by --lww"),
        Fate::Expired => format!("has expired at {}", time_text(version.expiry_ms)),
        Fate::Replaced => {
            let gone_at = names(explained, &version.gone_at);
            let by = if beside.is_empty() { "removed".to_string() } else { format!("replaced by {beside}") };
            let late = names(explained, &version.held_by);
            format!("was {by}: {gone_at} has seen it, and holds it no more; {late} is behind")
        }
    }
}

fn would_say(explained: &Explained, would: &Would) -> String {
    let count = would.choices.len();
    let is_short = would.choices.iter().any(|choice| choice.members.len() < usize::from(would.r));
    if is_short {
        return "unreachable: too few peers that could answer are up".to_string();
    }
    let say = |choice: &Choice| match (choice.says, choice.same) {
        (Says::Unreachable, _) => "unreachable",
        (Says::Missing, true) => "not found",
        (Says::Missing, false) => "not found, though others hold it",
        (Says::Found, true) => "found, as all together have it",
        (Says::Found, false) => "found, but not what all together have",
    };
    let mut kinds: Vec<(&str, Vec<&Choice>)> = Vec::new();
    for choice in &would.choices {
        match kinds.iter_mut().find(|kind| kind.0 == say(choice)) {
            Some(kind) => kind.1.push(choice),
            None => kinds.push((say(choice), vec![choice])),
        }
    }
    match kinds.as_slice() {
        [(says, choices)] if count == 1 => format!("{says} (from {})", names(explained, &choices[0].members)),
        [(says, _)] => format!("{says}, whoever of them answers"),
        kinds => {
            let from = |choices: &[&Choice]| {
                choices.iter().map(|choice| names(explained, &choice.members)).collect::<Vec<_>>().join("; or ")
            };
            kinds.iter().map(|(says, choices)| format!("{says} (from {})", from(choices))).collect::<Vec<_>>().join(", ")
        }
    }
}

fn names(explained: &Explained, members: &[MemberId]) -> String {
    let mut names: Vec<String> = members.iter().map(|member| name_text(explained, *member)).collect();
    match names.pop() {
        None => "nobody".to_string(),
        Some(only) if names.is_empty() => only,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}

/// In UTC, to the millisecond. The days are counted in eras of 400 years that begin in March, so that a leap day ends its year.
fn time_text(ms: u64) -> String {
    let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (h, m, s) = (ms_of_day / 3_600_000, ms_of_day / 60_000 % 60, ms_of_day / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}.{:03} UTC", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::time_text;

    #[test]
    fn times_are_written_as_people_read_them() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00.000 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00.000 UTC"),
            (1_700_000_000_123, "2023-11-14 22:13:20.123 UTC"),
            (4_107_542_399_999, "2100-02-28 23:59:59.999 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000 UTC"),
        ] {
            assert_eq!(time_text(ms), text);
        }
    }
}
