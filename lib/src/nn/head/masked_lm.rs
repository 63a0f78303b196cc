//! The masked-language-model head.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use super::spec::MaskedLmSpec;
use super::transform::Transform;
use crate::nn::blocks::linear;
use crate::nn::checkpoint::{self, Tensors};
use crate::nn::{Activations, Encoder, LoadReport, PackedBatch};
use crate::{Error, Result};

/// An encoder that scores every word of its vocabulary at chosen tokens (Devlin et al. 2019): for masked
/// language modelling, and for sparse vectors (SPLADE). Its decoder is the table of word embeddings.
///
/// ```
/// use kensaku::nn::{Activations, BertConfig, Encoder, MaskedLm, PackedBatch};
///
/// let encoder = Encoder::new(BertConfig { vocab_size: 100, ..Default::default() }, 42)?;
/// let model = MaskedLm::new(encoder, 42)?;
/// let mut activations = Activations::inference();
/// // What might the second token be?
/// model.forward(&PackedBatch::new([vec![2, 4, 7, 3]]), &[1], &mut activations)?;
/// assert_eq!(activations.logits().len(), 100);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct MaskedLm {
    pub(super) encoder: Encoder,
    pub(super) transform: Transform,
    pub(super) bias: Option<Range<usize>>,
}

impl MaskedLm {
    /// Puts a new head on an encoder: matrices drawn as the encoder's, biases 0, norms 1.
    pub fn new(mut encoder: Encoder, seed: u64) -> Result<Self> {
        encoder.remove_head();
        let own = encoder.parameters().entries().len();
        let (transform, bias) = push(&mut encoder);
        encoder.parameters_mut().allocate()?;
        encoder.draw(own, seed, |_| true);
        Ok(Self { encoder, transform, bias })
    }

    /// The same with a head that scores few words: its map is the identity where it is square; its norm makes vectors of
    /// length 1, so that the scores of word `j` at tokens that have nothing to do with it deviate by `|E_j| / sqrt(E)`, with
    /// `E` numbers of the embedding `E_j`; and its bias is minus two of these.
    pub(crate) fn plain(encoder: Encoder, seed: u64) -> Result<Self> {
        let mut head = Self::new(encoder, seed)?;
        let (width, inner, words) = (head.encoder.spec().width, head.encoder.spec().embedding, head.encoder.words());
        let (map, norm, bias) = (head.transform.map(), head.transform.norm_weight(), head.bias.clone());
        let values = &mut head.encoder.parameters_mut().values;
        if width == inner {
            values[map.clone()].fill(0.0);
            values[map].iter_mut().step_by(width + 1).for_each(|one| *one = 1.0);
        }
        let root = (inner as f32).sqrt();
        if let (Some(norm), Some(bias)) = (norm, bias) {
            values[norm].fill(1.0 / root);
            let length = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().sqrt();
            let biases: Vec<f32> = values[words].chunks_exact(inner).map(|row| -2.0 * length(row) / root).collect();
            values[bias].copy_from_slice(&biases);
        }
        Ok(head)
    }

