//! The one error type of the library: every message says where, what was found and what was expected.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // === Files and data ===
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// One line of a text file is not what its format says.
    #[error("line {line} of {}: {}; expected {}", path.display(), short(problem), short(expected))]
    Line { path: PathBuf, line: usize, problem: String, expected: String },
    /// A frame lacks a column.
    #[error("{place}: no column `{}` (there are: {}); expected {expected}", short(column), short(found))]
    MissingColumn { place: String, column: String, found: String, expected: String },
    /// A column has another type than its name promises.
    #[error("{place}: column `{}` is {}; expected {expected}", short(column), short(found))]
    ColumnType { place: String, column: String, found: String, expected: String },
    /// Columns of a training set that look like data, but have no role in it.
    #[error(
        "{place}: unused columns {} ({roles}); expected `negative`, `negative_1`, .. for hard negatives, `score` or `label` \
         for labels, and no other columns but ids: rename them, or `select` those to keep",
        short(columns)
    )]
    UnusedColumns { place: String, columns: String, roles: String },
    /// A loss that cannot be computed from the columns of a training set.
    #[error(
        "the loss {loss} needs {needs}; found {found}{}",
        if fitting.is_empty() { String::new() } else { format!("; losses that fit: {}", fitting.join(", ")) }
    )]
    LossUnfit { loss: &'static str, needs: String, found: String, fitting: Vec<&'static str> },
    /// A row of a frame holds a value that cannot be used.
    #[error("{place}: row {row} of column `{}`: {}; expected {}", short(column), short(problem), short(expected))]
    Row { place: String, row: usize, column: String, problem: String, expected: String },
    /// An id that is not unique.
    #[error("{place}: duplicate {kind} id `{}` (rows {first} and {second})", short(id))]
    DuplicateId { place: String, kind: &'static str, id: String, first: usize, second: usize },
    /// An id that something refers to, but nothing defines.
    #[error("{place}: unknown {kind} id `{}`; expected one of the {known} ids of {within}", short(id))]
    UnknownId { place: String, kind: &'static str, id: String, known: usize, within: String },
    /// A part of a data set that is not there.
    #[error("{place}: no split `{}` (there are: {})", short(split), short(found))]
    UnknownSplit { place: String, split: String, found: String },
    /// The sources that the embedded data set is made of are not on this machine.
    #[error("the sources of {krate} {version} are not at {}", path.display())]
    MissingSource { krate: String, version: String, path: PathBuf },

    // === Settings ===
    /// A setting outside what makes sense.
    #[error("{field} = {}: expected {expected}", short(value))]
    Setting { field: &'static str, value: String, expected: String },
    /// A measure that does not exist.
    #[error("unknown measure `{name}`; known are {known} (as in \"nDCG@10\")")]
    UnknownMeasure { name: String, known: String },
    /// A measure that a report does not hold.
    #[error("`{measure}` was not evaluated; this report holds {evaluated}")]
    NotEvaluated { measure: String, evaluated: String },
    /// A run and queries that have nothing in common.
    #[error("none of the {run} queries of the run is among the {queries} queries: there is nothing to mine from")]
    NothingMined { run: usize, queries: usize },
    /// Queries and judgements that have nothing in common.
    #[error("none of the {queries} queries is among the {qrels} judged ones: there is nothing to mine for")]
    NothingJudgedToMine { queries: usize, qrels: usize },
    /// A run and judgements that have no query in common.
    #[error("none of the {run} queries of the run is among the {qrels} judged ones: nothing to evaluate")]
    NothingJudged { run: usize, qrels: usize },

    // === Models ===
    /// A model directory that cannot be used.
    #[error("{}: {problem}; expected {expected}", path.display())]
    Model { path: PathBuf, problem: String, expected: String },
    /// A tokenizer that cannot be read, trained or applied.
    #[error("tokenizer: {problem}")]
    Tokenizer { problem: String },
    /// A text whose vector is NaN or infinite.
    #[error("the vector of text {text} is {value}; expected finite numbers")]
    VectorNotFinite { text: usize, value: f32 },
    /// A pair whose score is NaN or infinite.
    #[error("the score of pair {pair} is {value}; expected finite numbers")]
    ScoreNotFinite { pair: usize, value: f32 },
    /// The file of an index that cannot be used.
    #[error("{}: {problem}; expected {expected}", path.display())]
    Index { path: PathBuf, problem: String, expected: String },
    /// Tensors whose shapes do not go together.
    #[error("{what}: found {}{found}; expected {expected}", if found.starts_with('[') { "shape " } else { "" })]
    Shape { what: String, found: String, expected: String },
    /// A vector that cannot be searched with, or for.
    #[error("the vector of {kind} `{id}` is {problem}")]
    Vector { kind: &'static str, id: String, problem: String },

    // === The hub ===
    /// Something of the Hugging Face hub that could not be fetched or sent, and what to do about it.
    #[error("{place}: {problem}; {advice}")]
    Hub { place: String, problem: String, advice: String },

    // === Training ===
    /// A trainable parameter that the loss does not reach.
    #[error("parameter `{parameter}` got no gradient: the loss does not depend on it")]
    MissingGradient { parameter: String },
    /// A loss that depends on nothing that the model makes of the batch.
    #[error("the model got no gradient: the loss depends on none of its outputs")]
    DetachedLoss,
    /// A loss that uses a variable which is not trained.
    #[error(
        "the loss uses a candle `Var` that nothing trains: `loss::custom(..).parameter(\"name\", &value)?` trains it, and \
         `batch.parameter(\"name\")?` is its value; a constant is a `Tensor`"
    )]
    UntrainedVariable,
    /// The same of a head.
    #[error(
        "the head uses a candle `Var` that nothing trains: `CustomHead::new(..).parameter(\"name\", &value)?` trains it, and \
         `hidden.parameter(\"name\")?` is its value; a constant is a `Tensor`"
    )]
    UntrainedVariableOfHead,
    /// A head that gives the encoder no gradient.
    #[error("the head passes no gradient to the hidden states")]
    DetachedHead,
    /// A loss or gradient that is NaN or infinite; `rows` of the training set made it, where they are known.
    #[error("step {step}: the {what} is {value}{}", of_rows(rows))]
    NotFinite { step: usize, what: String, value: f64, rows: Vec<usize> },
    /// A loss that depends on a column of embeddings, but gives it no gradient.
    #[error("the loss depends on the {column}, but passes no gradient to it")]
    CutGradient { column: String },
    /// A training set, or settings, of which no step can learn.
    #[error("nothing to train: {problem}; expected {expected}")]
    NothingToTrain { problem: String, expected: String },
    /// A checkpoint that a training cannot go on from, and the one before it that it can.
    #[error("{}: {problem}{}", path.display(), instead(before.as_deref()))]
    Checkpoint { path: PathBuf, problem: String, before: Option<PathBuf> },
    /// The user could not be asked.
    #[error("no input for `{prompt}`: {problem}")]
    Input { prompt: String, problem: String },
    /// The user interrupted; everything is as it was after the last finished unit of work.
    #[error("interrupted: {during} stopped; every variable is kept")]
    Interrupted { during: &'static str },

    // === Libraries below ===
    #[error("{}", without_backtrace(&.0.to_string()))]
    Candle(#[from] candle_core::Error),
    #[error(transparent)]
    Polars(#[from] polars::error::PolarsError),
    #[error("{}: {source}", path.display())]
    Safetensors { path: PathBuf, source: safetensors::SafeTensorError },
    #[error("{}: {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("chart: {problem}")]
    Chart { problem: String },
}

impl Error {
    /// What to do about it, where the message alone does not say so. Cells show it below the error.
    ///
    /// ```
    /// let error = kensaku::Error::NotFinite { step: 3, what: "loss".to_owned(), value: f64::NAN, rows: vec![7, 1] };
    /// assert_eq!(error.to_string(), "step 3: the loss is NaN (rows 7, 1 of the training set)");
    /// assert_eq!(error.hint(), Some("lower the learning rate, or look at the texts of this step"));
    /// ```
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Io { .. } => "relative paths start in the folder of the notebook",
            Self::MissingSource { .. } => "run `cargo fetch` in kensaku's folder",
            Self::NothingJudgedToMine { .. } => {
                "queries and judgements have to be of the same split, with the same ids"
            }
            Self::NothingJudged { .. } => "a run and its judgements have to name queries by the same ids",
            Self::DetachedHead => {
                "compute what it makes with candle's operations, from `hidden.states`, without `detach`"
            }
            Self::MissingGradient { .. } | Self::DetachedLoss | Self::CutGradient { .. } => {
                "compute the loss with candle's operations, from what the model gives, without `detach`"
            }
            Self::NotFinite { .. } => "lower the learning rate, or look at the texts of this step",
            Self::VectorNotFinite { .. } | Self::ScoreNotFinite { .. } => {
                "look at the weights and the settings of the model: did its training diverge?"
            }
            Self::Checkpoint { .. } => {
                "to start another training from the weights of a checkpoint, `BiEncoder::load` it"
            }
            Self::Interrupted { .. } => "every variable is as it was left: call it again to go on",
            Self::Vector { .. } => "a model whose training diverged, or whose weights are damaged, gives such vectors",
            Self::Candle(_) => "`.shape()`, `.dtype()` and `.device()` of each operand tell what does not go together",
            _ => return None,
        })
    }

    /// The error about a setting that a file has: with its path.
    pub(crate) fn of_file(self, path: &Path) -> Self {
        match self {
            Self::Setting { field, value, expected } => {
                Self::Model { path: path.to_owned(), problem: format!("{field} = {value}"), expected }
            }
            other => other,
        }
    }

    /// For `map_err`: an I/O error with the path it happened at.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// A value in a message: of a very long one the beginning.
