//! One of several classes.

use candle_core::{D, DType, Tensor};
use serde::{Deserialize, Serialize};

use super::functions::log_softmax;
use super::{Batch, Loss};
use crate::error::expect;
use crate::{Error, Result};

/// `mean_i -log softmax(x_i)` at the class of pair `i`, of the numbers `x_i` that a cross-encoder gives it, one per label.
///
/// Labels are the numbers of the classes, from 0. With a smoothing `ε` the target is `1 - ε` of the class and `ε` of all
/// classes alike. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, CrossEntropy, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let labels = Some(Tensor::new(&[2.0f32], &Device::Cpu)?);
/// let batch = Batch { labels, ..Batch::read_pairs(vec![Tensor::new(&[[0.0f32, 0.0, 0.0]], &Device::Cpu)?]) };
/// let loss = CrossEntropy::default().loss(&batch)?.to_scalar::<f32>()?;
/// assert!((loss - 3.0f32.ln()).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "CrossEntropyLoss")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CrossEntropy {
    pub label_smoothing: f64,
}

impl Loss for CrossEntropy {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.check()?;
        let logits = batch.logits()?;
        let (pairs, classes) = logits.dims2()?;
        let labels: Vec<f64> = batch.numbers()?.to_dtype(DType::F64)?.to_vec1()?;
        let mut targets = vec![self.label_smoothing / classes as f64; pairs * classes];
        for (pair, label) in labels.into_iter().enumerate() {
            if label.fract() != 0.0 || !(0.0..classes as f64).contains(&label) {
                return Err(Error::Setting {
                    field: "label",
                    value: label.to_string(),
                    expected: format!("the number of a class, 0 to {}: the model has {classes} labels", classes - 1),
                });
            }
            targets[pair * classes + label as usize] += 1.0 - self.label_smoothing;
        }
        let targets = Tensor::from_vec(targets, (pairs, classes), logits.device())?.to_dtype(logits.dtype())?;
        Ok((log_softmax(logits)? * targets)?.sum(D::Minus1)?.mean(0)?.neg()?)
    }

    fn check(&self) -> Result<()> {
        expect("label_smoothing", self.label_smoothing, "0 to 1", (0.0..=1.0).contains(&self.label_smoothing))
    }

    described!("CrossEntropy");
}
