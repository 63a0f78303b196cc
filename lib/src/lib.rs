//! kensaku (検索, "search"): train, evaluate and use search models, in a notebook cell or a program.
//!
//! A tour, in the order of a day's work:
//!
//! ```no_run
//! use kensaku::prelude::*;
//!
//! # fn main() -> Result<()> {
//! // 1. Data: documents, queries and judgements as Polars frames.
//! let data = rustdoc()?;
//! let (train, test) = (data.split("train")?, data.split("test")?);
//!
//! // 2. A baseline, and what it gets wrong as negatives.
//! let bm25 = Bm25::new(&data.corpus, Bm25Params::default())?;
//! let baseline = bm25.search(&test.queries, 100)?;
//! let triples = bm25_negatives(&train.queries, &train.qrels, &data.corpus, MineConfig::default())?;
//!
//! // 3. A model: the small one that the library brings along, or one of the hub by its name.
//! let model = BiEncoder::tiny()?;
//!
//! // 4. Training: an iterator of steps, with a loss of the library or a closure of candle ops.
//! let config = TrainConfig { learning_rate: 5e-4, ..Default::default() };
//! let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), config)?;
//! let mut curve = LossCurve::new("training loss");
//! for step in trainer.steps(&triples)? {
//!     let step = step?;
//!     curve.push(step.step, step.loss);
//! }
//!
//! // 5. Search and evaluation, as trec_eval does it.
//! let model = trainer.into_model();
//! let index = FlatIndex::new(model.encode_docs(&data.corpus)?, Similarity::Cosine)?;
//! let run = index.search(&model.encode_queries(&test.queries)?, 100)?;
//! println!("{}", evaluate(&test.qrels, &run, &["nDCG@10", "RR@10", "R@100"])?);
//!
//! // 6. A directory that Python loads unchanged.
//! model.save("my-model")?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`data`] | corpus, queries, judgements, training sets; readers; the embedded data set |
//! | [`text`] | tokenizers, analyzers for lexical search |
//! | [`nn`] | the encoder engine: hand-written forward and backward over packed batches |
//! | [`model`] | [`BiEncoder`](model::BiEncoder), [`CrossEncoder`](model::CrossEncoder), [`ColBert`](model::ColBert), [`Splade`](model::Splade), [`StaticEmbedding`](model::StaticEmbedding): load, encode, save |
//! | [`loss`] | the losses, and closures as losses |
//! | [`train`] | [`Trainer`](train::Trainer), optimisers, schedules, checkpoints |
//! | [`mine`] | negatives |
//! | [`index`] | BM25, vector search, several as one; embeddings as files |
//! | [`eval`] | runs, their fusion, measures, [`evaluate`](eval::evaluate) |
//! | [`hub`] | models and data sets of the Hugging Face hub: search, cards, upload |
//! | [`show`] | charts, tables, progress |
//!
//! Every fallible function returns [`Error`], whose message says what was found where, and what was
//! expected. Everything random takes a seed ([`random`]); every long loop can be interrupted
//! ([`interrupt`]) and loses nothing.

pub mod data;
pub mod eval;
pub mod hub;
pub mod index;
pub mod interrupt;
pub mod loss;
pub mod mine;
pub mod model;
pub mod nn;
pub mod prelude;
pub mod random;
pub mod show;
pub mod text;
pub mod train;

mod error;
mod files;
mod folder;

pub use error::{Error, ProgramError, Result};

/// The crates that the library stands on and those of every program, in the versions that cells have too.
pub use {
    anyhow, candle_core, candle_nn, candle_transformers, log, plotters, polars, rayon, serde, serde_json, tokenizers,
    tokio, tracing,
};
