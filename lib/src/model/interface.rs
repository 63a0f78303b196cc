//! What a trainer asks of a model. Adding an architecture is one file with these methods.

use std::any::Any;
use std::fmt;
use std::path::Path;

use candle_core::Tensor;
use serde_json::Value;

use super::{CustomHead, Role};
use crate::loss::Scoring;
use crate::nn::{Activations, PackedBatch, Parameters};
use crate::text::{Encodings, Tokenizer};
use crate::{Error, Result};

/// A model that can be trained: it turns columns of texts into sequences of tokens, those into rows of numbers, and takes
/// the gradient of these numbers back to its parameters.
///
/// Training, GradCache, checkpoints, validation and gradient checks use these methods alone. They hide what differs
/// between architectures: prompts, pairs, pooling, which tokens count.
pub trait Model: Any + fmt::Debug + Send + Sync {
    /// The sequences of each column that a loss will see, for columns of as many texts each: queries, positives,
    /// negatives.
    fn tokenize(&self, columns: &[Vec<&str>]) -> Result<Tokens>;

    /// [`tokenize`](Self::tokenize) without the model, for a thread that is ahead of the training. Texts of a model that has
    /// none are tokenized between steps.
    fn front(&self) -> Option<Front> {
        None
    }

    /// The first half of a step: rows of numbers for each sequence.
    fn forward(&self, part: &Part, activations: &mut Activations) -> Result<Outputs>;

    /// The second half, after a forward pass of the same part with the same `activations`: from the gradient of
    /// `outputs.values`, adds that of every parameter to the table.
    fn backward(
        &mut self,
        part: &Part,
        activations: &mut Activations,
        outputs: &Outputs,
        gradient: &[f32],
    ) -> Result<()>;

    /// The numbers in a row of the outputs.
    fn width(&self) -> usize;

    /// How outputs become scores.
    fn scoring(&self) -> Scoring;

    /// Whether rows have length 1.
    fn unit(&self) -> bool {
        false
    }

    /// The most tokens of a sequence.
    fn max_length(&self) -> usize;

    /// The settings that cut texts, for messages.
    fn limits(&self) -> String {
        format!("max_length = {} tokens", self.max_length())
    }

    /// How many layers before the last one a loss may see, 0 for none. Those that [`Activations`] were told to keep follow the
    /// rows of the last layer in `outputs.values`, each as many rows, and so do their gradients.
    fn layers(&self) -> usize {
        0
    }

    /// Tokens in one forward pass of inference.
    fn pass_tokens(&self) -> usize {
        4_096
    }

    /// The parameter table.
    fn parameters(&self) -> &Parameters;

    fn parameters_mut(&mut self) -> &mut Parameters;

    /// Whether the gradient of a parameter is zero by nature.
    fn cancels(&self, _parameter: &str) -> bool {
        false
    }

    /// The error for a parameter that no gradient reaches.
    fn unreached(&self, parameter: &str) -> Error {
        Error::MissingGradient { parameter: parameter.to_owned() }
    }

    /// The closure that makes the outputs, if one does, with what it sees of a batch: for a check of its gradient.
    fn head_inputs(&self, _part: &Part, _activations: &mut Activations) -> Result<Option<HeadInputs>> {
        Ok(None)
    }

    fn tokenizer(&self) -> &Tokenizer;

    /// That of queries, where they have one of their own.
    fn query_tokenizer(&self) -> &Tokenizer {
        self.tokenizer()
    }

    /// The settings that decide what it computes, as one table.
    fn settings(&self) -> serde_json::Result<Value>;

    /// The settings of a checkpoint, with the defaults of what it lacks because its version did not have it yet.
    fn complete(&self, settings: &Value) -> serde_json::Result<Value>;

    /// Writes a directory that Python loads.
    fn save_to(&self, dir: &Path) -> Result<()>;

    /// Reads a directory of the same architecture.
    fn load_from(&self, dir: &Path) -> Result<Box<dyn Model>>;

    fn boxed(&self) -> Box<dyn Model>;
}

/// The methods of [`Model`] that all models with an encoder share: its table, and a directory of their own. The listed
/// settings decide how inference does its work, and change nothing of a training.
macro_rules! with_encoder {
    ($config:ident { $($field:ident: $value:expr),* }) => {
        with_encoder!($config { $($field: $value),* }; loads itself);

        fn load_from(&self, dir: &std::path::Path) -> $crate::Result<Box<dyn $crate::model::Model>> {
            if self.encoder().lora().is_some() {
                let mut model = self.clone();
                model.encoder_mut().fill_lora(&$crate::folder::file(dir, $crate::model::interface::LORA)?)?;
                return Ok(Box::new(model));
            }
            Ok(Box::new(Self::load(dir)?))
        }
    };
    ($config:ident { $($field:ident: $value:expr),* }; loads itself) => {
        fn pass_tokens(&self) -> usize {
            self.config.encode_tokens
        }

        fn parameters(&self) -> &$crate::nn::Parameters {
            self.encoder().parameters()
        }

        fn parameters_mut(&mut self) -> &mut $crate::nn::Parameters {
            self.encoder_mut().parameters_mut()
        }

        fn unreached(&self, parameter: &str) -> $crate::Error {
            self.encoder().unreached(parameter)
        }

        fn tokenizer(&self) -> &$crate::text::Tokenizer {
            &self.tokenizer
        }

        fn settings(&self) -> serde_json::Result<serde_json::Value> {
            $crate::model::interface::with_lora_mark(self.encoder().config().table(&self.config)?, self.encoder().lora_mark())
        }

        fn complete(&self, settings: &serde_json::Value) -> serde_json::Result<serde_json::Value> {
            use serde::Deserialize;
            let config = $config { $($field: $value,)* ..$config::deserialize(settings)? };
            let table = $crate::nn::EncoderConfig::deserialize(settings)?.table(&config)?;
            $crate::model::interface::with_lora_mark(table, settings.get($crate::model::interface::LORA).cloned())
        }

        fn save_to(&self, dir: &std::path::Path) -> $crate::Result<()> {
            self.save(dir)?;
            // Adapters are merged there, and on their own here.
            match self.encoder().lora() {
                None => Ok(()),
                Some(_) => self.encoder().save_lora(&dir.join($crate::model::interface::LORA), $crate::nn::Prefixed::No),
            }
        }

        fn boxed(&self) -> Box<dyn $crate::model::Model> {
            Box::new(self.clone())
        }
    };
}
pub(super) use with_encoder;

