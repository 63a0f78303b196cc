//! The folder of a training's checkpoints: which are there, which are kept.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest;
use crate::error::expect;
use crate::{Error, Result, files};

/// Where and how often a training writes checkpoints.
///
/// A checkpoint holds three numbers per parameter (SGD: two; a frozen one: one); the folder holds `keep` checkpoints, the best
/// one, and for a moment one more.
///
/// ```
/// use kensaku::train::{CheckpointConfig, TrainConfig};
///
/// let checkpoint = CheckpointConfig { dir: "my-model-checkpoints".into(), every: 100, ..Default::default() };
/// let config = TrainConfig { checkpoint: Some(checkpoint), ..Default::default() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckpointConfig {
    /// A folder for this training alone; it is made.
    pub dir: PathBuf,
    /// Steps between two checkpoints; one more is written after the last step.
    pub every: usize,
    /// How many of the latest checkpoints to keep.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { dir: "checkpoints".into(), every: 500, keep: 2 }
    }
}

impl CheckpointConfig {
    pub(in crate::train) fn check(&self) -> Result<()> {
        let named = !self.dir.as_os_str().is_empty();
        expect("checkpoint.dir", self.dir.display(), "a folder", named)?;
        expect("checkpoint.every", self.every, "at least 1", self.every > 0)?;
        expect("checkpoint.keep", self.keep, "at least 1", self.keep > 0)
    }
}

/// The best checkpoint, in `best.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Best {
    checkpoint: String,
    score: f64,
}

const BEST: &str = "best.json";
const PREFIX: &str = "step-";

/// Where the checkpoint after a step is.
pub(super) fn place(dir: &Path, step: usize) -> PathBuf {
    dir.join(format!("{PREFIX}{step:08}"))
}

/// Whether this is one checkpoint, whole or not, and not a folder of them.
pub(super) fn is_one(path: &Path) -> bool {
    step_of(path).is_some() || path.join(manifest::NAME).exists()
}

/// The checkpoints of a folder in the order of their steps; none if there is no such folder.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut found = entries(dir)?;
    found.retain(|path| path.is_dir() && step_of(path).is_some());
    found.sort_by_key(|path| step_of(path));
    Ok(found)
}

/// The checkpoints beside this one with earlier steps, in order.
pub(super) fn before(path: &Path) -> Result<Vec<PathBuf>> {
    let Some(step) = step_of(path) else { return Ok(Vec::new()) };
    let mut found = list(of(path))?;
    found.retain(|path| step_of(path) < Some(step));
    Ok(found)
}

/// The folder that a checkpoint is in.
pub(super) fn of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the folder; an error if it holds the checkpoints of another training.
pub(super) fn start(dir: &Path) -> Result<()> {
    match list(dir)?.pop() {
        Some(path) => Err(Error::Checkpoint {
            path,
            problem: "it belongs to another training; `resume` continues that one, or choose another folder".to_owned(),
            before: None,
        }),
        None => fs::create_dir_all(dir).map_err(Error::io(dir)),
    }
}

/// The file that says whose folder it is: a stamp that each trainer makes for itself.
const STAMP: &str = ".training";

/// Marks the folder as that of the training with this stamp.
pub(super) fn stamp(dir: &Path, stamp: &str) -> Result<()> {
    fs::create_dir_all(dir).map_err(Error::io(dir))?;
    files::write(&dir.join(STAMP), stamp.as_bytes())
}

/// An error if another training has taken the folder since.
pub(super) fn check_stamp(dir: &Path, own: &str) -> Result<()> {
    let path = dir.join(STAMP);
    match fs::read_to_string(&path) {
        Ok(found) if found == own => Ok(()),
        // The user has removed the folder.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => stamp(dir, own),
        Ok(_) => Err(Error::Checkpoint {
            path: dir.to_owned(),
            problem: "another training now writes its checkpoints here; give each its own folder".to_owned(),
            before: None,
        }),
        Err(error) => Err(Error::io(path)(error)),
    }
}

/// If the training has gone back to a step before the best checkpoint, the best one is that of `best`, if it is there.
pub(super) fn rewind(dir: &Path, step: usize, best: Option<(usize, f64)>) -> Result<()> {
    if self::best(dir)?.is_none_or(|path| step_of(&path) <= Some(step)) {
        return Ok(());
    }
    match best.filter(|(step, _)| place(dir, *step).is_dir()) {
        Some((step, score)) => mark_best(dir, step, score),
        None => fs::remove_file(dir.join(BEST)).map_err(Error::io(dir.join(BEST))),
    }
}

/// The checkpoint that was marked as the best, if it is there.
pub(super) fn best(dir: &Path) -> Result<Option<PathBuf>> {
    let path = dir.join(BEST);
    if !path.exists() {
        return Ok(None);
    }
    let Best { checkpoint, .. } = files::read_json(&path)?;
    // The name of a checkpoint of this folder, and not a path to anything else.
    if step_of(Path::new(&checkpoint)).is_none_or(|step| place(Path::new(""), step).as_os_str() != checkpoint.as_str())
    {
        let problem = format!("it names `{checkpoint}`; expected a checkpoint of this folder, such as `step-00000100`");
        return Err(Error::Checkpoint { path, problem, before: None });
    }
    Ok(Some(dir.join(checkpoint)).filter(|path| path.is_dir()))
}

