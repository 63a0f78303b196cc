//! A sparse index as a file.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SparseIndex;
use crate::Result;
use crate::index::file::{Format, row};
use crate::index::ids;
use crate::index::postings::Postings;

const FORMAT: Format =
    Format { name: "kensaku sparse", version: "1", expected: "an index as `SparseIndex::save` writes it" };

/// There are no settings.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {}

const ENDS: &str = "postings.ends";
const DOCS: &str = "postings.docs";
const WEIGHTS: &str = "postings.weights";

impl SparseIndex {
    /// Writes the index to one file, which appears when it is whole. It is in the format safetensors: other programs can read its
    /// tables (`postings.docs`, `postings.weights`, ..).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let doc_ids = ids::strings(&self.doc_ids);
        let tables = [(ENDS, row(&self.ends)), (DOCS, row(&self.docs)), (WEIGHTS, row(&self.weights))];
        FORMAT.write(path.as_ref(), &Params {}, tables.into_iter().chain(ids::tables(&doc_ids)))
    }

    /// Opens an index that [`save`](Self::save) wrote. It is checked from end to end, then its lists are mapped into memory:
    /// programs that open it share them, and the system may drop what it does not need. The file must not be written to while it
    /// is open; `save` replaces it, which does no harm.
    ///
    /// ```
    /// # use kensaku::index::SparseIndex;
    /// # use kensaku::model::{SparseEmbeddings, SparseVectors};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("sparse.safetensors");
    /// let docs = SparseVectors::new(10, vec![0, 2], vec![4, 7], vec![0.5, 2.0])?;
    /// let docs = SparseEmbeddings::new(vec!["a".into()], docs)?;
    /// SparseIndex::new(&docs)?.save(&path)?;
    /// let index = SparseIndex::load(&path)?;
    /// assert_eq!(index.search(&docs, 1)?.hits("a").scores(), [4.25]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// For a file that is not such an index, that a later version of it wrote, or that was damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let mut file = FORMAT.open(path.as_ref())?;
        let Params {} = file.params()?;
        let doc_ids = ids::take(&mut file)?;
        let (ends, docs, weights) = (file.take(ENDS)?, file.take(DOCS)?, file.take(WEIGHTS)?);
        file.end()?;
        match (Postings { ends: &ends, docs: &docs, scores: &weights }).problem(doc_ids.len()) {
            Some(problem) => Err(file.problem(problem)),
            None => Ok(Self::of(Arc::new(doc_ids.iter().map(Into::into).collect()), ends, docs, weights)),
        }
    }
}
