//! The shell channel: cells, one after the other, and questions between them.

use jupyter_zmq_client::{KernelShellConnection, RouterSendConnection};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::history::History;
use super::info;
use super::iopub::IoPub;
use super::requests::{Execute, complete, inspect, is_complete};
use super::wire::{Request, log, queue, reply};
use super::worker::Job;
use crate::session::Failure;

struct Shell {
    socket: RouterSendConnection,
    requests: mpsc::UnboundedReceiver<Request>,
    worker: mpsc::UnboundedSender<Job>,
    iopub: IoPub,
    history: History,
    count: u64,
}

/// Serves the channel for the life of the kernel.
pub(super) async fn serve(socket: KernelShellConnection, worker: mpsc::UnboundedSender<Job>, iopub: IoPub) {
    let (sender, receiver) = socket.split();
    let history = History::default();
    let mut shell = Shell { socket: sender, requests: queue(receiver), worker, iopub, history, count: 0 };
    while let Some(request) = shell.requests.recv().await {
        shell.handle(request).await;
    }
}

impl Shell {
    async fn handle(&mut self, request: Request) {
        let header = request.message.header.clone();
        self.iopub.status("busy", Some(&header));
        let content = match request.kind.as_str() {
            "execute_request" => return self.execute(request).await,
            "kernel_info_request" => Some(info::reply()),
            "is_complete_request" => Some(is_complete(&request.content)),
            "complete_request" => Some(complete(&request.content)),
            "inspect_request" => Some(inspect()),
            "history_request" => Some(self.history.reply(&request.content)),
            "comm_info_request" => Some(json!({ "status": "ok", "comms": {} })),
            "comm_open" => {
                // No target is registered: the protocol has the kernel close such a comm.
                let close = json!({ "comm_id": request.content["comm_id"], "data": {} });
                self.iopub.publish("comm_close", close, Some(&header));
                None
            }
            "comm_msg" | "comm_close" => None,
            other => {
                log(&format!("{other} on the shell channel is not known"));
                None
            }
        };
        self.finish(&request, content).await;
    }

    /// The reply, and idle when all output of the request is out.
    async fn finish(&mut self, request: &Request, content: Option<Value>) {
        self.iopub.flush().await;
        if let Some(content) = content {
            reply(&mut self.socket, request, content).await;
        }
        self.iopub.status("idle", Some(&request.message.header));
    }

    async fn execute(&mut self, request: Request) {
        let execute = Execute::from(&request.content);
        let header = request.message.header.clone();
        if execute.store_history {
            self.count += 1;
            self.history.add(self.count, &execute.code);
        }
        let count = self.count;
        if !execute.silent {
            let input = json!({ "code": execute.code, "execution_count": count });
            self.iopub.publish("execute_input", input, Some(&header));
        }
        let (done, result) = oneshot::channel();
        let job = Job { code: execute.code, count, silent: execute.silent, parent: header.clone(), done };
        let result = match self.worker.send(job) {
            Ok(()) => result.await.unwrap_or_else(|_| Err(worker_ended())),
            Err(_) => Err(worker_ended()),
        };
        match result {
            Ok(()) => {
                let user_expressions = not_evaluated(&execute.user_expressions);
                let content = json!({
                    "status": "ok", "execution_count": count, "payload": [],
                    "user_expressions": user_expressions,
                });
                self.finish(&request, Some(content)).await;
            }
            Err(failure) => {
                let mut content = error_content(&failure);
                if !execute.silent {
                    self.iopub.publish("error", content.clone(), Some(&header));
                }
                content["status"] = json!("error");
                content["execution_count"] = json!(count);
                self.finish(&request, Some(content)).await;
                if execute.stop_on_error {
                    self.abort_waiting().await;
                }
            }
        }
    }

    /// Cells that were sent before the failure was known do not run.
    async fn abort_waiting(&mut self) {
        let mut others = Vec::new();
        while let Ok(request) = self.requests.try_recv() {
            if request.kind == "execute_request" {
                let header = request.message.header.clone();
                self.iopub.status("busy", Some(&header));
                let content = json!({ "status": "aborted", "execution_count": self.count });
                self.finish(&request, Some(content)).await;
            } else {
                others.push(request);
            }
        }
        for request in others {
            Box::pin(self.handle(request)).await;
        }
    }
}

fn error_content(failure: &Failure) -> Value {
    json!({ "ename": failure.name, "evalue": failure.message, "traceback": failure.traceback })
}

fn worker_ended() -> Failure {
    Failure::new("KernelError", "the kernel's evaluator has ended: restart the kernel")
}

/// The protocol wants an answer for each expression.
fn not_evaluated(expressions: &Value) -> Value {
    let names = expressions.as_object().into_iter().flat_map(|map| map.keys());
    let answer = json!({
        "status": "error", "ename": "NotSupported",
        "evalue": "user expressions are not evaluated", "traceback": [],
    });
    names.map(|name| (name.clone(), answer.clone())).collect::<serde_json::Map<_, _>>().into()
}
