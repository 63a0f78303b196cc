//! From the hidden states of a text to one vector, and the gradient back.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::nn::{PackedBatch, Read};
use crate::{Error, Result};

/// Which hidden states make the vector of a text.
///
/// ```
/// use kensaku::model::Pooling;
///
/// let both = Pooling::Concat(vec![Pooling::Cls, Pooling::Mean]);
/// assert_eq!(both.to_string(), "cls and mean");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean of all tokens.
    #[default]
    Mean,
    /// The first token, `[CLS]`.
    Cls,
    /// The largest number of all tokens, in each dimension.
    Max,
    /// The sum of all `n` tokens, divided by the root of `n`.
    MeanSqrtLen,
    /// The mean of all tokens, weighted by their places 1, 2, ..: for decoders, whose last tokens have seen the most
    /// (Muennighoff 2022).
    WeightedMean,
    /// The last token.
    LastToken,
    /// Several, one after the other: a vector is as many times as wide.
    Concat(Vec<Self>),
}

/// What the gradient of pooled vectors needs: the row of each largest number, `(B, H)`; empty without [`Pooling::Max`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pooled(Vec<u32>);

/// The rows of a text among the hidden states.
struct Rows {
    /// `[CLS]`; none of a text without tokens.
    first: Option<usize>,
    /// Without the prompt, if that is left out.
    pooled: Range<usize>,
}

impl Pooling {
    /// Which hidden states it reads.
    pub(super) fn read(&self) -> Read {
        if *self.parts() == [Self::Cls] { Read::First } else { Read::All }
    }

    /// How many times the width of the encoder a vector has.
    pub(super) fn width(&self) -> usize {
        self.parts().len()
    }

    pub(super) fn parts(&self) -> &[Self] {
        match self {
            Self::Concat(parts) => parts,
            one => std::slice::from_ref(one),
        }
    }

