//! The optimiser: one pass over memory for the norm of the gradient, one for the update.

use std::fmt;
use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::adamw::AdamW;
use super::groups::{Group, groups};
use super::sgd::Sgd;
use super::{AdamWConfig, GradNorm, SgdConfig, TrainConfig, clip};
use crate::nn::{Parameter, Parameters};
use crate::{Error, Result};

/// Which rule moves the parameters.
///
/// ```
/// use kensaku::train::{AdamWConfig, SgdConfig, TrainConfig};
///
/// let adamw = AdamWConfig { weight_decay: 0.0, ..Default::default() };
/// let config = TrainConfig { optimizer: adamw.into(), ..Default::default() };
/// let config = TrainConfig { optimizer: SgdConfig::default().into(), learning_rate: 0.1, ..config };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerConfig {
    AdamW(AdamWConfig),
    Sgd(SgdConfig),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::AdamW(AdamWConfig::default())
    }
}

impl From<AdamWConfig> for OptimizerConfig {
    fn from(config: AdamWConfig) -> Self {
        Self::AdamW(config)
    }
}

impl From<SgdConfig> for OptimizerConfig {
    fn from(config: SgdConfig) -> Self {
        Self::Sgd(config)
    }
}

impl OptimizerConfig {
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::AdamW(config) => config.check(),
            Self::Sgd(config) => config.check(),
        }
    }
}

/// Moves the parameters of one table against their gradients, and holds what it remembers between steps.
///
/// ```
/// use kensaku::nn::Parameters;
/// use kensaku::train::{Optimizer, SgdConfig, TrainConfig};
///
/// let mut parameters = Parameters::default();
/// parameters.push("w", &[2], true)?;
/// let sgd = SgdConfig { momentum: 0.0, ..Default::default() };
/// let config = TrainConfig { optimizer: sgd.into(), max_grad_norm: None, ..Default::default() };
/// let mut optimizer = Optimizer::new(&config, &parameters)?;
/// parameters.grad_mut("w")?.copy_from_slice(&[3.0, -4.0]);
/// assert_eq!(optimizer.step(&mut parameters, 0.5)?, 5.0);
/// assert_eq!(parameters.values("w")?, [-1.5, 2.0]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct Optimizer {
    rule: Rule,
    norm: GradNorm,
    max_norm: Option<f64>,
    /// One per parameter.
    groups: Vec<Group>,
    /// All that is trained, in order; what the rule remembers is laid out so, piece after piece.
    pieces: Vec<Piece>,
    /// Scalars of the table.
    len: usize,
    updates: u64,
}

#[derive(Debug, Clone)]
enum Rule {
    AdamW(AdamW),
    Sgd(Sgd),
}

/// A part of a parameter that one task updates.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    pub(super) group: Group,
}

/// Values and gradients of each piece.
pub(super) type Slices<'a> = Vec<(&'a mut [f32], &'a [f32])>;

/// Elements of a piece; fixed, so that the norm does not depend on the number of threads.
const PIECE: usize = 1 << 14;

impl Optimizer {
    /// For the parameters of this table. Uses the settings `optimizer`, `learning_rate_mapping`, `freeze`,
    /// `max_grad_norm` and `clip_norm`; an error names a pattern that matches no parameter.
    pub fn new(config: &TrainConfig, parameters: &Parameters) -> Result<Self> {
        Self::beside(config, parameters, &Parameters::default())
    }

    /// The same beside another table, whose names the patterns may mean as well.
    pub(super) fn beside(config: &TrainConfig, parameters: &Parameters, others: &Parameters) -> Result<Self> {
        config.check()?;
        let groups = groups(config, parameters, others)?;
        let pieces = pieces(&groups, parameters);
        let trained = pieces.iter().map(|piece| piece.range.len()).sum();
        let rule = match config.optimizer {
            OptimizerConfig::AdamW(config) => Rule::AdamW(AdamW::new(config, trained)),
            OptimizerConfig::Sgd(config) => Rule::Sgd(Sgd::new(config, trained)),
        };
        let (norm, max_norm, len) = (config.clip_norm, config.max_grad_norm, parameters.len());
        Ok(Self { rule, norm, max_norm, groups, pieces, len, updates: 0 })
    }

    /// Other rates and limits for the same table: the rule, what is frozen, and the moments stay.
    pub(super) fn set(&mut self, config: &TrainConfig, parameters: &Parameters, others: &Parameters) -> Result<()> {
        let groups = groups(config, parameters, others)?;
        self.pieces = pieces(&groups, parameters);
        (self.norm, self.max_norm, self.groups) = (config.clip_norm, config.max_grad_norm, groups);
        Ok(())
    }

    /// Sets the gradients to zero. Those of large frozen parameters, which no pass makes, are never touched, so that
    /// the system has no memory to give for them.
    pub(super) fn zero_grads(&self, parameters: &mut Parameters) {
        /// Norms and biases that a pass may write whether they are trained or not.
        const SMALL: usize = 1 << 18;
        let small: Vec<Range<usize>> = parameters.entries().iter().map(|entry| entry.range.clone()).collect();
        let small = small.into_iter().zip(&self.groups).filter(|(range, group)| group.frozen && range.len() < SMALL);
        let grads = parameters.values_and_grads().1;
        small.for_each(|(range, _)| grads[range].fill(0.0));
        cut(grads, &self.pieces).into_par_iter().for_each(|grads| grads.fill(0.0));
    }

