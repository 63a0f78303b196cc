//! The interface between the library and whatever shows its displays.

use std::io::{IsTerminal, Write};
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::input::ask_terminal;
use super::saved;
use crate::Result;

/// One display: the same content in several MIME types, of which the front end shows the richest it can.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Names the display, so that a later message can replace it.
    pub id: Option<String>,
    /// Whether this replaces the display of the same id.
    pub update: bool,
    /// MIME type -> content; binary content as base64.
    pub data: Map<String, Value>,
    /// MIME type -> hints for the front end, such as the width of a PNG.
    pub metadata: Map<String, Value>,
}

impl Message {
    /// A display of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::default().with("text/plain", text)
    }

    /// The same display with one more MIME type; a second content of a type replaces the first.
    pub fn with(mut self, mime: &str, content: impl Into<String>) -> Self {
        self.data.insert(mime.to_owned(), Value::String(content.into()));
        self
    }
}

/// A value with a rich form. A cell that ends in such a value shows it.
pub trait Show {
    fn bundle(&self) -> Message;
}

/// A message is what it shows.
impl Show for Message {
    fn bundle(&self) -> Message {
        self.clone()
    }
}

/// Receives displays. Implemented by the kernel, and by a fallback for other programs.
pub trait Display: Send + Sync {
    fn send(&self, message: &Message);

    /// Takes the value that a cell ends in; like any other display, unless the implementation distinguishes them.
    fn value(&self, message: &Message) {
        self.send(message);
    }

    /// Removes what the cell has shown; with `wait`, as soon as it shows something new.
    fn clear(&self, _wait: bool) {}

    /// Asks the user for a line of text.
    fn ask(&self, prompt: &str, password: bool) -> Result<String> {
        ask_terminal(prompt, password)
    }
}

static SINK: RwLock<Option<Box<dyn Display>>> = RwLock::new(None);

/// Installs the sink that receives every display from now on.
pub fn set_display(new: Box<dyn Display>) {
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
}

/// Shows a value in the middle of a cell: a frame, a chart, a [`Message`].
///
/// ```
/// kensaku::show::display(&kensaku::show::markdown("**half-way**"));
/// ```
pub fn display(value: &dyn Show) {
    send(&value.bundle());
}

/// Removes what the cell has shown so far: at once, or with `wait` as soon as it shows something new, so that a picture
/// that is replaced does not flicker. In a terminal nothing is removed.
///
/// ```
/// use kensaku::show::{Message, clear_output, display};
///
/// for step in 0..3 {
///     clear_output(true);
///     display(&Message::text(format!("step {step}")));
/// }
/// ```
pub fn clear_output(wait: bool) {
    with_sink(|sink| sink.clear(wait));
}

/// Gives `message` to the sink.
pub(super) fn send(message: &Message) {
    saved::save(message);
    with_sink(|sink| sink.send(message));
}

/// Gives the sink the value that a cell ends in.
pub(super) fn send_value(message: &Message) {
    saved::save(message);
    with_sink(|sink| sink.value(message));
}

/// What `work` makes of the installed sink, or of [`Fallback`].
pub(super) fn with_sink<T>(work: impl FnOnce(&dyn Display) -> T) -> T {
    match SINK.read().unwrap_or_else(PoisonError::into_inner).as_deref() {
        Some(sink) => work(sink),
        None => work(&Fallback),
    }
}

/// Whether a sink is installed. Only an installed one can replace what it has shown.
pub(super) fn is_installed() -> bool {
    SINK.read().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// A line about work that begins: a notebook shows it, a program logs it.
pub(crate) fn note(text: &str) {
    if is_installed() { send(&Message::text(text)) } else { log::info!("{text}") }
}

/// The sink without a kernel of ours: text for a terminal, evcxr's content lines where stdout is
/// read by stock evcxr_jupyter. Updates are left out: neither can replace what it has shown.
struct Fallback;

impl Display for Fallback {
    fn send(&self, message: &Message) {
        if message.update {
            return;
        }
        let mut out = std::io::stdout().lock();
        let stock = std::env::var_os("EVCXR_IS_RUNTIME").is_some() && !out.is_terminal();
        // A closed stdout must not end the program that displays.
        let _ = if stock { write_evcxr(&mut out, message) } else { write_text(&mut out, message) };
    }
}

fn write_text(out: &mut impl Write, message: &Message) -> std::io::Result<()> {
    match message.data.get("text/plain").and_then(Value::as_str) {
        Some(text) => writeln!(out, "{text}"),
        None => Ok(()),
    }
}

fn write_evcxr(out: &mut impl Write, message: &Message) -> std::io::Result<()> {
    for (mime, content) in &message.data {
        let text = content.as_str().map(str::to_owned).unwrap_or_else(|| content.to_string());
        writeln!(out, "EVCXR_BEGIN_CONTENT {mime}\n{text}\nEVCXR_END_CONTENT")?;
    }
    out.flush()
}
