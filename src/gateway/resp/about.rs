//! What clients ask about the server when they begin: INFO, COMMAND, CONFIG, TIME.

use super::answer::Answer;
use super::ask::work;
use super::command::{self, Command};
use super::framing::Words;
use super::gate::{Gate, wall_ms};
use super::glob;
use super::queue::Work;
use super::session::{Outcome, SPOKEN_VERSION, Session};
use crate::limits;
use crate::message::{Reply, Request};
use bytes::Bytes;
use std::rc::Rc;

/// `PING [text]`.
pub(super) fn ping(_: &mut Session, words: &Words) -> Outcome {
    match &words[1..] {
        [] => Ok(Answer::Simple("PONG")),
        [text] => Ok(Answer::Bulk(text.clone())),
        _ => Err(Answer::error("ERR wrong number of arguments for 'ping' command")),
    }
}

/// `ECHO text`.
pub(super) fn echo(_: &mut Session, words: &Words) -> Outcome {
    Ok(Answer::Bulk(words[1].clone()))
}

/// `TIME`.
pub(super) fn time(_: &mut Session, _: &Words) -> Outcome {
    let ms = wall_ms();
    Ok(Answer::Array([ms / 1_000, ms % 1_000 * 1_000].map(|number| Answer::Bulk(number.to_string().into())).into()))
}

/// `INFO [section …]`.
pub(super) fn info(gate: Rc<Gate>, words: Words) -> Work {
    work(async move {
        let Reply::Status(status) = gate.ask(Request::Status).await else {
            return Err(Answer::error("UNAVAILABLE this peer is stopping; ask another"));
        };
        let member = &status.member;
        let (_, port) = gate.address.rsplit_once(':').unwrap_or_default();
        let counts = &gate.counts;
        let wanted: Vec<Vec<u8>> = words[1..].iter().map(|word| word.to_ascii_lowercase()).collect();
        let mut out = String::new();
        let mut section = |name: &str, lines: &[(&str, String)]| {
            let all =
                wanted.is_empty() || wanted.iter().any(|wanted| [&b"all"[..], b"default", b"everything"].contains(&&wanted[..]));
            if all || wanted.iter().any(|wanted| name.to_ascii_lowercase().as_bytes() == &wanted[..]) {
                let between = if out.is_empty() { "" } else { "\r\n" };
                out.push_str(&format!("{between}# {name}\r\n"));
                lines.iter().for_each(|(name, value)| out.push_str(&format!("{name}:{value}\r\n")));
            }
        };
        section(
            "Server",
            &[
                ("redis_version", SPOKEN_VERSION.into()),
                ("redis_mode", "standalone".into()),
                ("henge_version", member.version.clone()),
                ("henge_member", member.member.to_string()),
                ("henge_name", member.name.clone()),
                ("process_id", std::process::id().to_string()),
                ("tcp_port", port.into()),
                ("uptime_in_seconds", (member.uptime_ms / 1_000).to_string()),
            ],
        );
        section(
            "Clients",
            &[
                ("connected_clients", gate.visitors.borrow().len().to_string()),
                ("maxclients", gate.connections_max.to_string()),
                ("scan_cursors", gate.cursors.borrow().len().to_string()),
            ],
        );
        section("Memory", &[("used_memory_buffers", gate.held().to_string()), ("used_memory_keys", member.trie_bytes.to_string())]);
        section("Persistence", &[("loading", "0".into()), ("log_bytes", member.log_bytes.to_string())]);
        section(
            "Stats",
            &[
                ("total_connections_received", counts.connections.get().to_string()),
                ("total_commands_processed", counts.commands.get().to_string()),
                ("total_error_replies", counts.errors.get().to_string()),
                ("conflicts_resolved", counts.resolved.get().to_string()),
                ("conflicts_hidden_siblings", counts.hidden.get().to_string()),
            ],
        );
        section("Replication", &[("role", "master".into()), ("connected_slaves", "0".into())]);
        section("Cluster", &[("cluster_enabled", "0".into())]);
        section("Keyspace", &[("db0", format!("keys={},expires=0,avg_ttl=0", member.keys))]);
        Ok(Answer::Text(out))
    })
}

