//! `henge up`: a cluster on this machine, with one command.

use super::form::{form, parse_partitions};
use super::options::{parse_sync, show_sync};
use super::{Exit, Global};
use crate::client::{Client, Options};
use crate::limits;
use crate::message::{Status, SyncMode};
use crate::ring::Change;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

/// The flags of `henge up`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How many peers
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    peers: u16,
    /// Peer i listens on 127.0.0.1 at this port + i, for HTTP at this port + 100 + i, and for Redis clients at this port + 200 + i
    #[arg(long, default_value_t = 7400, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    base_port: u16,
    /// The folder with the data of all peers, one folder each
    #[arg(long, value_name = "FOLDER", default_value = "henge-data")]
    dir: PathBuf,
    /// Replicas of each key (N), when the cluster is formed
    #[arg(long, default_value_t = limits::REPLICAS_DEFAULT, value_parser = clap::value_parser!(u8).range(1..=i64::from(limits::REPLICAS_MAX)))]
    replicas: u8,
    /// Partitions, when the cluster is formed
    #[arg(long, default_value_t = limits::PARTITIONS_DEFAULT, value_parser = parse_partitions)]
    partitions: u16,
    /// When the logs are synced: always, interval:MS, never
    #[arg(long, default_value = "always", value_parser = parse_sync)]
    sync: SyncMode,
    /// Reads never ask one replica more than they need, however late the others are
    #[arg(long)]
    no_hedge: bool,
}

/// How long the peers may take to find each other once all of them answer.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How often a person can be kept waiting for nothing: peers are looked at this often while they start.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the peers may take to stop before they are killed.
const STOP_DEADLINE: Duration = Duration::from_secs(15);

/// Starts the peers, forms them, shows them, and watches over them until Ctrl-C or SIGTERM.
pub async fn run(args: Args, global: &Global) -> Result<(), Exit> {
    let options = global.options()?;
    let program = std::env::current_exe()
        .map_err(|error| Exit::new(Exit::UNAVAILABLE, format!("the program's own file is not found: {error}")))?;
    let plan: Vec<Plan> = (1..=args.peers).map(|number| Plan::new(&args, global, &program, number)).collect();
    check_ports(&plan)?;
    make_folder(&args.dir)?;
    let mut peers = Vec::new();
    for plan in plan {
        let mut child = plan.start()?;
        let pipe = child.stdin.take();
        peers.push(Running { plan, child: Some(child), pipe });
    }
    let end = tokio::select! {
        started = start(&args, &mut peers, options, global.json) => started,
        () = asked_to_stop() => Ok(()),
    };
    // After a failed start the peers that could not start either would only repeat what is said already.
    stop_all(&mut peers, end.is_ok()).await;
    end
}

/// What is known of a peer before it runs.
struct Plan {
    name: String,
    address: String,
    http: String,
    resp: String,
    log: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
}

struct Running {
    plan: Plan,
    /// None once it has ended.
    child: Option<Child>,
    /// Our end of its standard input. Waiting for a child would close it, so it is kept apart.
    pipe: Option<ChildStdin>,
}

impl Plan {
    fn new(args: &Args, global: &Global, program: &Path, number: u16) -> Plan {
        let name = format!("peer-{number}");
        let [address, http, resp] = [0, 100, 200].map(|door| format!("127.0.0.1:{}", args.base_port + door + number));
        // The line that brings the peer back works from any folder.
        let dir = std::path::absolute(args.dir.join(&name)).unwrap_or_else(|_| args.dir.join(&name));
        let mut arguments = vec!["serve".to_string(), "--dir".to_string(), dir.display().to_string()];
        for (flag, at) in [("--listen", &address), ("--http", &http), ("--resp", &resp)] {
            arguments.extend([flag.to_string(), at.clone()]);
        }
        if args.sync != SyncMode::Always {
            arguments.extend(["--sync".to_string(), show_sync(args.sync)]);
        }
        if args.no_hedge {
            arguments.push("--no-hedge".to_string());
        }
        if let Some(file) = &global.secret_file {
            arguments.extend(["--secret-file".to_string(), file.display().to_string()]);
        }
        let log = args.dir.join(format!("{name}.log"));
        Plan { name, address, http, resp, log, program: program.to_path_buf(), arguments }
    }

    /// Starts the peer as a child. It holds the other end of a pipe to us as its standard input, and stops when that ends: so no
    /// peer outlives this process, however this one ends.
    fn start(&self) -> Result<Child, Exit> {
        let failed = |error: std::io::Error| Exit::new(Exit::UNAVAILABLE, format!("{} cannot be started: {error}", self.name));
        let log = open_log(&self.log)?;
        Command::new(&self.program)
            .args(&self.arguments)
            .arg("--stop-at-eof")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            // Ctrl-C at a terminal goes to the whole group; we tell the children ourselves, and say so.
            .process_group(0)
            .spawn()
            .map_err(failed)
    }