    /// The name that sentence-transformers has for one part.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Max => "max",
            Self::MeanSqrtLen => "mean_sqrt_len_tokens",
            Self::WeightedMean => "weightedmean",
            Self::LastToken => "lasttoken",
            Self::Concat(_) => "concat",
        }
    }

    /// Those of these names, one after the other.
    pub(super) fn named(names: &[String]) -> Option<Self> {
        let all = [Self::Mean, Self::Cls, Self::Max, Self::MeanSqrtLen, Self::WeightedMean, Self::LastToken];
        let part = |name: &String| all.iter().find(|part| part.name() == name).cloned();
        let mut parts = names.iter().map(part).collect::<Option<Vec<_>>>()?;
        if parts.len() == 1 { parts.pop() } else { Some(Self::Concat(parts)).filter(|parts| parts.check().is_ok()) }
    }

    /// An error for parts that are none, or there twice.
    pub(super) fn check(&self) -> Result<()> {
        let parts = self.parts();
        let single = |(index, part): (usize, &Self)| !matches!(part, Self::Concat(_)) && !parts[..index].contains(part);
        if !parts.is_empty() && parts.iter().enumerate().all(single) {
            return Ok(());
        }
        let expected = "at least one part, each once".to_owned();
        Err(Error::Setting { field: "pooling", value: format!("{self:?}"), expected })
    }

    /// Pools the hidden states that it reads, `(T, width)` or `(R, width)`. `skip` tokens at the start of each sequence are
    /// left out of all but `[CLS]` (a prompt that is read but not pooled). A text without tokens has the vector 0.
    pub(super) fn forward(
        &self,
        hidden: &[f32],
        width: usize,
        batch: &PackedBatch,
        skip: &[usize],
    ) -> (Vec<f32>, Pooled) {
        let (parts, dim) = (self.parts(), self.width() * width);
        let mut vectors = vec![0.0; batch.sequences() * dim];
        let mut largest = Vec::new();
        for (rows, vector) in self.rows(batch, skip).zip(vectors.chunks_exact_mut(dim)) {
            for (part, vector) in parts.iter().zip(vector.chunks_exact_mut(width)) {
                match part {
                    Self::Max => largest.extend(maximum(hidden, width, rows.pooled.clone(), vector)),
                    _ => part.weigh(&rows, |row, weight| {
                        let row = &hidden[row * width..(row + 1) * width];
                        vector.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * weight);
                    }),
                }
            }
        }
        (vectors, Pooled(largest))
    }

    /// From the gradient of the vectors `(B, dim)`: that of the hidden states that it reads, in `d_hidden`'s memory.
    pub(super) fn backward(
        &self,
        Pooled(largest): &Pooled,
        d_vectors: &[f32],
        batch: &PackedBatch,
        skip: &[usize],
        d_hidden: &mut Vec<f32>,
    ) {
        let (parts, dim) = (self.parts(), d_vectors.len() / batch.sequences().max(1));
        let width = dim / self.width();
        d_hidden.clear();
        d_hidden.resize(self.height(batch) * width, 0.0);
        for (index, rows) in self.rows(batch, skip).enumerate() {
            let d = &d_vectors[index * dim..(index + 1) * dim];
            for (part, d) in parts.iter().zip(d.chunks_exact(width)) {
                match part {
                    Self::Max if rows.pooled.is_empty() => {}
                    Self::Max => {
                        let largest = &largest[index * width..(index + 1) * width];
                        for (column, (row, d)) in largest.iter().zip(d).enumerate() {
                            d_hidden[*row as usize * width + column] += d;
                        }
                    }
                    _ => part.weigh(&rows, |row, weight| {
                        let hidden = &mut d_hidden[row * width..(row + 1) * width];
                        hidden.iter_mut().zip(d).for_each(|(hidden, d)| *hidden += d * weight);
                    }),
                }
            }
        }
    }

    /// Calls `add` for each row that has a part in the vector, with its weight.
    fn weigh(&self, rows: &Rows, mut add: impl FnMut(usize, f32)) {
        let Range { start, end } = rows.pooled.clone();
        let count = (end - start) as f32;
        match self {
            Self::Mean => rows.pooled.clone().for_each(|row| add(row, 1.0 / count)),
            Self::MeanSqrtLen => rows.pooled.clone().for_each(|row| add(row, 1.0 / count.sqrt())),
            Self::WeightedMean => {
                let whole = count * (count + 1.0) / 2.0;
                rows.pooled.clone().for_each(|row| add(row, (row - start + 1) as f32 / whole));
            }
            Self::LastToken if end > start => add(end - 1, 1.0),
            Self::Cls => rows.first.into_iter().for_each(|row| add(row, 1.0)),
            Self::LastToken | Self::Max | Self::Concat(_) => {}
        }
    }

    /// How many hidden states it reads of a batch.
    fn height(&self, batch: &PackedBatch) -> usize {
        match self.read() {
            Read::All => batch.tokens(),
            Read::First => batch.ranges().filter(|range| !range.is_empty()).count(),
        }
    }

    /// The hidden states of each sequence among them.
    fn rows<'a>(&self, batch: &'a PackedBatch, skip: &'a [usize]) -> impl Iterator<Item = Rows> + use<'a> {
        let (read, mut seen) = (self.read(), 0);
        batch.ranges().zip(skip).map(move |(range, skip)| {
            let some = !range.is_empty();
            let first = if read == Read::First { seen } else { range.start };
            seen += usize::from(some);
            Rows { first: some.then_some(first), pooled: (range.start + skip).min(range.end)..range.end }
        })
    }
}

