//! The gossip as frames. The frame's id is the number of the probe; 0 where there is none.

use super::body_reader::BodyReader;
use super::body_writer::BodyWriter;
use super::contents::Contents;
use super::peer::MEMBER_BYTES;
use super::{Kind, WireError};
use crate::broken::{Rule, is_broken};
use crate::limits::{ENDED_ACTORS_MAX, MEMBER_ADDRESS_BYTES_MAX, MEMBER_NAME_BYTES_MAX};
use crate::message::{EndedActor, Gossip, MemberRecord, News, OperationId, Probe, Rank, Standing};
use crate::vclock::{Actor, Start};

/// The numbers of the kinds of news.
const RECORD: u8 = 0;
const SUSPECT: u8 = 1;
const DEAD: u8 = 2;
/// Bytes of a standing at most.
const STANDING_BYTES: usize = 46;
/// What a body has besides its lists, at most.
const FIXED_BYTES: usize = 48;

pub(super) fn is_gossip(kind: Kind) -> bool {
    use Kind::*;
    matches!(kind, Probe | ProbeAck | ProbeFor | ProbeMissed | Tell | Views | CatchUp)
}

pub(super) fn head(said: &Gossip) -> (Kind, OperationId) {
    let (kind, number) = match said {
        Gossip::Probe(probe) => (Kind::Probe, probe.number),
        Gossip::ProbeAck(probe) => (Kind::ProbeAck, probe.number),
        Gossip::ProbeFor { number, .. } => (Kind::ProbeFor, *number),
        Gossip::ProbeMissed { number } => (Kind::ProbeMissed, *number),
        Gossip::Tell { .. } => (Kind::Tell, 0),
        Gossip::Compare { .. } => (Kind::Views, 0),
        Gossip::CatchUp { .. } => (Kind::CatchUp, 0),
    };
    (kind, OperationId(number))
}

/// About what the body takes.
pub(super) fn body_bytes(said: &Gossip) -> usize {
    let news_bytes = |news: &[News]| news.iter().map(News::bytes).sum::<usize>();
    let long = match said {
        Gossip::Probe(probe) | Gossip::ProbeAck(probe) => news_bytes(&probe.news),
        Gossip::ProbeFor { news, .. } | Gossip::Tell { news } => news_bytes(news),
        Gossip::ProbeMissed { .. } => 0,
        Gossip::Compare { standings } => standings.len() * STANDING_BYTES,
        Gossip::CatchUp { news, wanted } => news_bytes(news) + wanted.len() * MEMBER_BYTES,
    };
    FIXED_BYTES + long
}

pub(super) fn write(said: &Gossip, out: &mut BodyWriter<'_>) {
    match said {
        Gossip::Probe(probe) | Gossip::ProbeAck(probe) => {
            out.array(3);
            out.number(probe.wall_ms);
            out.number(probe.digest);
            out.list(&probe.news, write_news);
        }
        Gossip::ProbeFor { number: _, target, news } => {
            out.array(2);
            out.member(*target);
            out.list(news, write_news);
        }
        Gossip::ProbeMissed { number: _ } => out.array(0),
        Gossip::Tell { news } => {
            out.array(1);
            out.list(news, write_news);
        }
        Gossip::Compare { standings } => {
            out.array(1);
            out.list(standings, |out, standing| {
                out.array(3);
                out.member(standing.member);
                write_rank(out, standing.record);
                out.option(standing.dead, write_rank);
            });
        }
        Gossip::CatchUp { news, wanted } => {
            out.array(2);
            out.list(news, write_news);
            out.list(wanted, |out, member| out.member(*member));
        }
    }
}

/// Reads a body. Requires: `is_gossip` of its kind.
pub(super) fn read(number: u64, contents: &Contents<'_>) -> Result<Gossip, WireError> {
    Ok(match contents.kind {
        Kind::Probe => Gossip::Probe(contents.read_alone(3, |body| read_probe(number, body))?),
        Kind::ProbeAck => Gossip::ProbeAck(contents.read_alone(3, |body| read_probe(number, body))?),
        Kind::ProbeFor => contents
            .read_alone(2, |body| Ok(Gossip::ProbeFor { number, target: body.member("target")?, news: read_all_news(body)? }))?,
        Kind::ProbeMissed => contents.read_alone(0, |_| Ok(Gossip::ProbeMissed { number }))?,
        Kind::Tell => contents.read_alone(1, |body| Ok(Gossip::Tell { news: read_all_news(body)? }))?,
        Kind::Views => contents
            .read_alone(1, |body| Ok(Gossip::Compare { standings: body.list("standings", MEMBER_BYTES + 6, read_standing)? }))?,
        Kind::CatchUp => contents.read_alone(2, |body| {
            let news = read_all_news(body)?;
            Ok(Gossip::CatchUp { news, wanted: body.list("wanted", MEMBER_BYTES, |body| body.member("wanted"))? })
        })?,
        kind => unreachable!("{kind:?} is no kind of the gossip"),
    })
}

