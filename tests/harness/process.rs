//! The program as a child process.

use super::{PATIENCE, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_henge");

/// A running child process. It is killed when this value goes.
pub struct Process {
    child: Child,
    /// Its standard input: what was started with `--stop-at-eof` stops when our process is gone.
    _stdin: Option<ChildStdin>,
    said: PathBuf,
    complained: PathBuf,
}

impl Process {
    /// Starts the program. What it writes is appended to `NAME.out` and `NAME.err` in the folder.
    pub fn start(folder: &Path, name: &str, arguments: &[String]) -> Process {
        let (said, complained) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let mut child = command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(append(&said))
            .stderr(append(&complained))
            .spawn()
            .expect("the program starts");
        Process { _stdin: child.stdin.take(), child, said, complained }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it, and those of its name before it, have written on standard output.
    pub fn said(&self) -> String {
        text(&self.said)
    }

    /// The same of standard error.
    pub fn complained(&self) -> String {
        text(&self.complained)
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        // A child that has been waited for could have given its number to somebody else.
        assert!(self.ended().is_none(), "it has ended already: {}", self.complained());
        kill_process(pid(self.id()), signal).expect("a child can be sent a signal");
    }

    /// Waits until it has ended.
    pub async fn end(&mut self) -> ExitStatus {
        until("the end of a process", async || self.ended()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither fails in a way that matters: it has ended already, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a command of the program went.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub said: String,
    pub complained: String,
}

/// Runs the program to its end.
pub async fn henge(arguments: &[&str]) -> Ended {
    run(command().args(arguments)).await
}

/// Runs a program to its end.
pub async fn run(command: &mut Command) -> Ended {
    let mut command = tokio::process::Command::from(std::mem::replace(command, Command::new("")));
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, running).await.expect("the program ends").expect("the program starts");
    Ended {
        code: output.status.code(),
        said: String::from_utf8_lossy(&output.stdout).into_owned(),
        complained: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Kills a process whose parent is a process of ours.
pub fn kill_grandchild(id: u32, parent: u32) {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    // The name before it, in parentheses, may hold anything.
    let mut behind_name = stat.rsplit(')').next().expect("one part at least").split_whitespace();
    assert_eq!(behind_name.nth(1), Some(parent.to_string().as_str()), "process {id} is no child of {parent}");
    kill_process(pid(id), Signal::KILL).expect("it can be killed");
}

fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    // What a developer has set for the shell is none of the test's business.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HENGE_")) {
        command.env_remove(name);
    }
    command
}

fn pid(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("the number of a process")
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("a file can be made under target/tmp")
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
