//! The user's startup files: `init.evcxr`, mostly `:dep` lines, and `prelude.rs`, from the folder where
//! evcxr's own kernel looks for them.
//!
//! They are for interactive work. `kensaku run` ignores them: there the results of a notebook must not depend on
//! the machine.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::adapter::strip_str;
use tokio::sync::mpsc::UnboundedReceiver;

use super::output::Current;
use super::worker::Job;
use crate::session::{Event, Failure, Stream};

const FILES: [&str; 2] = ["init.evcxr", "prelude.rs"];

/// The existing files, in the order in which they are run.
pub(super) struct Startup(Vec<PathBuf>);

impl Startup {
    /// To be called before a session starts, as it sets another folder for evcxr.
    pub(super) fn find() -> Self {
        let folder = evcxr::config_dir().filter(|folder| !folder.as_os_str().is_empty());
        let files = folder.iter().flat_map(|folder| FILES.map(|name| folder.join(name)));
        Self(files.filter(|file| file.exists()).collect())
    }

    /// Runs each file as a cell and returns the errors, to be shown in the first cell. Adding crates may take
    /// minutes: a cell that arrives meanwhile shows that it waits, and is returned.
    pub(super) fn run(
        &self,
        jobs: &mut UnboundedReceiver<Job>,
        current: &Current,
        run: impl FnMut(&str, &str) -> Result<(), Failure>,
    ) -> (Vec<String>, Option<Job>) {
        if self.0.is_empty() {
            return Default::default();
        }
        let runs = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                let job = jobs.blocking_recv()?;
                if runs.load(Ordering::SeqCst) {
                    current.wait(job.parent.clone(), job.count, job.silent);
                    let text = format!("running {} first ..\n", self.names());
                    current.take(Event::Stream { stream: Stream::Stderr, text });
                }
                Some(job)
            });
            let problems = self.run_each(run);
            runs.store(false, Ordering::SeqCst);
            (problems, first.join().ok().flatten())
        })
    }

    fn run_each(&self, mut run: impl FnMut(&str, &str) -> Result<(), Failure>) -> Vec<String> {
        let mut problems = Vec::new();
        for file in &self.0 {
            let name = file.display().to_string();
            let problem = match std::fs::read_to_string(file) {
                Ok(code) => run(&code, &name).err().map(|failure| failure.traceback.join("\n")),
                Err(error) => Some(error.to_string()),
            };
            problems.extend(problem.map(|problem| format!("{name} failed:\n{}\n", strip_str(&problem))));
        }
        problems
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|file| file.display().to_string()).collect();
        names.join(" and ")
    }
}
