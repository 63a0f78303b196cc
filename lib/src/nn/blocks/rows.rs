//! Some rows of a matrix, in its own memory.

/// Moves the named rows `(R, H)` of `matrix (T, H)` to its front; they rise.
pub(crate) fn gather(matrix: &mut [f32], rows: &[usize], width: usize) {
    for (to, from) in rows.iter().enumerate() {
        matrix.copy_within(from * width..(from + 1) * width, to * width);
    }
}

/// The reverse: moves the rows at the front to their places, and clears the others.
pub(crate) fn scatter(matrix: &mut [f32], rows: &[usize], width: usize) {
    let mut end = matrix.len();
    // From behind: a row's place is never before where it is.
    for (from, to) in rows.iter().enumerate().rev() {
        matrix[(to + 1) * width..end].fill(0.0);
        matrix.copy_within(from * width..(from + 1) * width, to * width);
        end = to * width;
    }
    matrix[..end].fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_to_the_front_and_back() {
        let mut matrix: Vec<f32> = (0..12).map(|x| x as f32).collect();
        gather(&mut matrix, &[0, 2, 5], 2);
        assert_eq!(matrix[..6], [0.0, 1.0, 4.0, 5.0, 10.0, 11.0]);
        scatter(&mut matrix, &[0, 2, 5], 2);
        assert_eq!(matrix, [0.0, 1.0, 0.0, 0.0, 4.0, 5.0, 0.0, 0.0, 0.0, 0.0, 10.0, 11.0]);
        scatter(&mut matrix, &[3], 2);
        assert_eq!(matrix, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
