//! The Jupyter kernel of kensaku, and its runner of notebooks and scripts.
//!
//! One binary plays five parts: the command line, the kernel, the process that runs cells, the tools
//! that evcxr compiles them with, and the compiler of the crates that `:dep` adds. [`main`] tells them apart.

mod cell;
mod child;
mod commands;
mod complete;
mod doctor;
mod dylib;
mod export;
mod files;
#[path = "../preload/src/table.rs"]
mod host;
mod install;
mod ipynb;
mod jupyter;
mod lab;
mod run;
mod rustc;
mod session;
mod toolchain;
mod units;
mod wrapper;
#[cfg(target_env = "gnu")]
mod writes;

#[cfg(not(target_os = "linux"))]
compile_error!("the kernel runs on Linux alone; the library in `lib/` runs elsewhere, too");

use std::process::ExitCode;

pub use dylib::Dylib;

/// The binary.
pub fn main() -> ExitCode {
    if child::is_child() {
        child::run();
    }
    if let Some(rustc) = wrapper::rustc() {
        return wrapper::run(&rustc);
    }
    if let Some(tool) = toolchain::tool() {
        return toolchain::run(&tool);
    }
    on_large_stack(commands::run)
}

/// How much a thread's stack may grow. Parsers of Rust recurse, rust-analyzer's inside evcxr deeply; what is
/// not used takes no memory.
pub(crate) const STACK: usize = 64 << 20;

fn on_large_stack(command: fn() -> ExitCode) -> ExitCode {
    let thread = std::thread::Builder::new().name("kensaku".to_owned()).stack_size(STACK);
    match thread.spawn(command).map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => command(),
    }
}
