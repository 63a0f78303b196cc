//! A loss on the layers before the last, too.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::functions::log_softmax;
use super::{Batch, Loss, LossParameter, Matryoshka, Needs, Reads, Term, not_negative, total};
use crate::error::expect;
use crate::random::Philox;
use crate::{Error, Result};

/// `w_L loss(last layer) + w_p / k sum_l v_l loss(layer l) + w_k T sum_l KL(softmax(e_L / T) || softmax(e_l / T))`: trains
/// models that can drop their last layers. Each step samples `k` layers `l` before the last; layer 0 is the output of the
/// embeddings. The last layer teaches the others and learns nothing from their divergence.
///
/// The layers are those of the encoder, pooled as the last one is. Validation only sees the last layer. Takes whole batches, without GradCache. Source: Li et al. 2024, "2D Matryoshka sentence embeddings". Values and
/// gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{AdaptiveLayer, Batch, Loss, MultipleNegativesRanking};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let loss = AdaptiveLayer::new(MultipleNegativesRanking::default());
/// let texts = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let pairs = vec![texts.clone(), texts];
/// let batch = Batch { layers: vec![(0, pairs.clone())], ..Batch::new(pairs) };
/// let terms = loss.terms(&batch)?;
/// assert_eq!(terms.iter().map(|term| term.name.as_str()).collect::<Vec<_>>(), ["last layer", "layer 0", "divergence"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "AdaptiveLayerLoss")]
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptiveLayer<L> {
    pub loss: L,
    /// Layers sampled per step; `None` for all.
    pub layers_per_step: Option<usize>,
    /// `w_L`
    pub last_layer_weight: f64,
    /// `w_p`
    pub prior_layers_weight: f64,
    /// `w_k`
    pub kl_div_weight: f64,
    /// `T`; at 0 there is no divergence.
    pub kl_temperature: f64,
    pub layer_weighting: LayerWeighting,
}

/// How much a layer counts among those before the last: `v_l`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerWeighting {
    /// 1
    #[default]
    Uniform,
    /// `1 / (1 + ln(1 + l))`
    Log,
    /// `1 / (1 + l)`
    Linear,
}

impl LayerWeighting {
    fn of(self, layer: usize) -> f64 {
        let next = (1 + layer) as f64;
        match self {
            Self::Uniform => 1.0,
            Self::Log => 1.0 / (1.0 + next.ln()),
            Self::Linear => 1.0 / next,
        }
    }
}

impl<L: Loss> AdaptiveLayer<L> {
    /// With one layer a step, and all weights 1.
    pub fn new(loss: L) -> Self {
        Self {
            loss,
            layers_per_step: Some(1),
            last_layer_weight: 1.0,
            prior_layers_weight: 1.0,
            kl_div_weight: 1.0,
            kl_temperature: 0.3,
            layer_weighting: LayerWeighting::Uniform,
        }
    }
}

/// A loss on fewer layers and fewer numbers: [`AdaptiveLayer`] of [`Matryoshka`].
///
/// ```
/// use kensaku::loss::{MultipleNegativesRanking, matryoshka_2d};
/// let loss = matryoshka_2d(MultipleNegativesRanking::default(), [384, 128, 64]);
/// assert_eq!((loss.layers_per_step, loss.loss.dims.len()), (Some(1), 3));
/// ```
#[doc(alias = "Matryoshka2dLoss")]
pub fn matryoshka_2d<L: Loss>(loss: L, dims: impl Into<Vec<usize>>) -> AdaptiveLayer<Matryoshka<L>> {
    AdaptiveLayer::new(Matryoshka::new(loss, dims))
}

impl<L: Loss> Loss for AdaptiveLayer<L> {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        total(&self.terms(batch)?)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        self.check()?;
        let last = Batch { layers: Vec::new(), ..batch.clone() };
        let term = |name: String, weight, value| Term { name, weight, value };
        let mut terms = vec![term("last layer".to_owned(), self.last_layer_weight, self.loss.loss(&last)?)];
        let mut divergences = Vec::new();
        for (layer, columns) in &batch.layers {
            let weight = self.prior_layers_weight * self.layer_weighting.of(*layer) / batch.layers.len() as f64;
            let value = self.loss.loss(&Batch { columns: columns.clone(), ..last.clone() })?;
            terms.push(term(format!("layer {layer}"), weight, value));
            if self.kl_temperature > 0.0 {
                divergences.push(divergence(columns, &batch.columns, self.kl_temperature)?);
            }
        }
        if let Some((first, rest)) = divergences.split_first() {
            let sum = rest.iter().try_fold(first.clone(), |sum, one| sum + one)?;
            terms.push(term("divergence".to_owned(), self.kl_temperature * self.kl_div_weight, sum));
        }
        Ok(terms)
    }

    fn check(&self) -> Result<()> {
        let some = self.layers_per_step != Some(0);
        expect("layers_per_step", 0, "at least 1, or None for all", some)?;
        for (field, value) in [
            ("last_layer_weight", self.last_layer_weight),
            ("prior_layers_weight", self.prior_layers_weight),
            ("kl_div_weight", self.kl_div_weight),
            ("kl_temperature", self.kl_temperature),
        ] {
            not_negative(field, value)?;
        }
        self.loss.check()
    }

    fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
        self.loss.parameters(dim, seed)
    }

    /// As it sees the last layer.
    fn observe(&self, batch: &Batch) -> Result<Vec<(String, Tensor)>> {
        self.loss.observe(&Batch { layers: Vec::new(), ..batch.clone() })
    }

    fn prior_layers(&self, layers: usize, rng: &mut Philox) -> Result<Vec<usize>> {
        if layers == 0 {
            return Err(Error::Setting {
                field: "loss",
                value: "AdaptiveLayer".to_owned(),
                expected: "a bi-encoder whose encoder has layers, or another loss".to_owned(),
            });
        }
        let mut all: Vec<usize> = (0..layers).collect();
        if let Some(count) = self.layers_per_step.filter(|count| *count < layers) {
            rng.shuffle(&mut all);
            all.truncate(count);
            all.sort_unstable();
        }
        Ok(all)
    }

    fn needs(&self) -> Needs {
        Needs { reads: Reads::Vectors, ..self.loss.needs() }
    }

    fn settings(&self) -> Value {
        json!({
            "layers_per_step": self.layers_per_step,
            "last_layer_weight": self.last_layer_weight,
            "prior_layers_weight": self.prior_layers_weight,
            "kl_div_weight": self.kl_div_weight,
            "kl_temperature": self.kl_temperature,
            "layer_weighting": self.layer_weighting,
            "loss": self.loss.settings(),
        })
    }

    fn objection(&self, dim: usize, unit: bool) -> Option<String> {
        self.loss.objection(dim, unit)
    }
}

/// `mean_i KL(softmax(e_i / T) || softmax(x_i / T))` over the texts of all columns; no gradient for `e`.
fn divergence(columns: &[Tensor], last: &[Tensor], temperature: f64) -> Result<Tensor> {
    let scaled = |columns: &[Tensor]| log_softmax(&(Tensor::cat(columns, 0)? / temperature)?);
    let (own, teacher) = (scaled(columns)?, scaled(last)?.detach());
    Ok((teacher.exp()? * (&teacher - own)?)?.sum(D::Minus1)?.mean(0)?)
}
