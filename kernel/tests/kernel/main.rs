//! The real kernel, driven as a front end drives it. Each test is a transcript.

mod cells;
mod client;
mod export;
mod failures;
mod installing;
mod interrupts;
mod runner;
mod scripts;
