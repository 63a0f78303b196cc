//! The values of parameters before any training.

use super::{Parameter, Parameters};
use crate::random::Philox;

/// Draws those parameters from number `first` on that `wanted` names: matrices from N(0, `deviation`²),
/// norms 1; biases stay as they are, 0.
pub(super) fn draw(
    parameters: &mut Parameters,
    first: usize,
    seed: u64,
    deviation: f64,
    wanted: impl Fn(&Parameter) -> bool,
) {
    // A head's numbers are not those of the encoder's first matrices.
    let mut rng = Philox::stream(seed, u64::from(first > 0));
    let entries = parameters.entries()[first..].to_vec();
    for entry in entries.into_iter().filter(|entry| wanted(entry)) {
        let values = &mut parameters.values[entry.range];
        if entry.shape.len() == 2 {
            values.fill_with(|| (rng.normal() * deviation) as f32);
        } else if entry.name.ends_with("weight") {
            values.fill(1.0);
        }
    }
}

/// Sines and cosines of growing wave lengths by turns (Vaswani et al. 2017), one row per position.
pub(super) fn sinusoids(table: &mut [f32], width: usize) {
    for (position, row) in table.chunks_exact_mut(width).enumerate() {
        for (i, value) in row.iter_mut().enumerate() {
            let angle = position as f64 / 10_000_f64.powf((2 * (i / 2)) as f64 / width as f64);
            *value = if i % 2 == 0 { angle.sin() } else { angle.cos() } as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `create_sinusoidal_embeddings(3, 4, ..)` of transformers' DistilBERT.
    #[test]
    fn sinusoids_are_those_of_distilbert() {
        let mut table = vec![0.0; 12];
        sinusoids(&mut table, 4);
        let expected = [
            0.0,
            1.0,
            0.0,
            1.0,
            0.841_471,
            0.540_302_3,
            0.009_999_83,
            0.999_95,
            0.909_297_4,
            -0.416_146_85,
            0.019_998_67,
            0.999_8,
        ];
        assert!(table.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{table:?}");
    }
}
