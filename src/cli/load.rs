//! `henge load`: writes the records of a file, many at a time, until each is acknowledged.

mod source;
mod verify;
mod write;

use super::request_flags::parse_quorum;
use super::{Exit, Global, output};
use crate::message::Quorum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use source::{BadLine, Source};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use verify::Verify;
use write::Load;

/// The flags of `henge load`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Lines look like 'key1' : {'name': {'age': 22}, 'city': 'Rome'} with quotes of either kind, or like \
                        {\"key\": …, \"value\": …}. A line that cannot be read is listed, and the rest goes on. A write of which nobody \
                        knows what became is issued again as a new write, and counted. Exit code 0: every line that could be read is \
                        acknowledged (with --verify: equal); 2: the file cannot be read; 3: the cluster stayed down, lines are left; \
                        4: lines were bad or refused, or differ.")]
pub struct Args {
    /// The file; - reads standard input
    file: PathBuf,
    /// How many requests are under way at once
    #[arg(long, default_value_t = 256, value_name = "REQUESTS", value_parser = clap::value_parser!(u16).range(1..=8_192))]
    in_flight: u16,
    /// How many replicas must have stored a record: one, quorum, all, or a number
    #[arg(short, default_value = "quorum", value_parser = parse_quorum)]
    w: Quorum,
    /// With --verify, how many replicas must answer: one, quorum, all, or a number
    #[arg(short, default_value = "quorum", value_parser = parse_quorum)]
    r: Quorum,
    /// Give up when nothing has been acknowledged for this long
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    patience: u32,
    /// Write nothing: read every record back and compare it with its line
    #[arg(long)]
    verify: bool,
    /// With --verify, read this many random paths of the records back too
    #[arg(long, default_value_t = 0, value_name = "PATHS", requires = "verify")]
    paths: u32,
}

/// Connects, and loads or verifies.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let (source, bar) = open(&args)?;
    let client = global.connect().await?;
    let begun = Instant::now();
    let ticking = tokio::spawn(tick(bar.clone(), source.clone()));
    let workers = usize::from(args.in_flight);
    let exit = if args.verify {
        let verify = Arc::new(Verify::new(client, source.clone(), args.r, args.paths as usize));
        each(workers, |_| work_verifying(verify.clone())).await?;
        each(workers, |nth| work_on_paths(verify.clone(), nth, workers)).await?;
        ticking.abort();
        bar.finish_and_clear();
        tell_verified(&verify, begun.elapsed(), global.json)?
    } else {
        let patience = Duration::from_secs(args.patience.into());
        let load = Arc::new(Load::new(client, source.clone(), args.w, patience));
        each(workers, |_| work_loading(load.clone())).await?;
        ticking.abort();
        bar.finish_and_clear();
        tell_loaded(&load, begun.elapsed(), global.json)?
    };
    exit.map_or(Ok(()), Err)
}

async fn work_loading(load: Arc<Load>) {
    load.work().await;
}

async fn work_verifying(verify: Arc<Verify>) {
    verify.work().await;
}

async fn work_on_paths(verify: Arc<Verify>, nth: usize, of: usize) {
    verify.work_on_paths(nth, of).await;
}

/// Runs so many workers at once, to their end.
async fn each<F: Future<Output = ()> + Send + 'static>(workers: usize, worker: impl Fn(usize) -> F) -> Result<(), Exit> {
    let running: Vec<_> = (0..workers).map(|nth| tokio::spawn(worker(nth))).collect();
    for one in running {
        one.await.map_err(|error| Exit::new(Exit::UNAVAILABLE, error.to_string()))?;
    }
    Ok(())
}

fn open(args: &Args) -> Result<(Arc<Source>, ProgressBar), Exit> {
    if args.file.as_os_str() == "-" {
        return Ok((Source::start(std::io::stdin()), bar(None)));
    }
    let unreadable = |error| Exit::new(Exit::USAGE, format!("{} cannot be read: {error}", args.file.display()));
    let file = std::fs::File::open(&args.file).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if about.is_dir() {
        return Err(Exit::new(Exit::USAGE, format!("{} is a folder; name a file with one record a line", args.file.display())));
    }
    Ok((Source::start(file), bar(about.is_file().then_some(about.len()))))
}

