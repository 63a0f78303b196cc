//! The printed output of a run: text as it arrives, displays in plain text.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::session::{Event, Failure, Question, Stream};

/// How often a changing display is printed where lines cannot be overwritten.
const EVERY: Duration = Duration::from_secs(10);

/// Prints events.
pub(super) struct Terminal {
    can_rewrite: bool,
    /// The display whose line is still open, so that an update can overwrite it.
    open: Option<String>,
    /// Updates not yet printed.
    held: HashMap<String, String>,
    printed: HashMap<String, Instant>,
    at_line_start: bool,
}

impl Terminal {
    pub(super) fn new() -> Self {
        Self {
            can_rewrite: std::io::stdout().is_terminal(),
            open: None,
            held: HashMap::new(),
            printed: HashMap::new(),
            at_line_start: true,
        }
    }

    /// Announces a cell by its first line of code.
    pub(super) fn begin_cell(&mut self, index: usize, total: usize, code: &str) {
        let mut lines = code.lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with("//"));
        let short: String = first.unwrap_or_default().chars().take(70).collect();
        self.line(&format!("[{index}/{total}] {short}"));
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Stream { stream, text } => {
                self.close();
                self.write(*stream, text);
            }
            Event::Display(display) => match (display["id"].as_str(), plain(display)) {
                (Some(id), Some(text)) => self.display(id, text, display["update"] == json!(true)),
                (None, Some(text)) => self.line(text),
                (_, None) => {}
            },
            Event::Value(value) => {
                if let Some(text) = plain(value) {
                    self.line(text);
                }
            }
            Event::Page(page) => {
                if let Some(text) = page["text/plain"].as_str() {
                    self.line(text);
                }
            }
            Event::Input(question) => self.ask(question),
            // Printed text stays.
            Event::Clear { .. } => {}
        }
    }

    pub(super) fn failure(&mut self, failure: &Failure) {
        self.end_cell();
        self.new_line();
        self.write(Stream::Stderr, &format!("{}\n", for_terminal(&failure.traceback.join("\n"))));
    }

    /// Prints the last state of every display.
    pub(super) fn end_cell(&mut self) {
        self.close();
        let mut held: Vec<_> = self.held.drain().collect();
        held.sort();
        for (_, text) in held {
            self.line(&text);
        }
        self.printed.clear();
    }

    /// Prints a separate line.
    pub(super) fn line(&mut self, text: &str) {
        self.close();
        self.new_line();
        self.write(Stream::Stdout, &format!("{}\n", text.trim_end()));
    }

    fn display(&mut self, id: &str, text: &str, update: bool) {
        let one_line = !text.trim_end().contains('\n');
        if self.can_rewrite && one_line {
            match self.open.as_deref() {
                Some(open) if update && open == id => self.write(Stream::Stdout, "\r\u{1b}[2K"),
                _ => {
                    self.close();
                    self.new_line();
                }
            }
            self.write(Stream::Stdout, text.trim_end());
            self.open = Some(id.to_owned());
            return;
        }
        let due = self.printed.get(id).is_none_or(|at| at.elapsed() >= EVERY);
        if !update || (due && !self.can_rewrite) {
            self.held.remove(id);
            self.line(text);
            self.printed.insert(id.to_owned(), Instant::now());
        } else {
            self.held.insert(id.to_owned(), text.to_owned());
        }
    }

    /// Reads the answer from this process's stdin, on a thread, so that output continues meanwhile.
    fn ask(&mut self, question: &Question) {
        self.close();
        self.write(Stream::Stdout, &question.prompt);
        let question = question.clone();
        // Without a thread the question stays open until the cell is interrupted.
        let _ = std::thread::Builder::new().spawn(move || {
            let line = if question.password { rpassword::read_password() } else { line_of_input() };
            question.answer(line.ok().as_deref());
        });
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.write(Stream::Stdout, "\n");
        }
    }

    fn new_line(&mut self) {
        if !self.at_line_start {
            self.write(Stream::Stdout, "\n");
        }
    }

    fn write(&mut self, stream: Stream, text: &str) {
        // A broken pipe must not end the run, which has yet to write the notebook.
        let _ = match stream {
            Stream::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Stream::Stderr => std::io::stderr().write_all(text.as_bytes()),
        };
        if let Some(last) = text.chars().last() {
            self.at_line_start = last == '\n';
        }
    }
}

fn line_of_input() -> std::io::Result<String> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

/// Keeps colours if stderr shows them.
pub(super) fn for_terminal(text: &str) -> String {
    if std::io::stderr().is_terminal() { text.to_owned() } else { anstream::adapter::strip_str(text).to_string() }
}

fn plain(display: &Value) -> Option<&str> {
    display["data"]["text/plain"].as_str()
}
