//! The program that is tried: built from these sources, or any other one, with a bug or with disks that lie; and how a peer of it is started.

use super::disks::Disks;
use super::namespaces::Namespaces;
use henge::broken::Rule;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program whose processes are tried.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    /// Where folders of clusters are made.
    pub(super) folders: PathBuf,
    /// What is set for its peers in their environment.
    environment: Vec<(String, String)>,
    /// What the peers' system calls do, in the language of strace's `inject`.
    injected: Option<String>,
}

impl Program {
    /// This program.
    pub fn at(path: &Path) -> Program {
        Program { path: path.to_path_buf(), folders: std::env::temp_dir(), environment: Vec::new(), injected: None }
    }

    /// Has cargo build the program with the bugs that can be planted (`henge::broken`), in a target folder of its own, and plants this one.
    ///
    /// # Errors
    /// There is no such bug, cargo cannot be started, or it fails.
    pub fn with_bug(name: &str) -> Result<Program, String> {
        if !Rule::ALL.iter().any(|(known, ..)| *known == name) {
            return Err(format!("{name:?} is no bug that can be planted: src/broken.rs names them"));
        }
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = own.parent().unwrap_or(own);
        let target = root.join("target/broken");
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--package", "henge", "--bin", "henge", "--target-dir"])
            .arg(&target)
            .env("RUSTFLAGS", "--cfg henge_broken")
            .current_dir(root)
            .status()
            .map_err(|error| format!("cargo, which is to build henge, cannot be started: {error}"))?;
        if !status.success() {
            return Err(format!("cargo has not built henge with its bugs: {status}"));
        }
        let environment = vec![("HENGE_BROKEN".to_string(), name.to_string())];
        Ok(Program { folders: target.join("tmp"), environment, ..Program::at(&target.join("debug/henge")) })
    }

    /// The same program, on disks that lie: every sync is said to be done, and none is.
    pub fn with_lying_syncs(self) -> Program {
        Program { injected: Some("fdatasync,fsync,sync_file_range:retval=0".to_string()), ..self }
    }

    /// Where folders of clusters are made.
    pub fn folders(&self) -> &Path {
        &self.folders
    }

    /// Has cargo build `henge` as this very program was built: in the same profile, into the same target folder.
    ///
    /// # Errors
    /// This program does not stand in a target folder of cargo, cargo cannot be started, or it fails.
    pub fn build() -> Result<Program, String> {
        let own = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
        // target/release/sim, or target/debug/deps/halves-0123.
        let folder = own.ancestors().skip(1).find(|folder| folder.file_name().is_some_and(|name| name != "deps"));
        let (Some(folder), Some(target)) = (folder, folder.and_then(Path::parent)) else {
            return Err(format!("{} does not stand in a target folder of cargo; name the program with --program", own.display()));
        };
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            Some(name) => name,
            None => return Err(format!("{} has no name that cargo could be told", folder.display())),
        };
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--workspace", "--bin", "henge", "--profile", profile, "--target-dir"])
            .arg(target)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status()
            .map_err(|error| {
                format!("cargo, which is to build henge, cannot be started: {error}; name a program with --program")
            })?;
        let path = folder.join(format!("henge{}", std::env::consts::EXE_SUFFIX));
        match status.success() && path.exists() {
            true => Ok(Program { folders: target.join("tmp"), ..Program::at(&path) }),
            false => Err(format!("cargo has not built {}: {status}", path.display())),
        }
    }

    pub(super) fn command(&self) -> Command {
        self.as_told(Command::new(&self.path))
    }

    fn as_told(&self, mut command: Command) -> Command {
        // What a developer has set for the shell is none of the peers' business.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HENGE_")) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned());
        command
    }

    /// The command of a peer: in the namespaces of its disks and of its network, under a tracer if system calls are to behave otherwise. The
    /// process that it starts is the peer itself in any case.
    pub(super) fn serve(&self, number: usize, (disks, network): Places<'_>, trace: &Path, launch: &Launch) -> Command {
        let injected = match launch {
            Launch::Failing(injected) => Some(injected),
            _ => self.injected.as_ref(),
        };
        let begin = |program: &Path| match (disks, network) {
            (None, None) => Command::new(program),
            (Some(disks), None) => disks.inside(program),
            (disks, Some(network)) => network.inside(number, disks.map(Disks::entrance).as_deref(), program),
        };
        let mut command = match injected {
            Some(injected) => {
                let mut command = begin(Path::new("strace"));
                let traced = injected.split(':').next().unwrap_or_default();
                let told = if matches!(launch, Launch::Failing(_)) { trace } else { Path::new("/dev/null") };
                command.args(["-D", "-f", "--seccomp-bpf", "-o"]).arg(told).arg("-e").arg(format!("trace={traced}"));
                command.arg("-e").arg(format!("inject={injected}")).arg(&self.path);
                command
            }
            None => begin(&self.path),
        };
        command.arg("serve");
        let mut command = self.as_told(command);
        match launch {
            Launch::Plain | Launch::Failing(_) => {}
            Launch::Quarantine => drop(command.arg("--quarantine")),
            Launch::Replace { member, from } => drop(command.args(["--replace", member, "--from", from])),
            Launch::Clock { library, ahead_s } => {
                command.env("LD_PRELOAD", library).env("FAKETIME", format!("{ahead_s:+}")).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
                command.env("FAKETIME_DONT_RESET", "1");
            }
        }
        command
    }
}

/// Where peers are, if they are not where everybody is: their file systems, and their network.
pub(super) type Places<'a> = (Option<&'a Disks>, Option<&'a Namespaces>);

/// How a peer is started.
#[derive(Clone, Debug)]
pub enum Launch {
    /// With its usual flags.
    Plain,
    /// With `--quarantine`.
    Quarantine,
    /// In the place of a member whose folder is lost.
    Replace {
        /// The member.
        member: String,
        /// A peer that runs.
        from: String,
    },
    /// Some of its system calls fail, in the language of strace's `inject`.
    Failing(String),
    /// Its wall clock is another one.
    Clock {
        /// libfaketime.
        library: PathBuf,
        /// By so many seconds ahead.
        ahead_s: i64,
    },
}
