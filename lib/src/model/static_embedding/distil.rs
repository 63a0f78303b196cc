//! A static embedding from an encoder.

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{StaticEmbedding, StaticEmbeddingConfig, new_table, pca};
use crate::error::expect;
use crate::model::BiEncoder;
use crate::nn::{Activations, PackedBatch};
use crate::{Error, Result, interrupt, show};

/// How an encoder becomes a static embedding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistilConfig {
    /// The vectors' principal components that are kept, at most the width of the encoder; `None` for the vectors as they
    /// are. Default 256.
    pub dims: Option<usize>,
    /// What the vector of a token is multiplied with. Default [`TokenWeights::Sif`] of 1e-4.
    pub weights: TokenWeights,
    /// A regular expression of tokens that get the vector 0, as special tokens do.
    pub remove: Option<String>,
}

/// How much a token counts, by its rank among the tokens that are kept: ids of most vocabularies fall with the frequency of
/// their tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenWeights {
    /// All as much.
    None,
    /// `ln(1 + rank)`, from rank 0: the frequent count less (model2vec before 0.4).
    Zipf,
    /// `a / (a + p)` with this `a`, where `p` is the probability by Zipf's law, `1 / (rank + 2)` over the sum of all
    /// (smooth inverse frequency, Arora et al. 2017).
    Sif(f64),
}

impl Default for DistilConfig {
    fn default() -> Self {
        Self { dims: Some(256), weights: TokenWeights::Sif(1e-4), remove: Some(r"^\[unused\d+\]".to_owned()) }
    }
}

/// Tokens in one forward pass.
const PASS: usize = 1_024;

impl StaticEmbedding {
    /// Makes a static embedding of an encoder, without any text, as model2vec does (van Dongen and Tulkens 2024): each token
    /// of the vocabulary goes through the encoder by itself, between its special tokens; the mean of the hidden states is
    /// reduced to `dims` principal components and weighted by the token's rank.
    ///
    /// The tokenizer stays as it is. Vectors have length 1 and unknown tokens are left out. How the encoder pools does not
    /// matter. It is a start: the result trains as any model.
    ///
    /// ```
    /// use kensaku::model::{BiEncoder, BiEncoderConfig, DistilConfig, StaticEmbedding};
    /// # use kensaku::nn::BertConfig;
    /// # use kensaku::text::{Tokenizer, WordPieceConfig};
    /// # let words = WordPieceConfig { min_frequency: 1, ..Default::default() };
    /// # let tokenizer = Tokenizer::train_wordpiece(&["a red house", "a green tree"], &words)?;
    /// # let small = BertConfig { hidden_size: 32, intermediate_size: 32, ..Default::default() };
    /// let encoder = BiEncoder::new(small, tokenizer, BiEncoderConfig::default(), 42)?;
    /// let model = StaticEmbedding::distil(&encoder, &DistilConfig { dims: Some(8), ..Default::default() })?;
    /// assert_eq!(model.encode_texts(&["a red tree"])?.dims(), [1, 8]);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    ///
    /// # Errors
    /// For settings that make no sense; if no token is left; for an encoder whose hidden states are not finite.
    pub fn distil(encoder: &BiEncoder, config: &DistilConfig) -> Result<Self> {
        let remove = config.check()?;
        let (tokenizer, width) = (encoder.tokenizer().clone(), encoder.encoder().config().hidden_size());
        let removed = |token: &str| remove.as_ref().is_some_and(|remove| remove.is_match(token));
        let unknown = tokenizer.unknown_id();
        let kept = |id: &u32| {
            let special = tokenizer.is_special(*id) || unknown == Some(*id);
            !special && tokenizer.token(*id).is_some_and(|token| !removed(&token))
        };
        let ids: Vec<u32> = (0..tokenizer.vocab_size() as u32).filter(kept).collect();
        // Around its mean a single vector is 0.
        let least = if config.dims.is_some() { 2 } else { 1 };
        let left = format!("a pattern that leaves at least {least} of the {} tokens", tokenizer.vocab_size());
        expect("remove", config.remove.as_deref().unwrap_or_default(), &left, ids.len() >= least)?;

        let mut rows = hidden_means(encoder, &ids)?;
        let dims = config.dims.unwrap_or(width).min(width);
        if config.dims.is_some() {
            rows = pca::project(&mut rows, width, dims)?;
        }
        for (row, weight) in rows.chunks_exact_mut(dims).zip(config.weights.of(ids.len())) {
            row.iter_mut().for_each(|value| *value = (f64::from(*value) * weight) as f32);
        }
        let mut table = new_table(tokenizer.vocab_size(), dims)?;
        for (id, row) in ids.iter().zip(rows.chunks_exact(dims)) {
            table.values[*id as usize * dims..][..dims].copy_from_slice(row);
        }
        let config = StaticEmbeddingConfig { normalize: true, skip_unknown: true, ..Default::default() };
        Self::from_parts(table, dims, tokenizer, config)
    }
}

impl DistilConfig {
    /// The pattern.
    fn check(&self) -> Result<Option<Regex>> {
        expect("dims", self.dims.unwrap_or(1), "at least 1, or none", self.dims != Some(0))?;
        if let TokenWeights::Sif(a) = self.weights {
            expect("weights", a, "a coefficient above 0 and below 1", a > 0.0 && a < 1.0)?;
        }
        let pattern = |pattern: &String| {
            let expected = "a regular expression".to_owned();
            Regex::new(pattern).map_err(|_| Error::Setting { field: "remove", value: pattern.clone(), expected })
        };
        self.remove.as_ref().map(pattern).transpose()
    }
}