    /// Reads a Hugging Face directory. A decoder that is stored has to equal the word embeddings.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let mut encoder = Encoder::outline(checkpoint::read_config(dir)?.0)?;
        let (transform, bias) = push(&mut encoder);
        let tensors = Tensors::open(dir)?;
        let spec = encoder.config().masked_lm();
        let aliases: Vec<_> = spec.bias.map(|name| (name, spec.bias_alias)).into_iter().collect();
        let mut loaded = checkpoint::fill(encoder.parameters_mut(), &tensors, &aliases, |_| false)?;
        if let Some(name) = check_tied(&encoder, &tensors, &spec, dir)? {
            loaded.unused.retain(|unused| *unused != name);
        }
        encoder.set_loaded(dir, loaded);
        Ok(Self { encoder, transform, bias })
    }

    /// Writes what `AutoModelForMaskedLM.from_pretrained` and [`MaskedLm::load`] read.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.encoder.save_with_head(dir.as_ref(), "ForMaskedLM", Value::Null)
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

    /// What the checkpoint held beyond this model.
    pub fn loaded(&self) -> &LoadReport {
        self.encoder.loaded()
    }

    /// The scores of all words at `tokens`, indices into the packed batch: [`Activations::logits`]
    /// `(n, vocab_size)`, one row per token in the order given.
    pub fn forward(&self, batch: &PackedBatch, tokens: &[usize], activations: &mut Activations) -> Result<()> {
        if let Some(token) = tokens.iter().find(|token| **token >= batch.tokens()) {
            return Err(Error::Shape {
                what: "token to score".to_owned(),
                found: token.to_string(),
                expected: format!("below {}, the tokens of the batch", batch.tokens()),
            });
        }
        self.encoder.forward(batch, activations)?;
        let (rows, spec) = (tokens.len(), self.encoder.spec());
        let (width, values) = (spec.width, self.encoder.weights());
        activations.head.fit(rows, width, spec.embedding, spec.vocab);
        if rows == 0 {
            return Ok(());
        }
        let Activations { hidden, head, .. } = activations;
        for (row, token) in head.input.chunks_exact_mut(width).zip(tokens) {
            row.copy_from_slice(&hidden[token * width..][..width]);
        }
        self.transform.forward(values, rows, head);
        linear::forward(&mut head.logits, &head.output, &values[self.encoder.words()], rows);
        if let Some(bias) = &self.bias {
            linear::add_bias(&mut head.logits, &values[bias.clone()]);
        }
        Ok(())
    }

    /// From the gradient of the scores `(n, vocab_size)` of the last forward pass with these
    /// [`Activations::training`]: adds the gradient of every parameter to the table; the word embeddings
    /// get both of their uses.
    pub fn backward(
        &mut self,
        batch: &PackedBatch,
        tokens: &[usize],
        activations: &mut Activations,
        d_logits: &[f32],
    ) -> Result<()> {
        if d_logits.len() != tokens.len() * self.encoder.spec().vocab || d_logits.len() != activations.logits().len() {
            return Err(Error::Shape {
                what: "gradient of the scores".to_owned(),
                found: format!("{} numbers after {} scores", d_logits.len(), activations.logits().len()),
                expected: "as many numbers as the last forward pass gave scores".to_owned(),
            });
        }
        let (rows, width, words) = (tokens.len(), self.encoder.spec().width, self.encoder.words());
        let mut head = std::mem::take(&mut activations.head);
        head.d_hidden.clear();
        head.d_hidden.resize(batch.tokens() * width, 0.0);
        if rows > 0 {
            let (values, mut grads) = self.encoder.weights_and_grads();
            head.d_output.resize(head.output.len(), 0.0);
            linear::backward_input(&mut head.d_output, false, d_logits, &values[words.clone()], rows);
            if let Some(grads) = grads.as_deref_mut() {
                // The decoder's bias comes after all of the encoder.
                let (front, rest) = grads.split_at_mut(self.bias.as_ref().map_or(words.end, |bias| bias.start));
                let d_bias = self.bias.as_ref().map(|bias| &mut rest[..bias.len()]);
                linear::backward_weight((Some(&mut front[words]), d_bias), d_logits, &head.output, rows);
            }
            self.transform.backward(values, grads, rows, &mut head);
            for (token, d) in tokens.iter().zip(head.d_input.chunks_exact(width)) {
                let row = &mut head.d_hidden[token * width..][..width];
                row.iter_mut().zip(d).for_each(|(sum, d)| *sum += d);
            }
        }
        let done = self.encoder.backward(batch, activations, &head.d_hidden);
        activations.head = head;
        done
    }
}

impl fmt::Debug for MaskedLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedLm ({})", self.encoder.shape())
    }
}

/// Appends the head's parameters to the table.
fn push(encoder: &mut Encoder) -> (Transform, Option<Range<usize>>) {
    let spec = encoder.config().masked_lm();
    let (width, embedding, eps) = (encoder.spec().width, encoder.spec().embedding, encoder.spec().eps);
    let vocab = encoder.spec().vocab;
    let table = encoder.parameters_mut();
    let transform = Transform::push(table, &spec.transform, width, embedding, eps);
    (transform, spec.bias.map(|name| table.outline(name, &[vocab], false)))
}

/// The stored name of the decoder's weight, if there is one.
fn check_tied(encoder: &Encoder, tensors: &Tensors, spec: &MaskedLmSpec, dir: &Path) -> Result<Option<String>> {
    let (words, vocab, width) = (encoder.words(), encoder.spec().vocab, encoder.spec().embedding);
    if !tensors.holds(spec.decoder, &[vocab, width])? {
        return Ok(None);
    }
    let mut decoder = vec![0.0; words.len()];
    tensors.read(spec.decoder, &mut decoder)?;
    if decoder != encoder.weights()[words] {
        return Err(Error::Model {
            path: dir.to_owned(),
            problem: format!("`{}` is not the table of word embeddings", spec.decoder),
            expected: "a decoder that is tied to it (`tie_word_embeddings`)".to_owned(),
        });
    }
    Ok(tensors.names().find(|(plain, _)| *plain == spec.decoder).map(|(_, name)| name.to_owned()))
}
