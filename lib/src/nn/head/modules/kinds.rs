//! The kinds of modules.

use serde::{Deserialize, Serialize};

use crate::nn::blocks::activation;

/// What a bi-encoder computes of a pooled vector, as sentence-transformers' modules of these names do.
///
/// ```
/// use kensaku::nn::{DenseActivation, VectorModule};
///
/// let dense = VectorModule::Dense { dim: 128, bias: true, activation: DenseActivation::Tanh, residual: false };
/// let modules = vec![VectorModule::LayerNorm, dense];
/// assert_eq!(kensaku::serde_json::to_string(&modules[0])?, "\"layer_norm\"");
/// # Ok::<(), kensaku::serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorModule {
    /// `y = activation(W x + b)`, of `dim` numbers. With `residual` it is `y + x`, and `y + R x` where `x` has another number
    /// of them; sentence-transformers reads that since version 6.
    Dense {
        dim: usize,
        bias: bool,
        activation: DenseActivation,
        #[serde(default)]
        residual: bool,
    },
    /// `y = (x - mean) / sqrt(variance + 1e-5) * weight + bias` over the numbers of the vector.
    LayerNorm,
    /// `y = x / |x|`
    Normalize,
}

/// The activation of a [`VectorModule::Dense`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenseActivation {
    #[default]
    Tanh,
    Identity,
    Relu,
    /// `x/2 (1 + erf(x / sqrt 2))`
    Gelu,
    Sigmoid,
}

impl VectorModule {
    /// That of its class in Python.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dense { .. } => "Dense",
            Self::LayerNorm => "LayerNorm",
            Self::Normalize => "Normalize",
        }
    }

    /// The numbers of a vector after it, of `input` before.
    pub(super) fn output(self, input: usize) -> usize {
        match self {
            Self::Dense { dim, .. } => dim,
            Self::LayerNorm | Self::Normalize => input,
        }
    }

    /// The names in its file, each with the shape that it must have.
    pub(super) fn shapes(self, input: usize) -> Vec<(&'static str, Vec<usize>)> {
        match self {
            Self::Dense { dim, bias, residual, .. } => {
                let bias = bias.then(|| ("linear.bias", vec![dim]));
                let residual = (residual && dim != input).then(|| ("residual.weight", vec![dim, input]));
                std::iter::once(("linear.weight", vec![dim, input])).chain(bias).chain(residual).collect()
            }
            Self::LayerNorm => vec![("norm.weight", vec![input]), ("norm.bias", vec![input])],
            Self::Normalize => Vec::new(),
        }
    }
}

impl DenseActivation {
    pub(crate) const ALL: [Self; 5] = [Self::Tanh, Self::Identity, Self::Relu, Self::Gelu, Self::Sigmoid];

    /// Its class in PyTorch.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Tanh => "torch.nn.modules.activation.Tanh",
            Self::Identity => "torch.nn.modules.linear.Identity",
            Self::Relu => "torch.nn.modules.activation.ReLU",
            Self::Gelu => "torch.nn.modules.activation.GELU",
            Self::Sigmoid => "torch.nn.modules.activation.Sigmoid",
        }
    }

    pub(super) fn of(self, x: f32) -> f32 {
        match self {
            Self::Tanh => x.tanh(),
            Self::Identity => x,
            Self::Relu => activation::relu(x),
            Self::Gelu => activation::gelu(x),
            Self::Sigmoid => sigmoid(x),
        }
    }

    pub(super) fn slope(self, x: f32) -> f32 {
        match self {
            Self::Tanh => 1.0 - x.tanh().powi(2),
            Self::Identity => 1.0,
            Self::Relu => activation::relu_slope(x),
            Self::Gelu => activation::gelu_slope(x),
            Self::Sigmoid => sigmoid(x) * sigmoid(-x),
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
