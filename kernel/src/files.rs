//! Files that are whole or not there: written aside, synced, renamed.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes `content` to `file` and makes its folder where it is missing.
pub(crate) fn write(file: &Path, content: &[u8]) -> Result<()> {
    let what = || format!("writing {}", file.display());
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    // As other files are: the umask takes away what the user wants taken away.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let mut aside = tempfile::Builder::new().permissions(readable).tempfile_in(folder).with_context(what)?;
    aside.write_all(content).with_context(what)?;
    aside.as_file().sync_all().with_context(what)?;
    aside.persist(file).with_context(what)?;
    Ok(())
}
