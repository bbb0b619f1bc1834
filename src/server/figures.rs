//! The figures of a peer, for Prometheus and whatever else reads the OpenMetrics text format (openmetrics.io, version 1.0.0).
//!
//! Counts and histograms of requests and of the disk are kept as they happen (`timing`, `disk`); everything else is read from the peer when it is
//! asked for. Names follow Prometheus' conventions: base units (seconds, bytes), `_total` for what only grows, one label per way of telling apart.

use super::disk::DiskFigures;
use super::timing::Timing;
use crate::message::{Status, ViewState};
use crate::peer::{Load, Now, Peer};
use crate::ring::MemberId;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// What waits where in the process.
pub(super) struct Queues {
    /// Open connections by door.
    pub connections: Vec<(&'static str, usize)>,
    /// Answers and messages that wait for this peer's disk.
    pub held_replies: usize,
    pub held_messages: usize,
    /// Bytes of answers that clients have not taken yet.
    pub unsent_bytes: usize,
    /// Bytes that wait for each link.
    pub links: Vec<(MemberId, usize)>,
}

type Labelled<M> = Family<Vec<(&'static str, String)>, M>;
type Real = Gauge<f64, AtomicU64>;

/// A page of figures under construction.
struct Page {
    registry: Registry,
}

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: impl TryInto<i64>) {
        let gauge = Gauge::<i64>::default();
        gauge.set(value.try_into().unwrap_or(i64::MAX));
        self.registry.register(name, help, gauge);
    }

    fn bytes(&mut self, name: &str, help: &str, value: impl TryInto<i64>) {
        let gauge = Gauge::<i64>::default();
        gauge.set(value.try_into().unwrap_or(i64::MAX));
        self.registry.register_with_unit(name, help, Unit::Bytes, gauge);
    }

    fn seconds(&mut self, name: &str, help: &str, ms: u64) {
        let gauge = Real::default();
        gauge.set(ms as f64 / 1e3);
        self.registry.register_with_unit(name, help, Unit::Seconds, gauge);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        self.registry.register(name, help, counter);
    }

    /// A gauge for each of several things.
    fn gauges(&mut self, name: &str, help: &str, label: &'static str, values: impl IntoIterator<Item = (String, i64)>) {
        let family = Labelled::<Gauge>::default();
        for (who, value) in values {
            family.get_or_create(&vec![(label, who)]).set(value);
        }
        self.registry.register(name, help, family);
    }

    fn seconds_of(&mut self, name: &str, help: &str, label: &'static str, values: impl IntoIterator<Item = (String, f64)>) {
        let family = Labelled::<Real>::default();
        for (who, value) in values {
            family.get_or_create(&vec![(label, who)]).set(value);
        }
        self.registry.register_with_unit(name, help, Unit::Seconds, family);
    }

    fn counters(&mut self, name: &str, help: &str, label: &'static str, values: impl IntoIterator<Item = (String, u64)>) {
        let family = Labelled::<Counter>::default();
        for (who, value) in values {
            family.get_or_create(&vec![(label, who)]).inc_by(value);
        }
        self.registry.register(name, help, family);
    }
}

/// All figures, as text.
pub(super) fn text(peer: &Peer, now: Now, timing: &Timing, queues: &Queues, disk: Option<&DiskFigures>) -> String {
    let mut page = Page { registry: Registry::with_prefix("henge") };
    let status = peer.status(now);
    requests(&mut page, timing);
    waiting(&mut page, queues, &status, peer.load(), peer.store().pending_bytes());
    contents(&mut page, &status);
    repair(&mut page, &status);
    others(&mut page, &status, queues);
    if let Some(disk) = disk {
        page.registry.register_with_unit("log_write", "Time to write and sync a batch of the log", Unit::Seconds, disk.log.clone());
        let help = "Time of the disk's other jobs: cold reads, preparing segments";
        page.registry.register_with_unit("disk_job", help, Unit::Seconds, disk.other.clone());
    }
    let mut text = String::new();
    encode(&mut text, &page.registry).expect("a string takes everything");
    let process = process();
    // The process's own figures have the names that all programs give them, without our prefix. They go before the mark of the end.
    let end = text.rfind("# EOF").unwrap_or(text.len());
    text.insert_str(end, &process);
    text
}

