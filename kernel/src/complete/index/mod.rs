//! The index of the public items that cells can name, read from the crates' sources at installation.

pub(crate) mod build;
pub(crate) mod convert;
pub(crate) mod raw;
pub(crate) mod record;
pub(crate) mod resolve;
pub(crate) mod sources;
pub(crate) mod store;
pub(crate) mod world;

mod calls;
mod cfg;
mod clean;
mod docs;
mod expand;
mod items;
mod print;
mod records;
