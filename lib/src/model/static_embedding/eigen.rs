//! Eigenvalues and eigenvectors of a symmetric matrix.
//!
//! Householder's reduction to three diagonals, then implicit QL steps: `tred2` and `tql2` of EISPACK (Martin, Reinsch and
//! Wilkinson 1968; Bowdler, Martin, Reinsch and Wilkinson 1968). Rows of `vectors` are eigenvectors, so that both work on
//! neighbours in memory.

use crate::interrupt;
use crate::{Error, Result};

/// Steps for one eigenvalue; 30 are more than any matrix has needed.
const STEPS: usize = 60;

/// Eigenvalues, falling, and their eigenvectors of length 1 as rows `(n, n)`, of a symmetric matrix `(n, n)`.
pub(super) fn symmetric(matrix: &[f64], n: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut vectors = matrix.to_vec();
    let (mut diagonal, mut beside) = reduce(&mut vectors, n)?;
    diagonalise(&mut vectors, &mut diagonal, &mut beside, n)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| diagonal[*b].total_cmp(&diagonal[*a]));
    let rows = order.iter().flat_map(|row| vectors[row * n..(row + 1) * n].iter().copied()).collect();
    Ok((order.iter().map(|row| diagonal[*row]).collect(), rows))
}

/// Reduces to a diagonal and the numbers beside it; the rows of `v` become those of the transposed rotation.
fn reduce(v: &mut [f64], n: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    // Element (row, column) of EISPACK's matrix is `v[at(column, row)]`: the matrix is symmetric to begin with.
    let at = |row: usize, column: usize| row * n + column;
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    for j in 0..n {
        d[j] = v[at(j, n - 1)];
    }
    for i in (1..n).rev() {
        interrupt::check("the principal components")?;
        let scale: f64 = d[..i].iter().map(|value| value.abs()).sum();
        let mut h = 0.0;
        if scale == 0.0 {
            e[i] = d[i - 1];
            for j in 0..i {
                d[j] = v[at(j, i - 1)];
                v[at(j, i)] = 0.0;
                v[at(i, j)] = 0.0;
            }
        } else {
            for value in &mut d[..i] {
                *value /= scale;
                h += *value * *value;
            }
            let f = d[i - 1];
            let g = if f > 0.0 { -h.sqrt() } else { h.sqrt() };
            e[i] = scale * g;
            h -= f * g;
            d[i - 1] = f - g;
            e[..i].fill(0.0);
            for j in 0..i {
                let f = d[j];
                v[at(i, j)] = f;
                let column = &v[at(j, 0)..at(j, n)];
                let mut g = e[j] + column[j] * f;
                for k in j + 1..i {
                    g += column[k] * d[k];
                    e[k] += column[k] * f;
                }
                e[j] = g;
            }
            let mut f = 0.0;
            for j in 0..i {
                e[j] /= h;
                f += e[j] * d[j];
            }
            let shift = f / (h + h);
            for j in 0..i {
                e[j] -= shift * d[j];
            }
            for j in 0..i {
                let (f, g) = (d[j], e[j]);
                let column = &mut v[at(j, 0)..at(j, n)];
                for k in j..i {
                    column[k] -= f * e[k] + g * d[k];
                }
                d[j] = column[i - 1];
                column[i] = 0.0;
            }
        }
        d[i] = h;
    }
    accumulate(v, &mut d, n)?;
    e[0] = 0.0;
    Ok((d, e))
}

/// The product of the reflections.
fn accumulate(v: &mut [f64], d: &mut [f64], n: usize) -> Result<()> {
    let at = |row: usize, column: usize| row * n + column;
    for i in 0..n - 1 {
        interrupt::check("the principal components")?;
        v[at(i, n - 1)] = v[at(i, i)];
        v[at(i, i)] = 1.0;
        let h = d[i + 1];
        if h != 0.0 {
            let (columns, next) = v.split_at_mut(at(i + 1, 0));
            let next = &next[..=i];
            for k in 0..=i {
                d[k] = next[k] / h;
            }
            for column in columns.chunks_exact_mut(n) {
                let g: f64 = next.iter().zip(&*column).map(|(next, value)| next * value).sum();
                column.iter_mut().zip(&d[..=i]).for_each(|(value, d)| *value -= g * d);
            }
        }
        v[at(i + 1, 0)..=at(i + 1, i)].fill(0.0);
    }
    for j in 0..n {
        d[j] = v[at(j, n - 1)];
        v[at(j, n - 1)] = 0.0;
    }
    v[at(n - 1, n - 1)] = 1.0;
    Ok(())
}

