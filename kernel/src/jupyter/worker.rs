//! The thread that owns the session, as compiling and running cells blocks.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use super::input::Asking;
use super::iopub::IoPub;
use super::message::Header;
use super::output::{Capture, Current};
use super::startup::Startup;
use crate::complete::{Awaited, make_missing_index};
use crate::dylib::Dylib;
use crate::session::{Event, Failure, Interrupter, Session, SharedScope, Stream};

/// How long the end of a session may take. The process for cells may take a second, see `child.rs`.
const FAREWELL: Duration = Duration::from_secs(3);

/// A cell to run.
pub(super) struct Job {
    pub(super) code: String,
    pub(super) count: u64,
    pub(super) silent: bool,
    pub(super) parent: Header,
    /// The front end to ask for input, if allowed.
    pub(super) asked: Option<Vec<Bytes>>,
    /// Name -> expression, evaluated after the cell.
    pub(super) expressions: Map<String, Value>,
    pub(super) done: oneshot::Sender<Done>,
}

/// The result of a cell.
pub(super) struct Done {
    pub(super) result: Result<(), Failure>,
    pub(super) expressions: Map<String, Value>,
    /// Help to show outside the notebook, as MIME type -> text.
    pub(super) pages: Vec<Value>,
    /// Files to insert into the cell, in order.
    pub(super) loaded: Vec<String>,
    /// The value of the cell as text, for the history.
    pub(super) value: Option<String>,
}

/// Starts the session and runs cells until their sender is dropped.
pub(super) fn start(
    interrupter: Interrupter,
    scope: SharedScope,
    completer: Awaited,
    iopub: IoPub,
    asking: Asking,
) -> Result<(mpsc::UnboundedSender<Job>, JoinHandle<()>)> {
    let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
    let current = Current::new(iopub, asking);
    let events = current.clone();
    let thread = std::thread::Builder::new().name("kensaku-cells".to_owned()).stack_size(crate::STACK);
    let handle = thread.spawn(move || {
        let events = Arc::new(move |event| events.take(event));
        let startup = Startup::find();
        let started = |dylib: &Dylib| Session::start(dylib, interrupter, events, scope);
        let dylib = Dylib::installed();
        let mut session = dylib.as_ref().map_err(|error| anyhow!("{error:#}")).and_then(started);
        // Only now: the start sets the environment, and completion calls rustc.
        if let Ok(dylib) = &dylib {
            make_missing_index(dylib);
        }
        let _ = completer.set(session.as_ref().ok().map(|session| session.completer().clone()));
        let (mut problems, mut first) = (Vec::new(), None);
        if let Ok(session) = &mut session {
            (problems, first) = startup.run(&mut jobs, &current, |code, name| session.run(code, name));
            session.show_loaded();
        }
        while let Some(job) = first.take().or_else(|| jobs.blocking_recv()) {
            let name = format!("cell [{}]", job.count);
            let mut run = |code: &str, name: &str| match &mut session {
                Ok(session) => session.run(code, name),
                Err(error) => Err(Failure::new("StartError", format!("{error:#}"))),
            };
            current.begin(job.parent, job.count, job.silent, job.asked);
            for text in problems.drain(..) {
                current.take(Event::Stream { stream: Stream::Stderr, text });
            }
            let result = run(&job.code, &name);
            let Capture { pages, value } = current.capture();
            let mut expressions = Map::new();
            if result.is_ok() {
                for (key, code) in job.expressions {
                    let code = code.as_str().unwrap_or_default();
                    let result = run(code, &format!("expression `{key}`"));
                    expressions.insert(key, evaluated(result, current.capture().value));
                }
            }
            current.end();
            let loaded = session.as_mut().map(Session::take_loaded).unwrap_or_default();
            let value = value.and_then(|value| Some(value["data"]["text/plain"].as_str()?.to_owned()));
            // The receiver lives as long as the kernel.
            let _ = job.done.send(Done { result, expressions, pages, loaded, value });
        }
    })?;
    Ok((sender, handle))
}

/// Waits for the thread to remove the session's files, up to a limit.
pub(super) fn wait_for(thread: &JoinHandle<()>) {
    let start = Instant::now();
    while !thread.is_finished() && start.elapsed() < FAREWELL {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The answer to one user expression.
fn evaluated(result: Result<(), Failure>, value: Option<Value>) -> Value {
    match (result, value) {
        (Err(failure), _) => json!({
            "status": "error",
            "ename": failure.name, "evalue": failure.message, "traceback": failure.traceback,
        }),
        (Ok(()), Some(mut value)) => json!({
            "status": "ok", "data": value["data"].take(),
            "metadata": match value["metadata"].take() { Value::Null => json!({}), metadata => metadata },
        }),
        // Statements or the unit value.
        (Ok(()), None) => json!({ "status": "ok", "data": { "text/plain": "()" }, "metadata": {} }),
    }
}
