//! Modules after pooling: each maps the vector of a text to another one.

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
/// let dense = VectorModule::Dense { dim: 128, bias: true, activation: DenseActivation::Tanh };
/// let modules = vec![VectorModule::LayerNorm, dense];
/// assert_eq!(kensaku::serde_json::to_string(&modules[0])?, "\"layer_norm\"");
/// # Ok::<(), kensaku::serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorModule {
    /// `y = activation(W x + b)`, of `dim` numbers.
    Dense { dim: usize, bias: bool, activation: DenseActivation },
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
    Dense(ParamRange, DenseActivation),
    LayerNorm(ParamRange),
    Normalize,
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
                VectorModule::Dense { bias, activation, .. } => {
                    Map::Dense(ParamRange::linear(table, &name("linear"), [output, input], bias), activation)
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

    /// Of pooled vectors `(n, input)`: those after all modules, and what the backward pass needs.
    pub(crate) fn forward(&self, parameters: &Parameters, mut vectors: Vec<f32>) -> (Vec<f32>, KeptModules) {
        let mut kept = Vec::with_capacity(self.0.len());
        let values = parameters.values.as_slice();
        for Step { map, input, output, .. } in &self.0 {
            let rows = vectors.len() / input;
            match map {
                Map::Dense(place, activation) => {
                    let mut before = vec![0.0; rows * output];
                    if rows > 0 {
                        linear::forward(&mut before, &vectors, place.weight(values), rows);
                        place.bias(values).into_iter().for_each(|bias| linear::add_bias(&mut before, bias));
                    }
                    let after = before.iter().map(|x| activation.of(*x)).collect();
                    kept.push(Kept::Dense { input: std::mem::replace(&mut vectors, after), before });
                }
                Map::LayerNorm(place) => {
                    let mut after = vec![0.0; vectors.len()];
                    let mut cache = NormCache::default();
                    cache.fit(rows, *output, Storage::F32);
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
    pub(crate) fn backward(&self, parameters: &mut Parameters, kept: &KeptModules, gradient: &[f32]) -> Vec<f32> {
        let mut d = gradient.to_vec();
        let (values, grads) = parameters.values_and_grads();
        for (step, kept) in self.0.iter().zip(kept).rev() {
            match (&step.map, kept) {
                (Map::Dense(place, activation), Kept::Dense { input, before }) => {
                    d.iter_mut().zip(before).for_each(|(d, before)| *d *= activation.slope(*before));
                    let (mut d_input, rows) = (vec![0.0; input.len()], input.len() / step.input);
                    if rows > 0 {
                        linear::backward(&d, input, place.weight(values), rows, &mut d_input, place.grads(grads));
                    }
                    d = d_input;
                }
                (Map::LayerNorm(place), Kept::LayerNorm(cache)) => {
                    norm::backward(&mut d, place.weight(values), cache, &mut [], place.grads(grads));
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
            Self::Dense { dim, bias, .. } => {
                let bias = bias.then(|| ("linear.bias", vec![dim]));
                std::iter::once(("linear.weight", vec![dim, input])).chain(bias).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::BertConfig;
    use crate::random::Philox;

    const WIDTH: usize = 6;
    const ROWS: usize = 3;

    fn encoder() -> Encoder {
        let config = BertConfig { vocab_size: 20, hidden_size: WIDTH, num_attention_heads: 2, ..Default::default() };
        Encoder::new(config, 1).unwrap()
    }

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = Philox::new(seed);
        (0..count).map(|_| rng.normal() as f32).collect()
    }

    fn dense(dim: usize, bias: bool, activation: DenseActivation) -> VectorModule {
        VectorModule::Dense { dim, bias, activation }
    }

    /// Some of them, with weights far from those of a start.
    fn modules(kinds: &[VectorModule]) -> (Encoder, VectorModules) {
        let mut encoder = encoder();
        let modules = VectorModules::new(&mut encoder, kinds, WIDTH, 3).unwrap();
        let own: Vec<String> = encoder.parameters().entries()[encoder.own..].iter().map(|e| e.name.clone()).collect();
        for (seed, name) in (10..).zip(own) {
            let values = encoder.parameters_mut().values_mut(&name).unwrap();
            let drawn = numbers(values.len(), seed);
            values.iter_mut().zip(drawn).for_each(|(value, drawn)| *value += 0.5 * drawn);
        }
        (encoder, modules)
    }

    #[test]
    fn gradients_are_slopes() {
        use DenseActivation::{Gelu, Identity, Relu, Sigmoid, Tanh};
        for kinds in [
            vec![dense(4, true, Tanh)],
            vec![dense(7, false, Identity), VectorModule::LayerNorm],
            vec![VectorModule::LayerNorm, dense(5, true, Gelu), VectorModule::Normalize, dense(2, true, Sigmoid)],
            vec![VectorModule::Normalize, dense(6, true, Relu), VectorModule::LayerNorm, VectorModule::Normalize],
            vec![VectorModule::Normalize],
        ] {
            let (mut encoder, modules) = modules(&kinds);
            let input = numbers(ROWS * WIDTH, 2);
            let (vectors, kept) = modules.forward(encoder.parameters(), input.clone());
            assert_eq!(vectors.len(), ROWS * modules.output(WIDTH));
            let upstream = numbers(vectors.len(), 4);
            let value = |parameters: &Parameters, input: &[f32]| -> f64 {
                let vectors = modules.forward(parameters, input.to_vec()).0;
                vectors.iter().zip(&upstream).map(|(value, d)| f64::from(*value) * f64::from(*d)).sum()
            };
            let d_input = modules.backward(encoder.parameters_mut(), &kept, &upstream);
            let near = |slope: f64, gradient: f32, what: &str| {
                let off = (slope - f64::from(gradient)).abs() / slope.abs().max(1.0);
                assert!(off < 5e-3, "{what} of {kinds:?}: {slope} and {gradient}");
            };
            let step = 1e-3;
            for index in 0..input.len() {
                let moved = |step: f32| {
                    let mut input = input.clone();
                    input[index] += step;
                    value(encoder.parameters(), &input)
                };
                near((moved(step) - moved(-step)) / f64::from(2.0 * step), d_input[index], "input");
            }
            for entry in &encoder.parameters().entries()[encoder.own..] {
                let grad = encoder.parameters().grad(&entry.name).unwrap();
                for (index, grad) in grad.into_iter().enumerate() {
                    let moved = |step: f32| {
                        let mut parameters = encoder.parameters().clone();
                        parameters.values_mut(&entry.name).unwrap()[index] += step;
                        value(&parameters, &input)
                    };
                    near((moved(step) - moved(-step)) / f64::from(2.0 * step), grad, &entry.name);
                }
            }
        }
    }

    #[test]
    fn modules_are_what_their_names_say() {
        let (mut encoder, modules) = modules(&[dense(2, true, DenseActivation::Identity), VectorModule::Normalize]);
        let names: Vec<&str> =
            encoder.parameters().entries()[encoder.own..].iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["2_Dense.linear.weight", "2_Dense.linear.bias"]);
        let mut weight = [0.0; 2 * WIDTH];
        (weight[0], weight[WIDTH + 1]) = (3.0, 1.0);
        encoder.parameters_mut().values_mut("2_Dense.linear.weight").unwrap().copy_from_slice(&weight);
        encoder.parameters_mut().values_mut("2_Dense.linear.bias").unwrap().copy_from_slice(&[0.0, 2.0]);
        let vectors = modules.forward(encoder.parameters(), vec![1.0, 2.0, 9.0, 9.0, 9.0, 9.0]).0;
        assert_eq!(vectors, [0.6, 0.8]);
        // No texts, no vectors.
        assert_eq!(modules.forward(encoder.parameters(), Vec::new()).0, [0.0; 0]);
        let empty = VectorModules::new(&mut encoder, &[dense(0, true, DenseActivation::Tanh)], WIDTH, 1);
        assert!(empty.unwrap_err().to_string().starts_with("dim = 0"));
    }
}
