//! Attention biases by relative position (Raffel et al. 2020): offsets share rows of a small table, near
//! ones a row each, far ones in logarithmic buckets.

/// `out (heads, 2L - 1)`: the bias of every offset `j - i` from `-(L - 1)` to `L - 1`, from the table
/// `(buckets, heads)`.
pub(crate) fn forward(out: &mut [f32], table: &[f32], heads: usize) {
    let (offsets, buckets) = (out.len() / heads, table.len() / heads);
    for (head, out) in out.chunks_exact_mut(offsets).enumerate() {
        for (place, out) in out.iter_mut().enumerate() {
            *out = table[bucket(place, offsets, buckets) * heads + head];
        }
    }
}

/// From gradients by offset, `(tasks, 2L - 1)` with the heads taking turns: those of the table, added up
/// in order.
pub(crate) fn backward(d_table: &mut [f32], d_offsets: &[f32], heads: usize, longest: usize) {
    let (offsets, buckets) = (2 * longest - 1, d_table.len() / heads);
    for (task, d_offsets) in d_offsets.chunks_exact(offsets).enumerate() {
        for (place, d) in d_offsets.iter().enumerate() {
            d_table[bucket(place, offsets, buckets) * heads + task % heads] += d;
        }
    }
}

/// The row of the table for the offset at a place. Distances from 128 on share the last row.
pub(crate) fn bucket(place: usize, offsets: usize, buckets: usize) -> usize {
    const FARTHEST: f32 = 128.0;
    let (centre, half) = (offsets / 2, buckets / 2);
    let (distance, side) = if place > centre { (place - centre, half) } else { (centre - place, 0) };
    let exact = half / 2;
    if distance < exact {
        return side + distance;
    }
    let span = (half - exact) as f32;
    let beyond = (distance as f32 / exact as f32).ln() / (FARTHEST / exact as f32).ln() * span;
    side + (exact + beyond as usize).min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `MPNetEncoder.relative_position_bucket` of transformers 5.3 for the same offsets.
    #[test]
    fn buckets_are_those_of_mpnet() {
        let expected = [
            (-500, 15),
            (-91, 15),
            (-90, 14),
            (-20, 10),
            (-8, 8),
            (-7, 7),
            (-1, 1),
            (0, 0),
            (1, 17),
            (8, 24),
            (11, 24),
            (12, 25),
            (15, 25),
            (16, 26),
            (22, 26),
            (23, 27),
            (31, 27),
            (32, 28),
            (45, 28),
            (46, 29),
            (63, 29),
            (64, 30),
            (90, 30),
            (91, 31),
            (128, 31),
            (500, 31),
        ];
        for (offset, row) in expected {
            assert_eq!(bucket((600_i32 + offset) as usize, 1_201, 32), row, "offset {offset}");
        }
    }
}