fn requests(page: &mut Page, timing: &Timing) {
    let registry = &mut page.registry;
    registry.register("requests", "Requests answered, by kind, door and outcome", timing.requests.clone());
    let help = "Time from the arrival of a request until its answer goes out";
    registry.register_with_unit("request", help, Unit::Seconds, timing.latency.clone());
    let help = "Time from the arrival of a request until its quorum is complete; the rest of the request's time is the wait for this peer's own disk";
    registry.register_with_unit("quorum_wait", help, Unit::Seconds, timing.quorum.clone());
    registry.register("slow_requests", "Requests that took longer than --slow-ms", timing.slow.clone());
    registry.register("siblings_shown", "Reads that found concurrent versions and showed them", timing.siblings.clone());
    registry.register(
        "siblings_hidden",
        "Concurrent versions that last-writer-wins has hidden from answers",
        timing.hidden.clone(),
    );
}

fn waiting(page: &mut Page, queues: &Queues, status: &Status, load: Load, pending_bytes: usize) {
    let connections = queues.connections.iter().map(|(door, open)| (door.to_string(), *open as i64));
    page.gauges("connections", "Open connections of clients, by door", "door", connections);
    page.gauge("requests_in_flight", "Requests under way at this coordinator", status.member.in_flight);
    page.gauge("held_replies", "Answers that wait for this peer's disk", queues.held_replies as u64);
    page.gauge("held_messages", "Messages to peers that wait for this peer's disk", queues.held_messages as u64);
    page.bytes("unsent", "Answers that clients have not taken yet", queues.unsent_bytes as u64);
    page.bytes("log_pending", "Records that wait to be written to the log", pending_bytes as u64);
    page.gauge("retries_remembered", "Writes remembered so that a retry is recognised", load.retries as u64);
    page.gauge("healings", "Damaged records that are being fetched from other owners", load.healings as u64);
    page.gauge("pulls", "Comparisons with other owners under way", load.pulls as u64);
}

fn contents(page: &mut Page, status: &Status) {
    let member = &status.member;
    page.gauge("keys", "Keys that this peer holds", member.keys);
    page.gauge(
        "contexts",
        "Keys for which explicit history is kept: what is left of deletes, and writes that have not met yet",
        member.contexts,
    );
    page.gauge("partitions_owned", "Partitions that this peer owns", member.partitions);
    page.gauge(
        "partitions_incomplete",
        "Partitions in which this peer has lost something that it has not got back yet",
        member.incomplete_partitions,
    );
    page.gauge("open_gaps", "Gaps of ended starts in the clocks of the partitions", member.open_gaps);
    page.bytes("log", "Size of the log", member.log_bytes);
    page.bytes("trie", "Memory taken by keys and their versions, without values", member.trie_bytes);
    page.gauge("alarms", "Alarms that stand in `henge status`: somebody has to look", member.alarms.len() as u64);
    page.seconds("uptime", "Time since this peer started", member.uptime_ms);
    let labels = vec![
        ("version", member.version.clone()),
        ("name", member.name.clone()),
        ("member", member.member.to_string()),
        ("cluster", member.cluster.map_or_else(String::new, |cluster| cluster.to_string())),
    ];
    page.registry.register("build", "What runs here", prometheus_client::metrics::info::Info::new(labels));
}

