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

/// Tells the kernel that the cell has been compiled and runs from here on.
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

/// Runs the statements of a cell; a panic and an error end them, not the cell.
pub fn run(statements: impl FnOnce() -> Result<(), Failed>) -> Ended {
    ended(rest(statements))
}

/// Runs the statements that follow where variables have been made, which outlive them.
pub fn rest(statements: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    settled(catch_unwind(AssertUnwindSafe(statements)))
}

/// Runs statements that await. Their runtime lives as long as the session, and so do the tasks
/// they spawn.
pub fn run_async(statements: impl Future<Output = Result<(), Failed>>) -> Ended {
    // An interrupt is looked for whenever the statements are polled: each tick wakes them.
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
        // Whoever is within has been asked before, and has ended.
        Ok(Poll::Pending) if interrupt::requested() => Poll::Ready(settled(Err(Box::new(Interrupted)))),
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => Poll::Ready(settled(Ok(result))),
        Err(panic) => Poll::Ready(settled(Err(panic))),
    })
    .await
}

/// What every loop, every closure and every function of a cell that calls itself asks, so that an interrupt ends the cell
/// and keeps the variables.
#[inline]
pub fn poll() {
    if interrupt::requested() {
        stop();
    }
}

/// What an interrupt panics with.
pub(crate) struct Interrupted;

#[cold]
fn stop() {
    // A destructor may be what asks.
    if !std::thread::panicking() && threads::may_end() {
        // Past the hook: there is nothing to report.
        std::panic::resume_unwind(Box::new(Interrupted));
    }
}

/// How often an async cell looks for an interrupt.
const LOOK: Duration = Duration::from_millis(50);

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime starts where threads start"))
}

/// An interrupt ends statements once: what drops variables afterwards is not to be ended.
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
