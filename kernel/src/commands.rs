//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::install::Target;
use crate::{install, jupyter, lab, run};

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
    Run {
        /// A notebook (.ipynb) or a script (.rs; `// %%` begins a cell).
        file: PathBuf,
        /// Where to write the executed notebook.
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// What a script sees as its arguments.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Make the kernel "Rust (kensaku)" known to Jupyter.
    Install(Place),
    /// Install the kernel and open JupyterLab.
    Lab {
        /// Arguments of `jupyter lab`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Serve one notebook; Jupyter runs this.
    #[command(hide = true)]
    Kernel { connection_file: PathBuf },
}

#[derive(Args)]
#[group(multiple = false)]
struct Place {
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
    match execute(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run { file, output, arguments } => match file.extension().and_then(|e| e.to_str()) {
            Some("ipynb") => run::notebook(&file, output),
            Some("rs") => run::script(&file, &arguments),
            _ => bail!("{} is neither a notebook (.ipynb) nor a script (.rs)", file.display()),
        },
        Command::Install(place) => {
            install::install(&target(place))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Lab { arguments } => lab::open(&arguments),
        Command::Kernel { connection_file } => {
            jupyter::serve(&connection_file)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn target(place: Place) -> Target {
    match place {
        Place { prefix: Some(folder), .. } => Target::Prefix(folder),
        Place { sys_prefix: true, .. } => Target::Environment,
        Place { .. } => Target::User,
    }
}
