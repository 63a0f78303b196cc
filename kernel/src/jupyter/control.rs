//! The control channel: answered at any time, also while a cell runs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::info;
use super::iopub::IoPub;
use super::message::Request;
use super::wire::{Channel, Replies, log};
use crate::session::Interrupter;

/// What the sockets need to get the last messages out.
const FAREWELL: Duration = Duration::from_millis(100);

/// Serves the channel until a shutdown, which ends the process. Clients of before protocol 5.4 ask
/// for it on the shell channel: `from_shell` brings those requests, with their way back.
pub(super) async fn serve(
    mut channel: Channel,
    mut from_shell: mpsc::UnboundedReceiver<(Request, Replies)>,
    interrupter: Interrupter,
    iopub: IoPub,
) {
    loop {
        let (request, replies) = tokio::select! {
            Some(request) = channel.requests.recv() => (request, channel.replies.clone()),
            Some(forwarded) = from_shell.recv() => forwarded,
            else => return,
        };
        iopub.status("busy", Some(&request.header));
        let answer = answer(&request, &interrupter);
        if let Some(content) = answer {
            replies.reply(&request, content).await;
        }
        iopub.status("idle", Some(&request.header));
        if request.kind == "shutdown_request" {
            interrupter.kill();
            iopub.flush().await;
            tokio::time::sleep(FAREWELL).await;
            return;
        }
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
