//! The frame around the statements of a cell.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use kensaku::interrupt;
use kensaku::serde_json::json;
use tokio::runtime::Runtime;

use super::failed::Failed;
use crate::{event, stdin};

/// A cell that runs. It ends when this is dropped.
pub struct Running(());

/// Tells the kernel that the cell has been compiled and runs from here on.
pub fn begin() -> Running {
    event::emit(&json!({ "begin": true }));
    stdin::cell_begins();
    Running(())
}

impl Drop for Running {
    fn drop(&mut self) {
        stdin::cell_ends();
    }
}

/// How the statements of a cell ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    completed: bool,
}

impl Ended {
    /// Whether the last statement was reached, so that its new variables are kept.
    pub fn completed(self) -> bool {
        self.completed
    }
}

/// Runs the statements of a cell; a panic and an error end them, not the cell.
pub fn run(statements: impl FnOnce() -> Result<(), Failed>) -> Ended {
    ended(catch_unwind(AssertUnwindSafe(statements)))
}

/// Runs statements that await. Their runtime lives as long as the session, and so do the tasks
/// they spawn.
pub fn run_async(statements: impl Future<Output = Result<(), Failed>>) -> Ended {
    let until_interrupted = async {
        tokio::select! {
            result = statements => Some(result),
            () = interrupted() => None,
        }
    };
    let result = catch_unwind(AssertUnwindSafe(|| runtime().block_on(until_interrupted)));
    ended(match result {
        Ok(Some(result)) => Ok(result),
        Ok(None) => Err(Box::new(INTERRUPTED)),
        Err(panic) => Err(panic),
    })
}

/// What every loop of a cell calls, so that an interrupt ends it and keeps the variables.
pub fn poll() {
    if interrupt::requested() {
        std::panic::panic_any(INTERRUPTED);
    }
}

/// What an interrupt panics with.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// How often an async cell looks for an interrupt.
const LOOK: Duration = Duration::from_millis(50);

async fn interrupted() {
    while !interrupt::requested() {
        tokio::time::sleep(LOOK).await;
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime starts where threads start"))
}

fn ended(result: std::thread::Result<Result<(), Failed>>) -> Ended {
    let (completed, how) = match result {
        Ok(Ok(())) => (true, "well"),
        Ok(Err(failed)) => {
            failed.tell();
            (false, "error")
        }
        Err(_) => (false, "panic"),
    };
    event::emit(&json!({ "ended": how }));
    Ended { completed }
}
