//! A folder replaced as a whole.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::{aside, folder_of, sync_folder};
use crate::{Error, Result};

/// Replaces the folder at `path` with what `fill` writes to an empty one next to it. `fill` syncs its files.
pub(crate) fn write_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let home = folder_of(path);
    let made = fs::create_dir_all(home).and_then(|()| folder_aside(home, path));
    let aside = made.map_err(Error::io(home))?;
    fill(aside.path())?;
    replace(aside, path).map_err(Error::io(path))
}

/// A hidden folder in `home`, named after `path`. It is removed when it is dropped, with its contents at that time.
pub(crate) fn folder_aside(home: &Path, path: &Path) -> io::Result<TempDir> {
    aside(path, 0o777, |builder| builder.tempdir_in(home))
}

fn replace(aside: TempDir, path: &Path) -> io::Result<()> {
    sync_folder(aside.path())?;
    if let Ok(old) = fs::metadata(path) {
        fs::set_permissions(aside.path(), old.permissions())?;
        exchange(aside.path(), path)?;
    } else {
        fs::rename(aside.path(), path)?;
        // Moved: there is nothing to remove.
        let _ = aside.keep();
    }
    sync_folder(folder_of(path))
}

/// Exchanges two folders at once.
#[cfg(target_os = "linux")]
pub(crate) fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from);
    let (from, to) = (path(new)?, path(old)?);
    // SAFETY: both are strings that end with a zero byte, and live through the call.
    let result =
        unsafe { libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::RENAME_EXCHANGE) };
    if result == 0 { Ok(()) } else { exchange_in_steps(new, old) }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    exchange_in_steps(new, old)
}

/// For file systems without the call: for a moment there is neither.
fn exchange_in_steps(new: &Path, old: &Path) -> io::Result<()> {
    let between = new.with_extension("old");
    fs::rename(old, &between)?;
    if let Err(error) = fs::rename(new, old) {
        fs::rename(&between, old)?;
        return Err(error);
    }
    fs::rename(between, new)
}

#[cfg(test)]
mod tests {
    use super::super::tests::names;
    use super::*;

    #[test]
    fn a_folder_is_replaced_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        let with =
            |name: &'static str| write_folder(&path, |aside| fs::write(aside.join(name), "").map_err(Error::io(aside)));
        with("a").unwrap();
        with("b").unwrap();
        assert_eq!((names(&path), names(dir.path())), (vec!["b".to_owned()], vec!["model".to_owned()]));
        let failed = write_folder(&path, |_| Err(Error::Interrupted { during: "writing" }));
        assert!(failed.is_err());
        assert_eq!((names(&path), names(dir.path())), (vec!["b".to_owned()], vec!["model".to_owned()]));
    }

    #[test]
    fn folders_are_exchanged_on_any_file_system() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join(".new"), dir.path().join("old"));
        for (path, name) in [(&new, "a"), (&old, "b")] {
            fs::create_dir(path).unwrap();
            fs::write(path.join(name), "").unwrap();
        }
        exchange(&new, &old).unwrap();
        assert_eq!((names(&new), names(&old)), (vec!["b".to_owned()], vec!["a".to_owned()]));
        exchange_in_steps(&new, &old).unwrap();
        assert_eq!((names(&new), names(&old)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }
}