/// A progress bar on standard error; nothing is drawn unless that is a terminal.
fn bar(bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{bar:32} {percent:>3} %  {msg}  {elapsed} gone, {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {msg}  {elapsed} gone"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

async fn tick(bar: ProgressBar, source: Arc<Source>) {
    loop {
        bar.set_position(source.progress.bytes.load(Relaxed));
        bar.set_message(format!("{} lines", source.progress.lines.load(Relaxed)));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What is wrong with the input, for people: bad lines, and a file that ended early.
fn tell_input(source: &Source) {
    let (bad, count) = source.bad_lines();
    for BadLine { number, column, reason } in &bad {
        output::remark(format!("line {number}, column {column}: {reason}"));
    }
    if count > bad.len() as u64 {
        output::remark(format!("and {} more lines that could not be read", count - bad.len() as u64));
    }
}

fn bad_json(bad: &[BadLine]) -> serde_json::Value {
    bad.iter().map(|bad| json!({ "line": bad.number, "column": bad.column, "reason": bad.reason })).collect()
}

fn tell_loaded(load: &Load, took: Duration, json: bool) -> Result<Option<Exit>, Exit> {
    let (counts, source) = (&load.counts, &load.source);
    let [acked, again, retried, refused, unacked] =
        [&counts.acked, &counts.issued_again, &counts.retried, &counts.refused, &counts.unacked].map(|count| count.load(Relaxed));
    let (lines, (bad, bad_count), failed) = (source.progress.lines.load(Relaxed), source.bad_lines(), source.failed());
    let refusals = load.refused();
    if json {
        let refusals: Vec<_> =
            refusals.iter().map(|one| json!({ "line": one.number, "key": one.key, "reason": one.reason })).collect();
        output::print_line(json!({
            "lines": lines, "acked": acked, "issued_again": again, "retried": retried, "refused": refused, "unacked": unacked,
            "bad": bad_count, "bad_lines": bad_json(&bad), "refused_lines": refusals, "seconds": took.as_secs_f64(),
            "given_up": load.is_given_up(), "input_error": failed,
        }))?;
    } else {
        tell_input(source);
        refusals.iter().for_each(|one| output::remark(format!("line {}, key {}: {}", one.number, one.key, one.reason)));
        let per_second = acked as f64 / took.as_secs_f64().max(0.001);
        output::print_line(format!(
            "{lines} lines: {acked} acknowledged, {again} issued again because it was unknown what became of them, {retried} retried, \
             {refused} refused, {bad_count} not readable, {unacked} unacknowledged; {:.1} s, {per_second:.0}/s",
            took.as_secs_f64()
        ))?;
    }
    Ok(if let Some(error) = failed {
        Some(Exit::new(Exit::USAGE, format!("the file could not be read to its end: {error}; {lines} lines were")))
    } else if load.is_given_up() || unacked > 0 {
        let rest = if load.is_given_up() { ", and the file was not read to its end" } else { "" };
        let message =
            format!("{unacked} lines are not acknowledged{rest}: the cluster stayed down; load the file again when it is up");
        Some(Exit::new(Exit::UNAVAILABLE, message))
    } else {
        (bad_count + refused > 0).then(|| Exit::new(Exit::REFUSED, format!("{} lines were not loaded", bad_count + refused)))
    })
}

fn tell_verified(verify: &Verify, took: Duration, json: bool) -> Result<Option<Exit>, Exit> {
    let (differing, first) = verify.differences();
    let (lines, (bad, bad_count)) = (verify.source.progress.lines.load(Relaxed), verify.source.bad_lines());
    let (equal, paths) = (verify.equal.load(Relaxed), verify.sampled());
    if json {
        output::print_line(json!({
            "lines": lines, "equal": equal, "paths": paths, "different": differing, "differences": first, "bad": bad_count,
            "bad_lines": bad_json(&bad), "seconds": took.as_secs_f64(), "input_error": verify.source.failed(),
        }))?;
    } else {
        tell_input(&verify.source);
        first.iter().for_each(output::remark);
        output::print_line(format!(
            "{lines} lines: {equal} reads equal ({paths} of them paths), {differing} different, {bad_count} not readable; {:.1} s",
            took.as_secs_f64()
        ))?;
    }
    Ok(match verify.source.failed() {
        Some(error) => Some(Exit::new(Exit::USAGE, format!("the file could not be read to its end: {error}"))),
        None => (differing + bad_count > 0).then(|| {
            Exit::new(Exit::REFUSED, format!("{differing} reads differ from the file, {bad_count} lines were not readable"))
        }),
    })
}
