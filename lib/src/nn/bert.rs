//! The BERT encoder: forward and backward written by hand.

use std::ops::Range;
use std::path::Path;

use super::activations::{LayerCache, Scratch};
use super::blocks::dropout::{Dropout, Site};
use super::blocks::norm::Norm;
use super::blocks::{activation, attention, embedding, linear, norm};
use super::layout::{Layout, lay_out};
use super::{Activations, BertConfig, PackedBatch, Parameters, weights};
use crate::random::Philox;
use crate::{Error, Result};

/// A BERT encoder (Devlin et al., 2019), post-norm, absolute positions: BERT, MiniLM and their kin.
/// It has no pooler: search models pool the hidden states themselves.
///
/// ```
/// use kensaku::nn::{Activations, Bert, BertConfig, PackedBatch};
///
/// let bert = Bert::new(BertConfig { vocab_size: 100, ..Default::default() }, 42)?;
/// let mut activations = Activations::inference();
/// bert.forward(&PackedBatch::new([vec![2, 7, 3], vec![2, 3]]), &mut activations)?;
/// assert_eq!(activations.hidden().len(), 5 * bert.config().hidden_size);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Bert {
    config: BertConfig,
    parameters: Parameters,
    layout: Layout,
}

/// Dropout layers by number: one behind the embeddings, then three a layer.
fn site_of(layer: usize, place: u32) -> u32 {
    1 + layer as u32 * 3 + place
}

impl Bert {
    /// An untrained encoder: weights from N(0, `initializer_range`²), biases 0, norms 1.
    pub fn new(config: BertConfig, seed: u64) -> Result<Self> {
        let mut bert = Self::zeros(config)?;
        let deviation = bert.config.initializer_range;
        let mut rng = Philox::new(seed);
        for entry in bert.parameters.entries().to_vec() {
            let values = &mut bert.parameters.values[entry.range];
            if entry.decay {
                values.fill_with(|| (rng.normal() * deviation) as f32);
            } else if entry.name.ends_with("weight") {
                values.fill(1.0);
            }
        }
        Ok(bert)
    }

