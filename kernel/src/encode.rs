//! `kensaku encode`: a script of ours, as the binary itself has no models.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::files;
use crate::run::{self, Run};

const SCRIPT: &str = include_str!("../assets/encode.rs");

/// Runs the script with the model, the corpus, the folder and the shard.
pub(crate) fn encode(arguments: [OsString; 4]) -> Result<ExitCode> {
    let file = files::cache()?.join("encode.rs");
    if std::fs::read_to_string(&file).ok().as_deref() != Some(SCRIPT) {
        files::write(&file, SCRIPT.as_bytes())?;
    }
    run::run(&Run { file, output: None, watch: false, arguments: arguments.into() })
}