/// `CONFIG GET pattern …`.
pub(super) fn config(session: &mut Session, words: &Words) -> Outcome {
    let [_, subcommand, patterns @ ..] = &words[..] else { return Err(super::session::syntax()) };
    if !subcommand.eq_ignore_ascii_case(b"GET") || patterns.is_empty() {
        return Err(Answer::error(
            "ERR CONFIG GET alone is supported: options are given to `henge serve` when a peer is started, see `henge serve --help`",
        ));
    }
    let options: [(&'static str, String); 11] = [
        ("appendonly", "yes".into()),
        ("bind", session.gate().address.rsplit_once(':').map(|(host, _)| host.to_owned()).unwrap_or_default()),
        ("databases", "1".into()),
        ("maxclients", session.gate().connections_max.to_string()),
        ("maxmemory", "0".into()),
        ("maxmemory-policy", "noeviction".into()),
        ("port", session.gate().address.rsplit_once(':').map(|(_, port)| port.to_owned()).unwrap_or_default()),
        ("proto-max-bulk-len", limits::VALUE_BYTES_MAX.to_string()),
        ("save", String::new()),
        ("slave-read-only", "no".into()),
        ("timeout", "0".into()),
    ];
    let patterns: Vec<Vec<u8>> = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
    let wanted = |name: &str| patterns.iter().any(|pattern| glob::matches(pattern, name.as_bytes()));
    let found = options.into_iter().filter(|(name, _)| wanted(name));
    Ok(Answer::Map(found.map(|(name, value)| (Answer::bulk(name), Answer::Bulk(value.into()))).collect()))
}

/// `COMMAND [COUNT | LIST | INFO [name …] | DOCS [name …]]`.
pub(super) fn commands(_: &mut Session, words: &Words) -> Outcome {
    let Some(subcommand) = words.get(1) else { return Ok(Answer::Array(command::supported().map(described).collect())) };
    match (&subcommand.to_ascii_uppercase()[..], &words[2..]) {
        (b"COUNT", []) => Ok(Answer::count(command::supported().count())),
        (b"LIST", _) => Ok(Answer::Array(command::supported().map(|command| Answer::bulk(command.name)).collect())),
        (b"INFO", []) => Ok(Answer::Array(command::supported().map(described).collect())),
        (b"INFO", names) => Ok(Answer::Array(names.iter().map(|name| found(name).map_or(Answer::Null, described)).collect())),
        (b"DOCS", []) => Ok(Answer::Map(command::supported().map(documented).collect())),
        (b"DOCS", names) => Ok(Answer::Map(names.iter().filter_map(|name| found(name)).map(documented).collect())),
        _ => Err(Answer::error(format!(
            "ERR unknown subcommand '{}'. Try COMMAND COUNT, LIST, INFO, DOCS",
            subcommand.escape_ascii()
        ))),
    }
}

fn found(name: &Bytes) -> Option<&'static Command> {
    command::find(name).filter(|command| command.is_supported())
}

/// As Redis 7 describes a command, without categories, tips and key specifications.
fn described(command: &'static Command) -> Answer {
    let (first, last, step) = command.key_places();
    let flags = command.flags().iter().map(|flag| Answer::Simple(flag)).collect();
    let none = || Answer::Array(Vec::new());
    Answer::Array(vec![
        Answer::bulk(command.name),
        Answer::Integer(command.arity),
        Answer::Set(flags),
        Answer::Integer(first),
        Answer::Integer(last),
        Answer::Integer(step),
        none(),
        none(),
        none(),
        none(),
    ])
}

fn documented(command: &'static Command) -> (Answer, Answer) {
    let pairs = [("summary", command.summary), ("since", "1.0.0"), ("group", command.group())];
    (Answer::bulk(command.name), Answer::Map(pairs.map(|(name, text)| (Answer::bulk(name), Answer::bulk(text))).into()))
}
