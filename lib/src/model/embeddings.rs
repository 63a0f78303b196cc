//! Vectors with the ids of their texts.

use std::collections::HashMap;
use std::fmt;

use candle_core::Tensor;

use crate::{Error, Result};

/// One vector per text.
#[derive(Clone)]
pub struct Embeddings {
    /// The ids, one per row.
    pub ids: Vec<String>,
    /// `(n, dim)`
    pub vectors: Tensor,
}

impl Embeddings {
    /// Checks that there is one id per row, and no id twice.
    pub fn new(ids: Vec<String>, vectors: Tensor) -> Result<Self> {
        match vectors.dims2() {
            Ok((rows, _)) if rows == ids.len() => {
                let mut seen = HashMap::with_capacity(rows);
                for (second, id) in ids.iter().enumerate() {
                    if let Some(first) = seen.insert(id.as_str(), second) {
                        let (place, kind, id) = ("embeddings".to_owned(), "text", id.clone());
                        return Err(Error::DuplicateId { place, kind, id, first, second });
                    }
                }
                Ok(Self { ids, vectors })
            }
            _ => Err(Error::Shape {
                what: "embeddings".to_owned(),
                found: format!("{:?} for {} ids", vectors.dims(), ids.len()),
                expected: "one row per id, (n, dim)".to_owned(),
            }),
        }
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embeddings {:?} {:?}", self.vectors.dims(), self.vectors.dtype())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn an_id_is_there_once() {
        let of = |ids: [&str; 3]| {
            let vectors = Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
            Embeddings::new(ids.map(str::to_owned).to_vec(), vectors)
        };
        assert_eq!(of(["a", "b", "c"]).unwrap().len(), 3);
        let message = of(["a", "b", "a"]).unwrap_err().to_string();
        assert_eq!(message, "embeddings: duplicate text id `a` (rows 0 and 2)");
    }
}