/// Marks the checkpoint after a step as the best.
pub(super) fn mark_best(dir: &Path, step: usize, score: f64) -> Result<()> {
    let checkpoint = place(Path::new(""), step).to_string_lossy().into_owned();
    files::write_json(&dir.join(BEST), &Best { checkpoint, score })
}

/// Of the checkpoints up to a step, removes all but the last `keep` and the best, and what a crash has left
/// half-written. Those of later steps are there when a training has gone back: they are not its own. While it cannot
/// be read which one is the best, none is removed.
pub(super) fn prune(dir: &Path, keep: usize, step: usize) -> Result<()> {
    for path in entries(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // `.step-00000100.old`, and `.step-00000200.aB3xYz.new` with a name that no other process has.
        let hidden = name.strip_prefix('.').and_then(|name| name.split_once('.'));
        let Some((name, rest)) = hidden.filter(|(name, _)| step_of(Path::new(name)).is_some()) else { continue };
        match rest.rsplit('.').next().unwrap_or_default() {
            // The crash came between the two renames of a replacement.
            "old" if !dir.join(name).exists() => {
                fs::rename(&path, dir.join(name)).map_err(Error::io(path))?;
            }
            "new" | "old" => fs::remove_dir_all(&path).map_err(Error::io(path))?,
            _ => {}
        }
    }
    let best = match best(dir) {
        Ok(best) => best,
        Err(problem) => {
            log::warn!("no checkpoint is removed: {problem}");
            return Ok(());
        }
    };
    let reached = list(dir)?.into_iter().rev().filter(|path| step_of(path) <= Some(step));
    for path in reached.skip(keep).filter(|path| best.as_ref() != Some(path)) {
        fs::remove_dir_all(&path).map_err(Error::io(path))?;
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let paths = || fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>();
    paths().map_err(Error::io(dir))
}

fn step_of(path: &Path) -> Option<usize> {
    let digits = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    let plain = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(steps: &[usize]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for step in steps {
            fs::create_dir(place(dir.path(), *step)).unwrap();
        }
        dir
    }

    fn steps(dir: &tempfile::TempDir) -> Vec<usize> {
        list(dir.path()).unwrap().iter().filter_map(|path| step_of(path)).collect()
    }

    #[test]
    fn keeps_the_last_and_the_best() {
        let dir = folder(&[9, 10, 20, 100_000_000, 99_999_999]);
        fs::write(dir.path().join("step-notes"), "mine").unwrap();
        fs::create_dir(dir.path().join("step-7")).unwrap();
        mark_best(dir.path(), 10, 0.5).unwrap();
        prune(dir.path(), 1, 20).unwrap();
        assert_eq!(steps(&dir), [10, 20, 99_999_999, 100_000_000]);
        prune(dir.path(), 2, 100_000_000).unwrap();
        assert_eq!(steps(&dir), [10, 99_999_999, 100_000_000]);
        mark_best(dir.path(), 99_999_999, 0.6).unwrap();
        prune(dir.path(), 1, 100_000_000).unwrap();
        assert_eq!(steps(&dir), [99_999_999, 100_000_000]);
        assert!(dir.path().join("step-notes").exists() && dir.path().join("step-7").exists());
    }

    #[test]
    fn an_unreadable_best_deletes_nothing_and_stops_nothing() {
        let dir = folder(&[1, 2, 3]);
        fs::write(dir.path().join(BEST), "{").unwrap();
        assert!(best(dir.path()).unwrap_err().to_string().contains(BEST));
        prune(dir.path(), 1, 3).unwrap();
        assert_eq!(steps(&dir), [1, 2, 3]);
        mark_best(dir.path(), 2, 0.5).unwrap();
        prune(dir.path(), 1, 3).unwrap();
        assert_eq!(steps(&dir), [2, 3]);
    }

    #[test]
    fn the_best_is_one_of_the_folder() {
        let dir = folder(&[1]);
        fs::create_dir(dir.path().join("notes")).unwrap();
        let absolute = place(dir.path(), 1).display().to_string();
        for name in ["/etc", "../step-00000001", "notes", "step-00000001/", "./step-00000001", "", ".", &absolute] {
            fs::write(dir.path().join(BEST), serde_json::json!({ "checkpoint": name, "score": 1.0 }).to_string())
                .unwrap();
            let problem = best(dir.path()).unwrap_err().to_string();
            assert!(problem.contains("expected a checkpoint of this folder"), "{name}: {problem}");
        }
        fs::write(dir.path().join(BEST), r#"{"checkpoint": "step-00000001", "score": 1.0}"#).unwrap();
        assert_eq!(best(dir.path()).unwrap(), Some(place(dir.path(), 1)));
    }

    #[test]
    fn clears_up_after_a_crash() {
        let dir = folder(&[10]);
        for name in [".step-00000020.aB3xYz.new", ".step-00000005.old", ".step-00000010.old", ".other.new"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        prune(dir.path(), 3, 10).unwrap();
        assert_eq!(steps(&dir), [5, 10]);
        let left: Vec<PathBuf> = entries(dir.path()).unwrap();
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(start(dir.path()).unwrap_err().to_string().contains("step-00000010: it belongs to another training"));
    }
}
