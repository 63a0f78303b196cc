//! The shell channel: cells in turn, all other requests at once.

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::comms::Comms;
use super::history::History;
use super::info;
use super::iopub::IoPub;
use super::message::Request;
use super::requests::{Execute, Questions, is_complete};
use super::stop::Stop;
use super::variables;
use super::wire::{Channel, Replies, log};
use super::worker::{Done, Job};
use crate::cell::replaced;
use crate::complete::Asked;
use crate::session::{Failure, SharedScope};

struct Shell {
    replies: Replies,
    worker: mpsc::UnboundedSender<Job>,
    shutdowns: mpsc::UnboundedSender<(Request, Replies)>,
    iopub: IoPub,
    history: History,
    comms: Comms,
    questions: Questions,
    /// Queued cells.
    waiting: VecDeque<Request>,
    running: Option<Running>,
    /// Slow answers.
    asides: JoinSet<()>,
    /// Cells that arrived before this moment are not run, as an earlier one failed.
    aborted_before: Option<Instant>,
    /// The same for interrupts.
    stop: Stop,
    count: u64,
}

struct Running {
    request: Request,
    execute: Execute,
    began: Instant,
    done: oneshot::Receiver<Done>,
}

/// Serves the channel for the lifetime of the kernel.
pub(super) async fn serve(
    mut channel: Channel,
    worker: mpsc::UnboundedSender<Job>,
    shutdowns: mpsc::UnboundedSender<(Request, Replies)>,
    scope: SharedScope,
    questions: Questions,
    iopub: IoPub,
    stop: Stop,
) {
    let mut comms = Comms::default();
    comms.register(variables::TARGET, move |_| variables::list(&scope));
    let mut shell = Shell {
        replies: channel.replies,
        worker,
        shutdowns,
        iopub,
        history: History::open(),
        comms,
        questions,
        waiting: VecDeque::new(),
        running: None,
        asides: JoinSet::new(),
        aborted_before: None,
        stop,
        count: 0,
    };
    loop {
        tokio::select! {
            request = channel.requests.recv() => match request {
                Some(request) => shell.take(request).await,
                None => return,
            },
            done = ended(&mut shell.running) => shell.end_cell(done).await,
            Some(_) = shell.asides.join_next() => shell.still_busy(),
        }
        shell.start_next().await;
    }
}

/// Waits for the end of the running cell; for ever, if there is none.
async fn ended(running: &mut Option<Running>) -> Done {
    match running {
        Some(running) => (&mut running.done).await.unwrap_or_else(|_| Done {
            result: Err(worker_ended()),
            expressions: Default::default(),
            pages: Vec::new(),
            loaded: Vec::new(),
            value: None,
        }),
        None => std::future::pending().await,
    }
}

impl Shell {
    async fn take(&mut self, request: Request) {
        match request.kind.as_str() {
            "execute_request" => self.waiting.push_back(request),
            "shutdown_request" => {
                // The control loop lives as long as the kernel.
                let _ = self.shutdowns.send((request, self.replies.clone()));
            }
            "complete_request" => {
                let questions = self.questions.clone();
                let ticket = questions.ticket(Asked::Completion);
                self.answer_aside(request, move |content| questions.complete(content, &ticket));
            }
            "inspect_request" => {
                let questions = self.questions.clone();
                let ticket = questions.ticket(Asked::Inspection);
                self.answer_aside(request, move |content| questions.inspect(content, &ticket));
            }
            _ => self.answer(request).await,
        }
    }

    async fn answer(&mut self, request: Request) {
        self.iopub.status("busy", Some(&request.header));
        let content = match request.kind.as_str() {
            "kernel_info_request" => Some(info::reply()),
            "is_complete_request" => Some(is_complete(&request.content)),
            "history_request" => Some(self.history.reply(&request.content)),
            "comm_info_request" => Some(self.comms.info(&request.content)),
            "comm_open" | "comm_msg" | "comm_close" => {
                self.comms.take(&request, &self.iopub);
                None
            }
            other => {
                log(&format!("unknown message {other} on the shell channel"));
                None
            }
        };
        if let Some(content) = content {
            self.replies.reply(&request, content).await;
        }
        self.iopub.status("idle", Some(&request.header));
        self.still_busy();
    }

