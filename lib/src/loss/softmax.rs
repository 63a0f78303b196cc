//! Classes of pairs of texts.

use candle_core::{D, DType, Tensor};
use serde::{Deserialize, Serialize};

use super::functions::cross_entropy;
use super::{Batch, Loss, LossParameter};
use crate::error::expect;
use crate::random::Philox;
use crate::{Error, Result};

/// `mean_i -log softmax(W [u_i, v_i, |u_i - v_i|] + b)` at the class of pair `i`: a classifier on the vectors `u` and `v`
/// of two texts, as SBERT was trained on natural language inference.
///
/// `W` `(num_labels, inputs)` and `b` are parameters of the loss, `loss.weight` and `loss.bias`. Labels are the numbers of
/// the classes, from 0. Source: Reimers and Gurevych 2019. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Loss, Softmax};
/// # use kensaku::candle_core::{DType, Device, Tensor};
///
/// let loss = Softmax::new(3);
/// assert_eq!(loss.parameters(384, 42)?[0].value.dims(), [3, 3 * 384]);
/// # let texts = Tensor::new(&[[1.0f32, 0.0]], &Device::Cpu)?;
/// # let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
/// # let parameters = vec![("weight".into(), zeros(&[3, 6])?), ("bias".into(), zeros(&[3])?)];
/// # let labels = Some(Tensor::new(&[2f32], &Device::Cpu)?);
/// # let batch = Batch { parameters, labels, ..Batch::pairs(texts.clone(), texts) };
/// // A classifier that knows nothing:
/// assert!((loss.loss(&batch)?.to_scalar::<f32>()? - 3f32.ln()).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "SoftmaxLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softmax {
    /// How many classes there are.
    pub num_labels: usize,
    /// The classifier sees `u` and `v`.
    pub vectors: bool,
    /// It sees `|u - v|`.
    pub difference: bool,
    /// It sees `u * v`, number by number.
    pub product: bool,
}

impl Softmax {
    /// A classifier of both vectors and their difference.
    pub fn new(num_labels: usize) -> Self {
        Self { num_labels, vectors: true, difference: true, product: false }
    }

    /// How many vectors the classifier sees.
    fn parts(&self) -> usize {
        2 * usize::from(self.vectors) + usize::from(self.difference) + usize::from(self.product)
    }
}

impl Loss for Softmax {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.check()?;
        batch.examples()?;
        let (u, v) = (batch.queries()?, batch.positives()?);
        let mut seen = Vec::new();
        if self.vectors {
            seen.extend([u.clone(), v.clone()]);
        }
        if self.difference {
            seen.push((u - v)?.abs()?);
        }
        if self.product {
            seen.push((u * v)?);
        }
        let (weight, bias) = (batch.parameter("weight")?, batch.parameter("bias")?);
        let logits = Tensor::cat(&seen, D::Minus1)?.matmul(&weight.t()?)?.broadcast_add(bias)?;
        cross_entropy(&logits, &self.classes(batch)?)
    }

    fn check(&self) -> Result<()> {
        expect("num_labels", self.num_labels, "at least 2 classes", self.num_labels > 1)?;
        let sees = "vectors, difference or product: the classifier has to see something";
        expect("vectors", self.vectors, sees, self.parts() > 0)
    }

    fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
        let (mut rng, inputs) = (Philox::new(seed), self.parts() * dim);
        Ok(vec![
            LossParameter::linear("weight", self.num_labels, inputs, &mut rng)?,
            LossParameter::bias("bias", self.num_labels, inputs, &mut rng)?,
        ])
    }

    described!("Softmax");
}

impl Softmax {
    fn classes(&self, batch: &Batch) -> Result<Vec<u32>> {
        let labels: Vec<f64> = batch.numbers()?.to_dtype(DType::F64)?.to_vec1()?;
        let class = |label: f64| match label.fract() == 0.0 && (0.0..self.num_labels as f64).contains(&label) {
            true => Ok(label as u32),
            false => Err(Error::Setting {
                field: "label",
                value: label.to_string(),
                expected: format!("the number of a class, 0 to {}", self.num_labels - 1),
            }),
        };
        labels.into_iter().map(class).collect()
    }
}
