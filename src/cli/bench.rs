//! `henge bench`: load on a cluster, or on a Redis server, by one and the same generator.

mod drive;
mod keys;
mod pace;
mod resp;
mod tally;
mod wire;

use super::request_flags::parse_quorum;
use super::{Exit, Global, output};
use crate::client::{Client, Options};
use crate::limits::{CLIENT_IN_FLIGHT_MAX, VALUE_BYTES_MAX};
use crate::message::Quorum;
use bytes::Bytes;
use drive::{Lane, fill};
use keys::{Choice, Dice, Keys};
use pace::Pace;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tally::Tally;
use wire::{Shape, Wire};

/// The flags of `henge bench`.
#[derive(clap::Args, Clone, Debug)]
#[command(
    after_help = "Each connection goes to one peer and uses keys that this peer owns first, as a client that knows the ring does; \
                        --route any draws from all keys, so that peers forward; with --route client each connection is a client that \
                        chooses the peer for each of all keys, and may ask another one. The keys are bench:0000000000 and so on; they are written \
                        once before reads are measured, and stay. With --rate the loop is open: latency counts from the moment at which \
                        an operation was meant to be sent."
)]
pub struct Args {
    /// What is done: put, get, or shares of both such as put:50,get:50
    #[arg(long, default_value = "put:50,get:50", value_name = "MIX", value_parser = parse_mix)]
    mix: Mix,
    /// Connections
    #[arg(short, long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    connections: u16,
    /// Operations under way at once on each connection
    #[arg(short = 'P', long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=CLIENT_IN_FLIGHT_MAX as i64))]
    pipeline: u16,
    /// Bytes of each value
    #[arg(short = 's', long, default_value_t = 100, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(0..=VALUE_BYTES_MAX as i64))]
    value_size: u32,
    /// Different keys
    #[arg(short, long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    keys: u32,
    /// How many replicas must answer a read: one, quorum, all, or a number
    #[arg(short, default_value = "quorum", value_parser = parse_quorum)]
    r: Quorum,
    /// How many replicas must have stored a write: one, quorum, all, or a number
    #[arg(short, default_value = "quorum", value_parser = parse_quorum)]
    w: Quorum,
    /// How long it is measured
    #[arg(long, default_value_t = 10.0, value_parser = parse_seconds)]
    seconds: f64,
    /// How long it runs before it is measured
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = parse_warm_up)]
    warm_up: f64,
    /// Open loop: so many operations a second, of all connections together
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Which keys a connection uses, and whom it asks
    #[arg(long, default_value = "owner", value_name = "owner|any|client", value_parser = ["owner", "any", "client"])]
    route: String,
    /// With --route client: wait for the peer that was asked first, however late it is
    #[arg(long)]
    no_hedge: bool,
    /// Do not write the keys before reads are measured
    #[arg(long)]
    no_fill: bool,
    /// Drive this Redis server instead
    #[arg(long, value_name = "ADDR")]
    redis: Option<String>,
    /// With --redis: `WAIT N 0` behind every batch of SETs; they count as done when it is answered
    #[arg(long, value_name = "N", requires = "redis")]
    wait: Option<u8>,
}

/// Of 100 operations so many are puts; the rest are gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mix {
    put_percent: u32,
}

fn parse_mix(text: &str) -> Result<Mix, String> {
    let wrong = || "write put, get, mixed, or shares that make 100, such as put:50,get:50".to_string();
    let put_percent = match text {
        "put" => 100,
        "get" => 0,
        "mixed" => 50,
        shares => {
            let (mut put, mut get) = (0_u32, 0_u32);
            for share in shares.split(',') {
                let (name, percent) = share.split_once(':').ok_or_else(wrong)?;
                let percent: u32 = percent.parse().ok().filter(|percent| *percent <= 100).ok_or_else(wrong)?;
                match name {
                    "put" => put += percent,
                    "get" => get += percent,
                    _ => return Err(wrong()),
                }
            }
            if put + get != 100 {
                return Err(wrong());
            }
            put
        }
    };
    Ok(Mix { put_percent })
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    number_in(text, 0.1, 86_400.0)
}

fn parse_warm_up(text: &str) -> Result<f64, String> {
    number_in(text, 0.0, 3_600.0)
}

fn parse_rate(text: &str) -> Result<f64, String> {
    number_in(text, 0.1, 10_000_000.0)
}

fn number_in(text: &str, min: f64, max: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (min..=max).contains(number));
    number.ok_or_else(|| format!("write a number from {min} to {max}"))
}

/// Connects, fills, measures, tells.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let keys = Arc::new(Keys::new(args.keys));
    let mut wires = connect(&args, global, &keys).await?;
    if args.mix.put_percent < 100 && !args.no_fill {
        wires = fill_all(&args, &keys, wires).await?;
    }
    let tally = measure(&args, &keys, wires).await;
    let tally = tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if global.json {
        let mut line = tally.json(args.seconds);
        line["target"] = if args.redis.is_some() { "redis" } else { "henge" }.into();
        line["connections"] = args.connections.into();
        line["pipeline"] = args.pipeline.into();
        line["value_bytes"] = args.value_size.into();
        output::print_line(line)?;
    } else {
        output::print_line(tally.text(args.seconds))?;
    }
    let done = tally.puts.count() + tally.gets.count();
    match (tally.lost.first(), done) {
        (Some(why), 0) => Err(Exit::new(Exit::UNAVAILABLE, format!("nothing could be measured: {why}"))),
        (None, 0) => Err(Exit::new(Exit::UNAVAILABLE, format!("nothing was done; {} operations failed", tally.failed()))),
        _ => Ok(()),
    }
}

