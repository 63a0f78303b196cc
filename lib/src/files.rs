//! Files written aside, synced and renamed, so that a crash leaves the old one or the new one.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Replaces the file at `path`.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let aside = path.with_file_name(name);
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&aside, path)).map_err(|source| {
        // What was written aside is of no use; that it could not be removed would hide the cause.
        let _ = fs::remove_file(&aside);
        Error::Io { path: path.to_owned(), source }
    })
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
