//! Sparse codes of dense vectors.

use std::fmt;
use std::path::Path;

use candle_core::{D, DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::directory::{read_sparse_autoencoder, write_sparse_autoencoder};
use super::{Embeddings, SparseEmbeddings, SparseVectors};
use crate::error::expect;
use crate::loss::{self, Autoencoder, CSR, largest};
use crate::nn::Parameters;
use crate::{Error, Result};

/// Rows that are encoded together.
const ROWS: usize = 1 << 10;

/// The autoencoder that [`CSR`] trains: it makes a sparse code of each vector, its `k` largest latents
/// `W (x - b_pre) + b_latent` above 0.
///
/// Codes are compared by dot product ([`SparseVectors::dot`]). Values equal those of sentence-transformers 6.2.
///
/// ```no_run
/// # use kensaku::prelude::*;
/// use kensaku::loss::CSR;
/// # fn main() -> Result<()> {
/// # let (pairs, docs) = (rustdoc()?.pairs("train")?, rustdoc()?.corpus);
/// let model = BiEncoder::load("all-MiniLM-L6-v2")?;
/// let loss = CSR { hidden_dim: 2048, k: 32, ..CSR::default() };
/// // The autoencoder alone trains; without `freeze` the model does, too.
/// let freeze = vec!["^embeddings\\.".into(), "^encoder\\.".into()];
/// let mut trainer = Trainer::new(model, loss.clone(), TrainConfig { freeze, learning_rate: 1e-3, ..Default::default() })?;
/// trainer.train(&pairs)?;
/// let codes = SparseAutoEncoder::from_loss(&loss, trainer.loss_parameters())?;
/// let docs = codes.encode(&trainer.model().encode_docs(&docs)?)?;
/// assert!(docs.vectors.active_dims() <= 32.0);
/// codes.save("my-codes")?;
/// # Ok(())
/// # }
/// ```
///
/// [`save`](Self::save) writes the folder of the module `SparseAutoEncoder` in Python's `SparseEncoder`:
///
/// ```python
/// from sentence_transformers import SentenceTransformer, SparseEncoder
/// from sentence_transformers.sparse_encoder.models import SparseAutoEncoder
///
/// model = SparseEncoder(modules=[*SentenceTransformer("my-model"), SparseAutoEncoder.load("my-codes")])
/// ```
#[derive(Clone)]
pub struct SparseAutoEncoder {
    config: SparseAutoEncoderConfig,
    /// `(hidden_dim, input_dim)`
    weight: Tensor,
    pre_bias: Tensor,
    latent_bias: Tensor,
    /// For how many readings of the training each latent was silent.
    last_nonzero: Tensor,
}

/// The settings of a [`SparseAutoEncoder`]: those of [`CSR`], and the length of the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SparseAutoEncoderConfig {
    /// The length of the vectors that are encoded.
    pub input_dim: usize,
    /// Latents: the length of a code.
    pub hidden_dim: usize,
    /// How many of them a code holds.
    pub k: usize,
    /// How many dead ones the training uses.
    pub k_aux: usize,
    /// Whether the numbers of a vector are encoded less their mean, over their standard deviation.
    pub normalize: bool,
    /// The readings without it after which the training holds a latent for dead.
    pub dead_threshold: usize,
}

impl Default for SparseAutoEncoderConfig {
    /// As sentence-transformers, for the 384 numbers of MiniLM.
    fn default() -> Self {
        let CSR { hidden_dim, k, k_aux, normalize, dead_threshold, .. } = CSR::default();
        Self { input_dim: 384, hidden_dim, k, k_aux, normalize, dead_threshold }
    }
}

impl SparseAutoEncoderConfig {
    fn check(&self) -> Result<()> {
        expect("input_dim", self.input_dim, "at least 1", self.input_dim > 0)?;
        expect("normalize", self.normalize, "false for vectors of one number", !self.normalize || self.input_dim > 1)?;
        let expected = format!("1 to {}, hidden_dim", self.hidden_dim);
        expect("k", self.k, &expected, (1..=self.hidden_dim).contains(&self.k))
    }
}

impl SparseAutoEncoder {
    /// With the parameters that the loss has trained ([`Trainer::loss_parameters`](crate::train::Trainer::loss_parameters)).
    ///
    /// ```
    /// # use kensaku::prelude::*;
    /// use kensaku::loss::CSR;
    /// # use kensaku::candle_core::{Device, Tensor};
    /// # fn main() -> Result<()> {
    /// let tokenizer = Tokenizer::train_wordpiece(&["red blue"], &WordPieceConfig::default())?;
    /// let model = BiEncoder::new(BertConfig::default(), tokenizer, BiEncoderConfig::default(), 42)?;
    /// let loss = CSR { hidden_dim: 64, k: 4, ..CSR::default() };
    /// let trainer = Trainer::new(model, loss.clone(), TrainConfig::default())?;
    /// let codes = SparseAutoEncoder::from_loss(&loss, trainer.loss_parameters())?;
    /// let vectors = codes.encode_vectors(&trainer.model().encode_texts(&["red", "blue"])?)?;
    /// assert_eq!((vectors.len(), vectors.dim()), (2, 64));
    /// assert!(vectors.active_dims() <= 4.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the parameters are not of such a loss.
    pub fn from_loss<L>(loss: &CSR<L>, parameters: &Parameters) -> Result<Self> {
        let own = |name: &str| parameters.tensor(&format!("loss.{name}"));
        let weight = own(loss::WEIGHT)?;
        let config = SparseAutoEncoderConfig {
            input_dim: weight.dim(D::Minus1)?,
            hidden_dim: loss.hidden_dim,
            k: loss.k,
            k_aux: loss.k_aux,
            normalize: loss.normalize,
            dead_threshold: loss.dead_threshold,
        };
        Self::from_parts(config, weight, own(loss::PRE_BIAS)?, own(loss::LATENT_BIAS)?, own(loss::LAST_NONZERO)?)
    }

