//! A front end in Rust: starts the real kernel and uses its protocol.
//!
//! Tests must read everything that the kernel sends: unread messages fail the test in [`Client::shutdown`].

pub(crate) mod messages;
mod ports;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jupyter_protocol::{ConnectionInfo, ExecuteRequest, InterruptRequest, JupyterMessage, ShutdownRequest, Transport};
use jupyter_zmq_client::{
    ClientControlConnection, ClientHeartbeatConnection, ClientIoPubConnection, ClientShellConnection,
    ClientStdinConnection, create_client_control_connection, create_client_heartbeat_connection,
    create_client_iopub_connection, create_client_shell_connection_with_identity,
    create_client_stdin_connection_with_identity, peer_identity_for_session,
};
use kensaku_kernel::Dylib;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use messages::{Message, Transcript, raw, read, state};

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait for a message that must not arrive.
const SILENCE: Duration = Duration::from_millis(200);

/// The options of a kernel's start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start {
    /// Sockets in a folder instead of ports.
    pub(crate) ipc: bool,
    /// Additional environment variables.
    pub(crate) variables: Vec<(String, OsString)>,
    /// Another binary than the built one.
    pub(crate) program: Option<PathBuf>,
}

/// The kernel's process, killed on drop, even if the client could not connect.
struct Process(Child);

/// A running kernel and the sockets to it.
pub(crate) struct Client {
    process: Process,
    pub(crate) shell: ClientShellConnection,
    pub(crate) control: ClientControlConnection,
    pub(crate) stdin: ClientStdinConnection,
    iopub: ClientIoPubConnection,
    pub(crate) heartbeat: ClientHeartbeatConnection,
    /// Unread messages on iopub, by request.
    unread: BTreeMap<String, Vec<Message>>,
    info: ConnectionInfo,
    _folder: TempDir,
}

impl Client {
    /// Starts a kernel like Jupyter.
    pub(crate) async fn start() -> Result<Self> {
        Self::start_as(Start::default()).await
    }