fn repair(page: &mut Page, status: &Status) {
    let member = &status.member;
    page.counter("read_repairs", "Replicas that a read has brought up to date", member.repairs);
    page.counter("hedges", "Reads that waited longer than usual and asked one replica more", member.hedges);
    page.counter("stood_in_reads", "Reads that were answered with the help of stand-ins", member.stood_in);
    page.gauge("hints_full", "1 while so much is kept for others that nothing new is taken for them", u64::from(member.hints_full));
    let debts = || member.debts.iter();
    page.gauges(
        "hints",
        "Keys kept for an owner that was down",
        "owner",
        debts().map(|debt| (debt.name.clone(), debt.hints as i64)),
    );
    page.gauges(
        "hint_bytes",
        "Bytes kept for an owner that was down, about",
        "owner",
        debts().map(|debt| (debt.name.clone(), debt.bytes as i64)),
    );
    let oldest = debts().map(|debt| (debt.name.clone(), debt.oldest_ms as f64 / 1e3));
    page.seconds_of("hint_oldest", "How long the oldest key has been kept for an owner that was down", "owner", oldest);
    page.counters("hints_paid", "Keys handed to owners that are back", "owner", debts().map(|debt| (debt.name.clone(), debt.paid)));
    page.gauge("partitions_shared", "Partitions that this peer owns together with others", member.shared);
    page.gauge(
        "partitions_in_step",
        "Those of them that were equal to every other owner's when they were last compared",
        member.in_step,
    );
    let name = |member: MemberId| {
        status.links.iter().find(|link| link.member == member).map_or_else(|| member.to_string(), |link| link.name.clone())
    };
    let pairs = || status.comparisons.iter().map(|pair| (name(pair.member), pair));
    page.counters(
        "comparisons",
        "Comparisons that were finished, by the other owner",
        "owner",
        pairs().map(|(who, pair)| (who, pair.pulls)),
    );
    page.counters("comparison_keys", "Keys that comparisons have fetched", "owner", pairs().map(|(who, pair)| (who, pair.keys)));
    page.counters(
        "comparison_sent_bytes",
        "Bytes of questions of comparisons",
        "owner",
        pairs().map(|(who, pair)| (who, pair.sent_bytes)),
    );
    page.counters(
        "comparison_received_bytes",
        "Bytes of their answers",
        "owner",
        pairs().map(|(who, pair)| (who, pair.received_bytes)),
    );
    let all = pairs().filter_map(|(who, pair)| Some((who, pair.all_within_ms? as f64 / 1e3)));
    page.seconds_of("comparison_round", "All partitions shared with an owner have been compared within this time", "owner", all);
}

fn others(page: &mut Page, status: &Status, queues: &Queues) {
    let links = status.links.iter().map(|link| (link.name.clone(), i64::from(link.up)));
    page.gauges("link_up", "1 while there is a connection to the member", "member", links);
    let gossip = &status.gossip;
    let count = |state: ViewState| gossip.others.iter().filter(|view| view.state == state).count() as i64;
    let states = [("alive", ViewState::Alive), ("suspect", ViewState::Suspect), ("dead", ViewState::Dead)];
    page.gauges(
        "members",
        "Other members, as this peer sees them",
        "state",
        states.map(|(name, state)| (name.to_string(), count(state))),
    );
    page.gauge(
        "gossip_local_health",
        "0: this peer is answered in time; up to 7: it doubts itself before others",
        gossip.local_health,
    );
    page.gauge("gossip_incarnation", "How often it had to say in this start how it is", gossip.incarnation);
    let name = |member: MemberId| {
        status.links.iter().find(|link| link.member == member).map_or_else(|| member.to_string(), |link| link.name.clone())
    };
    let queued = queues.links.iter().map(|(member, bytes)| (name(*member), *bytes as i64));
    page.gauges("link_queue_bytes", "Messages that a member has not taken yet", "member", queued);
    let offsets = gossip.others.iter().filter_map(|view| Some((name(view.member), view.wall_offset_ms? as f64 / 1e3)));
    page.seconds_of("clock_offset", "How far a member's clock is ahead of this one's", "member", offsets);
    page.gauge("clock_trouble", "1 while this peer does not trust its own clock", u64::from(gossip.clock_trouble.is_some()));
}

/// What the system knows of the process, where it has `/proc`.
fn process() -> String {
    let mut text = String::new();
    let mut tell = |name: &str, kind: &str, help: &str, suffix: &str, value: f64| {
        text.push_str(&format!("# HELP {name} {help}.\n# TYPE {name} {kind}\n{name}{suffix} {value}\n"));
    };
    if let Some(resident) = resident_bytes() {
        tell("process_resident_memory_bytes", "gauge", "Resident memory", "", resident);
    }
    if let Ok(handles) = std::fs::read_dir("/proc/self/fd") {
        tell("process_open_fds", "gauge", "Open file handles", "", handles.count() as f64);
    }
    if let Some(seconds) = cpu_seconds() {
        tell("process_cpu_seconds", "counter", "Time that the processors have spent on this process", "_total", seconds);
    }
    text
}

fn resident_bytes() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold spaces; behind it the fields are numbers: user and system time are the 12th and 13th, in hundredths.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
    Some((user + system) / 100.0)
}
