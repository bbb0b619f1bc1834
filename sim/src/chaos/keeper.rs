//! A process that keeps a namespace open, and programs that are run to their end.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A process that keeps a namespace open. It ends with this value, and when this program is gone, however that happened; with the last process in
/// it the namespace ends too, and takes along what was made in it.
pub(super) struct Keeper(Child);

impl Keeper {
    /// A new namespace, of the kind that these flags of `unshare` name. The script makes in it what is needed, with this argument, and says `ready`; then it
    /// does nothing until its standard input ends.
    ///
    /// # Errors
    /// For people: what the system says.
    pub fn of(flags: &[&str], script: &str, argument: impl AsRef<OsStr>) -> Result<Keeper, String> {
        let child = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", script, "keeper"])
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for this program: it ends the peers, and the keeper after them.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("unshare cannot be started: {error}"))?;
        let mut keeper = Keeper(child);
        let mut first = String::new();
        let read = keeper.0.stdout.take().map(|out| BufReader::new(out).read_line(&mut first));
        match read {
            Some(Ok(_)) if first.trim() == "ready" => Ok(keeper),
            _ => Err(keeper.complaint()),
        }
    }

    fn complaint(mut self) -> String {
        let _ = self.0.kill();
        let mut said = String::new();
        let _ = self.0.stderr.take().map(|mut err| err.read_to_string(&mut said));
        said.trim().to_string()
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The end of its input would do, too. Neither fails in a way that matters.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end, without holding up this thread, and answers with what it said.
///
/// # Errors
/// It cannot be started, or has failed: what it said.
pub async fn run(mut command: Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.map_err(|error| error.to_string())?.map_err(|error| format!("{name} cannot be started: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{name} has failed: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
