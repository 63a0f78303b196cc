//! The history on disk: one JSON object per line, appended to by any number of kernels at once.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::super::wire::log;

/// The environment variable for another path of the file; if empty, no history is kept.
const VARIABLE: &str = "KENSAKU_HISTORY";
/// A file longer than this, in bytes, is shortened ...
const LONG: u64 = 8 << 20;
/// ... to this many bytes of code and values ...
const KEPT_BYTES: usize = 4 << 20;
/// ... and this many cells.
const KEPT: usize = 5_000;
/// The maximum lengths of a cell and of a value, in bytes.
const CODE: usize = 20_000;
const OUTPUT: usize = 1_000;
/// Appended to a cell that is cut.
const CUT: &str = "\n// .. cut: the history only keeps the start of a long cell";

/// One cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) session: u64,
    pub(super) line: u64,
    /// Missing in a line that adds the output to an earlier cell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<String>,
}

/// The file's entries, and the number of the new session.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) entries: Vec<Entry>,
    pub(super) session: u64,
}

/// The file, if there is one.
pub(super) struct Store(Option<File>);

impl Past {
    fn none() -> Self {
        Self { entries: Vec::new(), session: 1 }
    }
}

impl Store {
    /// The user's history. If the file cannot be read or written, no history is kept, and the reason is logged.
    pub(super) fn open() -> (Self, Past) {
        let opened =
            place(|name| std::env::var_os(name)).and_then(|file| file.map(|file| Self::open_file(&file)).transpose());
        let kept = opened.map(|opened| opened.unwrap_or_else(|| (Self(None), Past::none())));
        kept.unwrap_or_else(|error| {
            log(&format!("no history is kept: {error:#}"));
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
        let opened = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path);
        let mut file = opened.with_context(|| format!("opening {}", path.display()))?;
        close_to_others(&file);
        file.lock().with_context(|| format!("locking {}", path.display()))?;
        let past = read(&mut file).and_then(|past| shorten(&mut file, past)).and_then(|past| {
            // A line without code reserves the number: another kernel may start before the first cell.
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
            log(&format!("no history is kept from now on: {error:#}"));
            self.0 = None;
        }
    }
}

impl Entry {
    /// An entry for a cell, cut if it is long.
    pub(super) fn new(session: u64, line: u64, code: &str) -> Self {
        let code = match code.len() {
            0..=CODE => code.to_owned(),
            _ => format!("{}{CUT}", &code[..code.floor_char_boundary(CODE)]),
        };
        Self { session, line, code, output: None }
    }

    fn size(&self) -> usize {
        self.code.len() + self.output.as_ref().map_or(0, String::len)
    }
}

/// The beginning of an output.
pub(super) fn shortened(output: &str) -> String {
    output[..output.floor_char_boundary(OUTPUT)].to_owned()
}

/// `kensaku/history.jsonl` in the user's data folder; `None` if the user has disabled the history. `variable` reads
/// the environment.
fn place(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<PathBuf>> {
    if let Some(named) = variable(VARIABLE) {
        return Ok((!named.is_empty()).then(|| named.into()));
    }
    let is_absolute = |path: &PathBuf| path.is_absolute();
    let data = match variable("XDG_DATA_HOME").map(PathBuf::from).filter(is_absolute) {
        Some(folder) => folder,
        None => home(variable("HOME"))?.join(".local/share"),
    };
    Ok(Some(data.join("kensaku/history.jsonl")))
}

/// The user's home, which is never created.
fn home(named: Option<OsString>) -> Result<PathBuf> {
    let home = PathBuf::from(named.filter(|home| !home.is_empty()).context("HOME is not set")?);
    ensure!(home.is_dir(), "HOME is {}, which is not a folder", home.display());
    Ok(home)
}

/// Makes the file private, as code may hold private data. A file of another user stays as it is.
fn close_to_others(file: &File) {
    if let Ok(facts) = file.metadata()
        && facts.is_file()
        && facts.permissions().mode() & 0o077 != 0
    {
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600));
    }
}

/// A single write, so that lines of two kernels do not mix, under the lock, so that no kernel is shortening the file.
fn write(file: &mut File, entry: &Entry) -> Result<()> {
    let line = format!("{}\n", serde_json::to_string(entry)?);
    file.lock()?;
    let written = file.write_all(line.as_bytes());
    file.unlock()?;
    Ok(written?)
}

/// Damaged lines are skipped.
fn read(file: &mut File) -> Result<Past> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut past = Past::none();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else { continue };
        past.session = past.session.max(entry.session + 1);
        if !entry.code.is_empty() {
            let output = entry.output.as_deref().map(shortened);
            past.entries.push(Entry { output, ..Entry::new(entry.session, entry.line, &entry.code) });
        } else if let Some(cell) =
            past.entries.iter_mut().rev().find(|cell| (cell.session, cell.line) == (entry.session, entry.line))
        {
            cell.output = entry.output.as_deref().map(shortened);
        }
    }
    Ok(past)
}

