//! Files that are whole or not there: written aside, synced, renamed; and where ours are.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Writes `content` to `file` and makes its folder where it is missing. A link stays a link; what is no file,
/// such as `/dev/stdout`, is written to.
pub(crate) fn write(file: &Path, content: &[u8]) -> Result<()> {
    let file = &file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let what = || format!("writing {}", file.display());
    if std::fs::metadata(file).is_ok_and(|facts| !facts.is_file()) {
        return std::fs::write(file, content).with_context(what);
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    // As other files are: the umask takes away what the user wants taken away.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let mut aside = tempfile::Builder::new().permissions(readable).tempfile_in(folder).with_context(what)?;
    aside.write_all(content).with_context(what)?;
    aside.as_file().sync_all().with_context(what)?;
    aside.persist(file).with_context(what)?;
    Ok(())
}

/// The folder of what can be made again: `~/.cache/kensaku`.
pub(crate) fn cache() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => std::env::home_dir().context("this user has no home folder")?.join(".cache"),
    };
    Ok(cache.join("kensaku"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("new/a.txt");
        write(&file, b"one").expect("the folder is made");
        write(&file, b"two").expect("the file is replaced");
        assert_eq!(std::fs::read(&file).expect("it is there"), b"two");
        let entries = std::fs::read_dir(folder.path().join("new")).expect("the folder is there");
        assert_eq!(entries.count(), 1);
    }
}
