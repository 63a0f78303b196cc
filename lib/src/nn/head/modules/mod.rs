//! Modules after pooling: each maps the vector of a text to another one.

mod kinds;
mod passes;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use kinds::{DenseActivation, VectorModule};
pub(crate) use passes::KeptModules;

use crate::nn::checkpoint::{self, Tensors};
use crate::nn::layout::ParamRange;
use crate::nn::{Encoder, Parameters};
use crate::{Error, Result};

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
}
