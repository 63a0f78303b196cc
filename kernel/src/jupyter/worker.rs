//! The thread that owns the session: compiling and running cells blocks.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use jupyter_protocol::Header;
use tokio::sync::{mpsc, oneshot};

use super::iopub::IoPub;
use crate::dylib::Dylib;
use crate::session::{Events, Failure, Interrupter, Session, SharedScope};

/// rust-analyzer, inside evcxr, recurses deeply.
const STACK: usize = 64 << 20;
/// How long the end of a session may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A cell to run.
pub(super) struct Job {
    pub(super) code: String,
    pub(super) count: u64,
    pub(super) silent: bool,
    pub(super) parent: Header,
    pub(super) done: oneshot::Sender<Result<(), Failure>>,
}

/// Whose output it is that arrives now.
#[derive(Clone, Default)]
struct Current(Arc<Mutex<Option<(Header, u64, bool)>>>);

/// Starts the session and takes cells from then on, until nobody is left to send any.
pub(super) fn start(
    interrupter: Interrupter,
    scope: SharedScope,
    iopub: IoPub,
) -> Result<(mpsc::UnboundedSender<Job>, JoinHandle<()>)> {
    let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
    let current = Current::default();
    let events = current.events(iopub);
    let thread = std::thread::Builder::new().name("kensaku-cells".to_owned()).stack_size(STACK);
    let handle = thread.spawn(move || {
        let mut session = Dylib::installed().and_then(|dylib| Session::start_with(&dylib, &[], interrupter, events, scope));
        while let Some(job) = jobs.blocking_recv() {
            current.set(Some((job.parent, job.count, job.silent)));
            let result = match &mut session {
                Ok(session) => session.run(&job.code, &format!("cell [{}]", job.count)),
                Err(error) => Err(Failure::new("StartError", format!("{error:#}"))),
            };
            // The loop that asked lives as long as the kernel.
            let _ = job.done.send(result);
        }
    })?;
    Ok((sender, handle))
}

/// Waits for the thread to remove the session's files, but not for long.
pub(super) fn wait_for(thread: &JoinHandle<()>) {
    let start = Instant::now();
    while !thread.is_finished() && start.elapsed() < FAREWELL {
        std::thread::sleep(FAREWELL / 100);
    }
}

impl Current {
    fn set(&self, job: Option<(Header, u64, bool)>) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = job;
    }

    /// Output of a thread that outlives its cell belongs to the cell that runs when it comes.
    fn events(&self, iopub: IoPub) -> Events {
        let current = self.clone();
        Arc::new(move |event| {
            let current = current.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match current.as_ref() {
                Some((_, _, true)) => {}
                Some((parent, count, false)) => iopub.event(event, Some(parent), *count),
                None => iopub.event(event, None, 0),
            }
        })
    }
}
