//! `:load`: inserts or runs a file.

use std::path::PathBuf;

use crate::session::Failure;
use crate::session::evaluator::Session;

/// The largest file that is loaded.
const MOST: u64 = 1 << 20;

/// The state of `:load`.
#[derive(Default)]
pub(super) struct Loading {
    /// Whether files are sent to the front end, which inserts them into the cell.
    shown: bool,
    texts: Vec<String>,
    /// The files being run, outermost first.
    open: Vec<PathBuf>,
}

impl Session {
    /// From now on loaded files are inserted into the cell's editor instead of run.
    pub(crate) fn show_loaded(&mut self) {
        self.commands.loading.shown = true;
    }

    /// The files that the last cell has loaded, in order.
    pub(crate) fn take_loaded(&mut self) -> Vec<String> {
        std::mem::take(&mut self.commands.loading.texts)
    }

    pub(super) fn load(&mut self, line: &str) -> Result<(), Failure> {
        let written = line.trim_matches(['"', '\'']);
        if written.is_empty() {
            return Err(Failure::new("CommandError", "expected a file: `:load helpers.rs`"));
        }
        let file = match (written.strip_prefix("~/"), std::env::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.working_folder()?.join(written),
        };
        let text =
            read(&file).map_err(|problem| Failure::new("LoadError", format!("{}: {problem}", file.display())))?;
        if self.commands.loading.shown {
            let end = if text.ends_with('\n') { "" } else { "\n" };
            self.commands.loading.texts.push(format!("// :load {line}\n{text}{end}"));
            return Ok(());
        }
        if self.commands.loading.open.contains(&file) {
            return Err(Failure::new("LoadError", format!("{} loads itself", file.display())));
        }
        self.commands.loading.open.push(file);
        let result = self.run_cell(&text, written);
        self.commands.loading.open.pop();
        result
    }
}

fn read(file: &std::path::Path) -> Result<String, String> {
    let length = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > MOST {
        return Err(format!("{length} bytes is too large for a cell"));
    }
    std::fs::read_to_string(file).map_err(|error| error.to_string())
}
