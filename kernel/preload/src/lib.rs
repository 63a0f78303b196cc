//! The dylib that every cell links to: kensaku, its dependencies, and [`nb`], the small runtime
//! that cells and the kernel share.

pub mod nb;
pub mod stdin;

mod answers;
mod event;
mod host;
mod logs;
mod panics;
mod sink;
mod table;

pub use kensaku::*;
