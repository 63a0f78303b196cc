//! The history on disk: one JSON object a line, appended by any number of kernels at once.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::super::wire::log;

/// Names another file; empty: none is kept.
const VARIABLE: &str = "KENSAKU_HISTORY";
/// The file is made shorter when it is longer than this, in bytes, ...
const LONG: u64 = 8 << 20;
/// ... to this many cells.
const KEPT: usize = 5_000;
/// What is kept of a value, in bytes.
const OUTPUT: usize = 1_000;

/// One cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) session: u64,
    pub(super) line: u64,
    /// Missing where a line adds the output to a cell above.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<String>,
}

/// What the file holds, and the number of the session that begins.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) entries: Vec<Entry>,
    pub(super) session: u64,
}

/// The file, where there is one.
pub(super) struct Store(Option<File>);

impl Past {
    fn none() -> Self {
        Self { entries: Vec::new(), session: 1 }
    }
}

impl Store {
    /// The user's history. One that cannot be read or written is not kept; the log says why.
    pub(super) fn open() -> (Self, Past) {
        let Some(file) = place() else { return (Self(None), Past::none()) };
        Self::open_file(&file).unwrap_or_else(|error| {
            log(&format!("the history is not kept: {error:#}"));
            (Self(None), Past::none())
        })
    }

    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn add_code(&mut self, entry: &Entry) {
        self.append(entry);
    }

    pub(super) fn add_output(&mut self, entry: &Entry) {
        self.append(&Entry { code: String::new(), ..entry.clone() });
    }

    fn open_file(path: &Path) -> Result<(Self, Past)> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        let opened = OpenOptions::new().create(true).read(true).append(true).open(path);
        let mut file = opened.with_context(|| format!("opening {}", path.display()))?;
        file.lock().with_context(|| format!("locking {}", path.display()))?;
        let past = read(&mut file).and_then(|past| shorten(&mut file, past)).and_then(|past| {
            // A line without code takes the number: another kernel may start before the first cell.
            let begin = Entry { session: past.session, line: 0, code: String::new(), output: None };
            writeln!(file, "{}", serde_json::to_string(&begin)?)?;
            Ok(past)
        });
        file.unlock()?;
        Ok((Self(Some(file)), past.with_context(|| format!("reading {}", path.display()))?))
    }

    fn append(&mut self, entry: &Entry) {
        let Some(file) = &mut self.0 else { return };
        if let Err(error) = write(file, entry) {
            log(&format!("the history is not kept from here on: {error:#}"));
            self.0 = None;
        }
    }
}

/// The beginning of an output.
pub(super) fn shortened(output: &str) -> String {
    output[..output.floor_char_boundary(OUTPUT)].to_owned()
}

/// `kensaku/history.jsonl` in the user's data folder.
fn place() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return (!named.is_empty()).then(|| named.into());
    }
    let is_absolute = |path: &PathBuf| path.is_absolute();
    let data = match std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(is_absolute) {
        Some(folder) => folder,
        None => home()?.join(".local/share"),
    };
    Some(data.join("kensaku/history.jsonl"))
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| home != OsStr::new("")).map(PathBuf::from)
}

/// One write, so that lines of two kernels do not mix; the lock keeps it out of a shortening.
fn write(file: &mut File, entry: &Entry) -> Result<()> {
    let line = format!("{}\n", serde_json::to_string(entry)?);
    file.lock()?;
    let written = file.write_all(line.as_bytes());
    file.unlock()?;
    Ok(written?)
}

/// Lines that are damaged are passed over.
fn read(file: &mut File) -> Result<Past> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut past = Past::none();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else { continue };
        past.session = past.session.max(entry.session + 1);
        if !entry.code.is_empty() {
            past.entries.push(entry);
        } else if let Some(cell) =
            past.entries.iter_mut().rev().find(|cell| (cell.session, cell.line) == (entry.session, entry.line))
        {
            cell.output = entry.output;
        }
    }
    Ok(past)
}

fn shorten(file: &mut File, mut past: Past) -> Result<Past> {
    let entries = &mut past.entries;
    entries.drain(..entries.len().saturating_sub(KEPT));
    if file.metadata()?.len() > LONG {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        // In place: kernels that have the file open append to the same one.
        file.set_len(0)?;
        file.write_all(&text)?;
    }
    Ok(past)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: u64, code: &str) -> Entry {
        Entry { session: 1, line, code: code.to_owned(), output: None }
    }

    #[test]
    fn two_kernels_share_a_file() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("below/history.jsonl");
        let (mut one, first) = Store::open_file(&path)?;
        let (mut other, second) = Store::open_file(&path)?;
        assert_eq!((first.session, second.session), (1, 2));
        one.add_code(&entry(1, "検索"));
        other.add_code(&entry(2, "b"));
        one.add_output(&Entry { output: Some("7".to_owned()), ..entry(1, "検索") });
        std::fs::OpenOptions::new().append(true).open(&path)?.write_all(b"{ damaged\n")?;
        let (_, past) = Store::open_file(&path)?;
        assert_eq!(past.entries, [Entry { output: Some("7".to_owned()), ..entry(1, "検索") }, entry(2, "b")]);
        Ok(())
    }

    #[test]
    fn a_long_file_is_shortened() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("history.jsonl");
        let line = format!("{}\n", serde_json::to_string(&entry(1, &"x".repeat(1 << 10)))?);
        std::fs::write(&path, line.repeat(10_000))?;
        let (mut store, past) = Store::open_file(&path)?;
        assert_eq!(past.entries.len(), KEPT);
        store.add_code(&entry(2, "after"));
        assert!(std::fs::metadata(&path)?.len() < LONG);
        let (_, past) = Store::open_file(&path)?;
        assert_eq!(past.entries.last(), Some(&entry(2, "after")));
        Ok(())
    }
}
