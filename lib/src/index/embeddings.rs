//! Embeddings as a file: the vectors of a corpus need not be made again.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::array::Array;
use super::file::{Format, matrix, row};
use super::shards::{self, Stamp};
use super::strings::Strings;
use crate::Result;
use crate::model::Embeddings;

const FORMAT: Format =
    Format { name: "kensaku embeddings", version: "1", expected: "embeddings as `Embeddings::save` writes them" };

#[derive(Serialize, Deserialize)]
struct Params {
    dim: usize,
    shard: Option<Stamp>,
}

const IDS: &str = "ids";
const IDS_ENDS: &str = "ids.ends";
const VECTORS: &str = "vectors";

impl Embeddings {
    /// Writes the vectors, in f32, with their ids to one file, which appears when it is whole. It is in the format safetensors:
    /// other programs can read its tables `vectors` `(n, dim)` and `ids` (UTF-8, one id after the other, which end at
    /// `ids.ends`).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, None, path.as_ref())
    }

    /// Reads a file that [`save`](Self::save) wrote, or all shards of a folder that [`encode_shard`](super::encode_shard)
    /// filled, in the order of the corpus.
    ///
    /// ```
    /// # use kensaku::candle_core::{Device, Tensor};
    /// use kensaku::model::Embeddings;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("docs.safetensors");
    /// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu)?;
    /// Embeddings::new(vec!["b".into(), "a".into()], vectors)?.save(&path)?;
    /// let docs = Embeddings::load(&path)?;
    /// assert_eq!((docs.ids.join(" "), docs.vectors.to_vec2::<f32>()?[1][0]), ("b a".to_owned(), 0.6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For a file that holds no embeddings, that a later version of it wrote, or that was damaged; for a folder in which a shard
    /// is missing.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() { shards::load(path) } else { Ok(Saved::open(path)?.embeddings) }
    }
}

/// Writes embeddings, those of a shard with its stamp.
pub(super) fn save(embeddings: &Embeddings, shard: Option<Stamp>, path: &Path) -> Result<()> {
    let Embeddings { ids, vectors } = Embeddings::new(embeddings.ids.clone(), embeddings.vectors.clone())?;
    let vectors = vectors.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let (dim, ids) = (vectors.dim(1)?, ids.iter().map(String::as_str).collect::<Strings>());
    let numbers = vectors.flatten_all()?.to_vec1::<f32>()?;
    let tables = [(IDS, row(&ids.bytes)), (IDS_ENDS, row(&ids.ends)), (VECTORS, matrix(&numbers, dim))];
    FORMAT.write(path, &Params { dim, shard }, tables)
}

/// What a file holds.
pub(super) struct Saved {
    pub(super) embeddings: Embeddings,
    pub(super) shard: Option<Stamp>,
}

impl Saved {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut file = FORMAT.open(path)?;
        let Params { dim, shard } = file.params()?;
        let ids = file.take_texts(IDS, IDS_ENDS)?;
        let numbers: Array<f32> = file.take(VECTORS)?;
        file.end()?;
        if ids.len().checked_mul(dim) != Some(numbers.len()) {
            return Err(file.problem(format!("`{VECTORS}` has {} numbers for {} ids", numbers.len(), ids.len())));
        }
        let vectors = Tensor::from_slice(&numbers, (ids.len(), dim), &Device::Cpu)?;
        let embeddings = Embeddings::new(ids.iter().map(str::to_owned).collect(), vectors);
        Ok(Self { embeddings: embeddings.map_err(|error| file.problem(error.to_string()))?, shard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embeddings(dtype: DType) -> Embeddings {
        let vectors = Tensor::new(&[[1.0_f32, -0.5, 3.25], [0.0, f32::NAN, 7.0]], &Device::Cpu).unwrap();
        Embeddings::new(vec!["ü".into(), String::new()], vectors.to_dtype(dtype).unwrap()).unwrap()
    }

    #[test]
    fn what_is_loaded_is_what_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vectors");
        for dtype in [DType::F32, DType::F16, DType::F64] {
            embeddings(dtype).save(&path).unwrap();
            let loaded = Embeddings::load(&path).unwrap();
            assert_eq!((&loaded.ids, loaded.vectors.dtype()), (&embeddings(dtype).ids, DType::F32));
            let numbers = loaded.vectors.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(
                (numbers[..4].to_vec(), numbers[4].is_nan(), numbers[5]),
                (vec![1.0, -0.5, 3.25, 0.0], true, 7.0)
            );
        }
        let none = Embeddings::new(vec![], Tensor::zeros((0, 5), DType::F32, &Device::Cpu).unwrap()).unwrap();
        none.save(&path).unwrap();
        assert_eq!(Embeddings::load(&path).unwrap().vectors.dims(), [0, 5]);
    }

    #[test]
    fn a_file_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vectors");
        embeddings(DType::F32).save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            std::fs::write(&path, changed).unwrap();
            let message = Embeddings::load(&path).unwrap_err().to_string();
            assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        }
        let twice = Embeddings { ids: vec!["a".into(), "a".into()], ..embeddings(DType::F32) };
        assert!(twice.save(&path).unwrap_err().to_string().contains("duplicate text id `a`"));
    }
}
