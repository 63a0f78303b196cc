//! Parameters of a loss, which train with the model.

use candle_core::{DType, Device, Tensor};

use super::{Batch, Custom, Loss, Needs, Term};
use crate::random::Philox;
use crate::{Error, Result};

/// A parameter of a loss, with its initial value: it trains along with the model.
///
/// A trainer calls it `loss.name`: by that name it has a learning rate of its own or is frozen (`learning_rate_mapping`,
/// `freeze`), and checkpoints hold it. Its gradient is not clipped with that of the model, as in sentence-transformers.
#[derive(Debug, Clone)]
pub struct LossParameter {
    pub name: String,
    /// Single precision.
    pub value: Tensor,
    /// Whether weight decay applies.
    pub decay: bool,
    /// Whether it trains; if not, it is a state that [`Loss::observe`] replaces.
    pub trained: bool,
}

impl LossParameter {
    /// A matrix or a tensor of more sides decays; a vector or a scalar does not, as biases and norms.
    pub fn new(name: impl Into<String>, value: &Tensor) -> Result<Self> {
        let decay = value.rank() > 1;
        Ok(Self {
            name: name.into(),
            value: value.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?,
            decay,
            trained: true,
        })
    }

    /// Numbers that no gradient moves, but the loss itself as it sees batches ([`Loss::observe`]). They are with the other
    /// parameters in batches and checkpoints.
    pub fn state(name: impl Into<String>, value: &Tensor) -> Result<Self> {
        Ok(Self { decay: false, trained: false, ..Self::new(name, value)? })
    }

    /// Weights `(outputs, inputs)` of a linear layer, uniform up to `1 / sqrt(inputs)`, as PyTorch begins.
    pub(super) fn linear(name: &str, outputs: usize, inputs: usize, rng: &mut Philox) -> Result<Self> {
        Self::uniform(name, &[outputs, inputs], inputs, rng)
    }

    /// The bias of such a layer.
    pub(super) fn bias(name: &str, outputs: usize, inputs: usize, rng: &mut Philox) -> Result<Self> {
        Self::uniform(name, &[outputs], inputs, rng)
    }

    fn uniform(name: &str, shape: &[usize], inputs: usize, rng: &mut Philox) -> Result<Self> {
        let most = 1.0 / (inputs.max(1) as f64).sqrt();
        let count = shape.iter().fold(1_usize, |count, side| count.saturating_mul(*side));
        let mut numbers: Vec<f32> = Vec::new();
        numbers.try_reserve_exact(count).map_err(|_| Error::Shape {
            what: format!("parameter `{name}` of the loss"),
            found: format!("{shape:?}"),
            expected: "as many numbers as memory holds".to_owned(),
        })?;
        numbers.extend((0..count).map(|_| ((2.0 * rng.uniform() - 1.0) * most) as f32));
        Self::new(name, &Tensor::from_vec(numbers, shape, &Device::Cpu)?)
    }
}

impl Custom {
    /// The same loss with a parameter of its own, which trains with the model. The closure takes it from its batch:
    ///
    /// ```
    /// use kensaku::loss::{self, Batch, Loss, cosine, cross_entropy};
    /// use kensaku::candle_core::{Device, Tensor};
    ///
    /// // A temperature that is learned, as in CLIP.
    /// let loss = loss::custom(|batch| {
    ///     let scores = cosine(batch.queries()?, &batch.docs()?)?;
    ///     cross_entropy(&scores.broadcast_mul(&batch.parameter("log_scale")?.exp()?)?, &batch.own()?)
    /// })
    /// .parameter("log_scale", &Tensor::new(3f32, &Device::Cpu)?)?;
    /// assert_eq!(loss.parameters(384, 42)?[0].name, "log_scale");
    /// # let texts = Tensor::new(&[[1.0f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
    /// # let batch = Batch { parameters: vec![("log_scale".into(), Tensor::new(0f32, &Device::Cpu)?)], ..Batch::pairs(texts.clone(), texts) };
    /// # assert!((loss.loss(&batch)?.to_scalar::<f32>()? - 0.3132617).abs() < 1e-6);
    /// # Ok::<(), kensaku::Error>(())
    /// ```
    ///
    /// `trainer.loss_parameters()` has its value later.
    pub fn parameter(self, name: impl Into<String>, value: &Tensor) -> Result<Self> {
        let parameter = LossParameter::new(name, value)?;
        Ok(Self::of(Parametrised { loss: self, parameter }))
    }
}

/// A loss with one more parameter.
struct Parametrised {
    loss: Custom,
    parameter: LossParameter,
}

impl Loss for Parametrised {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.loss.loss(batch)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        self.loss.terms(batch)
    }

    fn parameters(&self, dim: usize, seed: u64) -> Result<Vec<LossParameter>> {
        let mut parameters = self.loss.parameters(dim, seed)?;
        parameters.push(self.parameter.clone());
        Ok(parameters)
    }

    fn observe(&self, batch: &Batch) -> Result<Vec<(String, Tensor)>> {
        self.loss.observe(batch)
    }

    fn prior_layers(&self, layers: usize, rng: &mut Philox) -> Result<Vec<usize>> {
        self.loss.prior_layers(layers, rng)
    }

    fn needs(&self) -> Needs {
        self.loss.needs()
    }
}

impl Batch {
    /// A parameter of the loss, as it is now: see [`Custom::parameter`].
    pub fn parameter(&self, name: &str) -> Result<&Tensor> {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value).ok_or_else(|| {
            let names: Vec<_> = self.parameters.iter().map(|(name, _)| format!("`{name}`")).collect();
            let own = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
            let expected =
                format!("a parameter of the loss{own}: `loss::custom(..).parameter(\"{name}\", &value)?` adds one");
            Error::Setting { field: "parameter", value: name.to_owned(), expected }
        })
    }
}
