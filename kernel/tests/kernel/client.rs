//! A front end in Rust: starts the real kernel and speaks the protocol with it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jupyter_protocol::{
    ConnectionInfo, ExecuteRequest, InterruptRequest, JupyterMessage, JupyterMessageContent, ShutdownRequest, Transport,
};
use jupyter_zmq_client::{
    ClientControlConnection, ClientIoPubConnection, ClientShellConnection, create_client_control_connection,
    create_client_iopub_connection, create_client_shell_connection_with_identity, peek_ports_with_listeners,
    peer_identity_for_session, wait_for_iopub_welcome,
};
use kensaku_kernel::Dylib;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running kernel and the sockets to it.
pub(crate) struct Client {
    process: Child,
    shell: ClientShellConnection,
    control: ClientControlConnection,
    iopub: ClientIoPubConnection,
    _folder: TempDir,
}

/// All that one request brought about.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// What iopub told, in order, from busy to idle.
    pub(crate) messages: Vec<Message>,
    pub(crate) reply: Value,
}

/// One message, as type and content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) kind: String,
    pub(crate) content: Value,
}

impl Client {
    /// Starts a kernel, as Jupyter does.
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a kernel with more in its environment.
    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("connection.json");
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (ports, listeners) = peek_ports_with_listeners(address, 5).await?;
        let info = ConnectionInfo {
            ip: address.to_string(),
            transport: Transport::TCP,
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
        drop(listeners);
        let process = spawn(&file, variables)?;
        let session = "transcripts";
        let identity = peer_identity_for_session(session)?;
        let mut iopub = create_client_iopub_connection(&info, "", session).await?;
        let welcome = wait_for_iopub_welcome(&mut iopub, PATIENCE).await?;
        anyhow::ensure!(welcome.is_some(), "the kernel did not welcome its subscriber");
        let shell = create_client_shell_connection_with_identity(&info, session, identity).await?;
        let control = create_client_control_connection(&info, session).await?;
        Ok(Self { process, shell, control, iopub, _folder: folder })
    }

    /// Runs a cell to its end.
    pub(crate) async fn execute(&mut self, code: &str) -> Result<Transcript> {
        self.request(ExecuteRequest::new(code.to_owned()).into()).await
    }

    /// Sends a request on the shell channel and reads everything that belongs to it.
    pub(crate) async fn request(&mut self, request: JupyterMessage) -> Result<Transcript> {
        let id = self.send(request).await?;
        self.finish(&id).await
    }

    /// Sends a cell without waiting for its end.
    pub(crate) async fn begin(&mut self, code: &str) -> Result<String> {
        self.send(ExecuteRequest::new(code.to_owned()).into()).await
    }

    /// Reads what is left of a request.
    pub(crate) async fn finish(&mut self, id: &str) -> Result<Transcript> {
        let mut messages = Vec::new();
        loop {
            let message = self.next(id).await?;
            let idle = message.kind == "status" && message.content["execution_state"] == "idle";
            messages.push(message);
            if idle {
                break;
            }
        }
        let reply = within(self.shell.read()).await?;
        let parent = reply.parent_header.as_ref().map(|header| header.msg_id.as_str());
        anyhow::ensure!(parent == Some(id), "a reply to another request: {:?}", reply.content);
        Ok(Transcript { messages, reply: serde_json::to_value(&reply.content)? })
    }

    /// Reads until a message of this kind has come for a request.
    pub(crate) async fn wait_for(&mut self, id: &str, kind: &str) -> Result<Message> {
        loop {
            let message = self.next(id).await?;
            if message.kind == kind {
                return Ok(message);
            }
        }
    }

    /// Interrupts by message.
    pub(crate) async fn interrupt(&mut self) -> Result<()> {
        self.control.send(InterruptRequest {}.into()).await?;
        match within(self.control.read()).await?.content {
            JupyterMessageContent::InterruptReply(_) => Ok(()),
            other => bail!("no reply to an interrupt: {other:?}"),
        }
    }

    /// Asks the kernel to end, and waits until it has.
    pub(crate) async fn shutdown(mut self) -> Result<()> {
        self.control.send(ShutdownRequest { restart: false }.into()).await?;
        within(self.control.read()).await?;
        for _ in 0..100 {
            if self.process.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the kernel did not end")
    }

    /// The kernel's process, not the one that runs cells.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    async fn send(&mut self, request: JupyterMessage) -> Result<String> {
        let id = request.header.msg_id.clone();
        self.shell.send(request).await?;
        Ok(id)
    }

    async fn next(&mut self, id: &str) -> Result<Message> {
        loop {
            let message = within(self.iopub.read()).await?;
            if message.parent_header.as_ref().is_some_and(|header| header.msg_id == id) {
                let kind = message.header.msg_type.clone();
                return Ok(Message { kind, content: serde_json::to_value(&message.content)? });
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Transcript {
    /// The kinds of messages between busy and idle.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        let inner = &self.messages[1..self.messages.len() - 1];
        inner.iter().map(|message| message.kind.as_str()).collect()
    }

    /// All text of one stream.
    pub(crate) fn text(&self, stream: &str) -> String {
        let streams = self.messages.iter().filter(|message| message.kind == "stream");
        streams
            .filter(|message| message.content["name"] == stream)
            .filter_map(|message| message.content["text"].as_str())
            .collect()
    }

    /// The plain form of the cell's value.
    pub(crate) fn value(&self) -> Option<&str> {
        let result = self.messages.iter().find(|message| message.kind == "execute_result")?;
        result.content["data"]["text/plain"].as_str()
    }

    pub(crate) fn status(&self) -> &str {
        self.reply["status"].as_str().unwrap_or_default()
    }

    /// The traceback of a failed cell.
    pub(crate) fn traceback(&self) -> String {
        let lines = self.reply["traceback"].as_array().into_iter().flatten().filter_map(Value::as_str);
        plain(&lines.collect::<Vec<_>>().join("\n"))
    }

    /// Fails with everything that is known, unless the cell ended well.
    pub(crate) fn expect_ok(self) -> Self {
        assert_eq!(self.reply["status"], json!("ok"), "{self:#?}");
        self
    }
}

/// The text without its colours.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or("", |(_, rest)| rest))
}

fn spawn(connection_file: &Path, variables: &[(&str, &str)]) -> Result<Child> {
    build_dylib();
    let binary = env!("CARGO_BIN_EXE_kensaku");
    Command::new(binary).arg("kernel").arg(connection_file).envs(variables.iter().copied()).spawn().context("starting the kernel")
}

/// Once for all tests: the kernel itself builds nothing.
pub(crate) fn build_dylib() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        Dylib::fresh().expect("the library for cells builds");
    });
}

async fn within<T>(reading: impl Future<Output = jupyter_zmq_client::Result<T>>) -> Result<T> {
    Ok(tokio::time::timeout(PATIENCE, reading).await.context("the kernel is silent")??)
}
