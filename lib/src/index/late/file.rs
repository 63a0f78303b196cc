//! A late-interaction index as a file.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::build::Coded;
use super::codec::Codec;
use super::{LateConfig, LateIndex, Tokens};
use crate::Result;
use crate::index::file::{Format, matrix, row};
use crate::index::ids;

const FORMAT: Format =
    Format { name: "kensaku late", version: "1", expected: "an index as `LateIndex::save` writes it" };

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    config: LateConfig,
    /// Numbers of a vector.
    width: usize,
    /// Whether vectors are of length 1.
    unit: bool,
}

const ENDS: &str = "tokens.ends";
const VECTORS: &str = "tokens.vectors";
const OWN: &str = "tokens.centroids";
const RESIDUALS: &str = "tokens.residuals";
const SCALES: &str = "tokens.scales";
const CENTROIDS: &str = "centroids";
const CUTOFFS: &str = "codes.cutoffs";
const VALUES: &str = "codes.values";
const LISTS_ENDS: &str = "lists.ends";
const LISTS: &str = "lists.docs";

impl LateIndex {
    /// Writes the index, with its settings, to one file, which appears when it is whole. It is in the format safetensors: other
    /// programs can read its tables (`centroids`, `tokens.residuals`, ..).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let (config, width) = (self.config.clone(), self.width);
        let doc_ids = ids::strings(&self.doc_ids);
        let always = ids::tables(&doc_ids).into_iter().chain([(ENDS, row(&self.ends))]);
        match &self.tokens {
            Tokens::Exact(vectors) => {
                let params = Params { config, width, unit: false };
                FORMAT.write(path.as_ref(), &params, always.chain([(VECTORS, matrix(vectors, width))]))
            }
            Tokens::Coded(coded) => {
                let Coded { codec, centroids, residuals, scales, ends, docs } = &**coded;
                let params = Params { config, width, unit: codec.unit };
                let coded = [
                    (OWN, row(centroids)),
                    (RESIDUALS, matrix(residuals, codec.bytes())),
                    (SCALES, row(scales)),
                    (CENTROIDS, matrix(&codec.centroids, width)),
                    (CUTOFFS, row(&codec.cutoffs)),
                    (VALUES, row(&codec.values)),
                    (LISTS_ENDS, row(ends)),
                    (LISTS, row(docs)),
                ];
                FORMAT.write(path.as_ref(), &params, always.chain(coded))
            }
        }
    }

    /// Opens an index that [`save`](Self::save) wrote. It is checked from end to end, then its tables are mapped into memory:
    /// programs that open it share them, and the system may drop what it does not need. Only ids are copied. The file must not be
    /// written to while it is open; `save` replaces it, which does no harm.
    ///
    /// ```
    /// # use kensaku::index::{LateConfig, LateIndex};
    /// # use kensaku::model::TokenEmbeddings;
    /// # use kensaku::candle_core::{Device, Tensor};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("late.safetensors");
    /// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8], [0.0, 1.0]], &Device::Cpu)?;
    /// let docs = TokenEmbeddings::new(vec!["a".into(), "b".into()], vectors, vec![0, 2, 3])?;
    /// LateIndex::new(&docs, LateConfig::PLAID)?.save(&path)?;
    /// let index = LateIndex::load(&path)?;
    /// assert!(index.search(&docs, 1)?.hits("a").doc_ids().eq(["a"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For a file that is not such an index, that a later version of it wrote, or that was damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut file = FORMAT.open(path)?;
        let Params { config, width, unit } = file.params()?;
        config.check().map_err(|error| error.of_file(path))?;
        let doc_ids = ids::take(&mut file)?;
        let ends = file.take(ENDS)?;
        let tokens = match config.nbits {
            None => Tokens::Exact(file.take(VECTORS)?),
            Some(bits) => Tokens::Coded(Box::new(Coded {
                centroids: file.take(OWN)?,
                residuals: file.take(RESIDUALS)?,
                scales: file.take(SCALES)?,
                codec: Codec {
                    width,
                    bits,
                    unit,
                    centroids: file.take(CENTROIDS)?,
                    cutoffs: file.take(CUTOFFS)?,
                    values: file.take(VALUES)?,
                },
                ends: file.take(LISTS_ENDS)?,
                docs: file.take(LISTS)?,
            })),
        };
        file.end()?;
        let doc_ids = Arc::new(doc_ids.iter().map(Into::into).collect());
        let index = Self { config, doc_ids, ends, width, tokens };
        match problem(&index) {
            Some(problem) => Err(file.problem(problem)),
            None => Ok(index),
        }
    }
}

/// What does not fit in tables that were read. Whatever their bytes are, no number of those that pass leads outside of them.
fn problem(index: &LateIndex) -> Option<&'static str> {
    let LateIndex { doc_ids, ends, width, tokens, .. } = index;
    // Sizes of rows are multiplied by a number of rows that there are.
    if *width == 0 || *width > u32::MAX as usize {
        return Some("its width is out of range");
    }
    let count = ends.last().copied().unwrap_or(0) as usize;
    if ends.len() != doc_ids.len() || !ends.is_sorted() {
        return Some("its documents have no ends");
    }
    match tokens {
        Tokens::Exact(vectors) => rows_problem(vectors, *width, Some(count)),
        Tokens::Coded(coded) => coded_problem(coded, count, doc_ids.len()),
    }
}

fn coded_problem(coded: &Coded, count: usize, documents: usize) -> Option<&'static str> {
    let Coded { codec, centroids, residuals, scales, ends, docs } = coded;
    if let Some(problem) = rows_problem(&codec.centroids, codec.width, None) {
        return Some(problem);
    }
    let known = codec.centroids.len() / codec.width;
    if centroids.len() != count || residuals.len() as u128 != count as u128 * codec.bytes() as u128 {
        return Some("its tokens have another number of codes");
    }
    if !centroids.par_iter().with_min_len(1 << 16).all(|centroid| (*centroid as usize) < known) {
        return Some("a token has a centroid that there is not");
    }
    if scales.len() != if codec.unit { count } else { 0 } || !scales.iter().all(|scale| scale.is_finite()) {
        return Some("its tokens have another number of scales");
    }
    let codes = 1 << codec.bits;
    let numbers = codec.cutoffs.iter().chain(codec.values.iter());
    if codec.cutoffs.len() + 1 != codes
        || codec.values.len() != codes
        || numbers.into_iter().any(|number| !number.is_finite())
    {
        return Some("its codes stand for no numbers");
    }
    if ends.len() != known || !ends.is_sorted() || ends.last().copied().unwrap_or(0) != docs.len() as u64 {
        return Some("its lists have no order");
    }
    if !docs.par_iter().with_min_len(1 << 16).all(|doc| (*doc as usize) < documents) {
        return Some("a list has documents that there are not");
    }
    None
}

/// Whether numbers are finite rows, and as many as expected if that is known.
fn rows_problem(numbers: &[f32], width: usize, rows: Option<usize>) -> Option<&'static str> {
    let fits = match rows {
        Some(rows) => numbers.len() as u128 == rows as u128 * width as u128,
        None => numbers.len().is_multiple_of(width),
    };
    let finite = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().is_finite();
    if !fits {
        Some("its vectors have another width")
    } else if !numbers.par_chunks(width).with_min_len(1 + (1 << 16) / width).all(finite) {
        Some("a vector is not finite")
    } else {
        None
    }
}
