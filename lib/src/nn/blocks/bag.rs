//! Bags of tokens: the mean of rows of a table, and its gradient.

use rayon::prelude::*;

use super::{ROWS_PER_TASK, embedding};
use crate::nn::PackedBatch;
use crate::nn::math::vectorised;

/// `out (B, width)`: the mean of the rows of the tokens of each sequence, 0 of a sequence without tokens.
pub(crate) fn forward(out: &mut [f32], width: usize, table: &[f32], batch: &PackedBatch) {
    out.par_chunks_mut(width * ROWS_PER_TASK).enumerate().for_each(|(task, out)| {
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let sequence = task * ROWS_PER_TASK + row;
            mean(out, table, &batch.ids[batch.bounds[sequence]..batch.bounds[sequence + 1]]);
        }
    });
}

/// From `d (B, width)`, which becomes a share for each token: adds it to the row of the token. Rows that no token names
/// are not touched.
pub(crate) fn backward(d_table: &mut [f32], d: &mut [f32], width: usize, batch: &PackedBatch) {
    let lengths: Vec<usize> = batch.lengths().collect();
    d.par_chunks_exact_mut(width).zip(&lengths).for_each(|(d, length)| {
        let share = 1.0 / (*length).max(1) as f32;
        d.iter_mut().for_each(|d| *d *= share);
    });
    let sequences = lengths.iter().enumerate().flat_map(|(sequence, length)| std::iter::repeat_n(sequence, *length));
    let sequences: Vec<usize> = sequences.collect();
    embedding::add_rows(d_table, width, &batch.ids, |token| &d[sequences[token] * width..][..width]);
}

vectorised! {
    fn mean(out: &mut [f32], table: &[f32], ids: &[u32]) {
        let width = out.len();
        out.fill(0.0);
        for id in ids {
            let row = &table[*id as usize * width..][..width];
            out.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let count = ids.len().max(1) as f32;
        out.iter_mut().for_each(|sum| *sum /= count);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn means_and_gradients_are_those_of_single_tokens(
            sequences in prop::collection::vec(prop::collection::vec(0_u32..7, 0..6), 1..70),
        ) {
            const WIDTH: usize = 3;
            let number = |index: usize| (index * 37 % 19) as f32 - 9.0;
            let table: Vec<f32> = (0..7 * WIDTH).map(number).collect();
            let batch = PackedBatch::new(&sequences);
            let mut out = vec![f32::NAN; sequences.len() * WIDTH];
            forward(&mut out, WIDTH, &table, &batch);
            let d: Vec<f32> = (0..out.len()).map(|index| number(index + 5)).collect();
            let mut expected = vec![1.0_f32; table.len()];
            let mut d_table = expected.clone();
            backward(&mut d_table, &mut d.clone(), WIDTH, &batch);
            for (sequence, ids) in sequences.iter().enumerate() {
                for column in 0..WIDTH {
                    let place = sequence * WIDTH + column;
                    let sum: f32 = ids.iter().map(|id| table[*id as usize * WIDTH + column]).sum();
                    prop_assert!((out[place] - sum / ids.len().max(1) as f32).abs() < 1e-5);
                    for id in ids {
                        expected[*id as usize * WIDTH + column] += d[place] / ids.len() as f32;
                    }
                }
            }
            prop_assert!(d_table.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-4));
        }
    }
}
