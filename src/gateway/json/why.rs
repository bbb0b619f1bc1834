//! Why a read of a key says what it says.

use super::KeyShown;
use crate::message::{Explained, Fate, Says};
use crate::ring::MemberId;
use crate::vclock::Dot;
use serde_json::json;

/// Why a read of a key says what it says.
pub fn why_json(explained: &Explained) -> serde_json::Value {
    let all = |members: &[MemberId]| members.iter().map(|member| name_text(explained, *member)).collect::<Vec<_>>();
    let replicas = explained.replicas.iter().map(|replica| {
        json!({
            "name": replica.name, "address": replica.address, "member": replica.member.to_string(), "zone": replica.zone,
            "owner": replica.is_owner, "live": replica.is_live,
            "held": replica.held.as_ref().map(|held| json!({
                "readable": held.is_readable, "complete": held.complete, "versions": held.versions,
                "context_intervals": held.context_intervals, "owed_to": all(&held.owed),
            })),
        })
    });
    let versions = explained.versions.iter().map(|version| {
        json!({
            "version": dot_text(explained, version.dot),
            "actor": format!("{:016x}", version.dot.actor.0), "counter": version.dot.counter,
            "author": version.author.map(|author| name_text(explained, author)), "start": version.dot.start().0,
            "path": version.path, "kind": kind_text(version.kind), "bytes": version.bytes, "wall_ms": version.wall_ms,
            "expiry_ms": version.expiry_ms, "held_by": all(&version.held_by),
            "fate": match version.fate {
                Fate::Shown => "shown", Fate::SiblingNewest => "sibling_newest", Fate::SiblingOlder => "sibling_older",
                Fate::Expired => "expired", Fate::Replaced => "replaced",
            },
            "gone_at": all(&version.gone_at),
            "beside": version.beside.iter().map(|dot| dot_text(explained, *dot)).collect::<Vec<_>>(),
        })
    });
    let quorums = explained.quorums.iter().map(|would| {
        let choices = would.choices.iter().map(|choice| {
            let says = match choice.says {
                Says::Unreachable => "unreachable",
                Says::Missing => "not_found",
                Says::Found => "found",
            };
            json!({ "peers": all(&choice.members), "says": says, "same": choice.same })
        });
        json!({ "r": would.r, "choices": choices.collect::<Vec<_>>() })
    });
    json!({
        "key": KeyShown::new(&explained.key), "path": explained.path, "group": KeyShown::new(&explained.group),
        "hash": format!("{:016x}", explained.hash), "partition": explained.partition, "partitions": explained.partitions,
        "replicas": replicas.collect::<Vec<_>>(), "versions": versions.collect::<Vec<_>>(), "more": explained.more,
        "quorums": quorums.collect::<Vec<_>>(),
    })
}

/// What people call a member; the beginning of its id if the answer does not say.
pub fn name_text(explained: &Explained, member: MemberId) -> String {
    let known = explained.replicas.iter().find(|replica| replica.member == member);
    known.map_or_else(|| member.to_string().chars().take(8).collect(), |replica| replica.name.clone())
}

/// `peer-2:1763725000.7`: the author, its start, and the count of the dot in it.
pub fn dot_text(explained: &Explained, dot: Dot) -> String {
    let author = explained.versions.iter().find(|version| version.dot == dot).and_then(|version| version.author);
    let author = author.map_or_else(|| format!("{:08x}", dot.actor.0 >> 32), |author| name_text(explained, author));
    format!("{author}:{}.{}", dot.start().0, dot.counter - dot.start().base())
}

/// What the bytes of a version are, in words.
pub fn kind_text(kind: u8) -> &'static str {
    ["bytes", "a scalar", "an array", "an empty object", "an amount", "an element", "a term", "typed bytes"]
        .get(usize::from(kind))
        .unwrap_or(&"unknown")
}
