//! `cargo sim mutants`: the store with one bug each, planted by breaking one rule (`henge::broken`). Ordinary random seeds must find every one
//! of them, or a directed run, marked as such.
//!
//! Bugs can be planted only in a build with `--cfg henge_broken`. Any other build of this program has cargo make that one, in a target
//! folder of its own, and hands the command on to it. There each mutant has a process of its own: where one runs into an assertion, that
//! is a find too.

use std::process::ExitCode;

#[cfg(not(henge_broken))]
pub use handed_on::{mutants, planted, replay_directed};
#[cfg(henge_broken)]
pub use here::{mutants, planted, replay_directed};

/// What `mutants` is told.
#[cfg_attr(not(henge_broken), expect(dead_code, reason = "the other build reads it, from the same command line"))]
pub struct Extent {
    /// At most so many seeds for each.
    pub seeds: u64,
    /// Only these, if there are some.
    pub only: Vec<String>,
    /// Those alone that are found within a few seeds.
    pub is_quick: bool,
    /// No bug is begun after this.
    pub seconds: Option<u64>,
    /// Which one is the first.
    pub first: usize,
    /// Ends with a line of JSON.
    pub json: bool,
}

#[cfg(not(henge_broken))]
mod handed_on {
    use super::{ExitCode, Extent};
    use std::process::Command;

    pub fn mutants(_: &Extent) -> ExitCode {
        hand_on()
    }

    pub fn replay_directed(_: u64, _: &str) -> ExitCode {
        hand_on()
    }

    /// Does something in a world in which this mutant's rule is broken, or in which all are kept.
    pub fn planted(mutant: Option<&str>, work: impl FnOnce() -> ExitCode) -> ExitCode {
        if mutant.is_some() { hand_on() } else { work() }
    }

