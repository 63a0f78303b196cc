//! The real kernel, driven as a front end drives it. Each test is a transcript.

mod cells;
mod client;
mod directives;
mod endings;
mod export;
mod failures;
mod installing;
mod interrupts;
mod keeping;
mod language;
mod runner;
mod scripts;
