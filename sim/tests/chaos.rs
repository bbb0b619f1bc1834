//! A minute of storm over real processes with every `cargo test`, and its control; `cargo sim chaos` has more of it.

use sim::chaos::cluster::Shape;
use sim::chaos::program::Program;
use sim::chaos::storm::faults::{KINDS, Kind};
use sim::chaos::storm::{self, Network, Options};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

/// One storm at a time: they would only wait for each other.
static ALONE: Mutex<()> = Mutex::const_new(());

fn options(faults: &[Kind], seconds: u64) -> Options {
    let (shape, time) = (Shape::default(), Duration::from_secs(seconds));
    Options { shape, time, faults: faults.to_vec(), seed: 1, only_blackouts: false, network: Network::Auto }
}

#[tokio::test]
async fn a_minute_of_everything_that_this_machine_allows_breaks_no_promise() {
    let _alone = ALONE.lock().await;
    let program = Program::build().expect("cargo builds henge");
    let home = network();
    let summary = storm::run(&program, &options(&KINDS.map(|(_, kind)| kind), 50), |_| ()).await;
    println!("{summary}");
    assert_eq!(summary.violations, Vec::<String>::new());
    assert!(summary.rounds > 0 && summary.acked > 0 && summary.reads > 0, "something was tried");
    assert!(summary.answered_share() >= 0.6, "most requests came to an answer: {:.2}", summary.answered_share());
    // A cut that does nothing would have been a violation: where there are namespaces, each is looked at.
    let is_cut = summary.network.starts_with("namespaces; the cut is real");
    assert!(is_cut || summary.skipped.contains_key("loss"), "{} and {:?}", summary.network, summary.skipped);
    assert!(summary.rounds < 2 || summary.faults.contains_key("cuts"), "of two rounds, one has a cut");
    assert_eq!(network(), home, "this thread is back from the network between the peers, and nothing of that is seen here");
    for kind in ["kill", "power"] {
        let is_done = summary.faults.get(kind).is_some_and(|count| *count > 0);
        assert!(is_done || summary.skipped.contains_key(kind), "{kind} belongs to every round");
    }
    nothing_is_left();
}

#[tokio::test]
async fn disks_that_lie_about_their_syncs_are_found_out() {
    let _alone = ALONE.lock().await;
    let program = Program::build().expect("cargo builds henge").with_lying_syncs();
    let options = Options { only_blackouts: true, ..options(&[Kind::Power, Kind::Fsync], 50) };
    let summary = storm::run(&program, &options, |_| ()).await;
    println!("{summary}");
    // The one needs disks, the other a tracer: this needs both.
    if let Some((kind, reason)) = summary.skipped.iter().find(|(kind, _)| **kind != "clock") {
        println!("not to be had on this machine: {kind}: {reason}");
        return;
    }
    let is_lost = |line: &&String| line.contains("oracle a: LOST") || line.contains("oracle e:");
    assert!(summary.violations.iter().any(|line| is_lost(&line)), "{:#?}", summary.violations);
    let folder = summary.violations.last().and_then(|line| line.rsplit(' ').next()).expect("the folder is named");
    assert!(std::fs::metadata(folder).is_ok_and(|folder| folder.is_dir()), "it is kept for somebody to look at: {folder}");
    std::fs::remove_dir_all(folder).expect("nobody does");
    nothing_is_left();
}

/// Where this thread is, and the names of the links there.
fn network() -> (Option<PathBuf>, Vec<String>) {
    let links = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let names = links.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_string()));
    (std::fs::read_link("/proc/thread-self/ns/net").ok(), names.collect())
}

/// No mount, and no loop device of this process. The system takes a moment to let go of the latter.
fn nothing_is_left() {
    let own = format!("henge-chaos-{}-", std::process::id());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    assert!(!mounts.contains(&own), "{mounts}");
    let is_attached = || {
        let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
        let files = devices.filter_map(|device| std::fs::read_to_string(device.path().join("loop/backing_file")).ok());
        files.filter(|file| file.contains(&own)).count() > 0
    };
    for _ in 0..600 {
        if !is_attached() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("loop devices are still attached");
}
