//! The folder of a cluster: made, removed, and kept where somebody wants to look.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The folder of a cluster, removed with this value unless somebody wants to look.
pub(super) struct Folder {
    /// Where it is.
    pub(super) path: PathBuf,
    /// It stays.
    pub(super) is_kept: bool,
}

/// How all folders of clusters are called; the number of their process follows.
const FOLDERS: &str = "henge-chaos-";
/// In a folder that is kept for somebody to look at.
const KEPT: &str = "KEPT";

impl Folder {
    pub(super) fn new(parent: &Path) -> io::Result<Folder> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        std::fs::create_dir_all(parent)?;
        tidy_up(parent);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{FOLDERS}{}-{number}", std::process::id()));
        match std::fs::remove_dir_all(&path) {
            // Left behind by an earlier process of the same number.
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        std::fs::create_dir_all(&path)?;
        Ok(Folder { path, is_kept: false })
    }
}

/// Removes the folders of this harness's own runs that were killed. Of one that is kept, and of a process that lives, it takes nothing.
fn tidy_up(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(FOLDERS).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let is_dead =
            process.is_some_and(|process| Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{process}")).exists());
        if is_dead && !entry.path().join(KEPT).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_kept || std::thread::panicking() {
            let _ = std::fs::write(self.path.join(KEPT), b"for somebody to look at; nobody else needs it\n");
        } else {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