    /// What a person types to bring this peer back.
    fn serve_line(&self) -> String {
        let words = std::iter::once(self.program.display().to_string()).chain(self.arguments.iter().cloned());
        words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
    }
}

/// Forms the peers and shows them; then watches for those that end, for ever.
async fn start(args: &Args, peers: &mut [Running], options: Options, json: bool) -> Result<(), Exit> {
    let addresses: Vec<String> = peers.iter().map(|peer| peer.plan.address.clone()).collect();
    for peer in &mut *peers {
        answer(peer, &options).await?;
    }
    let deadline = Instant::now() + READY_DEADLINE;
    let formed = form(&addresses, args.replicas, args.partitions, options.clone()).await?;
    check_as_formed(&formed.change, &addresses)?;
    let client = Client::connect(&addresses, options).await?;
    let statuses = all_linked(&client, peers, &addresses, deadline).await?;
    if json {
        show_json(&statuses, peers);
    } else {
        show(args, &statuses, formed.new);
    }
    watch(peers).await;
    Ok(())
}

/// Waits until a peer answers, which it does when it has read its log. If it ends instead, what it said last is shown.
async fn answer(peer: &mut Running, options: &Options) -> Result<(), Exit> {
    loop {
        check_alive(peer)?;
        let connected = Client::connect(std::slice::from_ref(&peer.plan.address), options.clone()).await;
        match connected {
            Ok(_) => return check_alive(peer),
            Err(crate::client::ClientError::Unreachable { .. }) => sleep(LOOK_EVERY).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Peers find each other at the addresses at which they were formed. Those that are missing, or stand elsewhere now, would never be found.
fn check_as_formed(change: &Change, addresses: &[String]) -> Result<(), Exit> {
    let Change::Formed { founders, .. } = change;
    let Some(away) = founders.iter().find(|founder| !addresses.contains(&founder.address)) else { return Ok(()) };
    let (count, first) = (founders.len(), founders.first().map_or("", |founder| founder.address.as_str()));
    let message = format!(
        "the cluster in this folder was formed with {count} peers from {first} on, and {} at {} would be missing; \
         start it with the --peers and the --base-port that it was formed with",
        away.name, away.address
    );
    Err(Exit::new(Exit::REFUSED, message))
}

/// Waits until every peer has a link to every other.
async fn all_linked(client: &Client, peers: &mut [Running], addresses: &[String], deadline: Instant) -> Result<Vec<Status>, Exit> {
    loop {
        let mut statuses = Vec::new();
        let mut missing = String::new();
        for (peer, address) in peers.iter_mut().zip(addresses) {
            check_alive(peer)?;
            match client.status_at(address).await {
                Ok(status) => statuses.push(status),
                Err(failure) => missing = failure.message,
            }
        }
        let linked = |status: &Status| status.links.len() + 1 >= addresses.len() && status.links.iter().all(|link| link.up);
        if let Some(alone) = statuses.iter().find(|status| !linked(status)) {
            missing = format!("{} has no link to some other peer yet", alone.member.name);
        }
        if missing.is_empty() {
            return Ok(statuses);
        }
        if Instant::now() >= deadline {
            let message =
                format!("after {} s {missing}; look into the log files beside the peers' folders", READY_DEADLINE.as_secs());
            return Err(Exit::new(Exit::UNAVAILABLE, message));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn check_alive(peer: &mut Running) -> Result<(), Exit> {
    let ended = peer.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
    let Some(status) = ended else { return Ok(()) };
    peer.child = None;
    let said = last_line(&peer.plan.log).unwrap_or_else(|| "it said nothing".to_string());
    Err(Exit::new(Exit::UNAVAILABLE, format!("{} did not start ({}): {said}", peer.plan.name, describe(status))))
}

/// Says at once when a child ends, and how to bring it back. Returns never: a peer that was brought back by hand is no child of
/// ours and runs on as it likes.
async fn watch(peers: &mut [Running]) {
    let watching = peers.iter_mut().map(|Running { plan, child, .. }| async move {
        let Some(running) = child else { return };
        let status = running.wait().await;
        *child = None;
        let how = status.map_or_else(|error| error.to_string(), describe);
        eprintln!(
            "\n{} has ended ({how}); its events are in {}; bring it back with:\n  {}",
            plan.name,
            plan.log.display(),
            plan.serve_line()
        );
    });
    let mut all: Vec<_> = watching.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        std::task::Poll::<()>::Pending
    })
    .await;
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Completes at Ctrl-C or SIGTERM.
async fn asked_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Stops the children gracefully, all at once: each stops when its standard input ends. Whoever does not is killed.
async fn stop_all(peers: &mut [Running], tell: bool) {
    peers.iter_mut().for_each(|peer| drop(peer.pipe.take()));
    let running: Vec<_> = peers.iter_mut().filter_map(|peer| Some((&peer.plan, peer.child.as_mut()?))).collect();
    if running.is_empty() {
        return;
    }
    eprintln!("stopping {}", count_of_peers(running.len()));
    let deadline = Instant::now() + STOP_DEADLINE;
    for (plan, child) in running {
        match timeout(deadline.saturating_duration_since(Instant::now()), child.wait()).await {
            Ok(Ok(status)) if status.success() || !tell => {}
            Ok(Ok(status)) => eprintln!("{} did not stop cleanly ({}); see {}", plan.name, describe(status), plan.log.display()),
            Ok(Err(error)) => eprintln!("{} cannot be waited for: {error}", plan.name),
            Err(_) => {
                eprintln!("{} did not stop in time and is killed; nothing acknowledged is lost", plan.name);
                let _ = child.kill().await;
            }
        }
    }
}

/// Every port has to be free before anything is started.
fn check_ports(plan: &[Plan]) -> Result<(), Exit> {
    for (name, address) in plan.iter().flat_map(|peer| [&peer.address, &peer.http, &peer.resp].map(|address| (&peer.name, address)))
    {
        if let Err(error) = TcpListener::bind(address) {
            let message = format!(
                "{name} cannot listen on {address}: {error}; stop what listens there (another `henge up`?), or choose another --base-port; nothing was started"
            );
            return Err(Exit::new(Exit::UNAVAILABLE, message));
        }
    }
    Ok(())
}

fn make_folder(dir: &Path) -> Result<(), Exit> {
    let failed =
        |error| Exit::new(Exit::REFUSED, format!("the folder {} cannot be made: {error}; choose another --dir", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)
}

/// The file for what a peer says; it is begun anew when it has grown long.
fn open_log(path: &Path) -> Result<File, Exit> {
    let long = std::fs::metadata(path).is_ok_and(|found| found.len() > EVENT_LOG_BYTES_MAX);
    let opened = match long {
        true => File::create(path),
        false => OpenOptions::new().create(true).append(true).open(path),
    };
    opened.map_err(|error| Exit::new(Exit::REFUSED, format!("{} cannot be written: {error}; choose another --dir", path.display())))
}

/// A file of events longer than this is begun anew at the next start (bytes).
const EVENT_LOG_BYTES_MAX: u64 = 16 << 20;

fn last_line(path: &Path) -> Option<String> {
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rfind(|line| !line.trim().is_empty())?;
    // It is shown behind a name of its own.
    Some(last.strip_prefix("henge: ").unwrap_or(last).to_string())
}

fn count_of_peers(count: usize) -> String {
    if count == 1 { "1 peer".to_string() } else { format!("{count} peers") }
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) { word.to_string() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn show(args: &Args, statuses: &[Status], new: bool) {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header([
        "peer",
        "address",
        "member",
        "start",
        "partitions",
        "keys",
        "links",
        "sync",
    ]);
    for Status { member, links, .. } in statuses {
        let up = links.iter().filter(|link| link.up).count();
        table.add_row([
            member.name.clone(),
            member.address.clone(),
            member.member.to_string().chars().take(8).collect(),
            member.start.0.to_string(),
            member.partitions.to_string(),
            member.keys.to_string(),
            format!("{up}/{}", links.len()),
            show_sync(member.sync),
        ]);
    }
    println!("{table}");
    let what = if new { "formed" } else { "back" };
    println!("The cluster is {what}: {}, data in {}.", count_of_peers(statuses.len()), args.dir.display());
    let peer = match args.base_port {
        7400 => String::new(),
        base => format!(" --peer 127.0.0.1:{}", base + 1),
    };
    println!("\nTry, in another terminal:");
    for line in ["put ada '{\"name\": \"Ada\", \"born\": 1815}'", "query ada.name", "status"] {
        println!("  henge{peer} {line}");
    }
    println!("  redis-cli -p {} get ada", args.base_port + 201);
    println!("  curl http://127.0.0.1:{}/doc/ada/name", args.base_port + 101);
    println!("\nCtrl-C stops all peers; the same command starts them again with their data.");
}

fn show_json(statuses: &[Status], peers: &[Running]) {
    for (Status { member, links, .. }, Running { plan, .. }) in statuses.iter().zip(peers) {
        let up = links.iter().filter(|link| link.up).count();
        let line = serde_json::json!({
            "name": member.name, "address": member.address, "http": plan.http, "resp": plan.resp, "member": member.member.to_string(),
            "start": member.start.0, "partitions": member.partitions, "keys": member.keys, "links_up": up,
        });
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_comes_back_from_a_shell_as_it_was() {
        for (word, shown) in [("a/b-1.log", "a/b-1.log"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$x", "'$x'")] {
            assert_eq!(quoted(word), shown);
        }
    }
}
