//! The Hugging Face hub: what there is, models from and to it, and data sets from it.
//!
//! `load` of every model takes a name of the hub where it finds no folder: `BiEncoder::load("org/name")`, or
//! `"org/name@revision"` for a branch, tag or commit. It looks at the settings first; only if they are of a model that there
//! is here are the weights fetched. Only what is read is fetched: settings, tokenizer, card, and weights in one format. The
//! cache is the one of Python's huggingface_hub, downloads go on where they stopped, every file is checked by its checksum.
//!
//! ```no_run
//! use kensaku::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let found = hub::models(Search { language: Some("ja".to_owned()), ..Search::from("retrieval") })?;
//! println!("{found}");
//! println!("{}", hub::card("cl-nagoya/ruri-v3-30m")?);
//! println!("{}", hub::plan("cl-nagoya/ruri-v3-30m")?);
//! let model = BiEncoder::load("cl-nagoya/ruri-v3-30m")?;
//! model.push_to_hub("me/my-model", &PushConfig { private: true, ..Default::default() })?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Hub::from_env`] lists the variables that decide where the hub is and who asks: `HF_TOKEN`, `HF_HOME`, `HF_ENDPOINT`,
//! `HF_HUB_OFFLINE` and others. Every error says what to do.

mod card;
mod dataset;
mod download;
mod fetch;
mod http;
mod listing;
mod name;
mod plan;
mod push;
mod search;
mod select;
mod settings;

use std::path::PathBuf;

use polars::prelude::DataFrame;

use crate::Result;
use crate::data::Dataset;

pub use card::Card;
pub(crate) use name::Name;
pub use plan::{Plan, PlannedFile};
pub use push::PushConfig;
pub(crate) use push::push_saved;
pub use search::{Search, Sort};
pub use settings::Hub;

/// The models of the hub that fit a search: columns `id`, `task`, `language`, `library`, `downloads` (of the last 30 days),
/// `likes`, `licence`, `date` (of the last change). What the hub does not say is null.
///
/// ```no_run
/// use kensaku::hub;
///
/// let found = hub::models("japanese retrieval")?;
/// println!("{found}");
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn models(search: impl Into<Search>) -> Result<DataFrame> {
    Hub::from_env()?.models(search)
}

/// The data sets of the hub that fit a search, with the columns of [`models`].
pub fn datasets(search: impl Into<Search>) -> Result<DataFrame> {
    Hub::from_env()?.datasets(search)
}

/// The card of a model, `org/name` or `org/name@revision`.
pub fn card(name: &str) -> Result<Card> {
    Hub::from_env()?.card(name)
}

/// The card of a data set.
pub fn dataset_card(name: &str) -> Result<Card> {
    Hub::from_env()?.dataset_card(name)
}

/// A data set of the hub in the format of BEIR: `corpus.jsonl` and `queries.jsonl`, compressed or not, and judgements in its
/// folder `qrels`, or, as BeIR has them, in a repository `org/name-qrels` beside it (of which the main branch is read). See
/// [`read::beir`](crate::data::read::beir()).
///
/// What the cache lacks is fetched, as for models: resumed, checked, with `HF_TOKEN`, or not at all with `HF_HUB_OFFLINE`.
/// `"org/name@revision"` is one commit, branch or tag.
///
/// ```no_run
/// let data = kensaku::hub::dataset("BeIR/scifact")?;
/// let test = data.split("test")?;
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn dataset(name: &str) -> Result<Dataset> {
    Hub::from_env()?.dataset(name)
}

/// One file of a data set of the hub, fetched unless the cache has it.
///
/// ```no_run
/// use kensaku::{data::read, hub};
///
/// let path = hub::dataset_file("sentence-transformers/all-nli", "triplet/dev-00000-of-00001.parquet")?;
/// let triples = kensaku::data::TrainingSet::new(read::parquet(path)?.collect()?)?;
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn dataset_file(name: &str, path: &str) -> Result<PathBuf> {
    Hub::from_env()?.dataset_file(name, path)
}

/// What a `load` of `org/name` would fetch, and whether its encoder is one that there is here.
pub fn plan(name: &str) -> Result<Plan> {
    Hub::from_env()?.plan(name)
}

/// Fetches what the cache lacks of a model, and gives its folder there.
///
/// ```no_run
/// let folder = kensaku::hub::fetch("sentence-transformers/all-MiniLM-L6-v2")?;
/// assert!(folder.join("model.safetensors").exists());
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn fetch(name: &str) -> Result<PathBuf> {
    Hub::from_env()?.fetch(name)
}