    /// Applies the gradients of the table, scaled down to `max_grad_norm`, at a learning rate (parameters of
    /// `learning_rate_mapping`: at theirs times `rate / learning_rate`). Returns the norm of the gradient
    /// before, frozen parameters left out. Nothing is changed if it is not finite.
    pub fn step(&mut self, parameters: &mut Parameters, rate: f64) -> Result<f64> {
        if parameters.len() != self.len {
            return Err(Error::Shape {
                what: "parameters to update".to_owned(),
                found: format!("{} scalars", parameters.len()),
                expected: format!("the table of {} scalars that the optimiser was made for", self.len),
            });
        }
        let (values, grads) = parameters.values_and_grads();
        let grads: Vec<&[f32]> = self.pieces.iter().map(|piece| &grads[piece.range.clone()]).collect();
        let norm = clip::norm(self.norm, &grads);
        if !norm.is_finite() {
            return Ok(norm);
        }
        self.updates += 1;
        let clip = clip::scale(norm, self.max_norm);
        let slices: Slices = cut(values, &self.pieces).into_iter().zip(grads).collect();
        match &mut self.rule {
            Rule::AdamW(adamw) => adamw.update(slices, &self.pieces, self.updates, rate, clip),
            Rule::Sgd(sgd) => sgd.update(slices, &self.pieces, rate, clip),
        }
        Ok(norm)
    }

    /// Whether `freeze` holds the `index`th parameter of the table.
    pub fn is_frozen(&self, index: usize) -> bool {
        self.groups.get(index).is_some_and(|group| group.frozen)
    }

    /// The number of updates so far.
    pub(super) fn updates(&self) -> u64 {
        self.updates
    }

    /// The number of scalars that are trained.
    pub(super) fn trained(&self) -> usize {
        self.pieces.iter().map(|piece| piece.range.len()).sum()
    }

    /// Each trained parameter, and where its moments are.
    pub(super) fn slots<'a>(
        &'a self,
        parameters: &'a Parameters,
    ) -> impl Iterator<Item = (&'a Parameter, Range<usize>)> {
        let trained = parameters.entries().iter().zip(&self.groups).filter(|(_, group)| !group.frozen);
        trained.scan(0, |end, (entry, _)| {
            let start = *end;
            *end += entry.range.len();
            Some((entry, start..*end))
        })
    }

    /// What is remembered of every trained scalar, by name.
    pub(super) fn moments(&self) -> Vec<(&'static str, &[f32])> {
        match &self.rule {
            Rule::AdamW(adamw) => vec![("first", &adamw.first), ("second", &adamw.second)],
            Rule::Sgd(sgd) => vec![("velocity", &sgd.velocity)],
        }
    }

    /// Goes on from the update count and the moments of another optimiser with the same settings.
    pub(super) fn restore(&mut self, updates: u64, moments: Vec<Vec<f32>>) {
        self.updates = updates;
        let buffers = match &mut self.rule {
            Rule::AdamW(adamw) => {
                adamw.live.clear();
                vec![&mut adamw.first, &mut adamw.second]
            }
            Rule::Sgd(sgd) => vec![&mut sgd.velocity],
        };
        for (buffer, moments) in buffers.into_iter().zip(moments) {
            *buffer = moments;
        }
    }
}

impl fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.rule {
            Rule::AdamW(_) => "AdamW",
            Rule::Sgd(_) => "Sgd",
        };
        write!(f, "Optimizer ({rule} of {} parameters after {} updates)", self.len, self.updates)
    }
}

/// What is trained of a table, cut into pieces.
fn pieces(groups: &[Group], parameters: &Parameters) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (entry, group) in parameters.entries().iter().zip(groups).filter(|(_, group)| !group.frozen) {
        let starts = entry.range.clone().step_by(PIECE);
        let end = |start: usize| (start + PIECE).min(entry.range.end);
        pieces.extend(starts.map(|start| Piece { range: start..end(start), group: *group }));
    }
    pieces
}

/// The parts of a buffer of all trained scalars that belong to the pieces.
pub(super) fn shares<'a>(buffer: &'a mut [f32], pieces: &[Piece]) -> Vec<&'a mut [f32]> {
    let mut rest = buffer;
    let share = |piece: &Piece| {
        let (share, tail) = std::mem::take(&mut rest).split_at_mut(piece.range.len());
        rest = tail;
        share
    };
    pieces.iter().map(share).collect()
}

/// The parts of a table that the pieces cover, each borrowed for itself.
fn cut<'a>(buffer: &'a mut [f32], pieces: &[Piece]) -> Vec<&'a mut [f32]> {
    let mut rest = buffer;
    let mut passed = 0;
    pieces
        .iter()
        .map(|piece| {
            let (_, tail) = std::mem::take(&mut rest).split_at_mut(piece.range.start - passed);
            let (part, tail) = tail.split_at_mut(piece.range.len());
            rest = tail;
            passed = piece.range.end;
            part
        })
        .collect()
}
