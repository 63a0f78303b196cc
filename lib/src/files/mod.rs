//! Files and folders written aside, synced and renamed, so that a crash leaves the old one or the new one.

mod replaced;
mod tensors;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::Builder;

use crate::{Error, Result};

pub(crate) use replaced::{exchange, folder_aside, write_folder};
pub(crate) use tensors::{Bytes, write_tensors, write_views};

/// Replaces the file at `path`.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = || {
        let folder = folder_of(path);
        // Gone again if anything fails.
        let mut aside = aside(path, 0o666, |builder| builder.tempfile_in(folder))?;
        aside.write_all(bytes)?;
        aside.as_file().sync_all()?;
        aside.persist(path)?;
        sync_folder(folder)
    };
    written().map_err(Error::io(path))
}

/// Replaces the JSON file at `path`, indented as Python's tools write it.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    write(path, text.as_bytes())
}

/// Opens a file for reading. A folder, a pipe or a device is refused: opening it may block, and it may never end.
pub(crate) fn open(path: &Path) -> Result<File> {
    if !fs::metadata(path).map_err(Error::io(path))?.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "a folder, pipe or device; expected a file");
        return Err(Error::Io { path: path.to_owned(), source });
    }
    File::open(path).map_err(Error::io(path))
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(Error::io(path))?;
    Ok(bytes)
}

/// Reads a JSON file, with or without a byte order mark.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = read(path)?;
    let json = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    serde_json::from_slice(json).map_err(|source| Error::Json { path: path.to_owned(), source })
}

/// Makes what was created, renamed or removed in a folder outlast a crash.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Makes a hidden neighbour of `path` that no other process has, readable to whom a new file is readable.
fn aside<T>(path: &Path, mode: u32, make: impl FnOnce(&Builder<'_, '_>) -> io::Result<T>) -> io::Result<T> {
    let prefix = format!(".{}.", name(path));
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(".new");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    make(&builder)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_neighbour_of_the_same_name_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        fs::write(dir.path().join("model.safetensors.new"), "mine").unwrap();
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read(dir.path().join("model.safetensors.new")).unwrap(), b"mine");
        assert_eq!(names(dir.path()), ["model.safetensors", "model.safetensors.new"]);
    }

    #[test]
    fn two_writers_at_once_leave_one_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|_| write(path, &[writer; 10_000]).unwrap()));
            }
        });
        let found = fs::read(&path).unwrap();
        assert!(found.len() == 10_000 && found.iter().all(|byte| *byte == found[0]));
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_was_written() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        write(&ours, b"x").unwrap();
        fs::write(&plain, b"x").unwrap();
        assert_eq!(mode(&ours), mode(&plain));
        let (ours, plain) = (dir.path().join("folder"), dir.path().join("plain folder"));
        write_folder(&ours, |_| Ok(())).unwrap();
        fs::create_dir(&plain).unwrap();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
