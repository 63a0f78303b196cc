//! A graph of vectors as a file.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::codes::Codes;
use super::graph::Graph;
use super::{HnswConfig, HnswIndex, has_codes};
use crate::Result;
use crate::index::array::Array;
use crate::index::file::{Format, matrix, row};
use crate::index::ids;

const FORMAT: Format =
    Format { name: "kensaku hnsw", version: "1", expected: "an index as `HnswIndex::save` writes it" };

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    config: HnswConfig,
    width: usize,
    /// The document that a search starts with.
    entry: u32,
}

const VECTORS: &str = "docs.vectors";
const CODES: &str = "docs.codes";
const SCALES: &str = "docs.scales";
const LEVELS: &str = "docs.levels";
const LOWEST: &str = "neighbours.lowest";
const UPPER: &str = "neighbours.upper";

impl HnswIndex {
    /// Writes the index, with its settings, to one file, which appears when it is whole. It is in the format safetensors: other
    /// programs can read its tables (`docs.vectors`, `neighbours.lowest`, ..).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let Self { config, width, vectors, graph, .. } = self;
        let doc_ids = ids::strings(&self.doc_ids);
        let params = Params { config: config.clone(), width: *width, entry: graph.entry };
        let tables = [
            (VECTORS, matrix(vectors, *width)),
            (LEVELS, row(&graph.levels)),
            (LOWEST, matrix(&graph.lowest, 2 * graph.m)),
            (UPPER, matrix(&graph.upper, graph.m)),
        ];
        let coded =
            self.codes.as_ref().map(|codes| [(CODES, matrix(&codes.values, *width)), (SCALES, row(&codes.scales))]);
        let tables = tables.into_iter().chain(coded.into_iter().flatten()).chain(ids::tables(&doc_ids));
        FORMAT.write(path.as_ref(), &params, tables)
    }

    /// Opens an index that [`save`](Self::save) wrote. It is checked from end to end, then its tables are mapped into memory:
    /// programs that open it share them, and the system may drop what it does not need. Only ids are copied. The file must not be
    /// written to while it is open; `save` replaces it, which does no harm.
    ///
    /// ```
    /// # use kensaku::index::HnswIndex;
    /// # use kensaku::loss::Similarity;
    /// # use kensaku::model::Embeddings;
    /// # use kensaku::candle_core::{Device, Tensor};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("hnsw.safetensors");
    /// let vectors = Tensor::new(&[[1.0f32, 0.0], [0.6, 0.8]], &Device::Cpu)?;
    /// let docs = Embeddings::new(vec!["a".into(), "b".into()], vectors)?;
    /// HnswIndex::new(&docs, Similarity::Dot)?.save(&path)?;
    /// let index = HnswIndex::load(&path)?.with_ef_search(200)?;
    /// assert!(index.search(&docs, 1)?.hits("b").doc_ids().eq(["b"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For a file that is not such an index, that a later version of it wrote, or that was damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut file = FORMAT.open(path)?;
        let Params { config, width, entry } = file.params()?;
        config.check().map_err(|error| error.of_file(path))?;
        let doc_ids = ids::take(&mut file)?;
        let vectors: Array<f32> = file.take(VECTORS)?;
        let graph = Graph::of(config.m, file.take(LEVELS)?, file.take(LOWEST)?, file.take(UPPER)?, entry);
        let codes = match has_codes(config.similarity, width) {
            true => Some(Codes { width, values: file.take(CODES)?, scales: file.take(SCALES)? }),
            false => None,
        };
        file.end()?;
        let fit = |codes: &Codes| {
            let Codes { values, scales, .. } = codes;
            let finite = scales.iter().all(|scale| scale.is_finite());
            values.len() == vectors.len() && scales.len() == doc_ids.len() && finite
        };
        if !codes.as_ref().is_none_or(fit) {
            return Err(file.problem("it has codes of other vectors"));
        }
        if vectors.len() as u128 != doc_ids.len() as u128 * width as u128 {
            return Err(file.problem("its vectors have another width"));
        }
        if !vectors.par_iter().with_min_len(1 << 16).all(|value| value.is_finite()) {
            return Err(file.problem("a vector is not finite"));
        }
        if let Some(problem) = graph.problem(doc_ids.len()) {
            return Err(file.problem(problem));
        }
        Ok(Self { config, doc_ids: Arc::new(doc_ids.iter().map(Into::into).collect()), width, vectors, codes, graph })
    }
}
