//! The Jupyter kernel of kensaku, and its runner of notebooks and scripts.
//!
//! One binary has five roles: the command line, the kernel, the process that runs cells, the tools that evcxr
//! compiles them with, and the compiler for the crates of `:dep`. [`main`] selects the role.

mod cell;
mod child;
mod commands;
mod complete;
mod doctor;
mod dylib;
mod encode;
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
mod rustup;
mod session;
mod toolchain;
mod units;
mod wrapper;
#[cfg(target_env = "gnu")]
mod writes;

#[cfg(not(target_os = "linux"))]
compile_error!("the kernel requires Linux; the library in `lib/` does not");

use std::process::ExitCode;

pub use dylib::Dylib;

/// The entry point of the binary.
pub fn main() -> ExitCode {
    // Safety: there is no other thread yet.
    unsafe { rustup::choose() };
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

/// The size of a thread's stack. Parsers of Rust recurse, and rust-analyzer's inside evcxr does so deeply.
/// Unused stack takes no memory.
pub(crate) const STACK: usize = 64 << 20;

fn on_large_stack(command: fn() -> ExitCode) -> ExitCode {
    let thread = std::thread::Builder::new().name("kensaku".to_owned()).stack_size(STACK);
    match thread.spawn(command).map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => command(),
    }
}
