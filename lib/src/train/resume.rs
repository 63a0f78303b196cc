//! Writing checkpoints while training, and going on from them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::checkpoint::{self, DataMark, Loaded, Problem, State};
use super::{CheckpointConfig, Trainer, checkpoints, expect};
use crate::data::Texts;
use crate::{Error, Result};

/// What [`Trainer::resume`] went on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The checkpoint.
    pub path: PathBuf,
    /// The last finished step.
    pub step: usize,
    /// Newer checkpoints that are damaged, each with what is wrong.
    pub passed_over: Vec<String>,
}

/// What a trainer knows of its checkpoints.
#[derive(Debug, Default)]
pub(super) struct CheckpointLog {
    /// The training set.
    data: Option<DataMark>,
    /// That of the checkpoint gone on from, until the first steps behind it.
    expected: Option<(PathBuf, DataMark)>,
    /// The step whose checkpoint was last written or read.
    latest: Option<usize>,
}

impl Trainer {
    /// Goes on from a checkpoint, or from the newest whole one of a folder: after it, [`Trainer::steps`] with
    /// the same training set gives the steps that would have followed, bit for bit.
    ///
    /// The trainer is made as it was the first time, with the same model and settings (`checkpoint` may
    /// differ); weights, moments, schedule, dropout and the place in the data are the checkpoint's. An error
    /// says what is wrong with a checkpoint that cannot be used, names the one before it if that can, and
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
        let dir = dir.as_ref();
        let one = checkpoints::is_one(dir);
        let mut candidates = if one { vec![dir.to_owned()] } else { checkpoints::list(dir)? };
        let mut refused: Vec<(PathBuf, String)> = Vec::new();
        while let Some(path) = candidates.pop() {
            match checkpoint::read(&path, &self.config, &self.model, &self.optimizer) {
                Ok(loaded) => return Ok(self.restore(path, loaded, &refused)),
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

    /// Writes a checkpoint of the training as it is now, and returns where. With
    /// [`TrainConfig::checkpoint`](super::TrainConfig::checkpoint) it happens by itself.
    ///
    /// The folder is a model directory, too: `BiEncoder::load` and Python read it.
    pub fn checkpoint(&mut self) -> Result<PathBuf> {
        let CheckpointConfig { dir, keep, .. } = self.checkpoint_config()?;
        let path = checkpoints::place(dir, self.done);
        let mut state = State::new(self.done, &self.config, &self.model, self.optimizer.updates(), self.log.data)?;
        state.evaluations = self.evaluations().to_vec();
        checkpoint::write(&path, &state, &self.model, &self.optimizer)?;
        checkpoints::prune(dir, *keep, self.done)?;
        self.log.latest = Some(self.done);
        Ok(path)
    }

    /// Keeps the model as it is now as the best one: its checkpoint is written if it is not there, and not
    /// removed until another one is the best. `score` is noted with it.
    pub fn mark_best(&mut self, score: f64) -> Result<PathBuf> {
        expect("score", score, "a finite number", score.is_finite())?;
        if self.log.latest != Some(self.done) {
            self.checkpoint()?;
        }
        let CheckpointConfig { dir, keep, .. } = self.checkpoint_config()?;
        checkpoints::mark_best(dir, self.done, score)?;
        checkpoints::prune(dir, *keep, self.done)?;
        Ok(checkpoints::place(dir, self.done))
    }

    /// The checkpoint that was marked as the best, if there is one.
    pub fn best_checkpoint(&self) -> Result<Option<PathBuf>> {
        self.config.checkpoint.as_ref().map_or(Ok(None), |config| checkpoints::best(&config.dir))
    }

    /// Before the first step: the folder is made, and must not be that of another training.
    pub(super) fn start_checkpoints(&self) -> Result<()> {
        match &self.config.checkpoint {
            Some(config) if self.done == 0 && self.log.latest.is_none() => checkpoints::start(&config.dir),
            _ => Ok(()),
        }
    }

    /// Behind every step.
    pub(super) fn checkpoint_if_due(&mut self) -> Result<()> {
        let due = |config: &CheckpointConfig| {
            self.done.is_multiple_of(config.every) || self.config.total_steps == Some(self.done)
        };
        if self.config.checkpoint.as_ref().is_some_and(due) { self.checkpoint().map(drop) } else { Ok(()) }
    }

    /// Notes the training set; behind [`Trainer::resume`] it must be the one of the checkpoint.
    pub(super) fn note_data(&mut self, columns: &[Texts], scores: Option<&[f32]>) -> Result<()> {
        let found = DataMark::of(columns, scores);
        if let Some((path, expected)) = self.log.expected.as_ref().filter(|(_, expected)| *expected != found) {
            let (theirs, ours) = (expected.examples, found.examples);
            let problem = format!("its training set is another one ({theirs} examples; this one has {ours})");
            return Err(Error::Checkpoint { path: path.clone(), problem, before: None });
        }
        self.log.expected = None;
        self.log.data = Some(found);
        Ok(())
    }

    fn restore(&mut self, path: PathBuf, loaded: Loaded, refused: &[(PathBuf, String)]) -> Resumed {
        let Loaded { state, model, moments } = loaded;
        let State { step, total_steps, updates, data, evaluations, .. } = state;
        let values = self.model.encoder_mut().parameters_mut().values_and_grads().0;
        values.copy_from_slice(&model.encoder().parameters().values);
        self.optimizer.restore(updates, moments);
        self.config.total_steps = total_steps;
        self.done = step;
        self.unvalidated = None;
        self.validation.go_on(evaluations);
        let expected = data.map(|data| (path.clone(), data));
        self.log = CheckpointLog { data, expected, latest: Some(step) };
        let passed_over = refused.iter().map(|(path, problem)| format!("{}: {problem}", path.display())).collect();
        Resumed { path, step, passed_over }
    }

    /// The newest checkpoint before this one that this training can go on from.
    fn usable_before(&self, path: &Path) -> Result<Option<PathBuf>> {
        let usable = |path: &PathBuf| checkpoint::read(path, &self.config, &self.model, &self.optimizer).is_ok();
        Ok(checkpoints::before(path)?.into_iter().rev().find(usable))
    }

    fn checkpoint_config(&self) -> Result<&CheckpointConfig> {
        self.config.checkpoint.as_ref().ok_or_else(|| Error::Setting {
            field: "checkpoint",
            value: "none".to_owned(),
            expected: "a folder for checkpoints".to_owned(),
        })
    }
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.passed_over {
            writeln!(f, "passed over {problem}")?;
        }
        write!(f, "goes on behind step {}, from {}", self.step, self.path.display())
    }
}
