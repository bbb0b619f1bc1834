//! `cargo sim rules`: each rule of the store is broken in turn, and ordinary random seeds must find it.
//!
//! Rules can be broken only in a build with `--cfg henge_broken`. Any other build of this program has cargo make that one, in a target
//! folder of its own, and hands the command on to it. There each rule has a process of its own: where a broken rule runs into an
//! assertion, that is a find too.

use std::process::ExitCode;

#[cfg(not(henge_broken))]
pub use handed_on::{replay, rules};
#[cfg(henge_broken)]
pub use here::{replay, rules};

#[cfg(not(henge_broken))]
mod handed_on {
    use super::ExitCode;
    use std::process::Command;

    pub fn rules(seeds: u64, rule: Option<&str>) -> ExitCode {
        let seeds = seeds.to_string();
        let mut arguments = vec!["rules", "--seeds", &seeds];
        arguments.extend(rule.iter().flat_map(|rule| ["--rule", rule]));
        hand_on(&arguments)
    }

    pub fn replay(seed: u64, rule: &str) -> ExitCode {
        hand_on(&["replay", &seed.to_string(), "--rule", rule])
    }

    fn hand_on(arguments: &[&str]) -> ExitCode {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
        let built = Command::new(cargo)
            .args(["run", "--quiet", "--release", "--package", "sim", "--target-dir", "target/broken", "--"])
            .args(arguments)
            .env("RUSTFLAGS", "--cfg henge_broken")
            .status();
        match built {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("cargo, which is to build the program that breaks rules, cannot be started: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

#[cfg(henge_broken)]
mod here {
    use super::ExitCode;
    use crate::commands;
    use henge::broken::{Rule, break_rule};
    use sim::batch::{name_the_seed_in_panics, run_seeds};
    use sim::plan::Plant;
    use std::process::Command;
    use std::time::Instant;

    /// This many seeds must be clean while no rule is broken.
    const CLEAN_SEEDS: u64 = 200;

    pub fn rules(seeds: u64, rule: Option<&str>) -> ExitCode {
        match rule {
            Some(name) => one(name, seeds),
            None => all(seeds),
        }
    }

    pub fn replay(seed: u64, rule: &str) -> ExitCode {
        let Ok(rule) = named(rule) else { return unknown(rule) };
        break_rule(rule);
        commands::replay(seed, Plant::None)
    }

    fn named(name: &str) -> Result<Option<Rule>, ()> {
        match Rule::ALL.iter().find(|(known, _)| *known == name) {
            Some((_, rule)) => Ok(Some(*rule)),
            None if name == "none" => Ok(None),
            None => Err(()),
        }
    }

    fn unknown(name: &str) -> ExitCode {
        let known: Vec<&str> = Rule::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!("{name:?} is no rule; there are {} and none", known.join(", "));
        ExitCode::from(2)
    }

    /// Each in a process of its own.
    fn all(seeds: u64) -> ExitCode {
        let Ok(program) = std::env::current_exe() else {
            eprintln!("this program cannot be found");
            return ExitCode::FAILURE;
        };
        let mut silent = Vec::new();
        for name in std::iter::once("none").chain(Rule::ALL.iter().map(|(name, _)| *name)) {
            let status = Command::new(&program).args(["rules", "--rule", name, "--seeds", &seeds.to_string()]).status();
            match status.map(|status| status.code()) {
                Ok(Some(0)) => {}
                // A process that ended without a code ran into an assertion.
                Ok(None) if name != "none" => println!("{name:<18} found: an assertion failed"),
                _ => silent.push(name),
            }
        }
        println!("{} of {} rules found", Rule::ALL.len() - silent.iter().filter(|name| **name != "none").count(), Rule::ALL.len());
        if silent.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn one(name: &str, seeds: u64) -> ExitCode {
        let Ok(rule) = named(name) else { return unknown(name) };
        break_rule(rule);
        name_the_seed_in_panics(Plant::None);
        let begin = Instant::now();
        let seeds = if rule.is_none() { seeds.min(CLEAN_SEEDS) } else { seeds };
        let summary = run_seeds(0..seeds, commands::cores(), Plant::None, false, true);
        let seconds = begin.elapsed().as_secs_f64();
        match (summary.failures.first_key_value(), rule) {
            (Some((seed, violations)), _) => {
                println!("{name:<18} found by seed {seed} ({seconds:.1} s): {}", violations[0]);
                println!("{:<18} cargo sim replay {seed} --rule {name}", "");
            }
            (None, Some(_)) => println!("{name:<18} NOT FOUND in {seeds} seeds ({seconds:.1} s)"),
            (None, None) => println!("{name:<18} {seeds} seeds are clean while every rule is kept ({seconds:.1} s)"),
        }
        if summary.failures.is_empty() == rule.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