    /// The same command, in the build that can break rules.
    fn hand_on() -> ExitCode {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
        let built = Command::new(cargo)
            .args(["run", "--quiet", "--release", "--package", "sim", "--target-dir", "target/broken", "--"])
            .args(std::env::args_os().skip(1))
            .env("RUSTFLAGS", "--cfg henge_broken")
            .status();
        match built {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("cargo, which is to build the mutants, cannot be started: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

#[cfg(henge_broken)]
mod here {
    use super::{ExitCode, Extent};
    use crate::commands;
    use henge::broken::{Rule, break_rule};
    use sim::batch::{name_the_seed_in_panics, run_seeds};
    use sim::directed::DIRECTED;
    use sim::ledger::Line;
    use sim::plan::Plant;
    use sim::run::run;
    use std::process::Command;
    use std::time::Instant;

    /// This many seeds must be clean while no bug is planted.
    const CLEAN_SEEDS: u64 = 200;
    /// Directed runs are run from this many seeds.
    const DIRECTED_SEEDS: u64 = 3;
    /// An oracle's words are cut behind so many letters.
    const WORDS_MAX: usize = 110;

    /// Those that the first ten seeds have found: for a gate that has no time for the others.
    const QUICK: [&str; 40] = [
        "ack_early",
        "add_context",
        "clock_unreplayed",
        "context_unmerged",
        "counts_alone",
        "cover_half",
        "covers_unseen",
        "dir_unsynced",
        "early_takeover",
        "expire_all",
        "expired_early",
        "expiry_unpacked",
        "filled_patch",
        "gone_unreplayed",
        "identity_unsynced",
        "incarnation_unsent",
        "merge_keeps",
        "no_start",
        "patch_beside",
        "pays_once",
        "plain_overwrites",
        "read_one_less",
        "removal_unreplayed",
        "repair_bare",
        "repair_picks",
        "retry_elsewhere",
        "retry_forgotten",
        "seen_touches",
        "session_unchecked",
        "skip_seen",
        "stand_in_absence",
        "stand_in_owner",
        "stand_in_removal",
        "standin_clock",
        "standing_unreplayed",
        "unrefuted",
        "values_missing",
        "vv_only",
        "walk_skips",
        "zones_ignored",
    ];
    /// These must be found within so many seeds.
    const QUICK_SEEDS: u64 = 200;

    pub fn mutants(extent: &Extent) -> ExitCode {
        match &extent.only[..] {
            [name] if !extent.json => one(name, extent.seeds),
            _ => several(extent),
        }
    }

    /// Does something in a world in which this mutant's rule is broken.
    pub fn planted(mutant: Option<&str>, work: impl FnOnce() -> ExitCode) -> ExitCode {
        let Some(name) = mutant else { return work() };
        let Ok(rule) = named(name) else { return unknown(name) };
        break_rule(rule);
        work()
    }

    pub fn replay_directed(seed: u64, name: &str) -> ExitCode {
        let Ok(rule) = named(name) else { return unknown(name) };
        break_rule(rule);
        let Some(directed) = DIRECTED.iter().find(|directed| Some(directed.rule) == rule) else {
            eprintln!("no directed run is for {name}");
            return ExitCode::from(2);
        };
        let violations = (directed.run)(seed, true);
        violations.iter().for_each(|violation| println!("VIOLATED {violation}"));
        if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn named(name: &str) -> Result<Option<Rule>, ()> {
        match Rule::ALL.iter().find(|(known, ..)| *known == name) {
            Some((.., rule)) => Ok(Some(*rule)),
            None if name == "none" => Ok(None),
            None => Err(()),
        }
    }

    fn module_of(name: &str) -> &'static str {
        Rule::ALL.iter().find(|(known, ..)| *known == name).map_or("", |(_, module, _)| module)
    }

    fn unknown(name: &str) -> ExitCode {
        let known: Vec<&str> = Rule::ALL.iter().map(|(name, ..)| *name).collect();
        eprintln!("{name:?} is no mutant; there are {} and none", known.join(", "));
        ExitCode::from(2)
    }

    /// Each in a process of its own.
    fn several(extent: &Extent) -> ExitCode {
        let Ok(program) = std::env::current_exe() else {
            eprintln!("this program cannot be found");
            return ExitCode::FAILURE;
        };
        let begin = Instant::now();
        let chosen: Vec<&str> = match (&extent.only[..], extent.is_quick) {
            ([], false) => Rule::ALL.iter().map(|(name, ..)| *name).collect(),
            ([], true) => QUICK.to_vec(),
            (only, _) => only.iter().map(String::as_str).filter(|name| *name != "none").collect(),
        };
        let seeds = if extent.is_quick { QUICK_SEEDS } else { extent.seeds }.to_string();
        let first = extent.first.checked_rem(chosen.len()).unwrap_or_default();
        let order = chosen[first..].iter().chain(&chosen[..first]).copied();
        let mut line = Line::default();
        println!("| mutant | module | found by | seeds | seconds | in the words of the oracle |\n|---|---|---|---|---|---|");
        for name in std::iter::once("none").chain(order) {
            if extent.seconds.is_some_and(|seconds| begin.elapsed().as_secs() >= seconds) {
                break;
            }
            let output = Command::new(&program).args(["mutants", "--only", name, "--seeds", &seeds]).output();
            let Ok(output) = output else {
                line.object([format!("a process for {name} cannot be started")]);
                break;
            };
            print!("{}", String::from_utf8_lossy(&output.stdout));
            let told = String::from_utf8_lossy(&output.stderr);
            let is_right = match output.status.code() {
                Some(code) => code == 0,
                // A process that ended without a code ran into an assertion.
                None if name != "none" => {
                    println!("{}", row_of_a_panic(name, &told));
                    true
                }
                None => false,
            };
            line.planted_tried += u64::from(name != "none");
            line.planted_found += u64::from(name != "none" && is_right);
            if !is_right {
                eprint!("{told}");
                line.object([match name {
                    "none" => "something was found where no bug is planted".to_string(),
                    name => format!("the mutant {name} was not found"),
                }]);
            }
        }
        line.seconds = begin.elapsed().as_secs();
        println!("\n{} of {} mutants found", line.planted_found, line.planted_tried);
        commands::end(&line, &line.violated, extent.json)
    }

    fn row_of_a_panic(name: &str, told: &str) -> String {
        let seed = told.lines().find_map(|line| line.strip_prefix("seed ")?.split(' ').next()?.parse::<u64>().ok());
        let module = module_of(name);
        match seed {
            Some(seed) => format!("| {name} | {module} | seed {seed} | {} | | an assertion fails |", seed + 1),
            None => format!("| {name} | {module} | an assertion | | | |"),
        }
    }

    fn one(name: &str, seeds: u64) -> ExitCode {
        let Ok(rule) = named(name) else { return unknown(name) };
        break_rule(rule);
        name_the_seed_in_panics(Plant::None);
        let Some(rule) = rule else { return keeping_all(seeds.min(CLEAN_SEEDS)) };
        let module = module_of(name);
        let begin = Instant::now();
        let found = first_found(rule, seeds);
        let seconds = begin.elapsed().as_secs_f64();
        let mut is_found = found.is_some();
        if let Some((seed, words)) = found {
            println!("| {name} | {module} | seed {seed} | {} | {seconds:.1} | {} |", seed + 1, shortened(&words));
        }
        for directed in DIRECTED.iter().filter(|directed| directed.rule == rule) {
            let begin = Instant::now();
            let violation = (0..DIRECTED_SEEDS).find_map(|seed| Some((seed, (directed.run)(seed, false).into_iter().next()?)));
            let seconds = begin.elapsed().as_secs_f64();
            let tried = if is_found { String::new() } else { format!("none of {seeds}") };
            match violation.filter(|(_, violation)| violation.oracle != "story") {
                Some((seed, violation)) => {
                    is_found = true;
                    let words = shortened(&violation.to_string());
                    println!("| {name} | {module} | directed, seed {seed}: {} | {tried} | {seconds:.1} | {words} |", directed.name);
                }
                None => {
                    println!("| {name} | {module} | NOT by its directed run: {} | {tried} | {seconds:.1} | |", directed.name);
                    return ExitCode::FAILURE;
                }
            }
        }
        if !is_found {
            println!("| {name} | {module} | NOT FOUND | none of {seeds} | {seconds:.1} | |");
        }
        if is_found { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// The first seed that finds the rule broken, and what is said. One that fails while every rule is kept has found something else.
    fn first_found(rule: Rule, seeds: u64) -> Option<(u64, String)> {
        let mut first = 0;
        loop {
            let summary = run_seeds(first..seeds, commands::cores(), Plant::None, false, true);
            let (seed, violations) = summary.failures.first_key_value()?;
            break_rule(None);
            let is_clean = run(*seed, Plant::None, false).violations.is_empty();
            break_rule(Some(rule));
            if is_clean {
                return Some((*seed, violations[0].clone()));
            }
            eprintln!("seed {seed} fails while every rule is kept");
            first = seed + 1;
        }
    }

    /// While no rule is broken, seeds and directed runs are clean.
    fn keeping_all(seeds: u64) -> ExitCode {
        let begin = Instant::now();
        let summary = run_seeds(0..seeds, commands::cores(), Plant::None, false, true);
        let in_directed = DIRECTED.iter().flat_map(|directed| {
            let violations = (0..DIRECTED_SEEDS).flat_map(|seed| (directed.run)(seed, false));
            violations.map(|violation| format!("{}: {violation}", directed.name))
        });
        let in_seeds = summary.failures.iter().map(|(seed, violations)| format!("seed {seed}: {}", violations[0]));
        let wrong: Vec<String> = in_seeds.chain(in_directed).collect();
        let words = wrong.first().map(|words| shortened(words)).unwrap_or_default();
        let seconds = begin.elapsed().as_secs_f64();
        let is_clean = wrong.is_empty();
        println!("| none | | {} | {seeds} | {seconds:.1} | {words} |", if is_clean { "nothing is found" } else { "FOUND" });
        if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn shortened(words: &str) -> String {
        let words = words.replace('|', "/");
        match words.char_indices().nth(WORDS_MAX) {
            Some((end, _)) => format!("{}…", &words[..end]),
            None => words,
        }
    }
}