fn shorten(file: &mut File, mut past: Past) -> Result<Past> {
    let entries = &mut past.entries;
    let mut room = KEPT_BYTES;
    let fits = |entry: &&Entry| {
        let left = room.checked_sub(entry.size());
        room = left.unwrap_or_default();
        left.is_some()
    };
    let kept = entries.iter().rev().take(KEPT).take_while(fits).count();
    entries.drain(..entries.len() - kept);
    if file.metadata()?.len() > LONG {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        // In place: other kernels have the same file open.
        file.set_len(0)?;
        file.write_all(&text)?;
    }
    Ok(past)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: u64, code: &str) -> Entry {
        Entry::new(1, line, code)
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
        let line = |length| serde_json::to_string(&entry(1, &"x".repeat(length))).map(|line| format!("{line}\n"));
        std::fs::write(&path, line(1)?.repeat(200_000))?;
        assert_eq!(Store::open_file(&path)?.1.entries.len(), KEPT);
        std::fs::write(&path, line(2_000)?.repeat(10_000))?;
        let (mut store, past) = Store::open_file(&path)?;
        assert_eq!(past.entries.len(), KEPT_BYTES / 2_000);
        store.add_code(&entry(2, "after"));
        assert!(std::fs::metadata(&path)?.len() < LONG);
        let (_, past) = Store::open_file(&path)?;
        assert_eq!(past.entries.last(), Some(&entry(2, "after")));
        Ok(())
    }

    #[test]
    fn only_the_start_of_a_long_cell_is_kept() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("history.jsonl");
        // As written by earlier versions.
        let long = "検".repeat(1 << 20);
        let whole = Entry { code: long.clone(), output: Some(long.clone()), ..entry(1, "") };
        std::fs::write(&path, format!("{}\n", serde_json::to_string(&whole)?))?;
        for (session, wanted) in [(2, 1), (3, 2)] {
            let (mut store, past) = Store::open_file(&path)?;
            assert_eq!(past.entries.len(), wanted);
            for Entry { code, output, .. } in &past.entries {
                assert!(code.len() <= CODE + CUT.len() && code.starts_with("検検") && code.ends_with(CUT));
                assert!(output.as_ref().is_none_or(|output| output.len() <= OUTPUT));
            }
            store.add_code(&Entry::new(session, 1, &long));
        }
        let (_, past) = Store::open_file(&path)?;
        assert_eq!(past.entries.len(), 3);
        Ok(())
    }

    #[test]
    fn others_cannot_read_it() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("history.jsonl");
        let mode = || std::fs::metadata(&path).map(|facts| facts.permissions().mode() & 0o777);
        Store::open_file(&path)?;
        assert_eq!(mode()?, 0o600);
        // As created by earlier versions.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))?;
        Store::open_file(&path)?;
        assert_eq!(mode()?, 0o600);
        Ok(())
    }

    #[test]
    fn it_is_in_an_existing_home() -> Result<()> {
        let home = tempfile::tempdir()?;
        let with = |variables: &[(&str, &Path)]| {
            let variables: Vec<(String, OsString)> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), value.as_os_str().to_owned())).collect();
            place(move |name| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
        };
        let missing = home.path().join("missing");
        let below = |folder: &Path| Some(folder.join("kensaku/history.jsonl"));
        assert_eq!(with(&[("HOME", home.path())])?, below(&home.path().join(".local/share")));
        assert_eq!(with(&[("HOME", &missing), ("XDG_DATA_HOME", home.path())])?, below(home.path()));
        assert_eq!(with(&[("HOME", &missing), (VARIABLE, Path::new(""))])?, None);
        for variables in [&[("HOME", missing.as_path())][..], &[("HOME", Path::new(""))], &[]] {
            let error = with(variables).expect_err("there is no home");
            assert!(error.to_string().contains("HOME"), "{error}");
        }
        Ok(())
    }
}
