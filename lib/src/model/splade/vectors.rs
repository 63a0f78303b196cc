//! Sparse vectors: the words of each text, with their weights.

use std::collections::HashMap;
use std::fmt;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::{Error, Result};

/// One sparse vector per text: its words, rising, and their weights. Compressed rows: those of text `i` are
/// `starts[i]..starts[i + 1]`.
///
/// ```
/// use kensaku::model::SparseVectors;
///
/// // "red car" and "car" over a vocabulary of 10 words.
/// let vectors = SparseVectors::new(10, vec![0, 2, 3], vec![4, 7, 7], vec![0.5, 2.0, 1.5])?;
/// assert_eq!(vectors.row(0), (&[4, 7][..], &[0.5, 2.0][..]));
/// assert_eq!(vectors.active_dims(), 1.5);
/// assert_eq!(vectors.dot(&vectors)?.to_vec2::<f32>()?, [[4.25, 3.0], [3.0, 2.25]]);
/// assert_eq!(format!("{vectors:?}"), "SparseVectors [2, 10], 1.5 active dims on average");
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct SparseVectors {
    dim: usize,
    starts: Vec<usize>,
    words: Vec<u32>,
    weights: Vec<f32>,
}

impl SparseVectors {
    /// Checks that the rows cover all words, that the words of each rise and are below `dim`, and that weights are finite.
    pub fn new(dim: usize, starts: Vec<usize>, words: Vec<u32>, weights: Vec<f32>) -> Result<Self> {
        let problem =
            |found: String, expected: String| Err(Error::Shape { what: "sparse vectors".to_owned(), found, expected });
        if words.len() != weights.len() {
            return problem(format!("{} weights", weights.len()), format!("one for each of {} words", words.len()));
        }
        if starts.first() != Some(&0) || starts.last() != Some(&words.len()) || !starts.is_sorted() {
            return problem(format!("rows that start at {starts:?}"), format!("0 to {}, rising", words.len()));
        }
        let vectors = Self { dim, starts, words, weights };
        for text in 0..vectors.len() {
            let (words, weights) = vectors.row(text);
            if !words.is_sorted_by(|a, b| a < b) || words.last().is_some_and(|word| *word as usize >= dim) {
                return problem(format!("words {words:?} of text {text}"), format!("rising numbers below {dim}"));
            }
            if let Some(value) = weights.iter().find(|weight| !weight.is_finite()) {
                return Err(Error::VectorNotFinite { text, value: *value });
            }
        }
        Ok(vectors)
    }

    /// Those of a vocabulary, without texts.
    pub(in crate::model) fn empty(dim: usize) -> Self {
        Self { dim, starts: vec![0], words: Vec::new(), weights: Vec::new() }
    }

    /// The numbers other than 0 of a matrix `(n, dim)`.
    ///
    /// # Errors
    /// For a number that is NaN or infinite.
    pub fn from_dense(dense: &Tensor) -> Result<Self> {
        let mut vectors = Self::empty(dense.dim(candle_core::D::Minus1)?);
        for row in dense.to_dtype(DType::F32)?.to_vec2::<f32>()? {
            vectors.push(&row, None)?;
        }
        Ok(vectors)
    }

    /// Adds a text, with the `most` largest of its weights.
    pub(super) fn push(&mut self, dense: &[f32], most: Option<usize>) -> Result<()> {
        if let Some(value) = dense.iter().find(|weight| !weight.is_finite()) {
            return Err(Error::VectorNotFinite { text: self.len(), value: *value });
        }
        let active: Vec<u32> = (0..dense.len() as u32).filter(|word| dense[*word as usize] != 0.0).collect();
        self.push_active(active, |word| dense[word as usize], most);
        Ok(())
    }

    /// The same of some words, rising.
    pub(super) fn push_words(
        &mut self,
        mut words: Vec<u32>,
        weight: impl Fn(u32) -> f32,
        most: Option<usize>,
    ) -> Result<()> {
        if let Some(value) = words.iter().map(|word| weight(*word)).find(|weight| !weight.is_finite()) {
            return Err(Error::VectorNotFinite { text: self.len(), value });
        }
        words.retain(|word| weight(*word) != 0.0);
        self.push_active(words, weight, most);
        Ok(())
    }

