//! Atomic writes (to a temporary file, which is synced and renamed), and our folders.

use std::fs::{DirBuilder, Metadata, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tempfile::NamedTempFile;

/// Writes `content` to `file`, and creates its folder if it is missing. A replaced file keeps its permissions,
/// and a link stays a link. Special files such as `/dev/stdout` are written to directly.
pub(crate) fn write(file: &Path, content: &[u8]) -> Result<()> {
    let what = || format!("writing {}", file.display());
    let file = &target(file);
    let before = std::fs::metadata(file).ok();
    if before.as_ref().is_some_and(|facts| !facts.is_file()) {
        return std::fs::write(file, content).with_context(what);
    }
    let mut aside = aside(file, before.as_ref()).with_context(what)?;
    aside.write_all(content).with_context(what)?;
    if let Some(before) = before {
        // Including those that the umask has removed.
        aside.as_file().set_permissions(before.permissions()).with_context(what)?;
    }
    aside.as_file().sync_all().with_context(what)?;
    aside.persist(file).with_context(what)?;
    Ok(())
}

/// The folder for files that can be regenerated: `~/.cache/kensaku`.
pub(crate) fn cache() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => {
            let home = std::env::home_dir().context("this user has no home folder")?;
            // Home folders are not ours to create.
            ensure!(
                home.is_dir(),
                "the home folder {} does not exist: set XDG_CACHE_HOME to another folder",
                home.display()
            );
            home.join(".cache")
        }
    };
    Ok(cache.join("kensaku"))
}

/// Fails if [`write`] would fail.
pub(crate) fn check_writable(file: &Path) -> Result<()> {
    let what = || format!("{} cannot be written", file.display());
    let file = &target(file);
    match std::fs::metadata(file) {
        Ok(facts) if facts.is_dir() => bail!("{} is a folder", file.display()),
        // Opening a pipe could wait for its reader.
        Ok(facts) if !facts.is_file() => Ok(()),
        before => aside(file, before.ok().as_ref()).map(|_| ()).with_context(what),
    }
}

/// Follows a link.
fn target(file: &Path) -> PathBuf {
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// An empty file next to `file`. If it is to replace a file, it is private until it is complete.
fn aside(file: &Path, before: Option<&Metadata>) -> Result<NamedTempFile> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    // The default for new files, limited by the umask.
    let mode = if before.is_some() { 0o600 } else { 0o666 };
    Ok(tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(folder)?)
}

/// Creates a private folder and its parents. An existing folder becomes private.
pub(crate) fn private_folder(folder: &Path) -> Result<()> {
    let what = || format!("creating {}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(what)?;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700)).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_a_file_leaves_no_other_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("new/a.txt");
        check_writable(&file).expect("the folder can be created");
        assert!(!file.exists());
        write(&file, b"one").expect("the folder is created");
        write(&file, b"two").expect("the file is replaced");
        assert_eq!(std::fs::read(&file).expect("it is there"), b"two");
        let entries = std::fs::read_dir(folder.path().join("new")).expect("the folder is there");
        assert_eq!(entries.count(), 1);
    }

    #[test]
    fn a_replaced_file_keeps_its_permissions() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, link) = (folder.path().join("a.txt"), folder.path().join("link.txt"));
        std::os::unix::fs::symlink(&file, &link).expect("a link can be made");
        for mode in [0o600, 0o666, 0o640] {
            std::fs::write(&file, "old").expect("it can be written");
            std::fs::set_permissions(&file, Permissions::from_mode(mode)).expect("it is ours");
            write(&link, b"new").expect("the file is replaced");
            let facts = std::fs::metadata(&file).expect("it is there");
            assert_eq!(facts.permissions().mode() & 0o777, mode);
        }
        assert!(link.is_symlink());
    }

    #[test]
    fn errors_name_the_file_that_cannot_be_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("file"), "").expect("it can be written");
        let error = check_writable(&folder.path().join("file/a.txt")).expect_err("a file is no folder");
        assert!(format!("{error:#}").contains("file/a.txt cannot be written"), "{error:#}");
        assert!(check_writable(Path::new("/dev/null")).is_ok());
    }

    #[test]
    fn private_folders_exclude_others() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = place.path().join("a/b");
        let mode = |folder: &Path| std::fs::metadata(folder).expect("it is there").permissions().mode() & 0o777;
        private_folder(&folder).expect("it is created");
        assert_eq!((mode(&folder), mode(&place.path().join("a"))), (0o700, 0o700));
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).expect("it is ours");
        private_folder(&folder).expect("it is there");
        assert_eq!(mode(&folder), 0o700);
    }
}