    /// Answers a slow request without delaying the following ones.
    fn answer_aside(&mut self, request: Request, answer: impl FnOnce(&Value) -> Value + Send + 'static) {
        let (replies, iopub) = (self.replies.clone(), self.iopub.clone());
        self.asides.spawn(async move {
            iopub.status("busy", Some(&request.header));
            let content = request.content.clone();
            match tokio::task::spawn_blocking(move || answer(&content)).await {
                Ok(content) => replies.reply(&request, content).await,
                Err(error) => log(&format!("answering {} failed: {error}", request.kind)),
            }
            iopub.status("idle", Some(&request.header));
        });
    }

    async fn start_next(&mut self) {
        while self.running.is_none()
            && let Some(request) = self.waiting.pop_front()
        {
            self.iopub.status("busy", Some(&request.header));
            if self.aborted_before.max(self.stop.asked()).is_some_and(|aborted| request.arrived < aborted) {
                self.replies.reply(&request, json!({ "status": "aborted", "execution_count": self.count })).await;
                self.iopub.status("idle", Some(&request.header));
            } else {
                self.begin_cell(request);
            }
        }
    }

    fn begin_cell(&mut self, request: Request) {
        let mut execute = Execute::from(&request.content);
        if execute.store_history {
            self.count += 1;
            self.history.add(self.count, &execute.code);
        }
        if !execute.silent {
            let input = json!({ "code": execute.code, "execution_count": self.count });
            self.iopub.publish("execute_input", input, Some(&request.header));
        }
        let (sender, done) = oneshot::channel();
        let job = Job {
            code: execute.code.clone(),
            count: self.count,
            silent: execute.silent,
            parent: request.header.clone(),
            asked: execute.allow_stdin.then(|| request.identities.clone()),
            expressions: std::mem::take(&mut execute.user_expressions),
            done: sender,
        };
        // If the worker has ended, `done` fails.
        let _ = self.worker.send(job);
        self.running = Some(Running { request, execute, began: Instant::now(), done });
    }

    async fn end_cell(&mut self, done: Done) {
        let Some(Running { request, execute, began, .. }) = self.running.take() else { return };
        let Done { result, expressions, pages, loaded, value } = done;
        if execute.store_history
            && let Some(value) = value
        {
            self.history.add_output(self.count, &value);
        }
        let mut payload: Vec<_> =
            pages.into_iter().map(|data| json!({ "source": "page", "data": data, "start": 0 })).collect();
        if !loaded.is_empty() {
            // The code with the loaded files in place of the commands.
            let text = replaced(&execute.code, "load", &loaded);
            payload.push(json!({ "source": "set_next_input", "text": text, "replace": true }));
        }
        let mut content = match &result {
            Ok(()) => json!({ "status": "ok" }),
            Err(failure) => {
                let content = error_content(failure);
                if !execute.silent {
                    self.iopub.publish("error", content.clone(), Some(&request.header));
                }
                content
            }
        };
        content["execution_count"] = json!(self.count);
        content["user_expressions"] = json!(expressions);
        content["payload"] = json!(payload);
        // All output comes before the reply.
        self.iopub.flush().await;
        if result.is_err() {
            content["status"] = json!("error");
        }
        self.replies.reply(&request, content).await;
        if result.is_err() && execute.stop_on_error {
            // Cells sent before the failure are aborted; after an interrupt, only those sent before it.
            let stopped = self.stop.asked().filter(|asked| *asked >= began);
            self.aborted_before = stopped.or_else(|| Some(Instant::now()));
        }
        self.iopub.status("idle", Some(&request.header));
    }

    /// Called after another request was answered: some front ends take any idle status for the kernel's.
    fn still_busy(&self) {
        if let Some(running) = &self.running {
            self.iopub.status("busy", Some(&running.request.header));
        }
    }
}

fn error_content(failure: &Failure) -> Value {
    json!({ "ename": failure.name, "evalue": failure.message, "traceback": failure.traceback })
}

fn worker_ended() -> Failure {
    Failure::new("KernelError", "the evaluator of the kernel has ended; restart the kernel")
}
