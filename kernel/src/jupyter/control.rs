//! The control channel, answered at any time, also while a cell runs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::endings::Endings;
use super::info;
use super::iopub::IoPub;
use super::message::Request;
use super::stop::Stop;
use super::wire::{Channel, Replies, log};

/// How long the sockets have to send the last messages.
const FAREWELL: Duration = Duration::from_millis(100);

/// Serves the channel until the kernel has to end. Clients before protocol 5.4 request a shutdown on the shell
/// channel: `from_shell` receives these requests with their reply sockets.
pub(super) async fn serve(
    mut channel: Channel,
    mut from_shell: mpsc::UnboundedReceiver<(Request, Replies)>,
    stop: Stop,
    mut endings: Endings,
    iopub: IoPub,
) {
    loop {
        let (request, replies) = tokio::select! {
            Some(request) = channel.requests.recv() => (request, channel.replies.clone()),
            Some(forwarded) = from_shell.recv() => forwarded,
            reason = endings.next() => {
                log(&format!("shutting down: {reason}"));
                return;
            }
            else => return,
        };
        iopub.status("busy", Some(&request.header));
        let ends = request.kind == "shutdown_request";
        if let Some(content) = answer(&request, &stop) {
            if ends {
                // For the other clients.
                iopub.publish("shutdown_reply", content.clone(), Some(&request.header));
            }
            replies.reply(&request, content).await;
        }
        iopub.status("idle", Some(&request.header));
        if ends {
            iopub.flush().await;
            tokio::time::sleep(FAREWELL).await;
            return;
        }
    }
}

fn answer(request: &Request, stop: &Stop) -> Option<Value> {
    match request.kind.as_str() {
        "kernel_info_request" => Some(info::reply()),
        "interrupt_request" => {
            stop.now();
            Some(json!({ "status": "ok" }))
        }
        "shutdown_request" => Some(json!({ "status": "ok", "restart": request.content["restart"] == json!(true) })),
        other => {
            log(&format!("unknown message {other} on the control channel"));
            None
        }
    }
}
