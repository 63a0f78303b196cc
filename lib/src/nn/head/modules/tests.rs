//! Gradients and meaning of the modules.

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
    VectorModule::Dense { dim, bias, activation, residual: false }
}

fn residual(dim: usize, bias: bool, activation: DenseActivation) -> VectorModule {
    VectorModule::Dense { dim, bias, activation, residual: true }
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
        vec![residual(WIDTH, true, Tanh), residual(4, true, Gelu)],
        vec![VectorModule::LayerNorm, residual(7, false, Sigmoid), residual(7, false, Identity)],
    ] {
        let (mut encoder, modules) = modules(&kinds);
        let input = numbers(ROWS * WIDTH, 2);
        let (vectors, kept) = modules.forward(&encoder.parameters().values, 0, input.clone());
        assert_eq!(vectors.len(), ROWS * modules.output(WIDTH));
        let upstream = numbers(vectors.len(), 4);
        let value = |parameters: &Parameters, input: &[f32]| -> f64 {
            let vectors = modules.forward(&parameters.values, 0, input.to_vec()).0;
            vectors.iter().zip(&upstream).map(|(value, d)| f64::from(*value) * f64::from(*d)).sum()
        };
        let (values, grads) = encoder.parameters_mut().values_and_grads();
        let d_input = modules.backward(values, grads, 0, &kept, &upstream);
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
    let vectors = modules.forward(&encoder.parameters().values, 0, vec![1.0, 2.0, 9.0, 9.0, 9.0, 9.0]).0;
    assert_eq!(vectors, [0.6, 0.8]);
    // With what it has read, or a map of it.
    let twice = [residual(WIDTH, false, DenseActivation::Identity), residual(1, false, DenseActivation::Identity)];
    let mut other = self::encoder();
    let both = VectorModules::new(&mut other, &twice, WIDTH, 1).unwrap();
    let names = ["2_Dense.linear.weight", "3_Dense.linear.weight", "3_Dense.residual.weight"];
    for (name, value) in names.into_iter().zip([0.0, 1.0, 10.0]) {
        other.parameters_mut().values_mut(name).unwrap().fill(value);
    }
    assert_eq!(both.forward(&other.parameters().values, 0, vec![1.0; WIDTH]).0, [11.0 * WIDTH as f32]);
    // No texts, no vectors.
    assert_eq!(modules.forward(&encoder.parameters().values, 0, Vec::new()).0, [0.0; 0]);
    let empty = VectorModules::new(&mut encoder, &[dense(0, true, DenseActivation::Tanh)], WIDTH, 1);
    assert!(empty.unwrap_err().to_string().starts_with("dim = 0"));
}
