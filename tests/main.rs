//! Acceptance tests: one binary, one module a subject.

mod bm25;
mod metrics;
mod mining;
mod shared;
