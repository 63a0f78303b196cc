//! The frame around the statements of a cell.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use kensaku::interrupt;
use kensaku::serde_json::json;
use tokio::runtime::Runtime;

use super::failed::Failed;
use super::{store, threads};
use crate::{event, stdin};

/// A cell that runs. It ends when this is dropped.
pub struct Running(());

/// Tells the kernel that the cell is compiled and starts to run.
pub fn begin() -> Running {
    event::emit(&json!({ "begin": true }));
    threads::cell_begins();
    stdin::cell_begins();
    Running(())
}

impl Drop for Running {
    fn drop(&mut self) {
        stdin::cell_ends();
    }
}

/// How the statements of a cell ended.
pub struct Ended(());

/// Runs the function of a cell.
pub fn enter(cell: fn()) {
    store::cell_begins();
    if catch_unwind(cell).is_err() {
        event::emit(&json!({ "ended": "panic" }));
    }
    store::cell_ends();
}

/// Runs the statements of a cell; a panic or an error ends them, not the cell.
pub fn run(statements: impl FnOnce() -> Result<(), Failed>) -> Ended {
    ended(rest(statements))
}

/// Runs the statements that follow the declaration of variables, which outlive them.
pub fn rest(statements: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    settled(catch_unwind(AssertUnwindSafe(statements)))
}

/// Runs statements that await. The runtime and the tasks they spawn live for the whole session.
pub fn run_async(statements: impl Future<Output = Result<(), Failed>>) -> Ended {
    // Each tick wakes the statements, and each poll of them checks for an interrupt.
    let ticking = async {
        loop {
            tokio::time::sleep(LOOK).await;
        }
    };
    let awaited = async {
        tokio::select! {
            biased;
            result = rest_async(statements) => result,
            () = ticking => Ok(()),
        }
    };
    ended(rest(|| runtime().block_on(awaited)))
}

/// [`rest`] of statements that await.
pub async fn rest_async(statements: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    let mut statements = pin!(statements);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| statements.as_mut().poll(context))) {
        // The nested ones were polled first and have ended.
        Ok(Poll::Pending) if interrupt::requested() => Poll::Ready(settled(Err(Box::new(Interrupted)))),
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => Poll::Ready(settled(Ok(result))),
        Err(panic) => Poll::Ready(settled(Err(panic))),
    })
    .await
}

/// Polled by every loop, closure and recursive function of a cell, so that an interrupt ends the cell and keeps its
/// variables.
#[inline]
pub fn poll() {
    if interrupt::requested() {
        stop();
    }
}

/// The panic payload of an interrupt.
pub(crate) struct Interrupted;

#[cold]
fn stop() {
    // A destructor may poll while a panic unwinds.
    if !std::thread::panicking() && threads::may_end() {
        // Skips the panic hook: there is nothing to report.
        std::panic::resume_unwind(Box::new(Interrupted));
    }
}

/// How often an async cell checks for an interrupt.
const LOOK: Duration = Duration::from_millis(50);

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime starts where threads start"))
}

/// An interrupt ends statements once: the code that drops variables afterwards must run to its end.
fn settled(result: std::thread::Result<Result<(), Failed>>) -> Result<(), Failed> {
    let result = result.unwrap_or_else(|_| Err(Failed::panicked()));
    if result.is_err() {
        interrupt::set(false);
    }
    result
}

fn ended(result: Result<(), Failed>) -> Ended {
    let how = result.map_or_else(|failed| failed.tell(), |()| "well");
    event::emit(&json!({ "ended": how }));
    Ended(())
}