/// The largest number of each column, and the rows where they are: of equal ones, the first.
fn maximum(hidden: &[f32], width: usize, rows: Range<usize>, vector: &mut [f32]) -> Vec<u32> {
    let mut found = vec![rows.start as u32; width];
    for row in rows.clone() {
        let numbers = &hidden[row * width..(row + 1) * width];
        for ((largest, found), number) in vector.iter_mut().zip(&mut found).zip(numbers) {
            if row == rows.start || number > largest {
                (*largest, *found) = (*number, row as u32);
            }
        }
    }
    found
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts().iter().map(Self::name).collect::<Vec<_>>().join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Philox;

    const WIDTH: usize = 3;

    fn all() -> Vec<Pooling> {
        use Pooling::{Cls, Concat, LastToken, Max, Mean, MeanSqrtLen, WeightedMean};
        vec![Mean, Cls, Max, MeanSqrtLen, WeightedMean, LastToken, Concat(vec![Max, Cls, Mean]), Concat(vec![Cls])]
    }

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = Philox::new(seed);
        (0..count).map(|_| rng.normal() as f32).collect()
    }

    /// Texts of 4, 0, 1 and 3 tokens, two of which begin with a prompt.
    fn batch() -> (PackedBatch, [usize; 4]) {
        (PackedBatch::new([vec![5; 4], vec![], vec![5; 1], vec![5; 3]]), [1, 0, 0, 3])
    }

    #[test]
    fn poolings_are_what_their_names_say() {
        let batch = PackedBatch::new([vec![5; 2], vec![5; 1]]);
        let hidden = [1.0, 8.0, 3.0, 2.0, 7.0, 7.0];
        let of = |pooling: &Pooling| pooling.forward(&hidden, 2, &batch, &[0, 0]).0;
        assert_eq!(of(&Pooling::Mean), [2.0, 5.0, 7.0, 7.0]);
        assert_eq!(of(&Pooling::Max), [3.0, 8.0, 7.0, 7.0]);
        assert_eq!(of(&Pooling::LastToken), [3.0, 2.0, 7.0, 7.0]);
        assert_eq!(of(&Pooling::WeightedMean), [7.0 / 3.0, 4.0, 7.0, 7.0]);
        let sqrt = of(&Pooling::MeanSqrtLen);
        assert!((sqrt[0] - 4.0 / 2f32.sqrt()).abs() < 1e-6 && sqrt[2] == 7.0);
        let both = of(&Pooling::Concat(vec![Pooling::Cls, Pooling::Max]));
        assert_eq!(both, [1.0, 8.0, 3.0, 8.0, 7.0, 7.0, 7.0, 7.0]);
    }

    #[test]
    fn gradients_are_slopes() {
        let (batch, skip) = batch();
        for pooling in all() {
            let hidden = numbers(pooling.height(&batch) * WIDTH, 1);
            let (vectors, pooled) = pooling.forward(&hidden, WIDTH, &batch, &skip);
            let upstream = numbers(vectors.len(), 2);
            let mut d_hidden = Vec::new();
            pooling.backward(&pooled, &upstream, &batch, &skip, &mut d_hidden);
            assert_eq!(d_hidden.len(), hidden.len());
            let value = |hidden: &[f32]| -> f64 {
                let vectors = pooling.forward(hidden, WIDTH, &batch, &skip).0;
                vectors.iter().zip(&upstream).map(|(value, d)| f64::from(*value) * f64::from(*d)).sum()
            };
            for index in 0..hidden.len() {
                let moved = |step: f32| {
                    let mut hidden = hidden.clone();
                    hidden[index] += step;
                    value(&hidden)
                };
                let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                let difference = (slope - f64::from(d_hidden[index])).abs();
                assert!(difference < 3e-3, "{pooling}, number {index}: {slope} and {}", d_hidden[index]);
            }
        }
    }

    #[test]
    fn parts_are_there_once() {
        let message = |parts: Vec<Pooling>| Pooling::Concat(parts).check().unwrap_err().to_string();
        assert!(message(Vec::new()).starts_with("pooling = Concat([])"));
        assert!(message(vec![Pooling::Max, Pooling::Max]).ends_with("at least one part, each once"));
        assert!(message(vec![Pooling::Concat(vec![Pooling::Max])]).ends_with("at least one part, each once"));
        let names = |names: &[&str]| Pooling::named(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["mean"]), Some(Pooling::Mean));
        assert_eq!(names(&["max", "cls"]), Some(Pooling::Concat(vec![Pooling::Max, Pooling::Cls])));
        assert_eq!((names(&[]), names(&["power"]), names(&["max", "max"])), (None, None, None));
    }
}
