//! A child process with a log. Nothing else is ever sent a signal, and only through the handle of the child.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running child process. It is killed when this value goes.
pub(super) struct Process {
    pub(super) child: Child,
    log: PathBuf,
    /// Where in the log it begins to speak.
    begins: usize,
}

impl Process {
    pub(super) fn start(mut command: Command, log: &Path) -> io::Result<Process> {
        let begins = std::fs::metadata(log).map_or(0, |log| log.len() as usize);
        let append = || -> io::Result<File> { OpenOptions::new().create(true).append(true).open(log) };
        // Its standard input stays open as long as the child's handle: it stops when this program is gone.
        let child = command.stdin(Stdio::piped()).stdout(append()?).stderr(append()?).spawn()?;
        Ok(Process { child, log: log.to_path_buf(), begins })
    }

    /// What it, and those before it, have said.
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What it has said itself.
    pub(super) fn said_now(&self) -> String {
        self.said().get(self.begins..).unwrap_or_default().to_string()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        // If nothing can be learnt of it any more, it is gone.
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        // A child that has been waited for could have given its number to somebody else.
        let id = if self.has_ended() { None } else { i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) };
        if let Some(id) = id {
            // It fails only if the child has ended at this moment, and then there is nobody to tell.
            let _ = kill_process(id, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither fails in a way that matters: it has ended already, or it ends now. It does so also where it stands still.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
