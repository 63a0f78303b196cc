//! The vectors of a teacher.

use candle_core::{D, Tensor};
use serde::{Deserialize, Serialize};

use super::similarity::pairwise_cosine;
use super::{Batch, Loss, Scoring};
use crate::{Error, Result};

/// `mean (x - teacher)²` over all numbers of all columns: makes a model embed texts as its teacher does, in other
/// languages, too.
///
/// Labels are the teacher's vector of each example `(B, dim)`, the same for all columns, or one per column
/// `(B, columns, dim)`. Of a cross-encoder they are a score per pair `(B,)`. Source: Reimers and Gurevych 2020. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, Loss, MSE};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let labels = Some(Tensor::new(&[[1.0f32, 1.0]], &Device::Cpu)?);
/// let batch = Batch { labels, ..Batch::new(vec![Tensor::new(&[[1.0f32, 3.0]], &Device::Cpu)?]) };
/// assert_eq!(MSE.loss(&batch)?.to_scalar::<f32>()?, 2.0);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "MSELoss")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MSE;

/// The mean over all columns of how far vectors are from those of a teacher, as in [`MSE`], by another measure.
///
/// Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, EmbedDistill, Loss, TeacherDistance};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let labels = Some(Tensor::new(&[[0.6f32, 0.8]], &Device::Cpu)?);
/// let batch = Batch { labels, ..Batch::new(vec![Tensor::new(&[[2.0f32, 0.0]], &Device::Cpu)?]) };
/// let loss = EmbedDistill { distance: TeacherDistance::Cosine };
/// assert!((loss.loss(&batch)?.to_scalar::<f32>()? - 0.4).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "EmbedDistillLoss")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbedDistill {
    pub distance: TeacherDistance,
}

/// How far a vector is from that of a teacher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherDistance {
    /// `1 - cos`
    #[default]
    Cosine,
    /// The mean of the squared differences.
    Mse,
    /// The length of the difference.
    L2,
}

impl Loss for MSE {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        match batch.scoring {
            Scoring::Pairs => Ok((batch.pair_scores()? - batch.numbers()?)?.sqr()?.mean(0)?),
            _ => EmbedDistill { distance: TeacherDistance::Mse }.loss(batch),
        }
    }

    described!("MSE");
}

impl Loss for EmbedDistill {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        let losses = batch.columns.iter().enumerate().map(|(index, column)| {
            let teacher = teacher(batch, index)?;
            Ok(match self.distance {
                TeacherDistance::Cosine => pairwise_cosine(column, &teacher)?.affine(-1.0, 1.0)?.mean(0)?,
                TeacherDistance::Mse => (column - teacher)?.sqr()?.mean_all()?,
                // The root has no slope at 0, where a student is already its teacher.
                TeacherDistance::L2 => (column - teacher)?.sqr()?.sum(D::Minus1)?.maximum(1e-24)?.sqrt()?.mean(0)?,
            })
        });
        Ok(Tensor::stack(&losses.collect::<Result<Vec<_>>>()?, 0)?.mean(0)?)
    }

    described!("EmbedDistill");
}

/// The teacher's vectors for a column.
fn teacher(batch: &Batch, column: usize) -> Result<Tensor> {
    let (labels, expected) = (batch.labels()?, batch.columns[column].dims());
    let teacher = match labels.dims() {
        [_, columns, _] if *columns == batch.columns.len() => labels.narrow(1, column, 1)?.squeeze(1)?,
        // As a training set holds them: the columns' vectors one after the other.
        [rows, width]
            if batch.columns.len() > 1 && Some(*width) == expected.last().map(|dim| dim * batch.columns.len()) =>
        {
            let dim = width / batch.columns.len();
            labels.reshape((*rows, batch.columns.len(), dim))?.narrow(1, column, 1)?.squeeze(1)?
        }
        _ => labels.clone(),
    };
    if teacher.dims() == expected {
        return Ok(teacher);
    }
    Err(Error::Shape {
        what: "labels of a batch".to_owned(),
        found: format!("{:?}", labels.dims()),
        expected: format!("{expected:?}: a vector of the teacher for each example"),
    })
}