    fn push_active(&mut self, mut active: Vec<u32>, weight: impl Fn(u32) -> f32, most: Option<usize>) {
        if let Some(most) = most.filter(|most| *most < active.len()) {
            // Of equal weights the first words.
            active.sort_by(|a, b| weight(*b).total_cmp(&weight(*a)).then(a.cmp(b)));
            active.truncate(most);
            active.sort_unstable();
        }
        self.weights.extend(active.iter().map(|word| weight(*word)));
        self.words.extend(active);
        self.starts.push(self.words.len());
    }

    /// The texts of `self` in the order in which `numbers` counts them.
    pub(super) fn ordered(&self, numbers: &[usize]) -> Self {
        let mut places = vec![0; numbers.len()];
        numbers.iter().enumerate().for_each(|(place, number)| places[*number] = place);
        let mut ordered = Self::empty(self.dim);
        for place in places {
            ordered.push_row(self.row(place));
        }
        ordered
    }

    /// Adds those of the same vocabulary.
    pub(in crate::model) fn extend(&mut self, others: &Self) {
        (0..others.len()).for_each(|text| self.push_row(others.row(text)));
    }

    fn push_row(&mut self, (words, weights): (&[u32], &[f32])) {
        self.words.extend(words);
        self.weights.extend(weights);
        self.starts.push(self.words.len());
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of the vocabulary.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Where the words of each text start, and the end of the last `(n + 1,)`.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// The words of all texts, one text after the other.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Their weights.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The words of a text, rising, and their weights.
    ///
    /// # Panics
    /// If there is no such text.
    pub fn row(&self, text: usize) -> (&[u32], &[f32]) {
        let own = self.starts[text]..self.starts[text + 1];
        (&self.words[own.clone()], &self.weights[own])
    }

    /// The mean number of words of a text; 0 without texts.
    pub fn active_dims(&self) -> f64 {
        self.words.len() as f64 / self.len().max(1) as f64
    }

    /// All numbers, those that are 0 as well: `(n, dim)`.
    pub fn to_dense(&self) -> Result<Tensor> {
        let mut dense = vec![0.0; self.len() * self.dim];
        for text in 0..self.len() {
            let (words, weights) = self.row(text);
            for (word, weight) in words.iter().zip(weights) {
                dense[text * self.dim + *word as usize] = *weight;
            }
        }
        Ok(Tensor::from_vec(dense, (self.len(), self.dim), &Device::Cpu)?)
    }

    /// Dot product of every text with every document: `(n, m)`.
    ///
    /// # Errors
    /// If they are not of one vocabulary.
    pub fn dot(&self, docs: &Self) -> Result<Tensor> {
        if self.dim != docs.dim {
            return Err(Error::Shape {
                what: "sparse vectors of queries and documents".to_owned(),
                found: format!("{} and {} words", self.dim, docs.dim),
                expected: "one vocabulary".to_owned(),
            });
        }
        let mut scores = vec![0.0; self.len() * docs.len()];
        if !docs.is_empty() {
            scores.par_chunks_exact_mut(docs.len()).enumerate().for_each_init(
                || vec![0.0_f32; self.dim],
                |dense, (query, scores)| {
                    let (own, weights) = self.row(query);
                    own.iter().zip(weights).for_each(|(word, weight)| dense[*word as usize] = *weight);
                    for (doc, score) in scores.iter_mut().enumerate() {
                        let (words, weights) = docs.row(doc);
                        *score = words.iter().zip(weights).map(|(word, weight)| dense[*word as usize] * weight).sum();
                    }
                    own.iter().for_each(|word| dense[*word as usize] = 0.0);
                },
            );
        }
        Ok(Tensor::from_vec(scores, (self.len(), docs.len()), &Device::Cpu)?)
    }
}

impl fmt::Debug for SparseVectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SparseVectors [{}, {}], {:.1} active dims on average", self.len(), self.dim, self.active_dims())
    }
}

/// Sparse vectors with the ids of their texts.
#[derive(Clone)]
pub struct SparseEmbeddings {
    /// The ids, one per text.
    pub ids: Vec<String>,
    pub vectors: SparseVectors,
}

