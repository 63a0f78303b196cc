//! Writing checkpoints while training, and resuming from them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::folder::{self, CheckpointConfig};
use super::state::TrainState;
use super::{Problem, Restored, read, write};
use crate::error::expect;
use crate::model::Model;
use crate::train::Trainer;
use crate::train::round::DataMark;
use crate::train::trainer::Training;
use crate::{Error, Result};

/// What [`Trainer::resume`] resumed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The checkpoint.
    pub path: PathBuf,
    /// The last finished step.
    pub step: usize,
    /// Whether that was the last step of its round: more `epochs` make it longer.
    pub finished: bool,
    /// Newer checkpoints that are damaged, each with what is wrong.
    pub passed_over: Vec<String>,
}

/// What a trainer knows of its checkpoints.
#[derive(Debug, Default)]
pub(in crate::train) struct CheckpointLog {
    /// The training set of the checkpoint resumed from, until the first steps after it.
    pub(in crate::train) expected: Option<(PathBuf, Option<DataMark>)>,
    /// The folder that is this training's own.
    owned: Option<PathBuf>,
    /// The step whose checkpoint was last written to it, or read from it.
    latest: Option<usize>,
    /// What marks the folder as this training's.
    stamp: Option<String>,
}

impl<M: Model> Trainer<M> {
    /// Resumes from a checkpoint, or from the newest whole one of a folder: after it, [`Trainer::steps`] with
    /// the same training set gives the steps that would have followed, bit for bit.
    ///
    /// The trainer is made as it was the first time, with the same model, loss and settings. `micro_batch`, `memory`,
    /// `validation` and `checkpoint` may differ; with more `epochs` the training continues for longer, at the rates of
    /// the longer schedule. Weights, moments, dropout and the position in the data are restored. After a finished training,
    /// `steps` reports that none are left.
    ///
    /// An error says what is wrong with a checkpoint that cannot be used, names the one before it if that can, and
    /// leaves the trainer as it was.
    ///
    /// ```no_run
    /// # use kensaku::prelude::*;
    /// # fn main() -> Result<()> {
    /// # let data = rustdoc()?.pairs("train")?;
    /// let checkpoint = Some(CheckpointConfig { dir: "checkpoints".into(), every: 100, keep: 2 });
    /// let config = TrainConfig { checkpoint, ..Default::default() };
    /// let model = BiEncoder::load("all-MiniLM-L6-v2")?;
    /// let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config)?;
    /// if std::path::Path::new("checkpoints").exists() {
    ///     println!("{}", trainer.resume("checkpoints")?);
    /// }
    /// for step in trainer.steps(&data)? {
    ///     println!("{}", step?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn resume(&mut self, dir: impl AsRef<Path>) -> Result<Resumed> {
        self.training.resume(dir.as_ref())
    }

    /// Writes a checkpoint of the training as it is now, and returns where. With
    /// [`TrainConfig::checkpoint`](crate::train::TrainConfig::checkpoint) it happens by itself. An error if the folder
    /// holds the checkpoints of another training.
    ///
    /// The folder is a model directory, too: `BiEncoder::load` and Python read it.
    pub fn checkpoint(&mut self) -> Result<PathBuf> {
        self.training.checkpoint()
    }

    /// Keeps the model as it is now as the best one: its checkpoint is written if it is not there, and not
    /// removed until another one is the best. `score` is noted with it.
    pub fn mark_best(&mut self, score: f64) -> Result<PathBuf> {
        self.training.mark_best(score)
    }

    /// The checkpoint that was marked as the best, if there is one.
    pub fn best_checkpoint(&self) -> Result<Option<PathBuf>> {
        self.training.best_checkpoint()
    }
}

impl Training {
    fn resume(&mut self, dir: &Path) -> Result<Resumed> {
        let one = folder::is_one(dir);
        let mut candidates = if one { vec![dir.to_owned()] } else { folder::list(dir)? };
        let mut refused: Vec<(PathBuf, String)> = Vec::new();
        while let Some(path) = candidates.pop() {
            match read(&path, self) {
                Ok(restored) => return self.restore(path, restored, &refused),
                Err(Problem::Damaged(problem)) => refused.push((path, problem)),
                Err(Problem::Foreign(problem)) => {
                    refused.push((path, problem));
                    break;
                }
            }
        }
        let problem = "there is no checkpoint in this folder".to_owned();
        let (path, problem) = refused.into_iter().next().unwrap_or((dir.to_owned(), problem));
        let before = self.usable_before(&path)?;
        Err(Error::Checkpoint { path, problem, before })
    }

