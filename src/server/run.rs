//! The server's life: start, serve, stop.

use super::clock::{Clock, wall_ms};
use super::config::{Config, Replacement, ServeError};
use super::core::{Core, SharedCore, Signals};
use super::disk::DiskThreads;
use super::door::{Gateway, doors, serve_doors};
use super::file_disk::FileDisk;
use super::handles::connections;
use super::handshake::Credentials;
use super::links::keep_links;
use super::listener::{Reserved, accept_all, address_of, address_of_door, reserve, reserve_door};
use super::timing::Timing;
use crate::limits;
use crate::message::{Form, Request};
use crate::peer::{Input, Origin, Peer, PeerConfig};
use crate::ring::{Change, ClusterId, Founder};
use crate::storage::{DiskDone, OpenOptions, Store, StoreOptions, replace, store_refusal};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until, timeout};

/// Runs one peer, with these further doors, until SIGTERM, SIGINT, or the end of standard input if the configuration says so. Calls `ready` when
/// the log has been read and callers are let in.
///
/// Requires: a tokio runtime on the current thread, with time, I/O and signals.
///
/// Errors: it could not start; or it has stopped itself, because going on would risk data.
pub async fn serve(config: Config, gateways: Vec<Gateway>, ready: impl FnOnce()) -> Result<(), ServeError> {
    LocalSet::new().run_until(serve_here(config, gateways, ready)).await
}

/// Whether [`serve`] would be able to listen where it is told to, as far as that can be known without trying.
///
/// # Errors
/// An address is none, or must not be listened on with these options.
pub async fn check(config: &Config, gateways: &[Gateway]) -> Result<(), ServeError> {
    address_of(config).await?;
    for gateway in gateways {
        address_of_door(gateway).await?;
    }
    Ok(())
}

async fn serve_here(config: Config, gateways: Vec<Gateway>, ready: impl FnOnce()) -> Result<(), ServeError> {
    let reserved = reserve(&config).await?;
    let mut reserved_doors = Vec::new();
    for gateway in gateways {
        reserved_doors.push((reserve_door(&gateway).await?, gateway));
    }
    let address = reserved.address.clone();
    let (peer, disk, clock) = open_peer(&config, address.clone())?;
    let listener = reserved.listen()?;
    let kept = disk.clone();
    let (threads, results) = DiskThreads::start(disk).map_err(|error| ServeError::Threads { reason: error.to_string() })?;
    let signals = Rc::new(Signals::default());
    let introduction = peer.introduction();
    let (calls, side) = doors();
    let timing = Timing::new(config.slow_request);
    let core = Rc::new(RefCell::new(Core::new(peer, clock, threads, signals.clone(), side, timing)));
    let own = Credentials { secret: config.secret.clone() };
    spawn_local(take_results(core.clone(), results));
    spawn_local(flush_behind(core.clone()));
    if config.found {
        found_alone(&core, &config);
    }
    spawn_local(keep_links(core.clone(), own.clone()));
    let connections = connections(reserved_doors.len());
    let accepting = spawn_local(accept_all(core.clone(), listener, own, connections.own));
    spawn_local(serve_doors(core.clone(), calls));
    let serving = open_doors(&core, reserved_doors, connections.each_gateway)?;
    tracing::info!(name = %config.name, %address, member = %introduction.member, start = introduction.start.0, dir = %config.dir.display(), "ready");
    ready();
    wait_for_stop(&config, &signals).await;
    if signals.is_copy.get()
        && let Some(reason) = signals.halted()
        && let Err(error) = store_refusal(&*kept, &reason)
    {
        tracing::error!(%error, "it could not be noted that the others have refused this folder");
    }
    drop(kept);
    accepting.abort();
    let stopped = stop(&core).await;
    let last_answers = async {
        for gateway in serving {
            // One that has panicked has ended, too.
            let _ = gateway.await;
        }
    };
    if timeout(FINISH_DEADLINE, last_answers).await.is_err() {
        tracing::warn!("some clients have not taken their last answers");
    }
    core.borrow_mut().let_go();
    // The process ends now. Giving the tries back node by node would keep a large store's process alive for seconds.
    std::mem::forget(core);
    stopped
}

/// Lets callers in at the other doors.
fn open_doors(
    core: &SharedCore,
    doors: Vec<(Reserved, Gateway)>,
    connections_max: usize,
) -> Result<Vec<JoinHandle<()>>, ServeError> {
    let mut serving = Vec::new();
    for (reserved, gateway) in doors {
        let (name, address) = (gateway.name, reserved.address.clone());
        let door = core.borrow_mut().doors.door(name);
        serving.push(spawn_local((gateway.serve)(reserved.listen()?, door, connections_max)));
        tracing::info!(door = name, %address, "open");
    }
    Ok(serving)
}

/// Opens the folder. Blocking: nobody is served before it is done.
fn open_peer(config: &Config, address: String) -> Result<(Peer, Arc<FileDisk>, Clock), ServeError> {
    let refused = |error: &dyn std::fmt::Display| ServeError::Store { reason: error.to_string() };
    check_folder(&config.dir)?;
    let disk = Arc::new(FileDisk::open(&config.dir).map_err(|error| refused(&error))?);
    let log = OpenOptions { quarantine: config.quarantine, ..OpenOptions::new(wall_ms(), rand::random()) };
    if let Some(Replacement { member, last, changes }) = &config.replace {
        replace(&*disk, &log, (*member, *last), changes).map_err(|error| refused(&error))?;
    }
    let options = StoreOptions { sync: config.sync, cache_bytes: config.cache_bytes, log };
    let (store, found) = Store::open(&*disk, &options).map_err(|error| refused(&error))?;
    if found.records > 0 {
        tracing::info!(records = found.records, cut_bytes = found.cut_bytes, clean = found.was_clean, "the log has been read");
    }
    let (name, zone, weight) = (config.name.clone(), config.zone.clone(), config.weight);
    let clock = Clock::start();
    let peer = Peer::new(store, PeerConfig { name, address, zone, weight, hedges: config.hedges }, rand::random(), clock.now());
    Ok((peer, disk, clock))
}

