//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::dylib::Dylib;
use crate::install::{Place, Target};
use crate::run::Run;
use crate::{complete, doctor, encode, export, install, jupyter, lab, run};

/// Train, evaluate and use search models in Rust notebooks and scripts.
#[derive(Parser)]
#[command(name = "kensaku", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a notebook or a script, without Jupyter.
    ///
    /// A script may begin with `#!/usr/bin/env kensaku`: all arguments after its name are then its own.
    Run {
        /// Where to write the outputs: the executed notebook, or a folder for a script's charts, tables and values.
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Run again whenever the file changes, until Ctrl-C.
        #[arg(short, long)]
        watch: bool,
        /// A notebook (.ipynb) or a script (.rs; `// %%` begins a cell).
        file: PathBuf,
        /// Arguments of the script; `--` goes before those that look like options of `run`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Export a notebook as a cargo project.
    Export {
        /// The notebook (.ipynb).
        notebook: PathBuf,
        /// The project's folder: a new one, or one that was exported before.
        folder: PathBuf,
    },
    /// Encode a part of a corpus as vectors, for `Embeddings::load`.
    ///
    /// Any number of processes, on any machines that share the folder, encode a shard each. What is there already is left
    /// as it is.
    Encode {
        /// A model's directory, or its name on the hub.
        model: OsString,
        /// The documents, with columns `doc_id` (or `_id`), `text` and perhaps `title`: .jsonl, .csv, .tsv or .parquet.
        corpus: OsString,
        /// The folder that is filled, with a file for each shard.
        folder: OsString,
        /// Which part of how many: 3/8 is the third of eight.
        #[arg(long, value_name = "I/N", default_value = "1/1")]
        shard: OsString,
    },
    /// Install the kernel "Rust (kensaku)" for Jupyter.
    Install(Kernel),
    /// Remove what `install` has written with the same options.
    Uninstall(Kernel),
    /// Install the kernel and open JupyterLab.
    Lab {
        /// Arguments of `jupyter lab`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the installation and suggest fixes.
    Doctor,
    /// Build the completion index if it is missing; kernels run this.
    #[command(hide = true)]
    Index,
    /// Serve one notebook; Jupyter runs this.
    #[command(hide = true)]
    Kernel { connection_file: PathBuf },
    /// Serve one notebook with stock evcxr_jupyter; Jupyter runs this after `install --stock`.
    #[command(hide = true)]
    StockKernel { evcxr: PathBuf, config: PathBuf, connection_file: PathBuf },
    /// `kensaku script.rs`, as a `#!` line calls it.
    #[command(external_subcommand)]
    File(Vec<OsString>),
}

#[derive(Args)]
struct Kernel {
    #[command(flatten)]
    place: Where,
    /// A name other than `kensaku`, so that several can be installed.
    #[arg(long)]
    name: Option<String>,
    /// Install stock evcxr_jupyter with the same library; it is looked up on PATH unless given.
    #[arg(long, value_name = "BINARY", num_args = 0..=1, require_equals = true, default_missing_value = "evcxr_jupyter")]
    stock: Option<PathBuf>,
}

#[derive(Args)]
#[group(multiple = false)]
struct Where {
    /// For this user (the default).
    #[arg(long)]
    user: bool,
    /// For the active virtual environment.
    #[arg(long)]
    sys_prefix: bool,
    /// For the environment in this folder.
    #[arg(long)]
    prefix: Option<PathBuf>,
}

pub(crate) fn run() -> ExitCode {
    let command = Cli::parse().command;
    if !command.runs_cells() {
        end_with_reader();
    }
    match execute(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run { file, output, watch, arguments } => run::run(&Run { file, output, watch, arguments }),
        Command::File(words) => run::run(&named_first(words)),
        Command::Lab { arguments } => lab::open(&arguments),
        Command::Doctor => doctor::doctor(),
        Command::Index => done(Dylib::installed().and_then(|dylib| complete::update_index(&dylib))),
        Command::Export { notebook, folder } => done(export::export(&notebook, &folder)),
        Command::Encode { model, corpus, folder, shard } => encode::encode([model, corpus, folder, shard]),
        Command::Install(kernel) => done(install::install(&target(kernel))),
        Command::Uninstall(kernel) => done(install::uninstall(&target(kernel))),
        Command::StockKernel { evcxr, config, connection_file } => {
            install::serve_stock(&evcxr, &config, &connection_file)
        }
        Command::Kernel { connection_file } => done(jupyter::serve(&connection_file)),
    }
}

/// Lets this process end with the reader of its output, as in `kensaku doctor | head`.
fn end_with_reader() {
    // Safety: sets a signal's disposition before any thread is started.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

impl Command {
    /// Whether it runs cells: such commands must survive the end of the processes that they write to.
    fn runs_cells(&self) -> bool {
        matches!(self, Self::Run { .. } | Self::File(_) | Self::Kernel { .. } | Self::StockKernel { .. })
    }
}

fn done(result: Result<()>) -> Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS)
}

/// A file instead of a subcommand; the rest are the script's arguments. Anything else is a mistyped subcommand.
fn named_first(words: Vec<OsString>) -> Run {
    let mut words = words.into_iter();
    let file = PathBuf::from(words.next().unwrap_or_default());
    if !file.is_file() {
        let message = format!("`{}` is neither a subcommand nor a file", file.display());
        Cli::command().error(ErrorKind::InvalidSubcommand, message).exit();
    }
    Run { file, output: None, watch: false, arguments: words.collect() }
}

fn target(kernel: Kernel) -> Target {
    let place = match kernel.place {
        Where { prefix: Some(folder), .. } => Place::Prefix(folder),
        Where { sys_prefix: true, .. } => Place::Environment,
        Where { .. } => Place::User,
    };
    Target { place, name: kernel.name, stock: kernel.stock }
}
