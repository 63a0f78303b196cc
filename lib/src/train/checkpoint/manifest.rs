//! The list of a checkpoint's files with their lengths and checksums: a checkpoint whose list holds is whole.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::files;
use crate::{Error, Result};

/// The file that holds the list.
pub(super) const NAME: &str = "checkpoint.json";

const FORMAT: &str = "kensaku checkpoint";
const VERSION: u32 = 3;

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: String,
    version: u32,
    files: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// Below the folder, with `/` between its parts.
    path: String,
    bytes: u64,
    /// XXH3, 64 bits, in hexadecimal.
    xxh3: String,
}

/// Syncs every file below `dir` to the disk, and lists them in a file of their own, in place of one that is
/// there.
pub(super) fn write(dir: &Path) -> Result<()> {
    let entry = |path: String| {
        let place = dir.join(&path);
        let read = File::open(&place).and_then(|file| {
            file.sync_all()?;
            digest(file)
        });
        let (bytes, xxh3) = read.map_err(Error::io(place))?;
        Ok(Entry { path, bytes, xxh3 })
    };
    let mut paths = Vec::new();
    collect(dir, "", &mut paths).map_err(Error::io(dir))?;
    paths.retain(|path| path != NAME && !is_prose(path));
    paths.sort();
    let files = paths.into_iter().map(entry).collect::<Result<_>>()?;
    files::write_json(&dir.join(NAME), &Manifest { format: FORMAT.to_owned(), version: VERSION, files })
}

/// Compares every file below `dir` with the list. The error says what is wrong.
pub(super) fn check(dir: &Path, needed: &[&str]) -> Result<(), String> {
    let text = fs::read(dir.join(NAME)).map_err(|_| format!("there is no {NAME}: it was never finished"))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|problem| format!("{NAME} cannot be read: {problem}"))?;
    if manifest.format != FORMAT || manifest.version != VERSION {
        let Manifest { format, version, .. } = manifest;
        return Err(format!("its format is `{format}` {version}; expected `{FORMAT}` {VERSION}"));
    }
    if let Some(name) = needed.iter().find(|name| manifest.files.iter().all(|entry| entry.path != **name)) {
        return Err(format!("{NAME} does not list {name}"));
    }
    for Entry { path, bytes, xxh3 } in manifest.files.iter().filter(|entry| !is_prose(&entry.path)) {
        let place = dir.join(path);
        let found = fs::metadata(&place).map_err(|problem| format!("{path}: {problem}"))?.len();
        if found != *bytes {
            return Err(format!("{path} has {found} bytes; {NAME} says {bytes}"));
        }
        let (_, found) = File::open(&place).and_then(digest).map_err(|problem| format!("{path}: {problem}"))?;
        if found != *xxh3 {
            return Err(format!("{path} is damaged: its checksum is {found}; {NAME} says {xxh3}"));
        }
    }
    Ok(())
}

/// Whether a file is for readers, who may add to it.
fn is_prose(path: &str) -> bool {
    path.rsplit('/').next() == Some("README.md")
}

/// The files below a folder, and the folders synced.
fn collect(dir: &Path, prefix: &str, paths: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), paths)?;
        } else {
            paths.push(path);
        }
    }
    files::sync_folder(dir)
}

/// Length and checksum of a file, which need not fit memory.
fn digest(mut file: File) -> io::Result<(u64, String)> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, format!("{:016x}", hash.digest()))),
            read => {
                bytes += read as u64;
                hash.update(&buffer[..read]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("part")).unwrap();
        fs::write(dir.path().join("state.json"), "{}").unwrap();
        fs::write(dir.path().join("part/numbers"), [7; 100]).unwrap();
        write(dir.path()).unwrap();
        dir
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let dir = folder();
        assert_eq!(check(dir.path(), &["state.json"]), Ok(()));
        for name in [NAME, "state.json", "part/numbers"] {
            let path = dir.path().join(name);
            let whole = fs::read(&path).unwrap();
            for bit in 0..whole.len() * 8 {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, &bytes).unwrap();
                assert!(check(dir.path(), &["state.json"]).is_err(), "bit {bit} of {name}");
            }
            fs::write(&path, &whole).unwrap();
        }
        assert_eq!(check(dir.path(), &["state.json"]), Ok(()));
    }

    #[test]
    fn says_what_is_wrong() {
        let dir = folder();
        let problem = || check(dir.path(), &["state.json"]).unwrap_err();
        fs::write(dir.path().join("part/numbers"), [7; 60]).unwrap();
        assert_eq!(problem(), "part/numbers has 60 bytes; checkpoint.json says 100");
        fs::remove_file(dir.path().join("part/numbers")).unwrap();
        assert!(problem().starts_with("part/numbers: "), "{}", problem());
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        fs::write(dir.path().join(NAME), text.replace("\"version\": 3", "\"version\": 4")).unwrap();
        assert_eq!(problem(), "its format is `kensaku checkpoint` 4; expected `kensaku checkpoint` 3");
        fs::remove_file(dir.path().join(NAME)).unwrap();
        assert_eq!(problem(), "there is no checkpoint.json: it was never finished");
        let empty = tempfile::tempdir().unwrap();
        write(empty.path()).unwrap();
        assert_eq!(check(empty.path(), &["state.json"]).unwrap_err(), "checkpoint.json does not list state.json");
    }
}
