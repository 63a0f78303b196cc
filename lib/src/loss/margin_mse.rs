//! The margins of a teacher.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Batch, Loss, Similarity};
use crate::{Error, Result};

/// `mean_ij ((s_i+ - s_ij) - margin_ij)²`: how much better the positive scores than each negative, as a teacher has it.
///
/// Labels are one margin per negative, or the teacher's score of the positive and of each negative. Source: Hofstätter
/// et al. 2020. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Loss, MarginMSE};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let row = |x: f32| Tensor::new(&[[x, 0.0]], &Device::Cpu);
/// let batch = Batch::new(vec![row(1.0)?, row(5.0)?, row(2.0)?]);
/// // The student's margin is 3, the teacher's 9.5 - 7.5 = 2.
/// let labels = Some(Tensor::new(&[[9.5f32, 7.5]], &Device::Cpu)?);
/// assert_eq!(MarginMSE::default().loss(&Batch { labels, ..batch })?.to_scalar::<f32>()?, 1.0);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "MarginMSELoss")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MarginMSE {
    pub similarity: Similarity,
}

impl Default for MarginMSE {
    fn default() -> Self {
        Self { similarity: Similarity::Dot }
    }
}

impl Loss for MarginMSE {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let own = batch.own_scores_by(self.similarity)?;
        let documents = own.dim(1)?;
        if documents < 2 {
            batch.some_negatives()?;
        }
        let teacher = teacher_scores(batch, documents)?;
        let margins = match teacher.dim(1)? {
            width if width + 1 == documents => teacher,
            _ => margins(&teacher)?,
        };
        Ok((self::margins(&own)? - margins)?.sqr()?.mean_all()?)
    }

    described!("MarginMSE");
}

/// The first column less each other one: `(B, 1 + n)` -> `(B, n)`.
fn margins(scores: &Tensor) -> Result<Tensor> {
    let negatives = scores.narrow(1, 1, scores.dim(1)? - 1)?;
    Ok(scores.narrow(1, 0, 1)?.broadcast_sub(&negatives)?)
}

/// What a teacher says of each example `(B, n)`: a number per negative or per document.
pub(super) fn teacher_scores(batch: &Batch, documents: usize) -> Result<Tensor> {
    let labels = batch.labels()?;
    let labels = if labels.rank() == 1 { labels.unsqueeze(1)? } else { labels.clone() };
    match labels.dims() {
        [_, width] if *width == documents || *width + 1 == documents => Ok(labels),
        dims => Err(Error::Shape {
            what: "labels of a batch".to_owned(),
            found: format!("{dims:?}"),
            expected: format!("{documents} numbers per example, one per document, or {} margins", documents - 1),
        }),
    }
}
