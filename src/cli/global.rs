//! The flags of every command that talks to a cluster.

use super::Exit;
use crate::client::{Client, Options};
use bytes::Bytes;
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

/// Shortest secret, in bytes: a shorter one can be guessed by trying.
const SECRET_BYTES_MIN: usize = 16;
/// Longest secret, in bytes: a longer file is no secret but something else, named by mistake.
const SECRET_BYTES_MAX: usize = 4_096;

/// Reads a shared secret: all of the file but the white space around it.
pub(super) fn read_secret(file: &Path) -> Result<Bytes, Exit> {
    use std::io::Read;
    let shown = file.display();
    let mut text = Vec::new();
    std::fs::File::open(file)
        .and_then(|opened| opened.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut text))
        .map_err(|error| Exit::new(Exit::USAGE, format!("the secret file {shown} cannot be read: {error}")))?;
    let secret = text.trim_ascii();
    if secret.len() < SECRET_BYTES_MIN || text.len() > SECRET_BYTES_MAX {
        let advice = format!(
            "the secret in {shown} has {} bytes, and {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} are needed; \
             make one with: head -c 32 /dev/urandom | base64 > {shown}",
            secret.len()
        );
        return Err(Exit::new(Exit::USAGE, advice));
    }
    Ok(Bytes::copy_from_slice(secret))
}