    /// Starts a kernel with additional environment variables.
    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Result<Self> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        Self::start_as(Start { variables, ..Start::default() }).await
    }

    pub(crate) async fn start_as(start: Start) -> Result<Self> {
        build_dylib();
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("connection.json");
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ports = ports::free::<5>();
        let ipc = folder.path().join("socket").display().to_string();
        let info = ConnectionInfo {
            ip: if start.ipc { ipc } else { address.to_string() },
            transport: if start.ipc { Transport::IPC } else { Transport::TCP },
            shell_port: ports[0],
            iopub_port: ports[1],
            stdin_port: ports[2],
            control_port: ports[3],
            hb_port: ports[4],
            key: "key".to_owned(),
            signature_scheme: "hmac-sha256".to_owned(),
            kernel_name: None,
        };
        std::fs::write(&file, serde_json::to_string(&info)?)?;
        let process = Process(spawn(&file, &start)?);
        if start.ipc {
            // A path cannot be connected to before it exists.
            for port in &ports {
                wait_until(|| Path::new(&format!("{}-{port}", info.ip)).exists()).await?;
            }
        }
        let session = "transcripts";
        let identity = peer_identity_for_session(session)?;
        let mut iopub = create_client_iopub_connection(&info, "", session).await?;
        let welcome = read(&mut iopub).await?;
        ensure!(welcome.kind == "iopub_welcome", "the kernel did not welcome its subscriber: {welcome:?}");
        ensure!(welcome.content["subscription"] == "", "{welcome:?}");
        Ok(Self {
            process,
            shell: create_client_shell_connection_with_identity(&info, session, identity.clone()).await?,
            control: create_client_control_connection(&info, session).await?,
            stdin: create_client_stdin_connection_with_identity(&info, session, identity).await?,
            iopub,
            heartbeat: create_client_heartbeat_connection(&info).await?,
            unread: BTreeMap::new(),
            info,
            _folder: folder,
        })
    }

    /// Another front end's subscription to iopub; nothing reads it.
    pub(crate) async fn subscribe(&self) -> Result<ClientIoPubConnection> {
        Ok(create_client_iopub_connection(&self.info, "", "another").await?)
    }

    /// Runs a cell to its end.
    pub(crate) async fn execute(&mut self, code: &str) -> Result<Transcript> {
        self.request(ExecuteRequest::new(code.to_owned()).into()).await
    }

    /// Sends a request on the shell channel and reads all its messages.
    pub(crate) async fn request(&mut self, request: JupyterMessage) -> Result<Transcript> {
        let id = self.send(request).await?;
        self.finish(&id).await
    }

    /// The same with JSON as content.
    pub(crate) async fn ask(&mut self, kind: &str, content: Value) -> Result<Transcript> {
        self.request(raw(kind, content)).await
    }

    /// Sends a cell without waiting for its end.
    pub(crate) async fn begin(&mut self, code: &str) -> Result<String> {
        self.send(ExecuteRequest::new(code.to_owned()).into()).await
    }

    /// Sends any message on the shell channel.
    pub(crate) async fn send(&mut self, request: JupyterMessage) -> Result<String> {
        let id = request.header.msg_id.clone();
        self.shell.send(request).await?;
        Ok(id)
    }

    /// Reads the remaining messages of a request.
    pub(crate) async fn finish(&mut self, id: &str) -> Result<Transcript> {
        let messages = self.read_to_idle(id).await?;
        let reply = read(&mut self.shell).await?;
        ensure!(reply.parent["msg_id"] == id, "a reply to another request: {reply:?}");
        ensure!(reply.header["version"] == "5.5", "{reply:?}");
        Ok(Transcript { messages, reply: reply.content, parent: reply.parent })
    }

    /// Reads the iopub messages of a request to its end.
    pub(crate) async fn read_to_idle(&mut self, id: &str) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let message = self.next(id).await?;
            let idle = message.kind == "status" && message.content["execution_state"] == "idle";
            messages.push(message);
            if idle {
                return Ok(messages);
            }
        }
    }

    /// Reads up to a message of this kind for a request.
    pub(crate) async fn wait_for(&mut self, id: &str, kind: &str) -> Result<Message> {
        loop {
            let message = self.next(id).await?;
            if message.kind == kind {
                return Ok(message);
            }
        }
    }

    /// Reads a question of the running cell.
    pub(crate) async fn question(&mut self) -> Result<Message> {
        let question = read(&mut self.stdin).await?;
        ensure!(question.kind == "input_request", "{question:?}");
        Ok(question)
    }

    /// Answers the question.
    pub(crate) async fn answer(&mut self, text: &str) -> Result<()> {
        Ok(self.stdin.send(raw("input_reply", json!({ "status": "ok", "value": text }))).await?)
    }

    /// Interrupts by message.
    pub(crate) async fn interrupt(&mut self) -> Result<()> {
        let reply = self.control(InterruptRequest {}.into()).await?;
        ensure!(reply.kind == "interrupt_reply" && reply.content["status"] == "ok", "{reply:?}");
        Ok(())
    }

    /// Sends a request on the control channel. On iopub, expects busy and idle, and for a shutdown the reply.
    pub(crate) async fn control(&mut self, request: JupyterMessage) -> Result<Message> {
        let id = request.header.msg_id.clone();
        self.control.send(request).await?;
        let reply = read(&mut self.control).await?;
        ensure!(reply.parent["msg_id"] == id.as_str(), "a reply to another request: {reply:?}");
        let messages = self.read_to_idle(&id).await?;
        let (states, others): (Vec<_>, Vec<_>) = messages.iter().partition(|message| message.kind == "status");
        let states: Vec<_> = states.into_iter().map(state).collect();
        ensure!(states == ["busy", "idle"], "{states:?}");
        let told: Vec<_> = others.iter().map(|message| (&message.kind, &message.content)).collect();
        match reply.kind.as_str() {
            "shutdown_reply" => ensure!(told == [(&reply.kind, &reply.content)], "{told:?}"),
            _ => ensure!(told.is_empty(), "{told:?}"),
        }
        Ok(reply)
    }

    /// Shuts the kernel down, waits for its end, and checks that no message is unread.
    pub(crate) async fn shutdown(mut self) -> Result<()> {
        let reply = self.control(ShutdownRequest { restart: false }.into()).await?;
        ensure!(reply.content == json!({ "status": "ok", "restart": false }), "{reply:?}");
        self.wait_for_end().await?;
        self.expect_silence().await
    }

    /// Waits until the process has ended.
    pub(crate) async fn wait_for_end(&mut self) -> Result<()> {
        for _ in 0..100 {
            if self.process.0.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the kernel did not end")
    }

    /// Fails if a message is unread.
    pub(crate) async fn expect_silence(&mut self) -> Result<()> {
        while let Ok(message) = tokio::time::timeout(SILENCE, read(&mut self.iopub)).await {
            self.keep(message?);
        }
        let starting = |message: &Message| message.parent == json!({}) && state(message) == "starting";
        let unread: Vec<_> = self.unread.values().flatten().filter(|message| !starting(message)).collect();
        ensure!(unread.is_empty(), "unread on iopub: {unread:#?}");
        let silent = (
            tokio::time::timeout(SILENCE, read(&mut self.shell)).await,
            tokio::time::timeout(SILENCE, read(&mut self.control)).await,
            tokio::time::timeout(SILENCE, read(&mut self.stdin)).await,
        );
        match silent {
            (Err(_), Err(_), Err(_)) => Ok(()),
            unread => bail!("unread: {unread:#?}"),
        }
    }

    /// The kernel's process, not the one that runs cells.
    pub(crate) fn process(&self) -> u32 {
        self.process.0.id()
    }

    async fn next(&mut self, id: &str) -> Result<Message> {
        loop {
            if let Some(messages) = self.unread.get_mut(id)
                && !messages.is_empty()
            {
                return Ok(messages.remove(0));
            }
            let message = read(&mut self.iopub).await?;
            self.keep(message);
        }
    }

    fn keep(&mut self, message: Message) {
        let id = message.parent["msg_id"].as_str().unwrap_or_default().to_owned();
        self.unread.entry(id).or_default().push(message);
    }
}

