//! The Jupyter kernel of kensaku, and its runner of notebooks and scripts.
//!
//! One binary plays four parts: the command line, the kernel, the process that runs cells, and
//! cargo's wrapper of rustc. [`main`] tells them apart.

mod cell;
mod child;
mod commands;
mod doctor;
mod dylib;
mod export;
mod files;
mod install;
mod ipynb;
mod jupyter;
mod lab;
mod run;
mod session;
mod wrapper;

use std::process::ExitCode;

pub use cell::Completeness;
pub use dylib::Dylib;
pub use session::{Event, Events, Failure, Interrupter, Session, Stream};

/// The binary.
pub fn main() -> ExitCode {
    if child::is_child() {
        child::run();
    }
    if let Some(dependencies) = wrapper::dependencies() {
        let error = wrapper::run(std::env::args_os(), dependencies);
        eprintln!("kensaku: rustc could not be started: {error}");
        return ExitCode::FAILURE;
    }
    commands::run()
}
