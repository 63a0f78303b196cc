//! Golden values that hold texts of a data set are not in the repository.

use std::path::PathBuf;

/// `path` below the folder that `KENSAKU_SHARED` names; without it, says that `test` is skipped.
pub fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let found = std::env::var_os("KENSAKU_SHARED").map(|folder| PathBuf::from(folder).join(path));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: {test}: KENSAKU_SHARED does not name a folder with {path}");
    }
    found
}
