//! The real kernel, driven as a front end drives it. Each test is a transcript.

mod cells;
mod client;
mod failures;
mod interrupts;
mod runner;