impl TokenWeights {
    /// Those of `count` tokens by their rank.
    fn of(self, count: usize) -> impl Iterator<Item = f64> {
        let sum: f64 = (0..count).map(|rank| 1.0 / (rank + 2) as f64).sum();
        (0..count).map(move |rank| match self {
            Self::None => 1.0,
            Self::Zipf => ((rank + 1) as f64).ln(),
            Self::Sif(a) => a / (a + 1.0 / (rank + 2) as f64 / sum),
        })
    }
}

/// The mean hidden state of each token between special tokens: `(n, width)`.
fn hidden_means(encoder: &BiEncoder, ids: &[u32]) -> Result<Vec<f32>> {
    let [before, after] = encoder.tokenizer().around()?;
    let (encoder, width) = (encoder.encoder(), encoder.encoder().config().hidden_size());
    let length = before.len() + 1 + after.len();
    let mut activations = Activations::inference();
    let mut means = Vec::with_capacity(ids.len() * width);
    let bar = show::progress("distil", Some(ids.len()));
    for part in ids.chunks(PASS) {
        interrupt::check("distillation")?;
        let batch = PackedBatch::new(part.iter().map(|id| [&before[..], &[*id], &after].concat()));
        encoder.forward(&batch, &mut activations)?;
        for (text, states) in activations.hidden().chunks_exact(length * width).enumerate() {
            let start = means.len();
            means.resize(start + width, 0.0);
            for state in states.chunks_exact(width) {
                means[start..].iter_mut().zip(state).for_each(|(sum, value)| *sum += value / length as f32);
            }
            if let Some(value) = means[start..].iter().find(|value| !value.is_finite()) {
                let text = part[text] as usize;
                return Err(Error::VectorNotFinite { text, value: *value });
            }
        }
        bar.inc(part.len());
    }
    Ok(means)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BiEncoderConfig;
    use crate::nn::BertConfig;
    use crate::text::{Tokenizer, WordPieceConfig};

    fn encoder() -> BiEncoder {
        let words = WordPieceConfig { vocab_size: 60, min_frequency: 1, ..Default::default() };
        let tokenizer = Tokenizer::train_wordpiece(&["a red house", "the dog by the green tree"], &words).unwrap();
        let small = BertConfig { hidden_size: 16, intermediate_size: 32, initializer_range: 0.2, ..Default::default() };
        BiEncoder::new(small, tokenizer, BiEncoderConfig { normalize: false, ..Default::default() }, 3).unwrap()
    }

    #[test]
    fn a_token_is_what_the_encoder_makes_of_it() {
        let encoder = encoder();
        let plain = DistilConfig { dims: None, weights: TokenWeights::None, ..Default::default() };
        let model = StaticEmbedding::distil(&encoder, &plain).unwrap();
        let config = StaticEmbeddingConfig { normalize: false, ..model.config().clone() };
        let model = model.with_config(config).unwrap();
        let rows = |texts: &[&str]| model.encode_texts(texts).unwrap().to_vec2::<f32>().unwrap();
        // `[CLS] house [SEP]`, as the encoder pools it.
        let [expected, found] = [encoder.encode_texts(&["house"]).unwrap().to_vec2::<f32>().unwrap(), rows(&["house"])];
        assert_eq!(model.tokenize(&["house"], Default::default()).unwrap()[0].len(), 1);
        assert!(expected[0].iter().zip(&found[0]).all(|(a, b)| (a - b).abs() < 1e-5));
        assert_eq!(rows(&["検索", "[SEP]"]), [[0.0; 16], [0.0; 16]]);
    }

    #[test]
    fn components_keep_what_the_vectors_are_to_each_other() {
        let encoder = encoder();
        let distil = |dims, weights| {
            StaticEmbedding::distil(&encoder, &DistilConfig { dims, weights, ..Default::default() }).unwrap()
        };
        // 256 are more than there are.
        let (all, two) = (distil(Some(256), TokenWeights::None), distil(Some(2), TokenWeights::None));
        assert_eq!((all.dim(), two.dim()), (16, 2));
        let rows = |model: &StaticEmbedding| model.parameters().values(super::super::TABLE).unwrap().to_vec();
        for (all, two) in rows(&all).chunks_exact(16).zip(rows(&two).chunks_exact(2)) {
            assert!((all[0] - two[0]).abs() < 1e-4 && (all[1] - two[1]).abs() < 1e-4);
        }
        let weighted = rows(&distil(Some(2), TokenWeights::Sif(1e-3)));
        let plain = rows(&two);
        let mut ratios = plain.iter().zip(&weighted).filter(|(plain, _)| plain.abs() > 1e-3).map(|(a, b)| b / a);
        let kept = plain.chunks_exact(2).filter(|row| *row != [0.0; 2]).count();
        let sum: f64 = (2..kept + 2).map(|rank| 1.0 / rank as f64).sum();
        assert!((f64::from(ratios.next().unwrap()) - 1e-3 / (1e-3 + 0.5 / sum)).abs() < 1e-5);
        assert!(f64::from(ratios.next_back().unwrap()) > 1e-3 / (1e-3 + 0.5 / sum));
    }

    #[test]
    fn settings_that_make_no_sense() {
        let message = |config: DistilConfig| StaticEmbedding::distil(&encoder(), &config).unwrap_err().to_string();
        let with = DistilConfig::default();
        assert!(message(DistilConfig { dims: Some(0), ..with.clone() }).starts_with("dims = 0"));
        assert!(message(DistilConfig { weights: TokenWeights::Sif(1.0), ..with.clone() }).starts_with("weights = 1"));
        assert!(message(DistilConfig { remove: Some("(".to_owned()), ..with.clone() }).contains("regular expression"));
        assert!(message(DistilConfig { remove: Some(".".to_owned()), ..with }).contains("leaves at least 2"));
    }
}