fn short(text: &str) -> Cow<'_, str> {
    const MOST: usize = 500;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}.. ({} characters)", &text[..end], text.chars().count()).into(),
        None => text.into(),
    }
}

/// What candle says, less the frames of its stack.
fn without_backtrace(text: &str) -> &str {
    let is_frame = |line: &str| line.trim_start().split_once(": ").is_some_and(|(number, _)| number == "0");
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if end > 0 && is_frame(line) {
            break;
        }
        end += line.len();
    }
    text[..end].trim_end()
}

/// The rows a message names; of many the first ones.
fn of_rows(rows: &[usize]) -> String {
    const MOST: usize = 64;
    if rows.is_empty() {
        return String::new();
    }
    let named: Vec<String> = rows.iter().take(MOST).map(usize::to_string).collect();
    let more = if rows.len() > MOST { format!(" and {} more", rows.len() - MOST) } else { String::new() };
    format!(" (rows {}{more} of the training set)", named.join(", "))
}

/// What to resume in place of a checkpoint that cannot be.
fn instead(before: Option<&Path>) -> String {
    before.map_or_else(String::new, |before| format!("; the one before it can be resumed: {}", before.display()))
}

/// The error that a program's `main` returns: anything that can be printed becomes one, so that `?` works
/// on all errors as in a cell.
///
/// ```
/// fn main() -> Result<(), kensaku::ProgramError> {
///     let number: u8 = "5".parse()?;
///     assert_eq!(number, 5);
///     Ok(())
/// }
/// ```
pub struct ProgramError(String);

impl<E: std::fmt::Display> From<E> for ProgramError {
    fn from(error: E) -> Self {
        // The alternate form of anyhow's errors holds the whole chain of causes.
        Self(format!("{error:#}"))
    }
}

/// As `main` prints it.
impl std::fmt::Debug for ProgramError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An error that names the field, unless it `holds`.
pub(crate) fn expect(field: &'static str, value: impl ToString, expected: &str, holds: bool) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Setting { field, value: value.to_string(), expected: expected.to_owned() }) }
}
