//! The Jupyter kernel: requests on the sockets and their replies.

mod comms;
mod control;
mod endings;
mod history;
mod info;
mod input;
mod iopub;
mod limits;
mod message;
mod output;
mod publisher;
mod queue;
mod requests;
mod shell;
mod startup;
mod stop;
mod variables;
mod wire;
mod worker;
mod zmtp;

use std::path::Path;

use anyhow::Result;
use tokio::sync::mpsc;

use crate::complete::Awaited;
use crate::session::{Interrupter, SharedScope};
use endings::Endings;
use requests::Questions;
use stop::{Interrupts, Stop};

pub(crate) use limits::Output as Limits;

/// Serves a connection file until a front end requests a shutdown or something else ends the kernel.
pub(crate) fn serve(connection_file: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Completion parses recursively.
        .thread_stack_size(crate::STACK)
        .enable_all()
        .build()?;
    let thread = runtime.block_on(async {
        // Before anything slow: by default signals end the process.
        let interrupts = Interrupts::new()?;
        let endings = Endings::new()?;
        let channels = wire::bind(connection_file).await?;
        let interrupter = Interrupter::default();
        let iopub = iopub::start(channels.iopub, channels.envelope);
        // Requests are answered at once, while the session starts in the background.
        let (asking, asks) = input::Asking::new();
        let scope = SharedScope::default();
        let completer = Awaited::default();
        let (worker, thread) =
            worker::start(interrupter.clone(), scope.clone(), completer.clone(), iopub.clone(), asking)?;
        let (shutdowns, from_shell) = mpsc::unbounded_channel();
        tokio::spawn(wire::echo_heartbeats(channels.heartbeat));
        tokio::spawn(input::serve(channels.stdin, asks, iopub.clone()));
        let stop = Stop::new(interrupter.clone());
        tokio::spawn(interrupts.stop(stop.clone()));
        let questions = Questions::new(completer);
        tokio::spawn(shell::serve(channels.shell, worker, shutdowns, scope, questions, iopub.clone(), stop.clone()));
        control::serve(channels.control, from_shell, stop, endings, iopub).await;
        interrupter.farewell();
        anyhow::Ok(thread)
    })?;
    // Drops the tasks and with them the sender of cells, so that the thread ends.
    runtime.shutdown_background();
    worker::wait_for(&thread);
    Ok(())
}
