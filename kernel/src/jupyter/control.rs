//! The control channel: answered at any time, also while a cell runs.

use std::time::Duration;

use jupyter_zmq_client::KernelControlConnection;
use serde_json::{Value, json};

use super::info;
use super::iopub::IoPub;
use super::wire::{Request, log, queue, reply};
use crate::session::Interrupter;

/// What the sockets need to get the last messages out.
const FAREWELL: Duration = Duration::from_millis(100);

/// Serves the channel until a shutdown, which ends the process.
pub(super) async fn serve(socket: KernelControlConnection, interrupter: Interrupter, iopub: IoPub) {
    let (mut sender, receiver) = socket.split();
    let mut requests = queue(receiver);
    while let Some(request) = requests.recv().await {
        let header = request.message.header.clone();
        iopub.status("busy", Some(&header));
        let answer = answer(&request, &interrupter);
        if let Some(content) = answer {
            reply(&mut sender, &request, content).await;
        }
        iopub.status("idle", Some(&header));
        if request.kind == "shutdown_request" {
            interrupter.kill();
            iopub.flush().await;
            tokio::time::sleep(FAREWELL).await;
            return;
        }
    }
}

/// Ctrl-C, or a front end that interrupts by signal.
pub(super) async fn interrupt_on_signal(interrupter: Interrupter) {
    while tokio::signal::ctrl_c().await.is_ok() {
        interrupter.interrupt();
    }
}

fn answer(request: &Request, interrupter: &Interrupter) -> Option<Value> {
    match request.kind.as_str() {
        "kernel_info_request" => Some(info::reply()),
        "interrupt_request" => {
            interrupter.interrupt();
            Some(json!({ "status": "ok" }))
        }
        "shutdown_request" => Some(json!({ "status": "ok", "restart": request.content["restart"] == json!(true) })),
        other => {
            log(&format!("{other} on the control channel is not known"));
            None
        }
    }
}
