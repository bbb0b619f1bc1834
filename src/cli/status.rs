//! `henge status`: asks every member how it is.

use super::options::show_sync;
use super::{Exit, Global, output};
use crate::client::Client;
use crate::gateway::json::{state_text, status_json};
use crate::limits::HINT_AGE_WARNING_MS;
use crate::message::{Failure, GossipStatus, MemberStatus, Status, ViewState};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::json;
use std::collections::BTreeMap;

/// The flags of `henge status`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {}

/// A member, and what it answered.
struct Asked {
    name: String,
    address: String,
    answer: Result<Status, Failure>,
}

/// Connects and asks.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    run_on(args, &global.connect().await?, global.json).await
}

/// Asks every member, on a connection that is there.
pub(super) async fn run_on(_: Args, client: &Client, json: bool) -> Result<(), Exit> {
    let mut asked = ask(client).await?;
    // As people count: peer-2 before peer-10.
    asked.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    if json {
        return asked.iter().try_for_each(|asked| output::print_line(asked_json(asked)));
    }
    output::print_line(table(&asked))?;
    let down = asked.iter().filter(|asked| asked.answer.is_err()).count();
    for Asked { name, answer, .. } in &asked {
        match answer {
            Err(failure) => output::print_line(format!("{name} is down: {}", failure.message))?,
            Ok(status) if status.member.cluster.is_none() => {
                output::print_line(format!("{name} waits to be formed; see `henge form`"))?
            }
            Ok(status) => told(name, &status.member).into_iter().try_for_each(output::print_line)?,
        }
    }
    said_of_others(&asked).into_iter().try_for_each(output::print_line)?;
    for debts in asked.iter().filter_map(|asked| asked.answer.as_ref().ok()).flat_map(debts_in_words) {
        output::print_line(debts)?;
    }
    asked.iter().filter_map(in_step_text).try_for_each(output::print_line)?;
    if down > 0 {
        output::print_line(format!("{} of {} peers are up", asked.len() - down, asked.len()))?;
    }
    Ok(())
}

/// What a peer keeps for others, a line for each of them.
fn debts_in_words(status: &Status) -> Vec<String> {
    let MemberStatus { name, debts, hints_full, .. } = &status.member;
    let mut lines: Vec<String> = debts
        .iter()
        .map(|debt| {
            let paid = if debt.paid > 0 { format!(", {} handed over so far", debt.paid) } else { String::new() };
            let alarm = match debt.oldest_ms >= HINT_AGE_WARNING_MS {
                true => format!("; warning: bring {} back, it has been away for long", debt.name),
                false => String::new(),
            };
            format!(
                "{name} keeps {} keys ({}) for {}, the oldest for {}{paid}{alarm}",
                debt.hints,
                output::bytes_text(debt.bytes),
                debt.name,
                output::duration_text(debt.oldest_ms)
            )
        })
        .collect();
    if *hints_full {
        lines.push(format!("{name} keeps as much for others as it may, and stands in for nothing new until some of them are back"));
    }
    lines
}

/// What there is to know of a member beside its figures: what it misses and how far it is, and its alarms.
fn told(name: &str, member: &MemberStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if member.incomplete_partitions > 0 {
        lines.push(format!(
            "{name}: {} of {} partitions incomplete: compared with {} of {} owners; until then they count for no read",
            member.incomplete_partitions, member.partitions, member.comparisons_done, member.comparisons_needed
        ));
    }
    lines.extend(member.alarms.iter().map(|alarm| format!("{name}: ALARM: {alarm}")));
    lines
}

/// All at once: one that is down must not make the others wait.
async fn ask(client: &Client) -> Result<Vec<Asked>, Exit> {
    let members: Vec<(String, String)> = match client.ring_table().await {
        Ok(table) => table.members.iter().map(|founder| (founder.name.clone(), founder.address.clone())).collect(),
        // Not formed yet: whoever answers is all there is.
        Err(_) => {
            let status = client.status().await?;
            return Ok(vec![Asked {
                name: status.member.name.clone(),
                address: status.member.address.clone(),
                answer: Ok(status),
            }]);
        }
    };
    let answers: Vec<_> = members
        .into_iter()
        .map(|(name, address)| {
            let client = client.clone();
            tokio::spawn(async move {
                let answer = client.status_at(&address).await;
                Asked { name, address, answer }
            })
        })
        .collect();
    let mut asked = Vec::new();
    for answer in answers {
        asked.push(answer.await.map_err(|error| Exit::new(Exit::UNAVAILABLE, error.to_string()))?);
    }
    Ok(asked)
}

