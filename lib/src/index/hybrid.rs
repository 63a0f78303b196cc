//! Several indexes as one.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};

use super::Index;
use crate::Result;
use crate::data::Queries;
use crate::error::expect;
use crate::eval::{FusionConfig, Run, fuse};

/// How a [`Hybrid`] asks its parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HybridConfig {
    /// How scores become one. Default reciprocal rank fusion.
    pub fusion: FusionConfig,
    /// How many hits each part is asked for, if not more are wanted of the whole. Default 100.
    pub depth: usize,
}

/// Indexes that are asked the same texts, and whose hits are fused ([`fuse`]): words and vectors together find what either
/// misses.
///
/// ```
/// use kensaku::data::{Corpus, Queries};
/// use kensaku::index::{Bm25, Bm25Params, FlatIndex, Hybrid, HybridConfig, Index, QueryEncoder};
/// use kensaku::model::BiEncoder;
/// # use kensaku::polars::prelude::*;
///
/// let corpus = Corpus::new(df!("doc_id" => ["a", "b"], "text" => ["Sorts a vector.", "Opens a file."])?)?;
/// let model = BiEncoder::tiny()?;
/// let flat = FlatIndex::new(model.encode_docs(&corpus)?, model.config().similarity)?;
/// let words = Bm25::new(&corpus, Bm25Params::default())?;
/// let hybrid = Hybrid::new(vec![words.boxed(), model.with_index(flat).boxed()], HybridConfig::default())?;
/// let run = hybrid.search(&Queries::from_texts(["sort vectors"])?, 2)?;
/// assert!(run.hits("1").doc_ids().eq(["a", "b"]));
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// Parts may be shared, as `Arc<Bm25>`. Runs that are there already are fused by [`fuse`] alone.
#[derive(Debug)]
pub struct Hybrid {
    parts: Vec<Box<dyn Index<Queries = Queries>>>,
    config: HybridConfig,
}

impl Default for HybridConfig {
    fn default() -> Self {
        Self { fusion: FusionConfig::default(), depth: 100 }
    }
}

impl Hybrid {
    /// Errors: no parts; settings that do not fit as many.
    pub fn new(parts: Vec<Box<dyn Index<Queries = Queries>>>, config: impl Borrow<HybridConfig>) -> Result<Self> {
        let config = config.borrow().clone();
        expect("parts", parts.len(), "at least 1", !parts.is_empty())?;
        config.fusion.check(parts.len())?;
        Ok(Self { parts, config })
    }
}

impl Index for Hybrid {
    type Queries = Queries;

    fn search(&self, queries: &Queries, k: usize) -> Result<Run> {
        let depth = k.max(self.config.depth);
        let runs = self.parts.iter().map(|part| part.search(queries, depth)).collect::<Result<Vec<_>>>()?;
        Ok(fuse(&runs.iter().collect::<Vec<_>>(), &self.config.fusion)?.top(k))
    }

    /// That of the largest part.
    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::df;

    use super::*;
    use crate::data::Corpus;
    use crate::eval::Fusion;
    use crate::index::{Bm25, Bm25Params};

    fn bm25(texts: [&str; 3]) -> Box<dyn Index<Queries = Queries>> {
        let corpus = Corpus::new(df!("doc_id" => ["a", "b", "c"], "text" => texts).unwrap()).unwrap();
        Bm25::new(&corpus, Bm25Params::default()).unwrap().boxed()
    }

    #[test]
    fn hits_are_those_of_the_runs() {
        let parts = || vec![bm25(["cats", "dogs", "cats dogs"]), bm25(["fish", "dogs and fish", "cats"])];
        let queries = Queries::from_texts(["cats", "dogs", "nothing"]).unwrap();
        let runs: Vec<Run> = parts().iter().map(|part| part.search(&queries, 100).unwrap()).collect();
        let config = HybridConfig { fusion: FusionConfig { weights: vec![0.3, 0.7], ..Default::default() }, depth: 5 };
        let hybrid = Hybrid::new(parts(), &config).unwrap();
        let whole = fuse(&[&runs[0], &runs[1]], &config.fusion).unwrap();
        assert_eq!(hybrid.search(&queries, 2).unwrap(), whole.top(2));
        assert_eq!((hybrid.len(), whole.hits("3").len()), (3, 0));
    }

    #[test]
    fn settings_that_mean_nothing() {
        let message = |parts, config| Hybrid::new(parts, config).unwrap_err().to_string();
        assert_eq!(message(vec![], HybridConfig::default()), "parts = 0: expected at least 1");
        let method = Fusion::ReciprocalRank { k: -1.0 };
        let config = HybridConfig { fusion: FusionConfig { method, ..Default::default() }, ..Default::default() };
        assert!(message(vec![bm25(["a", "b", "c"])], config).starts_with("k = -1: expected"));
    }
}