    pub(super) fn from_parts(
        config: SparseAutoEncoderConfig,
        weight: Tensor,
        pre_bias: Tensor,
        latent_bias: Tensor,
        last_nonzero: Tensor,
    ) -> Result<Self> {
        config.check()?;
        let SparseAutoEncoderConfig { input_dim, hidden_dim, .. } = config;
        let shapes: [(&str, &Tensor, &[usize]); 4] = [
            ("the matrix", &weight, &[hidden_dim, input_dim]),
            ("the bias of the vectors", &pre_bias, &[input_dim]),
            ("the bias of the latents", &latent_bias, &[hidden_dim]),
            ("the silence of the latents", &last_nonzero, &[hidden_dim]),
        ];
        for (what, tensor, shape) in shapes {
            if tensor.dims() != shape {
                let (found, expected) = (format!("{:?}", tensor.dims()), format!("{shape:?}"));
                return Err(Error::Shape { what: format!("{what} of a sparse autoencoder"), found, expected });
            }
        }
        Ok(Self { config, weight, pre_bias, latent_bias, last_nonzero })
    }

    /// Reads the folder of the module `SparseAutoEncoder`, ours or Python's.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        read_sparse_autoencoder(dir.as_ref())
    }

    /// The same with shorter or longer codes: one that is trained for `k` and `4k` latents can do with those between.
    pub fn with_k(mut self, k: usize) -> Result<Self> {
        self.config.k = k;
        self.config.check()?;
        Ok(self)
    }

    pub fn config(&self) -> &SparseAutoEncoderConfig {
        &self.config
    }

    /// The codes of embeddings.
    ///
    /// # Errors
    /// For vectors of another length, or with numbers that are not finite.
    pub fn encode(&self, embeddings: &Embeddings) -> Result<SparseEmbeddings> {
        SparseEmbeddings::new(embeddings.ids.clone(), self.encode_vectors(&embeddings.vectors)?)
    }

    /// The codes of vectors `(n, input_dim)`.
    pub fn encode_vectors(&self, vectors: &Tensor) -> Result<SparseVectors> {
        let mut codes = SparseVectors::empty(self.config.hidden_dim);
        self.for_rows(vectors, |rows| {
            let autoencoder = self.autoencoder();
            let latents = autoencoder.latents(&autoencoder.prepare(rows)?.x)?;
            codes.extend(&SparseVectors::from_dense(&largest(&latents, self.config.k, |_| true)?.values)?);
            Ok(())
        })?;
        Ok(codes)
    }

    /// What is left of vectors `(n, input_dim)` in their codes: `W^T code + b_pre`, in the scale of the vectors.
    pub fn reconstruct(&self, vectors: &Tensor) -> Result<Tensor> {
        let mut all = vec![Tensor::zeros((0, self.config.input_dim), DType::F32, &Device::Cpu)?];
        self.for_rows(vectors, |rows| {
            let autoencoder = self.autoencoder();
            let prepared = autoencoder.prepare(rows)?;
            let code = largest(&autoencoder.latents(&prepared.x)?, self.config.k, |_| true)?.values;
            all.push(autoencoder.decode(&code, &prepared)?);
            Ok(())
        })?;
        Ok(Tensor::cat(&all, 0)?)
    }

    /// Writes the folder of a module for sentence-transformers: `config.json` and `model.safetensors`.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        write_sparse_autoencoder(dir.as_ref(), self)
    }

    /// Its tensors as sentence-transformers calls them.
    pub(super) fn tensors(&self) -> [(&'static str, &Tensor); 4] {
        let Self { weight, pre_bias, latent_bias, last_nonzero, .. } = self;
        [
            ("encoder.weight", weight),
            ("pre_bias", pre_bias),
            ("latent_bias", latent_bias),
            ("stats_last_nonzero", last_nonzero),
        ]
    }

    fn autoencoder(&self) -> Autoencoder<'_> {
        let Self { config, weight, pre_bias, latent_bias, .. } = self;
        Autoencoder { weight, pre_bias, latent_bias, normalize: config.normalize }
    }

    fn for_rows(&self, vectors: &Tensor, mut each: impl FnMut(&Tensor) -> Result<()>) -> Result<()> {
        let rows = match vectors.dims() {
            [rows, width] if *width == self.config.input_dim => *rows,
            dims => {
                return Err(Error::Shape {
                    what: "vectors to encode sparsely".to_owned(),
                    found: format!("{dims:?}"),
                    expected: format!("(n, {})", self.config.input_dim),
                });
            }
        };
        let vectors = vectors.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?;
        for start in (0..rows).step_by(ROWS) {
            let rows = vectors.narrow(0, start, ROWS.min(rows - start))?;
            let numbers = rows.to_vec2::<f32>()?;
            for (row, numbers) in numbers.iter().enumerate() {
                if let Some(value) = numbers.iter().find(|value| !value.is_finite()) {
                    return Err(Error::VectorNotFinite { text: start + row, value: *value });
                }
            }
            each(&rows)?;
        }
        Ok(())
    }
}

impl fmt::Debug for SparseAutoEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SparseAutoEncoderConfig { input_dim, hidden_dim, k, .. } = self.config;
        write!(f, "SparseAutoEncoder ({input_dim} numbers to {k} of {hidden_dim})")
    }
}
