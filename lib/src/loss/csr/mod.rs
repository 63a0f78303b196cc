//! Dense vectors as sparse codes that tell them again.

mod autoencoder;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use autoencoder::{Autoencoder, largest};

use super::{
    Batch, Loss, LossParameter, MultipleNegativesRanking, Needs, Reads, Scoring, Similarity, Term, not_negative, total,
};
use crate::error::expect;
use crate::random::Philox;
use crate::{Error, Result};

/// What the loss calls its parameters, and, last, its state.
pub(crate) const WEIGHT: &str = "sae.weight";
pub(crate) const PRE_BIAS: &str = "sae.pre_bias";
pub(crate) const LATENT_BIAS: &str = "sae.latent_bias";
pub(crate) const LAST_NONZERO: &str = "sae.last_nonzero";

/// `L(k) + L(4k) / 8 + beta L_aux + gamma loss(codes)`: a sparse autoencoder on the vectors of a model, whose codes are
/// trained to compare as the texts should, and to tell the vectors again.
///
/// Latents are `z = W (x - b_pre) + b_latent`; the code of a vector is its `k` largest latents, those above 0. A code `c`
/// is decoded by the same matrix, `W^T c + b_pre`, and `L(n)` is the mean square of what the `n` largest latents leave
/// over, averaged over the columns. A latent that no code has held for `dead_threshold` readings is dead (each column of a
/// batch is read twice, for `k` and `4k`): `L_aux` is the error with which the `k_aux` largest dead ones tell what the
/// code has left over, over the variance of that, so that they come back to life.
///
/// `W` `(hidden_dim, dim)`, `b_pre` and `b_latent` are parameters of the loss (`loss.sae.weight`, `loss.sae.pre_bias`,
/// `loss.sae.latent_bias`), and how long each latent has been silent is its state (`loss.sae.last_nonzero`). They train
/// with the model, or alone if `freeze` holds the model. [`SparseAutoEncoder`](crate::model::SparseAutoEncoder) makes the
/// codes afterwards.
///
/// `loss` sees the codes as the vectors of the batch, compared by dot product. Source: Wen et al. 2025, "Beyond Matryoshka:
/// Revisiting Sparse Coding for Adaptive Representation". Values and gradients equal sentence-transformers 6.2 (`CSRLoss`
/// with `SparseAutoEncoder`, whose defaults these are).
///
/// ```
/// use kensaku::loss::{Batch, CSR, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let loss = CSR { hidden_dim: 8, k: 2, ..CSR::default() };
/// let parameters = loss.parameters(2, 42)?;
/// assert_eq!(parameters[0].value.dims(), [8, 2]);
/// let texts = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let parameters = parameters.into_iter().map(|own| (own.name, own.value)).collect();
/// let terms = loss.terms(&Batch { parameters, ..Batch::pairs(texts.clone(), texts) })?;
/// let terms: Vec<(&str, f64)> = terms.iter().map(|term| (term.name.as_str(), term.weight)).collect();
/// let reconstruction = [("reconstruction k", 1.0), ("reconstruction 4k", 0.125), ("reconstruction aux", 0.1)];
/// assert_eq!((&terms[..3], terms[3]), (&reconstruction[..], ("MultipleNegativesRanking", 1.0)));
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "CSRLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CSR<L = MultipleNegativesRanking> {
    pub loss: L,
    /// Latents.
    pub hidden_dim: usize,
    /// How many of them a code holds; four times as many have to be there.
    pub k: usize,
    /// How many dead ones tell what is left over; 0 for none, and more than there are for all.
    pub k_aux: usize,
    /// Encode the numbers of a vector less their mean, over their standard deviation.
    pub normalize: bool,
    /// The readings without it after which a latent is dead.
    pub dead_threshold: usize,
    pub beta: f64,
    pub gamma: f64,
}

impl Default for CSR {
    /// With [`MultipleNegativesRanking`] of dot products.
    fn default() -> Self {
        Self::new(MultipleNegativesRanking { scale: 1.0, similarity: Similarity::Dot, ..Default::default() })
    }
}

impl<L> CSR<L> {
    /// 512 latents, codes of 8, `beta` 0.1, `gamma` 1.
    pub fn new(loss: L) -> Self {
        let (hidden_dim, k, k_aux, dead_threshold) = (512, 8, 512, 30);
        Self { loss, hidden_dim, k, k_aux, normalize: false, dead_threshold, beta: 0.1, gamma: 1.0 }
    }

