//! What is done to a cluster in a storm, and how it is healed.

use super::super::cluster::{Cluster, name};
use super::super::keeper::run;
use super::super::machine::Machine;
use super::super::program::{Launch, Program};
use super::super::verdict::Trouble;
use super::super::witness::Story;
use super::super::{PATIENCE, until};
use super::faults::{Kind, Step};
use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A cluster, and what has been done to it.
pub struct Stage<'a> {
    /// The program whose processes are tried.
    pub program: &'a Program,
    /// What the machine allows.
    pub machine: &'a Machine,
    /// The peers.
    pub cluster: Cluster,
    /// Their story.
    pub story: Story,
    /// What was done how often; whatever is counted here has really been done.
    pub counts: BTreeMap<&'static str, u64>,
    /// What the trouble of this story is.
    pub trouble: Trouble,
    /// Chance.
    pub dice: Dice,
    /// Connections that say what others have said.
    pub echoes: JoinSet<Result<(), String>>,
}

/// How long is waited for a sync that is to fail, and for a start that is to be an old one's.
const FEW_SECONDS: Duration = Duration::from_secs(6);

impl Stage<'_> {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    async fn start(&mut self, peer: usize) -> Result<(), String> {
        let started = self.cluster.start(self.program, peer).await;
        started.map_err(|error| format!("{} does not start: {error}", name(peer)))
    }

    /// Does one thing.
    ///
    /// # Errors
    /// It could not be done, or a peer has not behaved as it has to.
    pub async fn play(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Rest(so_long) => sleep(*so_long).await,
            Step::Calm => self.cluster.calm().await?,
            Step::Cut(ways) => {
                self.cluster.cut(ways).await?;
                self.count(Kind::Cuts.name());
                self.count(if ways.iter().all(|way| ways.contains(&way.back())) { "cuts both ways" } else { "cuts one way" });
                if ways.iter().all(|way| *way == ways[0] || *way == ways[0].back()) {
                    self.count("cuts of a pair");
                }
            }
            Step::Slow(ways, by) => {
                self.count(Kind::Slow.name());
                ways.iter().for_each(|way| self.cluster.cuts().delay(*way, *by));
            }
            Step::Stop(ways) => {
                self.count(Kind::Slow.name());
                ways.iter().for_each(|way| self.cluster.cuts().stop_reading(*way));
            }
            Step::PowerOff(peers) => self.power_off(peers).await?,
            Step::Hit(kind, peer) => self.hit(*kind, *peer).await?,
        }
        // What is hit next is at work again for a moment.
        let breath = self.dice.spread(20, 250);
        sleep(Duration::from_millis(breath)).await;
        Ok(())
    }

    async fn hit(&mut self, kind: Kind, peer: usize) -> Result<(), String> {
        match kind {
            Kind::Kill => {
                self.count(kind.name());
                self.cluster.kill(peer);
                if self.dice.chance(0.2) {
                    // The others notice, and somebody stands in.
                    let away = self.dice.spread(100, 3_000);
                    sleep(Duration::from_millis(away)).await;
                }
                self.start(peer).await
            }
            Kind::Pause => self.pause(peer).await,
            Kind::Restarts => self.restarts(peer).await,
            Kind::Reset => {
                self.count(kind.name());
                self.reset(peer);
                Ok(())
            }
            Kind::Replay => {
                self.replay(peer);
                Ok(())
            }
            Kind::Loss => self.lose(peer).await,
            Kind::Power => self.power_off(&[peer]).await,
            Kind::Fsync => self.fail_sync(peer).await,
            Kind::SlowDisk => self.slow_disks(peer).await,
            Kind::Full => self.fill(peer).await,
            Kind::Wipe => self.wipe(peer).await,
            Kind::Old => self.bring_back_old(peer).await,
            Kind::Clock => self.change_clock(peer).await,
            // These are no hits: the steps have them.
            Kind::Cuts | Kind::Slow => Ok(()),
        }
    }

    async fn pause(&mut self, peer: usize) -> Result<(), String> {
        self.count(Kind::Pause.name());
        self.cluster.pause(peer);
        let so_long = self.dice.spread(50, 3_000);
        sleep(Duration::from_millis(so_long)).await;
        self.cluster.resume(peer);
        Ok(())
    }

    async fn restarts(&mut self, peer: usize) -> Result<(), String> {
        self.cluster.kill(peer);
        for _ in 0..self.dice.between(2, 6) {
            self.cluster.spawn(self.program, peer, &Launch::Plain)?;
            let so_long = self.dice.spread(2, 150);
            sleep(Duration::from_millis(so_long)).await;
            if !self.cluster.is_running(peer) {
                break;
            }
            self.count(Kind::Restarts.name());
            self.cluster.kill(peer);
        }
        self.start(peer).await
    }

    fn reset(&mut self, peer: usize) {
        if self.dice.chance(0.4) {
            return self.cluster.cuts().reset();
        }
        let ways: Vec<_> = self.cluster.ways().filter(|way| way.from == peer || way.to == peer).collect();
        for way in ways {
            let bytes = self.dice.spread(1, 20_000);
            self.cluster.cuts().break_after(way, bytes);
        }
    }

    /// Whatever a peer sends or is sent is lost for a moment, and again, like on a bad line. What is cut stays cut.
    async fn lose(&mut self, peer: usize) -> Result<(), String> {
        let Some(network) = self.cluster.network() else { return Ok(()) };
        let weather = network.cut();
        let own = self.cluster.ways().filter(|way| way.from == peer || way.to == peer);
        let all: BTreeSet<_> = own.chain(weather.iter().copied()).collect();
        for _ in 0..self.dice.between(2, 8) {
            network.set(all.clone()).await?;
            let so_long = self.dice.spread(5, 250);
            sleep(Duration::from_millis(so_long)).await;
            network.set(weather.clone()).await?;
            let so_long = self.dice.spread(5, 250);
            sleep(Duration::from_millis(so_long)).await;
        }
        network.check().await?;
        self.count(Kind::Loss.name());
        Ok(())
    }

    /// Says to a peer what another has said to it at the beginning of its last connection. It has to hang up; judged at the end of the round.
    fn replay(&mut self, peer: usize) {
        let cuts = self.cluster.cuts();
        let said = self.cluster.ways().filter(|way| way.to == peer).find_map(|way| cuts.said(way).filter(|said| !said.is_empty()));
        let Some(said) = said else { return };
        let address = self.cluster.listen(peer).to_string();
        self.count(Kind::Replay.name());
        self.echoes.spawn(async move {
            let Ok(mut stream) = TcpStream::connect(&address).await else { return Ok(()) };
            let _ = stream.write_all(&said).await;
            let mut answer = Vec::new();
            match timeout(PATIENCE, stream.read_to_end(&mut answer)).await {
                Ok(_) => Ok(()),
                Err(_) => Err(format!("{} has not hung up on a connection that says what another has said", name(peer))),
            }
        });
    }

    async fn power_off(&mut self, peers: &[usize]) -> Result<(), String> {
        // In the moment between its disk's end and its own a peer may say that it cannot read.
        self.story.told().may_fail_storage = true;
        self.cluster.cut_power(peers).await?;
        *self.counts.entry(Kind::Power.name()).or_default() += peers.len() as u64;
        if peers.len() == self.cluster.len() {
            self.count("power of all");
        }
        for peer in peers {
            self.cluster.spawn(self.program, *peer, &Launch::Plain)?;
        }
        for peer in peers {
            let answers = self.cluster.answers(self.program, *peer, &Launch::Plain).await;
            answers.map_err(|error| format!("{} does not start after a power cut: {error}", name(*peer)))?;
        }
        Ok(())
    }

    /// One sync of a peer fails, while it starts or later. It has to stop; then its disk loses what was not synced.
    async fn fail_sync(&mut self, peer: usize) -> Result<(), String> {
        self.story.told().may_fail_storage = true;
        self.cluster.kill(peer);
        let which = self.dice.spread(1, 40);
        let call = *self.dice.pick(&["fdatasync", "fdatasync", "fsync"]);
        let failing = Launch::Failing(format!("{call}:error=EIO:when={which}"));
        self.cluster.spawn(self.program, peer, &failing)?;
        for _ in 0..FEW_SECONDS.as_millis() / 50 {
            if self.cluster.has_injected(peer) || !self.cluster.is_running(peer) {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        if self.cluster.has_injected(peer) {
            self.count(Kind::Fsync.name());
            let ended = self.cluster.ended(peer).await;
            ended.map_err(|error| format!("{} goes on after a sync that has failed: {error}", name(peer)))?;
        } else if !self.cluster.is_running(peer) {
            return Err(format!("{} has ended, and nothing had failed: {}", name(peer), self.cluster.said(peer).trim()));
        }
        if self.cluster.disks().is_some() {
            return self.power_off(&[peer]).await;
        }
        self.cluster.kill(peer);
        self.start(peer).await
    }

    /// The disk of a peer, or of all, needs long for each sync; then all lose power, while much is written and little of it synced. Whoever
    /// promises too early is found out.
    async fn slow_disks(&mut self, peer: usize) -> Result<(), String> {
        let peers: Vec<usize> = if self.dice.chance(0.7) { (0..self.cluster.len()).collect() } else { vec![peer] };
        let micros = self.dice.spread(5_000, 100_000);
        let slow = Launch::Failing(format!("fdatasync:delay_enter={micros}"));
        for peer in &peers {
            self.cluster.kill(*peer);
            self.cluster.spawn(self.program, *peer, &slow)?;
        }
        for peer in &peers {
            let answers = self.cluster.answers(self.program, *peer, &slow).await;
            answers.map_err(|error| format!("{} does not start on a slow disk: {error}", name(*peer)))?;
        }
        *self.counts.entry(Kind::SlowDisk.name()).or_default() += peers.len() as u64;
        let so_long = self.dice.between(500, 2_000);
        sleep(Duration::from_millis(so_long)).await;
        if self.cluster.disks().is_some() {
            let all: Vec<usize> = (0..self.cluster.len()).collect();
            return self.power_off(&all).await;
        }
        for peer in peers {
            self.cluster.kill(peer);
            self.start(peer).await?;
        }
        Ok(())
    }

    /// A peer's disk is full for a while. Some are killed meanwhile, and may not come up before there is room.
    async fn fill(&mut self, peer: usize) -> Result<(), String> {
        self.story.told().may_fail_storage = true;
        let no_disks = || "the peers have no disks of their own".to_string();
        self.cluster.disks().ok_or_else(no_disks)?.fill(peer).await?;
        self.count(Kind::Full.name());
        let so_long = self.dice.between(500, 2_500);
        sleep(Duration::from_millis(so_long)).await;
        if self.dice.chance(0.5) {
            self.count(Kind::Kill.name());
            self.cluster.kill(peer);
            if self.cluster.start(self.program, peer).await.is_err() {
                self.count("no start on a full disk");
            }
        }
        self.cluster.disks().ok_or_else(no_disks)?.make_room(peer).await?;
        if self.cluster.is_running(peer) { Ok(()) } else { self.start(peer).await }
    }

    /// A peer's folder is lost; an empty one takes its place.
    async fn wipe(&mut self, peer: usize) -> Result<(), String> {
        self.cluster.calm().await?;
        self.trouble.disks_lost = true;
        self.cluster.kill(peer);
        std::fs::remove_dir_all(self.cluster.data(peer)).map_err(|error| format!("a folder cannot be removed: {error}"))?;
        self.count(Kind::Wipe.name());
        let from = self.cluster.listen((peer + 1) % self.cluster.len()).to_string();
        let replace = Launch::Replace { member: name(peer), from };
        let started = self.cluster.start_as(self.program, peer, &replace).await;
        started.map_err(|error| format!("{} cannot be replaced: {error}", name(peer)))
    }

    /// A copy of a peer's folder is made, the peer goes on from the folder, and then from the copy. The others have to refuse it, and then it
    /// has to go on with `--quarantine`.
    async fn bring_back_old(&mut self, peer: usize) -> Result<(), String> {
        self.cluster.calm().await?;
        let data = self.cluster.data(peer);
        let copy = data.with_extension("old");
        self.cluster.kill(peer);
        let mut command = Command::new("cp");
        command.arg("-a").arg(&data).arg(&copy);
        run(command).await?;
        self.start(peer).await?;
        self.linked(peer).await?;
        let so_long = self.dice.between(100, 600);
        sleep(Duration::from_millis(so_long)).await;
        self.cluster.kill(peer);
        (self.trouble.disks_lost, self.trouble.old_disk_back) = (true, true);
        let moved = std::fs::remove_dir_all(&data).and_then(|()| std::fs::rename(&copy, &data));
        moved.map_err(|error| format!("an old folder cannot be put back: {error}"))?;
        self.count(Kind::Old.name());
        self.cluster.spawn(self.program, peer, &Launch::Plain)?;
        let said =
            self.cluster.ended(peer).await.map_err(|error| format!("an old copy of {} is not refused: {error}", name(peer)))?;
        if !said.contains("old or second copy") && !said.contains("old copy") {
            return Err(format!("{} was started from an old copy, and has ended for another reason: {}", name(peer), said.trim()));
        }
        let started = self.cluster.start_as(self.program, peer, &Launch::Quarantine).await;
        started.map_err(|error| format!("{} does not go on from an old copy with --quarantine: {error}", name(peer)))
    }

    async fn linked(&self, peer: usize) -> Result<(), String> {
        let others = self.cluster.len() - 1;
        until("links of a peer to all others", async || {
            let status = self.cluster.status(peer).await?;
            (status.links.iter().filter(|link| link.up).count() == others).then_some(())
        })
        .await
    }

    /// A peer is started again with another idea of the time.
    async fn change_clock(&mut self, peer: usize) -> Result<(), String> {
        let library = self.machine.faketime.clone()?;
        self.trouble.clocks_jumped = true;
        let years = 10 * 365 * 24 * 3_600;
        let ahead_s = self.dice.spread(1, years) as i64 * if self.dice.chance(0.5) { 1 } else { -1 };
        self.cluster.kill(peer);
        self.count(Kind::Clock.name());
        let started = self.cluster.start_as(self.program, peer, &Launch::Clock { library, ahead_s }).await;
        started.map_err(|error| format!("{} does not start with a clock that is {ahead_s} s ahead: {error}", name(peer)))
    }

    /// Ends all trouble: nothing is cut or slow, and every connection is made anew, so that all peers compare with all others now and not in
    /// the course of a minute.
    ///
    /// # Errors
    /// The network does not do what it is told.
    pub async fn heal(&self) -> Result<(), String> {
        self.cluster.calm().await?;
        self.cluster.cuts().reset();
        Ok(())
    }

    /// Connections that said what others had said have all been hung up on.
    ///
    /// # Errors
    /// One has not.
    pub async fn echoes_end(&mut self) -> Result<(), String> {
        while let Some(ended) = self.echoes.join_next().await {
            ended.map_err(|error| error.to_string())??;
        }
        Ok(())
    }
}
