//! The classification head.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

use super::head_site;
use super::spec::ClassifierSpec;
use super::transform::Transform;
use crate::error::expect;
use crate::nn::activations::Read;
use crate::nn::blocks::dropout::{self, Site};
use crate::nn::blocks::linear;
use crate::nn::checkpoint::{self, Tensors};
use crate::nn::layout::ParamRange;
use crate::nn::{Activations, ClassifierPooling, Dropout, Encoder, LoadReport, PackedBatch};
use crate::{Error, Result};

/// An encoder that gives every sequence one score per label: cross-encoders have one, or one per class. The
/// head is the family's own, as transformers' `AutoModelForSequenceClassification` has it.
///
/// ```
/// use kensaku::nn::{Activations, BertConfig, Classifier, Encoder, PackedBatch};
///
/// let encoder = Encoder::new(BertConfig { vocab_size: 100, ..Default::default() }, 42)?;
/// let model = Classifier::new(encoder, 3, 42)?;
/// let mut activations = Activations::inference();
/// model.forward(&PackedBatch::new([vec![2, 7, 3], vec![2, 3]]), &mut activations)?;
/// assert_eq!(activations.logits().len(), 2 * 3);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct Classifier {
    encoder: Encoder,
    spec: ClassifierSpec,
    transform: Transform,
    out: ParamRange,
    labels: Vec<String>,
}

impl Classifier {
    /// Puts a new head for `labels` labels on an encoder: matrices drawn as the encoder's, biases 0,
    /// norms 1.
    pub fn new(mut encoder: Encoder, labels: usize, seed: u64) -> Result<Self> {
        expect("labels", labels, "at most 1000000", labels <= 1_000_000)?;
        encoder.remove_head();
        let own = encoder.parameters().entries().len();
        let mut model = Self::on(encoder, default_labels(labels))?;
        model.encoder.parameters_mut().allocate()?;
        model.encoder.draw(own, seed, |_| true);
        Ok(model)
    }