fn read_probe(number: u64, body: &mut BodyReader<'_>) -> Result<Probe, WireError> {
    Ok(Probe { number, wall_ms: body.number("wall clock")?, digest: body.number("digest")?, news: read_all_news(body)? })
}

fn write_rank(out: &mut BodyWriter<'_>, rank: Rank) {
    out.array(3);
    out.number(rank.actors);
    out.number(rank.start.0);
    out.number(rank.incarnation);
}

fn read_rank(body: &mut BodyReader<'_>) -> Result<Rank, WireError> {
    let extra = body.fields("rank", 3)?;
    let rank = Rank { actors: body.number("rank")?, start: Start(body.number("rank")?), incarnation: body.number("rank")? };
    body.skip(extra)?;
    Ok(rank)
}

fn read_standing(body: &mut BodyReader<'_>) -> Result<Standing, WireError> {
    let extra = body.fields("standing", 3)?;
    let standing = Standing { member: body.member("standing")?, record: read_rank(body)?, dead: body.option(read_rank)? };
    body.skip(extra)?;
    Ok(standing)
}

fn write_news(out: &mut BodyWriter<'_>, news: &News) {
    match news {
        News::Record(record) => {
            out.array(10);
            out.number(RECORD);
            out.member(record.member);
            out.number(record.actor.0);
            out.list(&record.ended, |out, ended| {
                out.array(2);
                out.number(ended.actor.0);
                out.number(ended.last.0);
            });
            out.number(record.start.0);
            out.number(record.nonce);
            out.number(if is_broken(Rule::IncarnationUnsent) { 0 } else { record.incarnation });
            out.text(&record.name);
            out.text(&record.address);
            out.number(record.incomplete);
        }
        News::Suspect { member, rank, from } => {
            out.array(4);
            out.number(SUSPECT);
            out.member(*member);
            write_rank(out, *rank);
            out.member(*from);
        }
        News::Dead { member, rank } => {
            out.array(3);
            out.number(DEAD);
            out.member(*member);
            write_rank(out, *rank);
        }
    }
}

fn read_all_news(body: &mut BodyReader<'_>) -> Result<Vec<News>, WireError> {
    // The shortest kind takes more; so a list that is read takes no more than a few times the memory of its frame.
    body.list("news", MEMBER_BYTES, read_news)
}

fn read_news(body: &mut BodyReader<'_>) -> Result<News, WireError> {
    // The number behind the length says how long it has to be.
    let more = body.fields("news", 3)?;
    let kind = body.number("news")?;
    let member = body.member("news")?;
    let known = match kind {
        RECORD => 10,
        SUSPECT => 4,
        DEAD => 3,
        _ => return Err(body.malformed("news", "0, 1 or 2 should stand here")),
    };
    let extra = (more + 3u32).checked_sub(known).ok_or_else(|| body.malformed("news", "it has too few fields"))?;
    let news = match kind {
        RECORD => News::Record(Box::new(read_record(member, body)?)),
        SUSPECT => News::Suspect { member, rank: read_rank(body)?, from: body.member("suspect's witness")? },
        _ => News::Dead { member, rank: read_rank(body)? },
    };
    body.skip(extra)?;
    Ok(news)
}

fn read_record(member: crate::ring::MemberId, body: &mut BodyReader<'_>) -> Result<MemberRecord, WireError> {
    let record = MemberRecord {
        member,
        actor: Actor(body.number("actor")?),
        ended: body.list("ended actors", 3, |body| {
            let extra = body.fields("ended actor", 2)?;
            let ended = EndedActor { actor: Actor(body.number("ended actor")?), last: Start(body.number("ended actor")?) };
            body.skip(extra)?;
            Ok(ended)
        })?,
        start: Start(body.number("start")?),
        nonce: body.number("nonce")?,
        incarnation: body.number("incarnation")?,
        name: body.text("name")?,
        address: body.text("address")?,
        incomplete: body.number("incomplete")?,
    };
    let too_long = record.ended.len() > ENDED_ACTORS_MAX
        || record.name.len() > MEMBER_NAME_BYTES_MAX
        || record.address.len() > MEMBER_ADDRESS_BYTES_MAX;
    if too_long {
        Err(body.malformed("record", "its name, its address or its ended actors are over their limits"))
    } else {
        Ok(record)
    }
}
