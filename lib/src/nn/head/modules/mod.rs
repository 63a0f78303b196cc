//! Modules after pooling: each maps the vector of a text to another one.

#[cfg(test)]
mod tests;

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::unit::{normalize_rows, normalize_rows_backward};
use crate::nn::blocks::norm::{self, Before, NormCache};
use crate::nn::blocks::{activation, linear};
use crate::nn::checkpoint::{self, Tensors};
use crate::nn::layout::ParamRange;
use crate::nn::saved_tensor::Storage;
use crate::nn::{Encoder, Parameters};
use crate::{Error, Result};

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

/// The modules of a model. Their parameters follow the encoder's in the table, under the names of their folders:
/// `2_Dense.linear.weight`, for the encoder is module 0 and pooling module 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct VectorModules(Vec<Step>);

#[derive(Debug, Clone)]
struct Step {
    module: VectorModule,
    /// Such as `2_Dense`.
    folder: String,
    map: Map,
    /// The numbers of a vector before and after it.
    input: usize,
    output: usize,
}

/// What a module computes, with its parameters.
#[derive(Debug, Clone)]
enum Map {
    Dense(ParamRange, DenseActivation, Residual),
    LayerNorm(ParamRange),
    Normalize,
}

/// What a Dense adds to its output.
#[derive(Debug, Clone)]
enum Residual {
    Nothing,
    Input,
    /// A map of the input.
    Mapped(ParamRange),
}

/// What the backward pass needs of each module.
pub(crate) type KeptModules = Vec<Kept>;

/// The same of one module.
pub(crate) enum Kept {
    /// `(n, in)` what it has read, and `(n, out)` before the activation.
    Dense {
        input: Vec<f32>,
        before: Vec<f32>,
    },
    LayerNorm(NormCache),
    /// `(n, dim)` of length 1, and the lengths before.
    Normalize {
        rows: Vec<f32>,
        lengths: Vec<f32>,
    },
}

/// That of PyTorch's `LayerNorm`.
const EPS: f32 = 1e-5;
/// Modules before these: the encoder, pooling.
const BEFORE: usize = 2;

impl VectorModules {
    /// Puts new ones on an encoder, drawn as the encoder's matrices; norms are 1, biases 0. `input` is the width of a
    /// pooled vector.
    pub(crate) fn new(encoder: &mut Encoder, modules: &[VectorModule], input: usize, seed: u64) -> Result<Self> {
        encoder.remove_head();
        let own = encoder.parameters().entries().len();
        let modules = Self::on(encoder, modules, input)?;
        encoder.draw(own, seed, |_| true);
        Ok(modules)
    }

    /// Puts on an encoder those that are in these folders.
    pub(crate) fn load(encoder: &mut Encoder, modules: &[(VectorModule, &Path)], input: usize) -> Result<Self> {
        let kinds: Vec<VectorModule> = modules.iter().map(|(module, _)| *module).collect();
        // Nothing but the stored shapes says whether there is memory for the sizes of a configuration.
        let mut width = input;
        let mut stored = Vec::new();
        for (module, dir) in modules {
            let tensors = if *module == VectorModule::Normalize { None } else { Some(Tensors::open(dir)?) };
            let shapes = module.shapes(width);
            for (name, shape) in &shapes {
                let Some(tensors) = &tensors else { continue };
                if !tensors.holds(name, shape)? {
                    return Err(tensors.missing(name, shape));
                }
            }
            let known = |name: &str| shapes.iter().any(|(known, _)| *known == name);
            if let Some((_, other)) = tensors.iter().flat_map(Tensors::names).find(|(name, _)| !known(name)) {
                let expected = shapes.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
                let problem = format!("there is a tensor `{other}`");
                return Err(Error::Model { path: dir.to_path_buf(), problem, expected });
            }
            width = module.output(width);
            stored.push(tensors);
        }
        encoder.remove_head();
        let modules = Self::on(encoder, &kinds, input)?;
        for (step, tensors) in modules.0.iter().zip(&stored) {
            for (name, _) in step.module.shapes(step.input) {
                let values = encoder.parameters_mut().values_mut(&format!("{}.{name}", step.folder))?;
                tensors.iter().try_for_each(|tensors| tensors.read(name, values))?;
            }
        }
        Ok(modules)
    }

