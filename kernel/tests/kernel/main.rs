//! The real kernel, driven as a front end drives it. Each test is a transcript.

mod cells;
mod channels;
mod client;
mod clones;
mod completing;
mod dependencies;
mod directives;
mod edits;
mod endings;
mod execute;
mod export;
mod failures;
mod input;
mod installing;
mod interrupts;
mod keeping;
mod language;
mod nesting;
mod outputs;
mod processes;
mod runner;
mod safety;
mod scripts;