/// What the peers say of each other, and of their clocks, as far as it is not all well.
fn said_of_others(asked: &[Asked]) -> Vec<String> {
    let mut said = Vec::new();
    // For each member: who says so, in order of the worst first.
    let mut doubts: BTreeMap<(&str, &str), Vec<(&str, u64)>> = BTreeMap::new();
    for Asked { name, answer, .. } in asked {
        let Ok(Status { gossip, links, .. }) = answer else { continue };
        let GossipStatus { local_health, clock_trouble, others, .. } = gossip;
        if let Some(trouble) = clock_trouble {
            said.push(format!("{name}: {trouble}"));
        }
        if *local_health > 0 {
            said.push(format!("{name} is slow, and knows it: it probes at a pace of 1/{}", local_health + 1));
        }
        for view in others.iter().filter(|view| view.state != ViewState::Alive) {
            let of = links.iter().find(|link| link.member == view.member).map_or("a member", |link| link.name.as_str());
            doubts.entry((of, state_text(view.state))).or_default().push((name, view.since_ms));
        }
    }
    said.extend(doubts.into_iter().map(|((of, state), by)| {
        let by: Vec<String> = by.iter().map(|(name, ms)| format!("{name} (for {})", output::duration_text(*ms))).collect();
        format!("{of} is {state} in the view of {}", by.join(", "))
    }));
    said
}

fn table(asked: &[Asked]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header([
        "peer",
        "address",
        "state",
        "up for",
        "links",
        "partitions",
        "keys",
        "log",
        "trie",
        "in flight",
        "puts",
        "gets",
        "failed",
        "repairs",
        "in step",
        "sync",
    ]);
    for Asked { name, address, answer } in asked {
        match answer {
            Err(_) => table.add_row([name.as_str(), address, "down"]),
            Ok(status) => table.add_row(row(name, address, status)),
        };
    }
    table
}

fn row(name: &str, address: &str, Status { member, links, .. }: &Status) -> Vec<String> {
    let MemberStatus { requests, .. } = member;
    let up = links.iter().filter(|link| link.up).count();
    vec![
        name.to_string(),
        address.to_string(),
        if member.cluster.is_some() { "up" } else { "standing by" }.to_string(),
        output::duration_text(member.uptime_ms),
        format!("{up}/{}", links.len()),
        member.partitions.to_string(),
        member.keys.to_string(),
        output::bytes_text(member.log_bytes),
        output::bytes_text(member.trie_bytes),
        member.in_flight.to_string(),
        (requests.puts + requests.updates + requests.removes).to_string(),
        (requests.gets + requests.lists).to_string(),
        requests.failed.to_string(),
        member.repairs.to_string(),
        format!("{}/{}", member.in_step, member.shared),
        show_sync(member.sync),
    ]
}

/// Whether a peer holds what its partners hold, as far as its comparisons tell. None if it has none.
fn in_step_text(asked: &Asked) -> Option<String> {
    let Status { member, comparisons, .. } = asked.answer.as_ref().ok()?;
    if member.shared == 0 {
        return None;
    }
    let within = comparisons.iter().map(|comparison| comparison.all_within_ms).try_fold(0, |most, within| Some(most.max(within?)));
    let within = within.map(|ms| format!(", all compared within {}", output::duration_text(ms))).unwrap_or_default();
    Some(format!("{}: in step with all partners: {} of {} partitions{within}", asked.name, member.in_step, member.shared))
}

fn asked_json(Asked { name, address, answer }: &Asked) -> serde_json::Value {
    match answer {
        Err(failure) => json!({ "name": name, "address": address, "state": "down", "reason": failure.message }),
        Ok(status) => status_json(name, address, status),
    }
}