/// The folder of a checkpoint that holds adapters, and the key of their settings.
pub(super) const LORA: &str = "lora";

/// Settings with those of adapters.
pub(super) fn with_lora_mark(mut settings: Value, mark: Option<Value>) -> serde_json::Result<Value> {
    if let Some(mark) = mark {
        settings[LORA] = mark;
    }
    Ok(settings)
}

/// An error for a list of another length.
pub(super) fn check_length(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Shape { what: what.to_owned(), found: found.to_string(), expected: expected.to_string() })
}

/// The sequences of each column of texts, as [`Model::tokenize`] makes them: what no training changes.
pub type Front = Box<dyn Fn(&[Vec<&str>]) -> Result<Tokens> + Send + Sync>;

/// What [`Model::tokenize`] makes of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tokens {
    pub columns: Vec<PackedBatch>,
    /// How many texts were longer than the model takes, and lost their end.
    pub truncated: usize,
}

impl Tokens {
    /// A sequence per text, which is encoded in the role of its column.
    pub(super) fn of_texts(columns: &[Vec<&str>], encode: impl Fn(&[&str], Role) -> Result<Encodings>) -> Result<Self> {
        let mut tokens = Self::default();
        for (column, texts) in columns.iter().enumerate() {
            let encodings = encode(texts, Role::of_column(column))?;
            tokens.truncated += encodings.truncated;
            tokens.columns.push(PackedBatch::new(encodings.ids));
        }
        Ok(tokens)
    }
}

/// Sequences of a batch that pass through a model together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    pub batch: PackedBatch,
    /// The column of each sequence.
    pub columns: Vec<usize>,
}

/// A head that is a closure, with its inputs.
#[derive(Debug, Clone)]
pub struct HeadInputs {
    pub head: CustomHead,
    /// The hidden states `(T, H)`.
    pub states: Tensor,
    /// Where the tokens of each sequence begin, and the end of the last.
    pub bounds: Vec<usize>,
    pub parameters: Vec<(String, Tensor)>,
}

/// What a model makes of sequences.
#[derive(Default)]
pub struct Outputs {
    /// `(rows, width)`, row-major.
    pub values: Vec<f32>,
    /// Where the rows of each sequence begin, and the end of the last; empty where each sequence has one row.
    pub bounds: Vec<usize>,
    /// What the model's backward pass needs beside the values.
    pub kept: Option<Box<dyn Any + Send + Sync>>,
}

impl Outputs {
    /// One row per sequence, and what the backward pass needs.
    pub(crate) fn rows(values: Vec<f32>, kept: impl Any + Send + Sync) -> Self {
        Self { values, bounds: Vec::new(), kept: Some(Box::new(kept)) }
    }

    /// What the forward pass has kept.
    pub(crate) fn kept<T: Any>(&self) -> Result<&T> {
        self.kept.as_ref().and_then(|kept| kept.downcast_ref()).ok_or_else(|| Error::Shape {
            what: "outputs of a backward pass".to_owned(),
            found: "those of another model".to_owned(),
            expected: "those of the forward pass before".to_owned(),
        })
    }

    /// Adds those of further sequences; nothing is kept for a backward pass.
    pub(crate) fn extend(&mut self, other: Self) {
        self.values.extend(other.values);
        if let [_, bounds @ ..] = other.bounds.as_slice() {
            if self.bounds.is_empty() {
                self.bounds.push(0);
            }
            let rows = self.bounds.last().copied().unwrap_or(0);
            self.bounds.extend(bounds.iter().map(|bound| rows + bound));
        }
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outputs ({} numbers)", self.values.len())
    }
}

/// A model as the type that it is.
///
/// # Panics
/// If it is of another, which no trainer lets happen.
pub(crate) fn as_type<M: Model>(model: &dyn Model) -> &M {
    let model: &dyn Any = model;
    model.downcast_ref().expect("the type that the trainer was made with")
}

/// The same, owned.
///
/// # Panics
/// As [`as_type`].
pub(crate) fn downcast<M: Model>(model: Box<dyn Model>) -> M {
    let model: Box<dyn Any> = model;
    *model.downcast().expect("the type that the trainer was made with")
}
