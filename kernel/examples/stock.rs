//! The stock kernel, evcxr_jupyter as published, for comparisons.

use std::process::ExitCode;

fn main() -> ExitCode {
    match evcxr_jupyter::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