    /// Appends their parameters to the table.
    fn on(encoder: &mut Encoder, modules: &[VectorModule], input: usize) -> Result<Self> {
        let mut width = input;
        let mut steps = Vec::new();
        for (number, module) in (BEFORE..).zip(modules) {
            let (input, output) = (width, module.output(width));
            if output == 0 {
                let expected = "at least 1 number in a vector".to_owned();
                return Err(Error::Setting { field: "dim", value: "0".to_owned(), expected });
            }
            let folder = format!("{number}_{}", module.name());
            let (table, name) = (encoder.parameters_mut(), |part: &str| format!("{folder}.{part}"));
            let map = match *module {
                VectorModule::Dense { bias, activation, residual, .. } => {
                    let linear = ParamRange::linear(table, &name("linear"), [output, input], bias);
                    let residual = match (residual, input == output) {
                        (false, _) => Residual::Nothing,
                        (true, true) => Residual::Input,
                        (true, false) => {
                            Residual::Mapped(ParamRange::linear(table, &name("residual"), [output, input], false))
                        }
                    };
                    Map::Dense(linear, activation, residual)
                }
                VectorModule::LayerNorm => Map::LayerNorm(ParamRange::norm(table, &name("norm"), input, true)),
                VectorModule::Normalize => Map::Normalize,
            };
            steps.push(Step { module: *module, folder, map, input, output });
            width = output;
        }
        encoder.parameters_mut().allocate()?;
        Ok(Self(steps))
    }

    /// The modules, each with the name of its folder and the numbers of a vector before it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (VectorModule, &str, usize)> {
        self.0.iter().map(|step| (step.module, step.folder.as_str(), step.input))
    }

    /// The width that pooled vectors must have; nothing without modules.
    pub(crate) fn input(&self) -> Option<usize> {
        self.0.first().map(|step| step.input)
    }

    /// The numbers of a vector after all modules, of `input` before.
    pub(crate) fn output(&self, input: usize) -> usize {
        self.0.last().map_or(input, |step| step.output)
    }

    /// Writes the weights of one module into its folder.
    pub(crate) fn save(&self, parameters: &Parameters, folder: &str, dir: &Path) -> Result<()> {
        let prefix = format!("{folder}.");
        let entries: Vec<_> =
            parameters.entries().iter().filter(|entry| entry.name.starts_with(&prefix)).cloned().collect();
        if entries.is_empty() {
            return Ok(());
        }
        checkpoint::write(dir, parameters, &entries, |name| name.strip_prefix(&prefix).unwrap_or(name).to_owned())
    }

    /// Of pooled vectors `(n, input)`: those after all modules, and what the backward pass needs. `values` are those of the
    /// table, less the `frozen` ones of an encoder with adapters.
    pub(crate) fn forward(&self, values: &[f32], frozen: usize, mut vectors: Vec<f32>) -> (Vec<f32>, KeptModules) {
        let mut kept = Vec::with_capacity(self.0.len());
        for Step { map, input, output, .. } in &self.0 {
            let rows = vectors.len() / input;
            match map {
                Map::Dense(place, activation, residual) => {
                    let mut before = vec![0.0; rows * output];
                    if rows > 0 {
                        let place = place.without(frozen);
                        linear::forward(&mut before, &vectors, place.weight(values), rows);
                        place.bias(values).into_iter().for_each(|bias| linear::add_bias(&mut before, bias));
                    }
                    let mut after: Vec<f32> = before.iter().map(|x| activation.of(*x)).collect();
                    residual.add(values, frozen, &vectors, &mut after, rows);
                    kept.push(Kept::Dense { input: std::mem::replace(&mut vectors, after), before });
                }
                Map::LayerNorm(place) => {
                    let mut after = vec![0.0; vectors.len()];
                    let mut cache = NormCache::default();
                    cache.fit(rows, *output, Storage::F32);
                    let place = place.without(frozen);
                    let weights = place.as_norm(values, EPS);
                    norm::forward(&mut after, &mut vectors, Before::default(), weights, &mut cache, &mut []);
                    vectors = after;
                    kept.push(Kept::LayerNorm(cache));
                }
                Map::Normalize => {
                    let lengths = normalize_rows(&mut vectors, *output);
                    kept.push(Kept::Normalize { rows: vectors.clone(), lengths });
                }
            }
        }
        (vectors, kept)
    }

    /// From the gradient of the last vectors: adds that of every parameter, and returns that of the pooled vectors.
    pub(crate) fn backward(
        &self,
        values: &[f32],
        grads: &mut [f32],
        frozen: usize,
        kept: &KeptModules,
        gradient: &[f32],
    ) -> Vec<f32> {
        let mut d = gradient.to_vec();
        for (step, kept) in self.0.iter().zip(kept).rev() {
            match (&step.map, kept) {
                (Map::Dense(place, activation, residual), Kept::Dense { input, before }) => {
                    let d_after = d.clone();
                    d.iter_mut().zip(before).for_each(|(d, before)| *d *= activation.slope(*before));
                    let (mut d_input, rows) = (vec![0.0; input.len()], input.len() / step.input);
                    if rows > 0 {
                        let place = place.without(frozen);
                        linear::backward(&d, input, place.weight(values), rows, &mut d_input, place.grads(grads));
                    }
                    residual.backward(values, grads, frozen, input, &d_after, &mut d_input, rows);
                    d = d_input;
                }
                (Map::LayerNorm(place), Kept::LayerNorm(cache)) => {
                    let place = place.without(frozen);
                    let (d_gamma, d_beta) = place.grads(grads);
                    norm::backward(&mut d, place.weight(values), cache, &mut [], (Some(d_gamma), d_beta));
                }
                (_, Kept::Normalize { rows, lengths }) => {
                    d = normalize_rows_backward(rows, lengths, &d, step.output);
                }
                // What is kept is of the same modules.
                _ => {}
            }
        }
        d
    }
}