    /// Each column in turn, and for how many readings each latent was silent after them.
    fn read(&self, batch: &Batch) -> Result<(Vec<Column>, Vec<f64>)> {
        let autoencoder = Autoencoder {
            weight: batch.parameter(WEIGHT)?,
            pre_bias: batch.parameter(PRE_BIAS)?,
            latent_bias: batch.parameter(LATENT_BIAS)?,
            normalize: self.normalize,
        };
        let mut silent = batch.parameter(LAST_NONZERO)?.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()?;
        let columns = batch.columns.iter().map(|x| {
            let prepared = autoencoder.prepare(x)?;
            let latents = autoencoder.latents(&prepared.x)?;
            let code = largest(&latents, self.k, |_| true)?;
            note(&mut silent, &code.active);
            // As the peer, which looks for dead latents before it reads the larger code.
            let dead = |latent: usize| silent[latent] > self.dead_threshold as f64;
            let auxiliary = match self.k_aux {
                0 => None,
                most => Some(largest(&latents, most, dead)?.values),
            };
            let larger = largest(&latents, 4 * self.k, |_| true)?;
            note(&mut silent, &larger.active);
            let told = autoencoder.decode(&code.values, &prepared)?;
            let auxiliary = match auxiliary {
                None => None,
                Some(auxiliary) => {
                    let found = prepared.scaled(autoencoder.told(&auxiliary)?)?;
                    let left = (x - told.broadcast_sub(&autoencoder.bias(&prepared)?)?.detach())?;
                    Some(relative_error(&found, &left)?)
                }
            };
            let error = (x - told)?.sqr()?.mean_all()?;
            let larger = (x - autoencoder.decode(&larger.values, &prepared)?)?.sqr()?.mean_all()?;
            Ok(Column { code: code.values, error, larger, auxiliary })
        });
        Ok((columns.collect::<Result<_>>()?, silent))
    }

    /// What the loss inside sees.
    fn coded(&self, batch: &Batch, columns: &[Column]) -> Batch {
        let columns = columns.iter().map(|column| column.code.clone()).collect();
        Batch { columns, scoring: Scoring::Vectors(Similarity::Dot), layers: Vec::new(), ..batch.clone() }
    }
}

impl<L: Loss> CSR<L> {
    fn check_batch(&self, batch: &Batch) -> Result<()> {
        self.check()?;
        batch.examples()?;
        let (width, weight) = (batch.queries()?.dim(1)?, batch.parameter(WEIGHT)?);
        if weight.dims() != [self.hidden_dim, width] {
            return Err(Error::Shape {
                what: format!("parameter `{WEIGHT}` of the loss"),
                found: format!("{:?}", weight.dims()),
                expected: format!("[{}, {width}], hidden_dim and the length of a vector", self.hidden_dim),
            });
        }
        let normal = !self.normalize || width > 1;
        expect("normalize", self.normalize, "false for vectors of one number, which have no deviation", normal)
    }
}

/// What the autoencoder makes of a column.
struct Column {
    code: Tensor,
    /// The mean square of what the code leaves over.
    error: Tensor,
    /// The same of a code of `4k`.
    larger: Tensor,
    auxiliary: Option<Tensor>,
}

/// One more reading.
fn note(silent: &mut [f64], active: &[bool]) {
    for (silent, active) in silent.iter_mut().zip(active) {
        *silent = if *active { 1.0 } else { *silent + 1.0 };
    }
}

/// The mean square of a difference, over the variance of the target over the rows, if there is any.
fn relative_error(found: &Tensor, target: &Tensor) -> Result<Tensor> {
    let error = (found - target)?.sqr()?.mean_all()?;
    let variance = target.broadcast_sub(&target.mean_keepdim(0)?)?.sqr()?.mean_all()?;
    let rows = target.detach().to_dtype(candle_core::DType::F64)?.to_vec2::<f64>()?;
    // Rounding makes a mean of equal rows differ from them.
    let same = rows.iter().all(|row| *row == rows[0]) || super::scalar(&variance)? == 0.0;
    if same { Ok(error) } else { Ok((error / variance)?) }
}

