//! The Jupyter kernel: what arrives on the sockets, and what is answered.

mod comms;
mod control;
mod history;
mod info;
mod input;
mod iopub;
mod limits;
mod message;
mod output;
mod queue;
mod requests;
mod shell;
mod startup;
mod variables;
mod wire;
mod worker;

use std::path::Path;

use anyhow::Result;
use tokio::sync::mpsc;

use crate::complete::Awaited;
use crate::session::{Interrupter, SharedScope};
use requests::Questions;

pub(crate) use limits::Output as Limits;

/// Serves one front end's connection until it asks for a shutdown.
pub(crate) fn serve(connection_file: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let thread = runtime.block_on(async {
        let channels = wire::bind(connection_file).await?;
        let interrupter = Interrupter::default();
        let iopub = iopub::start(channels.iopub, channels.envelope);
        // Answered at once, while the session starts in the background.
        let (asking, asks) = input::Asking::new();
        let scope = SharedScope::default();
        let completer = Awaited::default();
        let (worker, thread) =
            worker::start(interrupter.clone(), scope.clone(), completer.clone(), iopub.clone(), asking)?;
        let (shutdowns, from_shell) = mpsc::unbounded_channel();
        tokio::spawn(wire::echo_heartbeats(channels.heartbeat));
        tokio::spawn(input::serve(channels.stdin, asks, iopub.clone()));
        tokio::spawn(interrupter.clone().at_signals());
        tokio::spawn(shell::serve(channels.shell, worker, shutdowns, scope, Questions::new(completer), iopub.clone()));
        control::serve(channels.control, from_shell, interrupter, iopub).await;
        anyhow::Ok(thread)
    })?;
    // Its tasks hold the sender of cells: without them the thread ends.
    runtime.shutdown_background();
    worker::wait_for(&thread);
    Ok(())
}
