//! Files written aside and renamed: a reader sees the old one or the new one.

use std::path::Path;

use anyhow::{Context, Result};

/// Replaces the file at `path`, whose folder is made where it is missing. A link stays a link; what is no
/// file, such as `/dev/stdout`, is written to.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if std::fs::metadata(path).is_ok_and(|facts| !facts.is_file()) {
        return std::fs::write(path, content).with_context(|| format!("writing {}", path.display()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let written = write_aside(folder, content).and_then(|aside| Ok(aside.persist(path).map(drop)?));
    written.with_context(|| format!("writing {}", path.display()))
}

fn write_aside(folder: &Path, content: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    // The mask of the process takes away what others must not do.
    let everybody = std::fs::Permissions::from_mode(0o666);
    let mut aside = tempfile::Builder::new().prefix(".kensaku-").permissions(everybody).tempfile_in(folder)?;
    aside.write_all(content)?;
    aside.as_file().sync_all()?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("new/a.txt");
        replace(&file, b"one").expect("the folder is made");
        replace(&file, b"two").expect("the file is replaced");
        assert_eq!(std::fs::read(&file).expect("it is there"), b"two");
        let entries = std::fs::read_dir(folder.path().join("new")).expect("the folder is there");
        assert_eq!(entries.count(), 1);
    }
}