/// A folder with files of somebody else and none of a peer's is refused before anything is written into it.
fn check_folder(dir: &Path) -> Result<(), ServeError> {
    // What cannot be listed is reported by whoever opens it.
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    let names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let ours = names.is_empty() || names.iter().any(|name| name.starts_with("NODE.") || name == "LOCK");
    if ours {
        return Ok(());
    }
    let some = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let reason = format!(
        "the folder {} holds files, and none of them is a peer's ({some}); give --dir an empty folder, or one that does not exist yet",
        dir.display()
    );
    Err(ServeError::Store { reason })
}

/// Feeds what the disk has done to the peer.
async fn take_results(core: SharedCore, mut results: UnboundedReceiver<DiskDone>) {
    let mut done = Vec::new();
    while results.recv_many(&mut done, limits::FRAMES_PER_TURN_MAX).await > 0 {
        let mut core = core.borrow_mut();
        for result in done.drain(..) {
            core.step(Input::Disk(result));
        }
    }
}

/// The flusher, which also wakes the peer when it wants to be woken. It does not tick: an idle peer costs nothing.
async fn flush_behind(core: SharedCore) {
    let (signals, clock) = (core.borrow().signals.clone(), core.borrow().clock);
    // Far away, and moved as soon as the peer names a time.
    let sleep = sleep_until(Instant::now() + Duration::from_secs(86_400));
    tokio::pin!(sleep);
    let mut armed = None;
    loop {
        let due = tokio::select! {
            biased;
            () = signals.flush_wanted() => false,
            () = &mut sleep, if armed.is_some() => true,
        };
        let next = {
            let mut core = core.borrow_mut();
            if due {
                armed = None;
                core.step(Input::Wake);
            }
            core.flush()
        };
        if let Some(wake) = next
            && armed.is_none_or(|earlier| wake < earlier || due)
        {
            armed = Some(wake);
            sleep.as_mut().reset(clock.instant(wake));
        }
    }
}

/// Forms a cluster of this one peer, unless it belongs to one.
fn found_alone(core: &SharedCore, config: &Config) {
    let mut core = core.borrow_mut();
    if !core.peer.founders().is_empty() {
        return;
    }
    let introduction = core.peer.introduction();
    let founder = Founder {
        member: introduction.member,
        name: introduction.name,
        address: introduction.address,
        zone: config.zone.clone(),
        weight: config.weight,
    };
    let change = Change::Formed {
        cluster: ClusterId(rand::random()),
        secret: rand::random(),
        partitions: limits::PARTITIONS_DEFAULT,
        replicas: limits::REPLICAS_DEFAULT,
        placement_rule: limits::PLACEMENT_RULE,
        founders: vec![founder],
    };
    // Nobody waits for the answer; the number is one that no client gets.
    let from = Origin { client: u64::MAX, request: 0 };
    core.step(Input::Request { from, request: Request::Form(Form { change }) });
}

/// Returns when the process is asked to stop, or has to.
async fn wait_for_stop(config: &Config, signals: &Signals) {
    let mut terminate = signal(SignalKind::terminate()).ok();
    let mut interrupt = signal(SignalKind::interrupt()).ok();
    let ended = config.stop_at_eof.then(end_of_input);
    tokio::select! {
        () = signals.stop.notified() => {}
        () = received(terminate.as_mut()) => tracing::info!("SIGTERM: stopping"),
        () = received(interrupt.as_mut()) => tracing::info!("SIGINT: stopping"),
        () = ended_input(ended) => tracing::info!("standard input has ended: stopping"),
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

async fn ended_input(ended: Option<oneshot::Receiver<()>>) {
    match ended {
        Some(ended) => drop(ended.await),
        None => std::future::pending().await,
    }
}

/// Completes at the end of standard input. A thread of its own reads it: nothing else can be asked to stop reading.
fn end_of_input() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        // An error is an end, too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    end
}

/// The most that a clean stop may take: what is left then is as safe as after a crash.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// The most that requests which are under way may take before the log is ended.
const FINISH_DEADLINE: Duration = Duration::from_secs(2);
/// How often a stopping server looks whether it is done.
const STOP_LOOK: Duration = Duration::from_millis(5);

async fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(STOP_LOOK).await;
    }
}

/// A clean stop: what is under way is finished and written, then the connections are closed. Or an unclean one, if the peer has stopped itself.
async fn stop(core: &SharedCore) -> Result<(), ServeError> {
    let signals = core.borrow().signals.clone();
    if let Some(reason) = signals.halted() {
        return Err(ServeError::Halted { reason });
    }
    core.borrow_mut().finish();
    let quiet = wait_until(|| core.borrow().is_quiet() || signals.halted().is_some());
    if timeout(FINISH_DEADLINE, quiet).await.is_err() {
        tracing::warn!("some requests were still under way; their clients will ask again");
    }
    core.borrow_mut().stop();
    let drained = timeout(STOP_DEADLINE, wait_until(|| core.borrow().peer.is_drained() || signals.halted().is_some()));
    if drained.await.is_err() {
        tracing::warn!("not all could be written in time; the next start will look through the log");
    }
    if let Some(reason) = signals.halted() {
        return Err(ServeError::Halted { reason });
    }
    core.borrow_mut().flush();
    tracing::info!("stopped");
    Ok(())
}
