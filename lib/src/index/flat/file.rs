//! A flat index as a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use half::f16;
use serde::{Deserialize, Serialize};

use super::vectors::{Stored, Vectors, words};
use super::{FlatConfig, FlatIndex, FlatPrecision};
use crate::Result;
use crate::files::Bytes;
use crate::index::array::Array;
use crate::index::file::{File, Format, matrix, row};
use crate::index::ids;
use crate::model::Ranges;

const FORMAT: Format =
    Format { name: "kensaku flat", version: "1", expected: "an index as `FlatIndex::save` writes it" };

#[derive(Serialize, Deserialize)]
struct Params {
    config: FlatConfig,
    dim: usize,
}

impl FlatIndex {
    /// Writes the index, with its settings, to one file, which appears when it is whole. It is in the format safetensors:
    /// other programs can read its tables (`docs.vectors` or `docs.codes`, ids in `docs.ids`).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let ids = ids::strings(&self.doc_ids);
        let mut tables: BTreeMap<_, _> = ids::tables(&ids).into();
        DOCS.add(&self.docs, &mut tables);
        if let Some(finer) = &self.finer {
            FINER.add(finer, &mut tables);
        }
        FORMAT.write(path.as_ref(), &Params { config: self.config, dim: self.dim() }, tables)
    }

    /// Opens an index that [`save`](Self::save) wrote. It is checked from end to end, then its vectors are mapped into memory:
    /// programs that open it share them, and the system may drop what it does not need. Only ids are copied. The file must not
    /// be written to while it is open; `save` replaces it, which does no harm.
    ///
    /// ```
    /// # use kensaku::candle_core::{Device, Tensor};
    /// use kensaku::index::FlatIndex;
    /// use kensaku::loss::Similarity;
    /// use kensaku::model::Embeddings;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("flat.safetensors");
    /// # let vectors = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu)?;
    /// # let docs = Embeddings::new(vec!["a".into(), "b".into()], vectors)?;
    /// FlatIndex::new(docs.clone(), Similarity::Cosine)?.save(&path)?;
    /// let index = FlatIndex::load(&path)?;
    /// assert_eq!((index.len(), index.config().similarity), (2, Similarity::Cosine));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For a file that is not such an index, that a later version of it wrote, or that was damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut file = FORMAT.open(path)?;
        let Params { config, dim } = file.params()?;
        config.check().map_err(|error| error.of_file(path))?;
        let ids = ids::take(&mut file)?;
        let docs = DOCS.take(&mut file, config.precision, (ids.len(), dim))?;
        let finer =
            config.rescore_with.map(|precision| FINER.take(&mut file, precision, (ids.len(), dim))).transpose()?;
        file.end()?;
        let doc_ids = Arc::new(ids.iter().map(Into::into).collect());
        Ok(Self { doc_ids, docs: Arc::new(docs), finer: finer.map(Arc::new), config })
    }
}

/// The names of tables that hold vectors.
struct Names {
    numbers: &'static str,
    codes: &'static str,
    min: &'static str,
    max: &'static str,
    signs: &'static str,
}

const DOCS: Names = Names {
    numbers: "docs.vectors",
    codes: "docs.codes",
    min: "docs.codes.min",
    max: "docs.codes.max",
    signs: "docs.signs",
};

const FINER: Names = Names {
    numbers: "rescore.vectors",
    codes: "rescore.codes",
    min: "rescore.codes.min",
    max: "rescore.codes.max",
    signs: "rescore.signs",
};