/// A connection, and the keys that it uses.
type Connected = (Wire, Choice);

fn value(args: &Args) -> Bytes {
    // Not zeros: some stores and file systems squeeze them.
    let mut dice = Dice(0xda7a);
    (0..args.value_size).map(|_| b'a' + dice.below(26) as u8).collect::<Vec<u8>>().into()
}

async fn connect(args: &Args, global: &Global, keys: &Keys) -> Result<Vec<Connected>, Exit> {
    let shape = Shape { value: value(args), r: args.r, w: args.w, wait: args.wait };
    let unavailable = |reason: String| Exit::new(Exit::UNAVAILABLE, reason);
    let mut wires = Vec::new();
    if let Some(address) = &args.redis {
        for _ in 0..args.connections {
            wires.push((Wire::redis(address, &shape).await.map_err(unavailable)?, Choice::Any(keys.count())));
        }
        return Ok(wires);
    }
    let options = Options { hedges: !args.no_hedge, ..global.options()? };
    if args.route == "client" {
        for _ in 0..args.connections {
            wires.push((Wire::client(&global.peer, &options, &shape).await.map_err(unavailable)?, Choice::Any(keys.count())));
        }
        return Ok(wires);
    }
    let client = Client::connect(&global.peer, options.clone()).await?;
    let ring = client.ring_table().await?;
    let owned = keys.by_first_owner(&ring).ok_or_else(|| Exit::new(Exit::REFUSED, "the peer's ring is malformed"))?;
    let members: Vec<(String, Choice)> = ring
        .members
        .iter()
        .zip(owned)
        .filter(|(_, owned)| !owned.is_empty())
        .map(|(founder, owned)| {
            let choice = if args.route == "any" { Choice::Any(keys.count()) } else { Choice::Some(Arc::new(owned)) };
            (founder.address.clone(), choice)
        })
        .collect();
    for (address, choice) in members.iter().cycle().take(args.connections.into()) {
        wires.push((Wire::henge(address, &options, &shape).await.map_err(unavailable)?, choice.clone()));
    }
    if args.connections < members.len() as u16 && args.route != "any" {
        output::remark_at_terminal(format!(
            "{} connections to {} peers: some peers get no load of their own",
            args.connections,
            members.len()
        ));
    }
    Ok(wires)
}

/// Writes every key once. Connections that use the same keys share the work.
async fn fill_all(args: &Args, keys: &Arc<Keys>, wires: Vec<Connected>) -> Result<Vec<Connected>, Exit> {
    let same = |a: &Choice, b: &Choice| match (a, b) {
        (Choice::Any(_), Choice::Any(_)) => true,
        (Choice::Some(a), Choice::Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    let choices: Vec<Choice> = wires.iter().map(|(_, choice)| choice.clone()).collect();
    let mut filling = Vec::new();
    for (nth, (mut wire, choice)) in wires.into_iter().enumerate() {
        let before = choices[..nth].iter().filter(|other| same(other, &choice)).count();
        let all = choices.iter().filter(|other| same(other, &choice)).count();
        let (keys, value) = (keys.clone(), value(args));
        filling.push(tokio::spawn(async move {
            let filled = fill(&mut wire, &keys, &choice, &value, (before, all)).await;
            filled.map(|()| (wire, choice))
        }));
    }
    let mut wires = Vec::new();
    for filled in filling {
        let filled = filled.await.map_err(|error| error.to_string()).and_then(|filled| filled);
        wires.push(filled.map_err(|reason| Exit::new(Exit::UNAVAILABLE, format!("the keys could not be written: {reason}")))?);
    }
    Ok(wires)
}

async fn measure(args: &Args, keys: &Arc<Keys>, wires: Vec<Connected>) -> Arc<Mutex<Tally>> {
    let tally = Arc::new(Mutex::new(Tally::new()));
    let start = Instant::now();
    let count_from = start + Duration::from_secs_f64(args.warm_up);
    let end = count_from + Duration::from_secs_f64(args.seconds);
    let pace = args.rate.map(|rate| Pace::start(start, end, rate, wires.len()));
    let mut running = Vec::new();
    for (number, (wire, choice)) in wires.into_iter().enumerate() {
        let lane = Lane {
            number,
            keys: keys.clone(),
            choice,
            value: value(args),
            pipeline: args.pipeline.into(),
            put_percent: args.mix.put_percent,
            count_from,
            end,
            pace: pace.clone(),
            tally: tally.clone(),
        };
        running.push(tokio::spawn(lane.run(wire)));
    }
    for lane in running {
        if let Err(error) = lane.await {
            tally.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).lost.push(error.to_string());
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_names_and_shares_that_make_a_hundred() {
        for (text, put_percent) in
            [("put", 100), ("get", 0), ("mixed", 50), ("put:50,get:50", 50), ("get:95,put:5", 5), ("put:100", 100)]
        {
            assert_eq!(parse_mix(text), Ok(Mix { put_percent }), "{text}");
        }
        for text in ["", "put:50", "put:60,get:60", "scan:100", "put:x,get:50", "put:200"] {
            assert!(parse_mix(text).is_err(), "{text}");
        }
    }
}