    /// Reads `config.json` and `model.safetensors` of a Hugging Face directory.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let mut bert = Self::zeros(weights::read_config(&dir.join("config.json"))?)?;
        weights::read(&dir.join("model.safetensors"), &mut bert.parameters)?;
        Ok(bert)
    }

    /// Writes `config.json` and `model.safetensors`.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        weights::write_config(&dir.as_ref().join("config.json"), &self.config)?;
        weights::write(&dir.as_ref().join("model.safetensors"), &self.parameters)
    }

    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// The parameter table.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Computes the hidden states `(T, H)` of a batch into `activations`.
    pub fn forward(&self, batch: &PackedBatch, activations: &mut Activations) -> Result<()> {
        self.check(batch)?;
        activations.fit(&self.config, batch);
        let (tokens, width) = (batch.tokens(), self.config.hidden_size);
        let Activations { hidden, embeddings, layers, scratch, dropout, .. } = activations;
        let (hidden, rows) = (&mut hidden[..tokens * width], &mut scratch.rows[..tokens * width]);
        let tables = [
            (self.at(&self.layout.words), batch.ids.as_slice()),
            (self.at(&self.layout.positions), &batch.positions),
            (self.at(&self.layout.segments), &batch.token_types),
        ];
        embedding::forward(rows, width, tables);
        norm::forward(hidden, rows, None, self.norm(&self.layout.norm), None, embeddings.parts(tokens, width));
        // BERT drops behind the norm here, and before the residual everywhere else.
        if let Some(site) = self.site(*dropout, 0, self.config.hidden_dropout_prob) {
            rows.copy_from_slice(hidden);
            norm::drop(hidden, rows, width, Some(site));
        }
        for index in 0..self.config.num_hidden_layers {
            let cache = index.min(layers.len() - 1);
            self.forward_layer(index, batch, hidden, rows, &mut layers[cache], *dropout);
        }
        Ok(())
    }

    /// From the gradient of the hidden states `(T, H)` of the last forward pass with these
    /// [`Activations::training`]: adds the gradient of every parameter to the table.
    pub fn backward(&mut self, batch: &PackedBatch, activations: &mut Activations, d_hidden: &[f32]) -> Result<()> {
        let (tokens, width) = (batch.tokens(), self.config.hidden_size);
        if d_hidden.len() != tokens * width || activations.hidden().len() != d_hidden.len() {
            return Err(Error::Shape {
                what: "gradient of the hidden states".to_owned(),
                found: format!("{} numbers", d_hidden.len()),
                expected: format!("({tokens}, {width}) behind a forward pass of the same batch"),
            });
        }
        if self.parameters.grads.is_empty() {
            self.parameters.zero_grads();
        }
        let Activations { hidden, embeddings, layers, scratch, dropout, .. } = activations;
        // The output is not needed any more: its memory holds the gradient that wanders down.
        let d = &mut hidden[..tokens * width];
        d.copy_from_slice(d_hidden);
        for index in (0..self.config.num_hidden_layers).rev() {
            self.backward_layer(index, batch, d, &layers[index], scratch, *dropout);
        }
        let site = self.site(*dropout, 0, self.config.hidden_dropout_prob);
        let rows = &mut scratch.rows[..tokens * width];
        norm::drop(rows, d, width, site);
        let Parameters { values, grads, .. } = &mut self.parameters;
        let [d_gamma, d_beta] = pair(grads, &self.layout.norm);
        let gamma = &values[self.layout.norm[0].clone()];
        norm::backward(rows, gamma, embeddings.read(tokens, width), d_gamma, d_beta);
        let Layout { words, positions, segments, .. } = &self.layout;
        for (table, ids) in [(words, &batch.ids), (positions, &batch.positions), (segments, &batch.token_types)] {
            embedding::backward(&mut grads[table.clone()], rows, width, ids);
        }
        Ok(())
    }

    fn forward_layer(
        &self,
        index: usize,
        batch: &PackedBatch,
        hidden: &mut [f32],
        rows: &mut [f32],
        cache: &mut LayerCache,
        dropout: Option<Dropout>,
    ) {
        let (tokens, width, inner) = (batch.tokens(), self.config.hidden_size, self.config.intermediate_size);
        let layer = &self.layout.layers[index];
        let (qkv, context) = (&mut cache.qkv[..tokens * 3 * width], &mut cache.context[..tokens * width]);
        let input = &mut cache.input[..tokens * width];
        input.copy_from_slice(hidden);

        linear::forward(qkv, input, self.at(&layer.qkv[0]), tokens);
        linear::add_bias(qkv, self.at(&layer.qkv[1]));
        let log_sums = &mut cache.log_sums[..tokens * self.config.num_attention_heads];
        let site = self.attention_site(dropout, index);
        attention::forward(context, log_sums, qkv, self.heads(batch), site);
        linear::forward(rows, context, self.at(&layer.out[0]), tokens);
        let site = self.site(dropout, site_of(index, 1), self.config.hidden_dropout_prob);
        let attended = &mut cache.attended[..tokens * width];
        let add = Some((self.at(&layer.out[1]), &*input));
        norm::forward(
            attended,
            rows,
            add,
            self.norm(&layer.attention_norm),
            site,
            cache.attention_norm.parts(tokens, width),
        );

        let (pre, activated) = (&mut cache.pre[..tokens * inner], &mut cache.activated[..tokens * inner]);
        linear::forward(pre, attended, self.at(&layer.up[0]), tokens);
        activation::forward(pre, activated, self.at(&layer.up[1]), self.config.hidden_act);
        linear::forward(rows, activated, self.at(&layer.down[0]), tokens);
        let site = self.site(dropout, site_of(index, 2), self.config.hidden_dropout_prob);
        let add = Some((self.at(&layer.down[1]), &*attended));
        norm::forward(hidden, rows, add, self.norm(&layer.output_norm), site, cache.output_norm.parts(tokens, width));
    }

    /// `d` is the gradient of the layer's output and becomes that of its input.
    fn backward_layer(
        &mut self,
        index: usize,
        batch: &PackedBatch,
        d: &mut [f32],
        cache: &LayerCache,
        scratch: &mut Scratch,
        dropout: Option<Dropout>,
    ) {
        let (tokens, width, inner) = (batch.tokens(), self.config.hidden_size, self.config.intermediate_size);
        let hidden_rate = self.config.hidden_dropout_prob;
        let sites = [
            self.attention_site(dropout, index),
            self.site(dropout, site_of(index, 1), hidden_rate),
            self.site(dropout, site_of(index, 2), hidden_rate),
        ];
        let (heads, act) = (self.heads(batch), self.config.hidden_act);
        let layer = &self.layout.layers[index];
        let Parameters { values, grads, .. } = &mut self.parameters;
        let at = |range: &Range<usize>| &values[range.clone()];
        let (rows, d_rows) = (&mut scratch.rows[..tokens * width], &mut scratch.d_rows[..tokens * width]);

        // Feed-forward block. Behind the norm, `d` is the gradient of the sum and so of the residual.
        let [d_gamma, d_beta] = pair(grads, &layer.output_norm);
        norm::backward(d, at(&layer.output_norm[0]), cache.output_norm.read(tokens, width), d_gamma, d_beta);
        norm::drop(d_rows, d, width, sites[2]);
        let d_inner = &mut scratch.wide[..tokens * inner];
        let [d_weight, d_bias] = pair(grads, &layer.down);
        let activated = &cache.activated[..tokens * inner];
        linear::backward(d_rows, activated, at(&layer.down[0]), d_inner, false, d_weight, d_bias);
        activation::backward(d_inner, &cache.pre[..tokens * inner], act);
        let [d_weight, d_bias] = pair(grads, &layer.up);
        let attended = &cache.attended[..tokens * width];
        linear::backward(d_inner, attended, at(&layer.up[0]), d, true, d_weight, d_bias);

        // Attention block.
        let [d_gamma, d_beta] = pair(grads, &layer.attention_norm);
        norm::backward(d, at(&layer.attention_norm[0]), cache.attention_norm.read(tokens, width), d_gamma, d_beta);
        norm::drop(d_rows, d, width, sites[1]);
        let [d_weight, d_bias] = pair(grads, &layer.out);
        let context = &cache.context[..tokens * width];
        linear::backward(d_rows, context, at(&layer.out[0]), rows, false, d_weight, d_bias);
        let (d_qkv, qkv) = (&mut scratch.wide[..tokens * 3 * width], &cache.qkv[..tokens * 3 * width]);
        attention::backward(d_qkv, rows, qkv, &cache.log_sums[..tokens * heads.count], heads, sites[0]);
        let [d_weight, d_bias] = pair(grads, &layer.qkv);
        let input = &cache.input[..tokens * width];
        linear::backward(d_qkv, input, at(&layer.qkv[0]), d, true, d_weight, d_bias);
    }

    /// All parameters in their order, zero.
    fn zeros(config: BertConfig) -> Result<Self> {
        config.check()?;
        let (parameters, layout) = lay_out(&config);
        Ok(Self { config, parameters, layout })
    }

    /// An error for what the tables cannot look up.
    fn check(&self, batch: &PackedBatch) -> Result<()> {
        let limits = [
            ("token id", &batch.ids, self.config.vocab_size, "vocab_size"),
            ("position", &batch.positions, self.config.max_position_embeddings, "max_position_embeddings"),
            ("token type", &batch.token_types, self.config.type_vocab_size, "type_vocab_size"),
        ];
        for (what, ids, limit, field) in limits {
            if let Some(id) = ids.iter().find(|id| **id as usize >= limit) {
                return Err(Error::Shape {
                    what: format!("{what} in a batch"),
                    found: id.to_string(),
                    expected: format!("below {field} = {limit} (does the tokenizer belong to the model?)"),
                });
            }
        }
        Ok(())
    }

    fn at(&self, range: &Range<usize>) -> &[f32] {
        &self.parameters.values[range.clone()]
    }

    fn norm(&self, place: &[Range<usize>; 2]) -> Norm<'_> {
        Norm { gamma: self.at(&place[0]), beta: self.at(&place[1]), eps: self.config.layer_norm_eps }
    }

    fn heads<'a>(&self, batch: &'a PackedBatch) -> attention::Heads<'a> {
        let (count, size) = (self.config.num_attention_heads, self.config.head_size());
        attention::Heads { bounds: &batch.bounds, count, size }
    }

    fn attention_site(&self, dropout: Option<Dropout>, layer: usize) -> Option<Site> {
        let BertConfig { attention_probs_dropout_prob, num_attention_heads, .. } = self.config;
        dropout?.attention_site(site_of(layer, 0), attention_probs_dropout_prob, num_attention_heads)
    }

    fn site(&self, dropout: Option<Dropout>, site: u32, rate: f32) -> Option<Site> {
        dropout.and_then(|dropout| dropout.site(site, rate))
    }
}

/// Two neighbouring parts of the gradients.
fn pair<'a>(grads: &'a mut [f32], ranges: &[Range<usize>; 2]) -> [&'a mut [f32]; 2] {
    let (first, second) = grads[ranges[0].start..ranges[1].end].split_at_mut(ranges[0].len());
    [first, second]
}