impl Names {
    fn add<'a>(&self, vectors: &'a Vectors, tables: &mut BTreeMap<&'static str, Bytes<'a>>) {
        let dim = vectors.dim;
        match &vectors.codes {
            Stored::F32(numbers) => tables.extend([(self.numbers, matrix(numbers, dim))]),
            Stored::F16(halves) => tables.extend([(self.numbers, matrix(halves, dim))]),
            Stored::Int8 { codes, ranges, .. } => tables.extend([
                (self.codes, matrix(codes, dim)),
                (self.min, row(&ranges.min)),
                (self.max, row(&ranges.max)),
            ]),
            Stored::Binary(signs) => tables.extend([(self.signs, matrix(signs, words(dim)))]),
        }
    }

    /// Vectors of `(rows, dim)`. Whatever their numbers are, a search among them gives hits or an error.
    fn take(&self, file: &mut File, precision: FlatPrecision, (rows, dim): (usize, usize)) -> Result<Vectors> {
        let (codes, found, width) = match precision {
            FlatPrecision::F32 => {
                let numbers: Array<f32> = file.take(self.numbers)?;
                let found = numbers.len();
                (Stored::F32(numbers), found, dim)
            }
            FlatPrecision::F16 => {
                let halves: Array<f16> = file.take(self.numbers)?;
                let found = halves.len();
                (Stored::F16(halves), found, dim)
            }
            FlatPrecision::Int8 => {
                let codes: Array<u8> = file.take(self.codes)?;
                let (min, max): (Array<f32>, Array<f32>) = (file.take(self.min)?, file.take(self.max)?);
                let ranges = Ranges { min: min.to_vec(), max: max.to_vec() };
                let steps = Stored::steps(&ranges).filter(|_| [min.len(), max.len()] == [dim; 2]);
                let (start, step) =
                    steps.ok_or_else(|| file.problem(format!("`{}` and `{}` are no ranges", self.min, self.max)))?;
                let found = codes.len();
                (Stored::Int8 { codes, ranges, start, step }, found, dim)
            }
            FlatPrecision::Binary => {
                let signs: Array<u64> = file.take(self.signs)?;
                let found = signs.len();
                (Stored::Binary(signs), found, words(dim))
            }
        };
        match rows.checked_mul(width) {
            Some(expected) if expected == found => Ok(Vectors { dim, codes }),
            _ => Err(file.problem("its documents have another number of vectors")),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::loss::Similarity;
    use crate::model::Embeddings;

    fn embeddings(rows: usize) -> Embeddings {
        let mut rng = crate::random::Philox::new(rows as u64);
        let numbers: Vec<f32> = (0..rows * 70).map(|_| rng.uniform() as f32 - 0.5).collect();
        let ids = (0..rows).map(|row| format!("d{}", row * 7 % rows)).collect();
        Embeddings::new(ids, Tensor::from_vec(numbers, (rows, 70), &Device::Cpu).unwrap()).unwrap()
    }

    fn configs() -> Vec<FlatConfig> {
        use FlatPrecision::{Binary, F16, F32, Int8};
        let of = |precision, rescore_with| FlatConfig { precision, rescore_with, ..Default::default() };
        let pairs = [(F32, None), (F16, None), (Int8, None), (Binary, None), (Binary, Some(Int8)), (Int8, Some(F32))];
        pairs.into_iter().map(|(precision, finer)| of(precision, finer)).collect()
    }

    #[test]
    fn what_is_loaded_is_what_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flat.safetensors");
        let queries = embeddings(5);
        for config in configs() {
            for rows in [0, 1, 30] {
                let saved = FlatIndex::new(embeddings(rows), config).unwrap();
                saved.save(&path).unwrap();
                let loaded = FlatIndex::load(&path).unwrap();
                assert_eq!((loaded.len(), loaded.config(), loaded.bytes()), (rows, saved.config(), saved.bytes()));
                assert_eq!(loaded.search(&queries, 4).unwrap(), saved.search(&queries, 4).unwrap());
                if let Stored::F32(numbers) = &loaded.docs.codes {
                    assert!(matches!(numbers, Array::Mapped { .. }));
                }
                // Over the file that is mapped.
                loaded.save(&path).unwrap();
                assert_eq!(FlatIndex::load(&path).unwrap().len(), rows);
            }
        }
    }

    #[test]
    fn a_file_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flat.safetensors");
        let config = FlatConfig { precision: FlatPrecision::Int8, ..Similarity::Dot.into() };
        FlatIndex::new(embeddings(2), config).unwrap().save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            std::fs::write(&path, changed).unwrap();
            let message = FlatIndex::load(&path).unwrap_err().to_string();
            assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        }
        crate::index::Bm25::load(&path).map(drop).unwrap_err();
    }
}