impl<L: Loss> Loss for CSR<L> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        total(&self.terms(batch)?)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        self.check_batch(batch)?;
        let (columns, _) = self.read(batch)?;
        let mut terms = Vec::new();
        let mut add = |name: &str, weight: f64, of: &dyn Fn(&Column) -> Option<&Tensor>| -> Result<()> {
            let values: Vec<Tensor> = columns.iter().filter_map(of).cloned().collect();
            if !values.is_empty() {
                terms.push(Term { name: name.to_owned(), weight, value: Tensor::stack(&values, 0)?.mean_all()? });
            }
            Ok(())
        };
        add("reconstruction k", 1.0, &|column| Some(&column.error))?;
        add("reconstruction 4k", 0.125, &|column| Some(&column.larger))?;
        add("reconstruction aux", self.beta, &|column| column.auxiliary.as_ref())?;
        let own = self.loss.terms(&self.coded(batch, &columns))?;
        terms.extend(own.into_iter().map(|term| Term { weight: self.gamma * term.weight, ..term }));
        Ok(terms)
    }

    fn check(&self) -> Result<()> {
        expect("k", self.k, "at least 1", self.k > 0)?;
        let fits = self.k.checked_mul(4).is_some_and(|larger| larger <= self.hidden_dim);
        expect(
            "hidden_dim",
            self.hidden_dim,
            &format!("at least {}, 4 times k = {}", self.k.saturating_mul(4), self.k),
            fits,
        )?;
        not_negative("beta", self.beta)?;
        not_negative("gamma", self.gamma)?;
        self.loss.check()
    }

    /// The matrix uniform up to `1 / sqrt(dim)`, as PyTorch begins, biases 0.
    fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
        let zeros = |count: usize| Tensor::zeros(count, candle_core::DType::F32, &Device::Cpu);
        let mut all = vec![
            LossParameter::linear(WEIGHT, self.hidden_dim, dim, &mut Philox::new(seed))?,
            LossParameter::new(PRE_BIAS, &zeros(dim)?)?,
            LossParameter::new(LATENT_BIAS, &zeros(self.hidden_dim)?)?,
            LossParameter::state(LAST_NONZERO, &zeros(self.hidden_dim)?)?,
        ];
        all.extend(self.loss.parameters(self.hidden_dim, seed)?);
        Ok(all)
    }

    fn observe(&self, batch: &Batch) -> Result<Vec<(String, Tensor)>> {
        self.check_batch(batch)?;
        let (columns, silent) = self.read(batch)?;
        let mut state = vec![(LAST_NONZERO.to_owned(), Tensor::new(silent, &Device::Cpu)?)];
        state.extend(self.loss.observe(&self.coded(batch, &columns))?);
        Ok(state)
    }

    /// What the loss inside needs.
    fn needs(&self) -> Needs {
        Needs { name: "CSR", reads: Reads::Vectors, ..self.loss.needs() }
    }

    fn settings(&self) -> Value {
        json!({
            "csr": {
                "hidden_dim": self.hidden_dim,
                "k": self.k,
                "k_aux": self.k_aux,
                "normalize": self.normalize,
                "dead_threshold": self.dead_threshold,
                "beta": self.beta,
                "gamma": self.gamma,
            },
            "name": self.loss.needs().name,
            "loss": self.loss.settings(),
        })
    }

    /// Codes are not of length 1.
    fn objection(&self, _dim: usize, _unit: bool) -> Option<String> {
        self.loss.objection(self.hidden_dim, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_equal_have_no_variance() {
        let rows = |rows: &[[f64; 2]]| Tensor::from_slice(rows.as_flattened(), (rows.len(), 2), &Device::Cpu).unwrap();
        let error = |found, target| super::super::scalar(&relative_error(&found, &target).unwrap()).unwrap();
        // Of 3 equal rows the mean is rounded.
        assert_eq!(error(rows(&[[1.1, 0.0]; 3]), rows(&[[0.1, 0.0]; 3])), 0.5);
        // The variance of the target is 1, the mean square of the error 2.
        let (found, target) = (rows(&[[2.0, 1.0], [0.0, 1.0]]), rows(&[[1.0, 0.0], [-1.0, 2.0]]));
        assert_eq!(error(found, target), 1.0);
    }

    #[test]
    fn silence_is_counted_in_readings() {
        let mut silent = vec![0.0, 31.0, 5.0];
        note(&mut silent, &[true, false, true]);
        assert_eq!(silent, [1.0, 32.0, 1.0]);
    }
}
