//! The real kernel, driven as a front end drives it. Each test is a transcript.

mod cells;
mod client;
mod directives;
mod endings;
mod failures;
mod interrupts;
mod keeping;
mod language;
mod runner;