    pub(in crate::train) fn checkpoint(&mut self) -> Result<PathBuf> {
        self.claim_folder()?;
        let CheckpointConfig { dir, keep, .. } = self.checkpoint_config()?;
        let path = folder::place(dir, self.done);
        write(&path, self)?;
        folder::prune(dir, *keep, self.done)?;
        self.log.latest = Some(self.done);
        Ok(path)
    }

    pub(in crate::train) fn mark_best(&mut self, score: f64) -> Result<PathBuf> {
        expect("score", score, "a finite number", score.is_finite())?;
        self.claim_folder()?;
        if self.log.latest != Some(self.done) {
            self.checkpoint()?;
        }
        let CheckpointConfig { dir, keep, .. } = self.checkpoint_config()?;
        folder::mark_best(dir, self.done, score)?;
        folder::prune(dir, *keep, self.done)?;
        Ok(folder::place(dir, self.done))
    }

    pub(in crate::train) fn best_checkpoint(&self) -> Result<Option<PathBuf>> {
        self.config.checkpoint.as_ref().map_or(Ok(None), |config| folder::best(&config.dir))
    }

    /// Before the first step and every checkpoint: the folder is made, and must not be that of another training.
    pub(in crate::train) fn claim_folder(&mut self) -> Result<()> {
        let Some(CheckpointConfig { dir, .. }) = &self.config.checkpoint else { return Ok(()) };
        if self.log.owned.as_ref() != Some(dir) {
            folder::start(dir)?;
            (self.log.owned, self.log.latest, self.log.stamp) = (Some(dir.clone()), None, None);
        }
        if let Some(stamp) = &self.log.stamp {
            return folder::check_stamp(dir, stamp);
        }
        let stamp = new_stamp();
        folder::stamp(dir, &stamp)?;
        self.log.stamp = Some(stamp);
        Ok(())
    }

    /// After every step; the last one of a round always has a checkpoint.
    pub(in crate::train) fn checkpoint_if_due(&mut self, last: bool) -> Result<()> {
        let due = |config: &CheckpointConfig| last || self.done.is_multiple_of(config.every);
        if self.config.checkpoint.as_ref().is_some_and(due) { self.checkpoint().map(drop) } else { Ok(()) }
    }

    fn restore(&mut self, path: PathBuf, restored: Restored, refused: &[(PathBuf, String)]) -> Result<Resumed> {
        let Restored { state, model, moments, own: own_moments } = restored;
        let TrainState { step, updates, round, evaluations, .. } = state;
        let real = |path: &Path| path.canonicalize().ok();
        let own = self.config.checkpoint.as_ref().map(|config| config.dir.clone());
        let own = own.filter(|dir| real(dir).is_some() && real(dir) == real(folder::of(&path)));
        if let Some(dir) = &own {
            let best = evaluations.iter().rev().find(|evaluation| evaluation.best);
            folder::rewind(dir, step, best.and_then(|best| Some((best.step, self.deciding(best)?.1))))?;
        }
        let values = &mut self.model.parameters_mut().values;
        values.copy_from_slice(&model.parameters().values);
        self.optimizer.restore(updates, moments);
        self.own.restore(updates, own_moments);
        (self.done, self.round, self.pending) = (step, round, None);
        self.validation.resume(evaluations);
        let latest = own.as_ref().map(|_| step);
        let expected = round.map(|round| (path.clone(), round.data));
        self.log = CheckpointLog { expected, owned: own, latest, stamp: None };
        let passed_over = refused.iter().map(|(path, problem)| format!("{}: {problem}", path.display())).collect();
        let finished = round.is_some_and(|round| round.done >= round.steps && round.epochs >= self.config.epochs);
        Ok(Resumed { path, step, finished, passed_over })
    }

    /// The newest checkpoint before this one that this training can go on from.
    fn usable_before(&self, path: &Path) -> Result<Option<PathBuf>> {
        let usable = |path: &PathBuf| read(path, self).is_ok();
        Ok(folder::before(path)?.into_iter().rev().find(usable))
    }

    fn checkpoint_config(&self) -> Result<&CheckpointConfig> {
        self.config.checkpoint.as_ref().ok_or_else(|| Error::Setting {
            field: "checkpoint",
            value: "none".to_owned(),
            expected: "a folder for checkpoints".to_owned(),
        })
    }
}

/// A text that no other trainer has: by process, time and a count.
fn new_stamp() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    format!("{} {time} {}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.passed_over {
            writeln!(f, "passed over {problem}")?;
        }
        let finished = if self.finished { "; the training was finished" } else { "" };
        write!(f, "resuming after step {} from {}{finished}", self.step, self.path.display())
    }
}
