//! The Jupyter kernel: what arrives on the sockets, and what is answered.

mod control;
mod history;
mod info;
mod iopub;
mod requests;
mod shell;
mod wire;
mod worker;

use std::path::Path;

use anyhow::Result;

use crate::session::{Interrupter, SharedScope};

/// Serves one front end's connection until it asks for a shutdown.
pub(crate) fn serve(connection_file: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let thread = runtime.block_on(async {
        let channels = wire::bind(connection_file).await?;
        let interrupter = Interrupter::default();
        let iopub = iopub::start(channels.iopub);
        // Answered at once, while the session starts in the background.
        let (worker, thread) = worker::start(interrupter.clone(), SharedScope::default(), iopub.clone())?;
        tokio::spawn(wire::echo_heartbeats(channels.heartbeat));
        tokio::spawn(wire::ignore_input(channels.stdin));
        tokio::spawn(control::interrupt_on_signal(interrupter.clone()));
        tokio::spawn(shell::serve(channels.shell, worker, iopub.clone()));
        control::serve(channels.control, interrupter, iopub).await;
        anyhow::Ok(thread)
    })?;
    // Its tasks hold the sender of cells: without them the thread ends.
    runtime.shutdown_background();
    worker::wait_for(&thread);
    Ok(())
}
