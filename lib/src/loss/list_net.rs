//! The distribution of labels over a list.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::functions::log_softmax;
use super::lists::{List, lists, mean};
use super::{Batch, Loss};
use crate::Result;

/// `mean_q -sum_i softmax(y)_i log softmax(s)_i` over the documents of each query.
///
/// Labels `y` are one number per document. Source: Cao et al. 2007. Values and gradients equal sentence-transformers 6.2.
///
/// ```
/// use kensaku::loss::{Batch, ListNet, Loss};
/// # use kensaku::candle_core::{Device, Tensor};
///
/// let number = |x: f32| Tensor::new(&[[x]], &Device::Cpu);
/// let labels = Some(Tensor::new(&[[5.0f32, 5.0]], &Device::Cpu)?);
/// let batch = Batch { labels, ..Batch::read_pairs(vec![number(1.0)?, number(1.0)?]) };
/// assert!((ListNet.loss(&batch)?.to_scalar::<f32>()? - 2.0f32.ln()).abs() < 1e-6);
/// # Ok::<(), kensaku::Error>(())
/// ```
#[doc(alias = "ListNetLoss")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListNet;

impl Loss for ListNet {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let one = |list: List| {
            let labels = Tensor::from_vec(list.labels, list.scores.shape(), list.scores.device())?;
            let targets = log_softmax(&labels.unsqueeze(0)?)?.exp()?.to_dtype(list.scores.dtype())?;
            Ok((log_softmax(&list.scores.unsqueeze(0)?)? * targets)?.sum_all()?.neg()?)
        };
        mean(lists(batch, true)?.into_iter().map(one).collect::<Result<_>>()?)
    }

    described!("ListNet");
}
