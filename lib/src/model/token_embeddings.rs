//! The vectors of texts that have one per token.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use candle_core::{Device, Tensor};

use super::texts::WINDOW;
use crate::{Error, Result, show};

/// A matrix per text, as a late-interaction model makes them: the rows of all texts one after the other.
///
/// ```
/// use kensaku::model::TokenEmbeddings;
/// # use kensaku::candle_core::{Device, Tensor};
///
/// // Texts of two tokens and of one.
/// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8], [0.0, 1.0]], &Device::Cpu)?;
/// let embeddings = TokenEmbeddings::new(vec!["a".into(), "b".into()], vectors, vec![0, 2, 3])?;
/// assert_eq!((embeddings.len(), embeddings.matrix(0)?.dims()), (2, &[2, 2][..]));
/// assert_eq!(format!("{embeddings:?}"), "TokenEmbeddings of 2 texts [3, 2] F32");
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone)]
pub struct TokenEmbeddings {
    /// The ids, one per text.
    pub ids: Vec<String>,
    /// `(tokens, dim)`
    pub vectors: Tensor,
    /// Where the rows of each text begin, and the end of the last.
    pub bounds: Vec<usize>,
}

impl TokenEmbeddings {
    /// Checks that the rows belong to texts one after the other, that there is one id per text, and no id twice.
    pub fn new(ids: Vec<String>, vectors: Tensor, bounds: Vec<usize>) -> Result<Self> {
        let error = |found: String, expected: String| {
            Err(Error::Shape { what: "embeddings of tokens".to_owned(), found, expected })
        };
        let Ok((rows, _)) = vectors.dims2() else {
            return error(format!("{:?}", vectors.dims()), "(tokens, dim)".to_owned());
        };
        if bounds.len() != ids.len() + 1 {
            return error(format!("{} bounds for {} ids", bounds.len(), ids.len()), format!("{}", ids.len() + 1));
        }
        if bounds[0] != 0 || bounds[ids.len()] != rows || !bounds.is_sorted() {
            return error(format!("bounds {bounds:?}"), format!("0 to {rows}, rising"));
        }
        let mut seen = HashMap::with_capacity(ids.len());
        for (second, id) in ids.iter().enumerate() {
            if let Some(first) = seen.insert(id.as_str(), second) {
                let (place, kind, id) = ("embeddings".to_owned(), "text", id.clone());
                return Err(Error::DuplicateId { place, kind, id, first, second });
            }
        }
        Ok(Self { ids, vectors, bounds })
    }

    /// Encodes texts that are made by rows, a window at a time and with progress: neither they nor their tokens fill memory.
    /// `encode` takes the texts of a window, the number of its first text and a count of texts that are done; it returns the
    /// rows of each text, and how many texts lost their end. Returns the embeddings and the sum of the latter.
    pub(super) fn by_windows<'a>(
        ids: Vec<String>,
        dim: usize,
        texts: impl Fn(Range<usize>) -> Vec<Cow<'a, str>>,
        mut encode: impl FnMut(&[Cow<'a, str>], usize, &dyn Fn(usize)) -> Result<(Vec<Vec<f32>>, usize)>,
    ) -> Result<(Self, usize)> {
        let (count, mut truncated) = (ids.len(), 0);
        let (mut values, mut bounds) = (Vec::new(), vec![0]);
        let bar = show::progress("encode", Some(count));
        for first in (0..count).step_by(WINDOW) {
            let window = texts(first..count.min(first + WINDOW));
            let (rows, cut) = encode(&window, first, &|texts| bar.inc(texts))?;
            truncated += cut;
            for rows in rows {
                values.extend_from_slice(&rows);
                bounds.push(values.len() / dim);
            }
        }
        let vectors = Tensor::from_vec(values, (bounds[count], dim), &Device::Cpu)?;
        Ok((Self::new(ids, vectors, bounds)?, truncated))
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The vectors of one text `(tokens, dim)`.
    pub fn matrix(&self, text: usize) -> Result<Tensor> {
        let rows = self.rows(text)?;
        Ok(self.vectors.narrow(0, rows.start, rows.len())?)
    }

    fn rows(&self, text: usize) -> Result<Range<usize>> {
        match self.bounds.get(text..).and_then(|bounds| bounds.get(..2)) {
            Some(bounds) => Ok(bounds[0]..bounds[1]),
            None => Err(Error::Setting {
                field: "text",
                value: text.to_string(),
                expected: format!("the number of one of {} texts, from 0", self.len()),
            }),
        }
    }
}

impl fmt::Debug for TokenEmbeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenEmbeddings of {} texts {:?} {:?}", self.len(), self.vectors.dims(), self.vectors.dtype())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn rows_belong_to_texts_with_ids() {
        let of = |ids: &[&str], bounds: &[usize]| {
            let vectors = Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
            TokenEmbeddings::new(ids.iter().map(|id| (*id).to_owned()).collect(), vectors, bounds.to_vec())
        };
        let error = |ids: &[&str], bounds: &[usize]| of(ids, bounds).unwrap_err().to_string();
        let embeddings = of(&["a", "b"], &[0, 3, 3]).unwrap();
        assert_eq!(embeddings.matrix(1).unwrap().dims(), [0, 2]);
        assert!(embeddings.matrix(2).unwrap_err().to_string().starts_with("text = 2"));
        assert!(error(&["a", "b"], &[0, 3]).contains("2 bounds for 2 ids"));
        assert!(error(&["a", "b"], &[0, 2, 4]).contains("0 to 3, rising"));
        assert!(error(&["a", "b"], &[0, 4, 3]).contains("0 to 3, rising"));
        assert!(error(&["a", "a"], &[0, 1, 3]).contains("duplicate text id `a` (rows 0 and 1)"));
        assert!(error(&[], &[]).contains("0 bounds for 0 ids"));
    }
}