impl SparseEmbeddings {
    /// Checks that there is one id per text, and no id twice.
    pub fn new(ids: Vec<String>, vectors: SparseVectors) -> Result<Self> {
        if ids.len() != vectors.len() {
            return Err(Error::Shape {
                what: "sparse embeddings".to_owned(),
                found: format!("{} vectors for {} ids", vectors.len(), ids.len()),
                expected: "one per id".to_owned(),
            });
        }
        let mut seen = HashMap::with_capacity(ids.len());
        for (second, id) in ids.iter().enumerate() {
            if let Some(first) = seen.insert(id.as_str(), second) {
                let (place, kind, id) = ("sparse embeddings".to_owned(), "text", id.clone());
                return Err(Error::DuplicateId { place, kind, id, first, second });
            }
        }
        Ok(Self { ids, vectors })
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl fmt::Debug for SparseEmbeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SparseVectors { dim, .. } = self.vectors;
        write!(f, "SparseEmbeddings [{}, {dim}], {:.1} active dims on average", self.len(), self.vectors.active_dims())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Products, cuts and orders against the dense matrices.
        #[test]
        fn equals_the_dense_matrix(
            (rows, columns) in (0..6_usize, 1..12_usize),
            numbers in prop::collection::vec(prop_oneof![Just(0.0_f32), 0.1_f32..2.0], 72),
            most in 1..8_usize,
        ) {
            let dense = Tensor::from_slice(&numbers[..rows * columns], (rows, columns), &Device::Cpu).unwrap();
            if rows == 0 {
                return Ok(());
            }
            let vectors = SparseVectors::from_dense(&dense).unwrap();
            let all = dense.to_vec2::<f32>().unwrap();
            prop_assert_eq!(vectors.to_dense().unwrap().to_vec2::<f32>().unwrap(), all.clone());
            let active = all.iter().flatten().filter(|number| **number != 0.0).count();
            prop_assert_eq!(vectors.active_dims(), active as f64 / rows as f64);
            let expected = dense.matmul(&dense.t().unwrap()).unwrap().to_vec2::<f32>().unwrap();
            let dots = vectors.dot(&vectors).unwrap().to_vec2::<f32>().unwrap();
            for (dot, expected) in dots.iter().flatten().zip(expected.iter().flatten()) {
                prop_assert!((dot - expected).abs() < 1e-4);
            }
            let mut cut = SparseVectors::empty(columns);
            all.iter().for_each(|row| cut.push(row, Some(most)).unwrap());
            for (text, row) in all.iter().enumerate() {
                let mut largest: Vec<f32> = row.iter().copied().filter(|weight| *weight != 0.0).collect();
                largest.sort_by(|a, b| b.total_cmp(a));
                largest.truncate(most);
                let mut kept = cut.row(text).1.to_vec();
                kept.sort_by(|a, b| b.total_cmp(a));
                prop_assert_eq!(kept, largest);
            }
            let numbers: Vec<usize> = (0..rows).map(|text| (text + 2) % rows).collect();
            let ordered = vectors.ordered(&numbers);
            for (place, number) in numbers.iter().enumerate() {
                prop_assert_eq!(ordered.row(*number), vectors.row(place));
            }
            prop_assert_eq!(SparseVectors::new(columns, vectors.starts, vectors.words, vectors.weights).unwrap().len(), rows);
        }
    }

    #[test]
    fn what_is_no_matrix_is_said() {
        let message = |starts: &[usize], words: &[u32], weights: &[f32]| {
            SparseVectors::new(5, starts.to_vec(), words.to_vec(), weights.to_vec()).unwrap_err().to_string()
        };
        assert!(message(&[0, 2], &[1, 2], &[1.0]).contains("1 weights"));
        for starts in [&[][..], &[0], &[1, 2], &[0, 2, 1, 2]] {
            assert!(message(starts, &[1, 2], &[1.0, 1.0]).contains("rows that start at"), "{starts:?}");
        }
        assert!(message(&[0, 2], &[2, 2], &[1.0, 1.0]).contains("rising numbers below 5"));
        assert!(message(&[0, 2], &[2, 5], &[1.0, 1.0]).contains("rising numbers below 5"));
        assert_eq!(message(&[0, 0, 1], &[2], &[f32::NAN]), "the vector of text 1 is NaN; expected finite numbers");
        let vectors = SparseVectors::new(5, vec![0, 1, 1], vec![2], vec![1.0]).unwrap();
        let two = |ids: [&str; 2]| SparseEmbeddings::new(ids.map(str::to_owned).to_vec(), vectors.clone());
        assert_eq!(two(["a", "b"]).unwrap().len(), 2);
        assert!(two(["a", "a"]).unwrap_err().to_string().contains("duplicate text id `a`"));
        assert!(vectors.dot(&SparseVectors::empty(6)).unwrap_err().to_string().contains("5 and 6 words"));
    }
}
