//! Tests of the real kernel through the Jupyter protocol. Each test is a transcript.

mod cells;
mod channels;
mod client;
mod clones;
mod completing;
mod dependencies;
mod directives;
mod edits;
mod encoding;
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
mod script_code;
mod scripts;
