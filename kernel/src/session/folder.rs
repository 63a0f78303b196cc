//! Temporary folders of this process: private, and removed when it ends.
//!
//! A lock shows that a folder is in use, wherever its owner runs: containers and the nodes of a cluster may share
//! `TMPDIR`. The lock of a killed kernel is released, and the next kernel removes the folder. Cleaners such as
//! systemd-tmpfiles leave locked folders alone.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// The start of each name; the process id and a random suffix follow.
const PREFIX: &str = "kensaku-session-";
/// Only the user may read what cells print and do.
const OURS_ALONE: u32 = 0o700;
/// A folder that has been empty for this long is not about to be locked.
const NEW: Duration = Duration::from_secs(3600);

/// A folder that is removed on drop.
pub(crate) struct Folder {
    folder: TempDir,
    /// The file with the lock.
    _held: File,
}

impl Folder {
    /// A new folder, with `kind` in its name.
    pub(crate) fn new(kind: &str) -> Result<Self> {
        let prefix = format!("{PREFIX}{}-{kind}", std::process::id());
        let ours_alone = PermissionsExt::from_mode(OURS_ALONE);
        let folder = tempfile::Builder::new().prefix(&prefix).permissions(ours_alone).tempdir().with_context(|| {
            let place = std::env::temp_dir();
            format!("cannot create a folder in {}: set TMPDIR to a folder with free space", place.display())
        })?;
        let held = held(folder.path())?;
        Ok(Self { folder, _held: held })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Creates it again if it was deleted.
    pub(super) fn restore(&mut self) -> Result<()> {
        if !self.path().exists() {
            let what = || format!("creating {}", self.path().display());
            DirBuilder::new().recursive(true).mode(OURS_ALONE).create(self.path()).with_context(what)?;
            self._held = held(self.path())?;
        }
        Ok(())
    }
}

/// Removes the folders of kernels that were killed.
pub(super) fn remove_abandoned() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            remove_if_abandoned(&entry.path());
        }
    }
}

fn remove_if_abandoned(folder: &Path) {
    // Another user's cannot be opened.
    let Ok(lock) = File::open(folder) else { return };
    if lock.try_lock().is_err() {
        return;
    }
    // An empty folder may be locked by its creator as soon as we release it.
    let empty = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    let age = || lock.metadata().and_then(|facts| facts.modified()).ok()?.elapsed().ok();
    if !empty || age().is_some_and(|age| age > NEW) {
        // The next kernel removes what can't be removed now.
        let _ = std::fs::remove_dir_all(folder);
    }
}

fn held(folder: &Path) -> Result<File> {
    let held = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    // Without file locks, nothing is removed.
    let _ = held.lock();
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_private() {
        let folder = Folder::new("test-").expect("a folder");
        let mode = std::fs::metadata(folder.path()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, OURS_ALONE);
    }

    #[test]
    fn used_folders_stay_and_leftovers_are_removed() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = place.path().join("a");
        std::fs::create_dir_all(folder.join("programs")).expect("a folder");
        let lock = held(&folder).expect("it is there");
        remove_if_abandoned(&folder);
        assert!(folder.exists());
        drop(lock);
        remove_if_abandoned(&folder);
        assert!(!folder.exists());
        // Its creator is about to lock it.
        std::fs::create_dir(&folder).expect("a folder");
        remove_if_abandoned(&folder);
        assert!(folder.exists());
    }

    #[test]
    fn a_deleted_folder_is_created_again_and_locked() {
        let mut folder = Folder::new("test-").expect("a folder");
        std::fs::remove_dir(folder.path()).expect("it is empty");
        folder.restore().expect("it is created again");
        std::fs::write(folder.path().join("file"), "").expect("it can be written to");
        remove_if_abandoned(folder.path());
        assert!(folder.path().join("file").exists());
    }
}