impl Residual {
    /// Adds it to `after`, from the input `x`.
    fn add(&self, values: &[f32], frozen: usize, x: &[f32], after: &mut [f32], rows: usize) {
        let add = |to: &mut [f32], from: &[f32]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        match self {
            Self::Nothing => {}
            Self::Input => add(after, x),
            Self::Mapped(_) if rows == 0 => {}
            Self::Mapped(place) => {
                let mut mapped = vec![0.0; after.len()];
                linear::forward(&mut mapped, x, place.without(frozen).weight(values), rows);
                add(after, &mapped);
            }
        }
    }

    /// From the gradient of the output: adds that of the map, and its own share in that of the input.
    #[allow(clippy::too_many_arguments)]
    fn backward(
        &self,
        values: &[f32],
        grads: &mut [f32],
        frozen: usize,
        x: &[f32],
        d_after: &[f32],
        dx: &mut [f32],
        rows: usize,
    ) {
        match self {
            Self::Nothing => {}
            Self::Input => dx.iter_mut().zip(d_after).for_each(|(dx, d)| *dx += d),
            Self::Mapped(_) if rows == 0 => {}
            Self::Mapped(place) => {
                let place = place.without(frozen);
                linear::backward_input(dx, true, d_after, place.weight(values), rows);
                linear::backward_weight((Some(place.grads(grads).0), None), d_after, x, rows);
            }
        }
    }
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
    fn output(self, input: usize) -> usize {
        match self {
            Self::Dense { dim, .. } => dim,
            Self::LayerNorm | Self::Normalize => input,
        }
    }

    /// The names in its file, each with the shape that it must have.
    fn shapes(self, input: usize) -> Vec<(&'static str, Vec<usize>)> {
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

    fn of(self, x: f32) -> f32 {
        match self {
            Self::Tanh => x.tanh(),
            Self::Identity => x,
            Self::Relu => activation::relu(x),
            Self::Gelu => activation::gelu(x),
            Self::Sigmoid => sigmoid(x),
        }
    }

    fn slope(self, x: f32) -> f32 {
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
