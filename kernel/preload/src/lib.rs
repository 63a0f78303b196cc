//! The one dylib that every cell links to: kensaku, the crates it stands on, and [`nb`], the small
//! run time that cells and the kernel share.

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