    /// Reads a Hugging Face directory of a model with such a head.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let (config, stored) = checkpoint::read_config(dir)?;
        let encoder = Encoder::outline(config)?;
        let tensors = Tensors::open(dir)?;
        let weight = format!("{}.weight", encoder.config().classifier().out);
        // The weights tell how many labels there are; `config.json` may tell their names.
        let width = encoder.spec().width;
        let Some([labels, _]) = tensors.shape(&weight) else { return Err(tensors.missing(&weight, &[1, width])) };
        let named = |label: usize| stored["id2label"][label.to_string()].as_str().map(str::to_owned);
        let names: Option<Vec<String>> = (0..*labels).map(named).collect();
        let mut model = Self::on(encoder, names.unwrap_or_else(|| default_labels(*labels)))?;
        let loaded = checkpoint::fill(model.encoder.parameters_mut(), &tensors, &[], |_| false)?;
        model.encoder.set_loaded(dir, loaded);
        Ok(model)
    }

    /// Reads a Hugging Face directory for a new task: of the head it takes what is there (BERT's pooler)
    /// and draws the rest, which [`LoadReport::missing`] lists.
    pub fn load_for(dir: impl AsRef<Path>, labels: usize, seed: u64) -> Result<Self> {
        let dir = dir.as_ref();
        let encoder = Encoder::outline(checkpoint::read_config(dir)?.0)?;
        let own = encoder.parameters().entries().len();
        let mut model = Self::on(encoder, default_labels(labels))?;
        let first = model.encoder.parameters().entries().get(own).map_or(0, |entry| entry.range.start);
        let of_head = |entry: &crate::nn::Parameter| entry.range.start >= first;
        let loaded = checkpoint::fill(model.encoder.parameters_mut(), &Tensors::open(dir)?, &[], of_head)?;
        model.encoder.draw(own, seed, |entry| loaded.missing.contains(&entry.name));
        model.encoder.set_loaded(dir, loaded);
        Ok(model)
    }

    /// Writes what `AutoModelForSequenceClassification.from_pretrained` and [`Classifier::load`] read.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_with(dir.as_ref(), json!({}))
    }

    /// The same with further keys in `config.json`.
    pub(crate) fn save_with(&self, dir: &Path, keys: Value) -> Result<()> {
        let names = self.labels.iter().enumerate();
        let by_id: serde_json::Map<String, Value> =
            names.clone().map(|(id, name)| (id.to_string(), json!(name))).collect();
        let by_name: serde_json::Map<String, Value> = names.map(|(id, name)| (name.clone(), json!(id))).collect();
        let mut head = json!({ "id2label": by_id, "label2id": by_name });
        if let (Value::Object(head), Value::Object(keys)) = (&mut head, keys) {
            head.extend(keys);
        }
        self.encoder.save_with_head(dir, "ForSequenceClassification", head)
    }

    /// The encoder, whose table holds the head's parameters too.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    pub fn encoder_mut(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    /// The encoder without the head.
    pub fn into_encoder(mut self) -> Encoder {
        self.encoder.remove_head();
        self.encoder
    }

    /// Whether a parameter is added to the numbers of every sequence alike, which a loss of their differences does not see.
    pub(crate) fn is_out_bias(&self, name: &str) -> bool {
        name.strip_suffix(".bias") == Some(self.spec.out)
    }

    /// What the checkpoint held beyond this model, and what was drawn anew.
    pub fn loaded(&self) -> &LoadReport {
        self.encoder.loaded()
    }

    /// The names of the labels, in the order of the scores.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The scores of every sequence: [`Activations::logits`] `(B, labels)`.
    pub fn forward(&self, batch: &PackedBatch, activations: &mut Activations) -> Result<()> {
        if let Some(index) = batch.ranges().position(|range| range.is_empty()) {
            return Err(Error::Shape {
                what: format!("sequence {index} of a batch"),
                found: "no token".to_owned(),
                expected: "at least one to classify".to_owned(),
            });
        }
        let read = match self.spec.pooling {
            ClassifierPooling::Cls => Read::First,
            ClassifierPooling::Mean => Read::All,
        };
        self.encoder.forward_for(read, batch, activations, None)?;
        let (rows, width, labels) = (batch.sequences(), self.encoder.spec().width, self.labels.len());
        let (values, (transform, out)) = (self.encoder.parameters().values.as_slice(), self.places());
        activations.head.fit(rows, width, width, labels);
        if rows == 0 {
            return Ok(());
        }
        let Activations { hidden, head, dropout, .. } = activations;
        for (index, (range, pooled)) in batch.ranges().zip(head.input.chunks_exact_mut(width)).enumerate() {
            pooled.fill(0.0);
            let (rows, share) = self.pooled(index, range);
            for row in hidden[rows.start * width..rows.end * width].chunks_exact(width) {
                pooled.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * share);
            }
        }
        dropout::apply(&mut head.input, width, self.site(batch, *dropout, 0, self.spec.dropout_before));
        transform.forward(values, rows, head);
        dropout::apply(&mut head.output, width, self.site(batch, *dropout, 1, self.spec.dropout));
        linear::forward(&mut head.logits, &head.output, out.weight(values), rows);
        if let Some(bias) = out.bias(values) {
            linear::add_bias(&mut head.logits, bias);
        }
        Ok(())
    }

    /// From the gradient of the scores `(B, labels)` of the last forward pass with these
    /// [`Activations::training`]: adds the gradient of every parameter to the table.
    pub fn backward(&mut self, batch: &PackedBatch, activations: &mut Activations, d_logits: &[f32]) -> Result<()> {
        let (rows, width, labels) = (batch.sequences(), self.encoder.spec().width, self.labels.len());
        if d_logits.len() != rows * labels || d_logits.len() != activations.logits().len() {
            return Err(Error::Shape {
                what: "gradient of the scores".to_owned(),
                found: format!("{} numbers after {} scores", d_logits.len(), activations.logits().len()),
                expected: "as many numbers as the last forward pass gave scores".to_owned(),
            });
        }
        let sites = [self.spec.dropout_before, self.spec.dropout];
        let [before, after] = [0, 1].map(|place| self.site(batch, activations.dropout, place as u32, sites[place]));
        let mut head = std::mem::take(&mut activations.head);
        head.d_hidden.clear();
        head.d_hidden.resize(activations.hidden().len(), 0.0);
        if rows > 0 {
            let (transform, out) = self.places();
            let (values, grads) = self.encoder.parameters_mut().values_and_grads();
            head.d_output.resize(head.output.len(), 0.0);
            let weight = out.weight(values);
            let d_out = out.grads(grads);
            linear::backward(d_logits, &head.output, weight, rows, &mut head.d_output, d_out);
            dropout::apply(&mut head.d_output, width, after);
            transform.backward(values, Some(grads), rows, &mut head);
            dropout::apply(&mut head.d_input, width, before);
            for (index, (range, d)) in batch.ranges().zip(head.d_input.chunks_exact(width)).enumerate() {
                let (rows, share) = self.pooled(index, range);
                for row in head.d_hidden[rows.start * width..rows.end * width].chunks_exact_mut(width) {
                    row.iter_mut().zip(d).for_each(|(row, d)| *row = d * share);
                }
            }
        }
        let done = self.encoder.backward(batch, activations, &head.d_hidden);
        activations.head = head;
        done
    }

    /// Appends the head's parameters to the table.
    fn on(mut encoder: Encoder, labels: Vec<String>) -> Result<Self> {
        if labels.is_empty() {
            let expected = "at least 1".to_owned();
            return Err(Error::Setting { field: "labels", value: "0".to_owned(), expected });
        }
        let (spec, width, eps) = (encoder.config().classifier(), encoder.spec().width, encoder.spec().eps);
        let table = encoder.parameters_mut();
        let transform = Transform::push(table, &spec.transform, width, width, eps);
        let out = ParamRange::linear(table, spec.out, [labels.len(), width], true);
        Ok(Self { encoder, spec, transform, out, labels })
    }

    /// Where its parameters lie: beside adapters the encoder's are not in the table.
    fn places(&self) -> (Transform, ParamRange) {
        let frozen = self.encoder.parameters().frozen();
        (self.transform.without(frozen), self.out.without(frozen))
    }

    /// The hidden states of a sequence that are pooled, and the share of each.
    fn pooled(&self, index: usize, range: Range<usize>) -> (Range<usize>, f32) {
        match self.spec.pooling {
            ClassifierPooling::Cls => (index..index + 1, 1.0),
            ClassifierPooling::Mean => (range.clone(), 1.0 / range.len() as f32),
        }
    }

    /// A sequence is dropped as its first token, so that parts of a batch draw what the whole draws.
    fn site<'a>(&self, batch: &'a PackedBatch, dropout: Option<Dropout>, place: u32, rate: f32) -> Option<Site<'a>> {
        let site = dropout?.site(head_site(self.encoder.spec().layers.len(), place), rate)?;
        Some(site.of_tokens(Some(&batch.bounds)))
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Classifier ({}; {} labels)", self.encoder.shape(), self.labels.len())
    }
}

/// As transformers names them.
fn default_labels(count: usize) -> Vec<String> {
    (0..count).map(|label| format!("LABEL_{label}")).collect()
}
