//! The flags of every command that talks to a cluster.

use super::Exit;
use crate::client::{Client, Options};
use crate::wire::{SECRET_BYTES_MAX, Secret};
use std::path::{Path, PathBuf};

/// The flags of every command that talks to a cluster.
#[derive(clap::Args, Clone, Debug)]
pub struct Global {
    /// Peers to talk to, HOST:PORT[,HOST:PORT…]; one that answers is enough
    #[arg(long, global = true, env = "HENGE_PEER", value_delimiter = ',', default_value = "127.0.0.1:7401", value_name = "ADDR")]
    pub peer: Vec<String>,
    /// A file with the secret that the peers of the cluster share
    #[arg(long, global = true, env = "HENGE_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// One JSON object a line, for machines
    #[arg(long, global = true)]
    pub json: bool,
}

impl Global {
    /// The client's options, with the secret read. Exit code 2 if it cannot be.
    pub fn options(&self) -> Result<Options, Exit> {
        let secret = self.secret_file.as_deref().map(read_secret).transpose()?;
        Ok(Options { secret, ..Options::default() })
    }

    /// Connects to the cluster. Exit code 3 if nobody can be reached, 4 if we are turned away.
    pub async fn connect(&self) -> Result<Client, Exit> {
        Ok(Client::connect(&self.peer, self.options()?).await?)
    }
}

/// Reads a shared secret. Exit code 2 if the file cannot be read, or what stands in it is none.
pub(super) fn read_secret(file: &Path) -> Result<Secret, Exit> {
    let refused = |reason: String| Exit::new(Exit::USAGE, format!("the secret file {} cannot be used: {reason}", file.display()));
    let contents = read_short(file).map_err(|error| refused(error.to_string()))?;
    Secret::new(&contents).map_err(|error| refused(error.to_string()))
}

/// What stands in a file for a secret, or its beginning. White space round the secret is allowed, a device without an end is not.
pub(super) fn read_short(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut contents = Vec::new();
    std::fs::File::open(file)?.take(SECRET_BYTES_MAX as u64 * 2).read_to_end(&mut contents)?;
    Ok(contents)
}