/// Turns three diagonals into one; the rows of `v` become eigenvectors.
fn diagonalise(v: &mut [f64], d: &mut [f64], e: &mut [f64], n: usize) -> Result<()> {
    e.rotate_left(1);
    e[n - 1] = 0.0;
    let (mut f, mut largest) = (0.0, 0.0_f64);
    for l in 0..n {
        interrupt::check("the principal components")?;
        largest = largest.max(d[l].abs() + e[l].abs());
        let m = (l..n).find(|m| e[*m].abs() <= f64::EPSILON * largest).unwrap_or(n - 1);
        for step in (0..=STEPS).take_while(|_| m > l) {
            if step == STEPS {
                return Err(Error::Setting {
                    field: "vectors",
                    value: "numbers whose principal components are not found".to_owned(),
                    expected: "finite numbers of similar size".to_owned(),
                });
            }
            let g = d[l];
            let mut p = (d[l + 1] - g) / (2.0 * e[l]);
            let r = p.hypot(1.0).copysign(p);
            d[l] = e[l] / (p + r);
            d[l + 1] = e[l] * (p + r);
            let second = d[l + 1];
            let h = g - d[l];
            d[l + 2..].iter_mut().for_each(|value| *value -= h);
            f += h;
            p = d[m];
            let (mut c, mut c2, mut c3) = (1.0, 1.0, 1.0);
            let (mut s, mut s2) = (0.0, 0.0);
            let after = e[l + 1];
            for i in (l..m).rev() {
                (c3, c2, s2) = (c2, c, s);
                let (g, h) = (c * e[i], c * p);
                let r = p.hypot(e[i]);
                e[i + 1] = s * r;
                (s, c) = (e[i] / r, p / r);
                p = c * d[i] - s * g;
                d[i + 1] = h + s * (c * g + s * d[i]);
                let (first, next) = v.split_at_mut((i + 1) * n);
                for (a, b) in first[i * n..].iter_mut().zip(&mut next[..n]) {
                    (*a, *b) = (c * *a - s * *b, s * *a + c * *b);
                }
            }
            p = -s * s2 * c3 * after * e[l] / second;
            e[l] = s * p;
            d[l] = c * p;
            if e[l].abs() <= f64::EPSILON * largest {
                break;
            }
        }
        d[l] += f;
        e[l] = 0.0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_matrix() {
        // [[2, -1, 0], [-1, 2, -1], [0, -1, 2]]: 2 + sqrt 2, 2, 2 - sqrt 2.
        let (values, vectors) = symmetric(&[2.0, -1.0, 0.0, -1.0, 2.0, -1.0, 0.0, -1.0, 2.0], 3).unwrap();
        let root = 2_f64.sqrt();
        for (found, expected) in values.iter().zip([2.0 + root, 2.0, 2.0 - root]) {
            assert!((found - expected).abs() < 1e-14);
        }
        assert!((vectors[3].abs() - 1.0 / root).abs() < 1e-14 && vectors[4].abs() < 1e-14);
        assert_eq!(symmetric(&[5.0], 1).unwrap(), (vec![5.0], vec![1.0]));
    }

    proptest! {
        #[test]
        fn vectors_are_orthonormal_and_stretched(
            n in 1..9_usize,
            numbers in prop::collection::vec(-3..4_i32, 81),
            scale in prop::sample::select(vec![1e-6, 1.0, 1e6]),
        ) {
            let matrix: Vec<f64> = (0..n * n)
                .map(|place| f64::from(numbers[(place / n).min(place % n) * 9 + (place / n).max(place % n)]) * scale)
                .collect();
            let (values, vectors) = symmetric(&matrix, n).unwrap();
            prop_assert!(values.is_sorted_by(|a, b| a >= b));
            for (i, vector) in vectors.chunks_exact(n).enumerate() {
                for (j, other) in vectors.chunks_exact(n).enumerate() {
                    let dot: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                    prop_assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-12);
                }
                for (row, own) in matrix.chunks_exact(n).zip(vector) {
                    let product: f64 = row.iter().zip(vector).map(|(a, b)| a * b).sum();
                    prop_assert!((product - values[i] * own).abs() < 1e-11 * scale);
                }
            }
        }
    }
}
