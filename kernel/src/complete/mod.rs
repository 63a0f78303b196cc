//! Completion and inspection: an index of all public items, and rustc for the type of any expression.

pub(crate) mod index;

#[cfg(test)]
mod tests;
