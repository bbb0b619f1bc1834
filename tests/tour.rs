//! The tour of the README, typed as it is printed: every command, every answer.

mod harness;

use harness::process::PROGRAM;
use harness::{Folder, Process, free_base_port, until};
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../README.md");

/// A command of the README, and what it says that is printed, standard error included.
#[derive(PartialEq, Debug)]
struct Step {
    command: String,
    printed: String,
}

/// The commands of all `console` blocks, in order.
fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_console = false;
    for line in README.lines() {
        match line {
            "```console" => is_console = true,
            "```" => is_console = false,
            _ if !is_console => {}
            _ => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_string(), printed: String::new() }),
                (None, Some(step)) => step.printed += &format!("{line}\n"),
                (None, None) => panic!("an answer before the first command: {line}"),
            },
        }
    }
    steps
}

/// Types the commands into one shell, and reads what each has printed.
fn typed(steps: &[Step], folder: &Path, peer: &str) -> Vec<Step> {
    const MARK: &str = "=== said ===";
    let mut script = format!("henge() {{ '{PROGRAM}' \"$@\"; }}\n");
    for step in steps {
        script += &format!("{}\necho '{MARK}'\n", step.command);
    }
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("exec 2>&1\n{script}")]).current_dir(folder).env("HENGE_PEER", peer);
    let said = String::from_utf8(shell.output().expect("bash is there").stdout).expect("text");
    let mark = format!("{MARK}\n");
    let answers = said.split(mark.as_str());
    steps.iter().zip(answers).map(|(step, said)| Step { command: step.command.clone(), printed: said.to_string() }).collect()
}

/// False for a command of a program that is not on this machine, and that henge does not bring.
fn is_possible(step: &Step) -> bool {
    let program = step.command.split(' ').next().unwrap_or_default();
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    !["curl", "redis-cli"].contains(&program) || is_there(program)
}

/// The doors of these peers, in place of those that stand in the README.
fn at_doors_of(command: &str, base_port: u16) -> String {
    let doors = (1..=5).flat_map(|peer| [("localhost:", 100 + peer), ("-p ", 200 + peer)]);
    doors.fold(command.to_string(), |command, (before, door)| {
        command.replace(&format!("{before}{}", 7_400 + door), &format!("{before}{}", base_port + door))
    })
}

/// Times and rates are other ones each time, and how often the client has tried again; and which of several siblings comes first.
fn without_chance(text: &str) -> String {
    if text.contains(": sibling ") {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        return lines.join("\n");
    }
    let text = [" issued again", " retried"].iter().fold(text.to_string(), |text, of| without_count_before(&text, of));
    let is_number = |word: &str| word.trim_end_matches("/s").parse::<f64>().is_ok();
    let masked = text.split_inclusive([' ', '\n']).map(|word| {
        let (bare, end) = word.split_at(word.trim_end().len());
        let is_time = bare.contains('.') && is_number(bare) || bare.ends_with("/s") && is_number(bare);
        if is_time { format!("#{end}") } else { word.to_string() }
    });
    masked.collect()
}

fn without_count_before(text: &str, of: &str) -> String {
    match text.split_once(of) {
        Some((before, after)) => format!("{}#{of}{after}", before.trim_end_matches(|c: char| c.is_ascii_digit())),
        None => text.to_string(),
    }
}

#[tokio::test]
async fn every_command_of_the_tour_says_what_the_readme_prints() {
    let folder = Folder::new("tour");
    let base_port = free_base_port(5);
    let data = folder.path().join("henge-data").display().to_string();
    let arguments = ["up", "--base-port", &base_port.to_string(), "--dir", &data].map(String::from);
    let up = Process::start(folder.path(), "up", &arguments);
    until("the cluster", async || up.said().contains("The cluster is formed").then_some(())).await;

    let mut steps = steps();
    assert!(steps.len() > 20, "the tour is longer than {} commands", steps.len());
    steps.retain(is_possible);
    steps.iter_mut().for_each(|step| step.command = at_doors_of(&step.command, base_port));
    let typed = typed(&steps, folder.path(), &format!("127.0.0.1:{}", base_port + 1));
    assert_eq!(typed.len(), steps.len(), "all of them were typed");
    for (printed, said) in steps.iter().zip(typed) {
        // `why` says more than fits a tour.
        if !printed.command.starts_with("henge why") {
            assert_eq!(without_chance(&said.printed), without_chance(&printed.printed), "$ {}", printed.command);
        } else {
            assert!(said.printed.contains("owners"), "$ {}\n{}", printed.command, said.printed);
        }
    }
}

#[test]
fn only_what_chance_decides_is_left_out_of_the_comparison() {
    assert_eq!(without_chance("20 lines: 2 refused; 2.0 s, 9767/s\nnext"), "20 lines: 2 refused; # s, #\nnext");
    assert_eq!(without_chance("9 acknowledged, 12 issued again, 3 retried"), "9 acknowledged, # issued again, # retried");
    assert_eq!(without_chance("--- a: sibling 1 of 2\nx\ny\n"), without_chance("--- a: sibling 1 of 2\ny\nx\n"));
    assert_ne!(without_chance("--- a: sibling 1 of 2\nx\ny\n"), without_chance("--- a: sibling 1 of 2\nx\nz\n"));
    assert_ne!(without_chance("{\"born\":1815}"), without_chance("{\"born\":1816}"));
}