async fn wait_until(is_so: impl Fn() -> bool) -> Result<()> {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if is_so() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("the kernel did not start")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(connection_file: &Path, start: &Start) -> Result<Child> {
    let mut kernel = Command::new(start.program.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_kensaku"))));
    kernel.arg("kernel").arg(connection_file);
    // Tests neither write to the user's history nor run the user's startup files.
    kernel.env("KENSAKU_HISTORY", "").env("EVCXR_CONFIG_DIR", "").envs(start.variables.iter().cloned());
    kernel.spawn().context("starting the kernel")
}

/// Builds the library once for all tests: the kernel builds nothing.
pub(crate) fn build_dylib() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        Dylib::fresh().expect("the library for cells builds");
    });
}

/// The memory of a process in kB, as reported by Linux: `VmRSS` is the current, `VmHWM` the peak value.
pub(crate) fn memory(process: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("this test needs /proc")?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let value = value.and_then(|value| value.trim().strip_suffix(" kB"));
    Ok(value.with_context(|| format!("{field} is missing"))?.parse()?)
}

/// Restores the default handling of signals, even if the tests run under `nohup` or in the background.
pub(crate) fn with_default_signals(command: &mut Command) -> &mut Command {
    let reset = || {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // Safety: async-signal-safe, so allowed between fork and exec.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // Safety: the closure does nothing else.
    unsafe { command.pre_exec(reset) }
}
