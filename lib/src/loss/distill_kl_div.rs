//! The distribution of a teacher over the documents of a query.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions::kl_divergence;
use super::margin_mse::teacher_scores;
use super::{Batch, Loss, Similarity, positive};
use crate::{Error, Result};

/// `T_s² mean_i KL(softmax(teacher_i / T_t) || softmax(s_i / T_s))` over the positive and the negatives of example `i`.
///
/// Labels are the teacher's scores of the positive and each negative. Source: Hinton et al. 2015, Lin et al. 2020. Values
/// and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, DistillKLDiv, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let row = |x: f32| Tensor::new(&[[x, 0.0]], &Device::Cpu);
/// let batch = Batch::new(vec![row(1.0)?, row(5.0)?, row(2.0)?]);
/// // Scores may be higher by any constant.
/// let labels = Some(Tensor::new(&[[10.0f32, 7.0]], &Device::Cpu)?);
/// assert!(DistillKLDiv::default().loss(&Batch { labels, ..batch })?.to_scalar::<f32>()?.abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "DistillKLDivLoss")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistillKLDiv {
    pub similarity: Similarity,
    /// `T_s`, by which the student's scores are divided.
    pub student_temperature: f64,
    /// `T_t`, by which the teacher's scores are divided.
    pub teacher_temperature: f64,
}

impl Default for DistillKLDiv {
    fn default() -> Self {
        Self { similarity: Similarity::Dot, student_temperature: 1.0, teacher_temperature: 1.0 }
    }
}

impl Loss for DistillKLDiv {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        batch.examples()?;
        batch.some_negatives()?;
        let student = batch.own_scores_by(self.similarity)?;
        let teacher = teacher_scores(batch, student.dim(1)?)?;
        if student.dims() != teacher.dims() {
            return Err(Error::Shape {
                what: "labels of a batch".to_owned(),
                found: format!("{:?}", teacher.dims()),
                expected: format!("{:?}: the teacher's score of each document", student.dims()),
            });
        }
        let divergence = kl_divergence(&(student / self.student_temperature)?, &(teacher / self.teacher_temperature)?)?;
        Ok((divergence * self.student_temperature.powi(2))?)
    }

    fn check(&self) -> Result<()> {
        positive("student_temperature", self.student_temperature)?;
        positive("teacher_temperature", self.teacher_temperature)
    }

    described!("DistillKLDiv");
}
