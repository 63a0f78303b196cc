//! The kernel's end of the three sockets of the process for cells.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::filter::{COMPLETE, Filter, Piece};
use super::{Event, Events, Stream};

/// Reads both streams of the process for cells and speaks to it.
#[derive(Clone)]
pub(super) struct Link {
    state: Arc<Mutex<State>>,
    token: String,
}

/// What the streams told about the running cell.
#[derive(Default)]
pub(super) struct Ran {
    /// Whether the cell was compiled and began to run.
    pub(super) began: bool,
    pub(super) ended: Option<Ended>,
    pub(super) reports: Vec<Report>,
    /// Variables that were not there when the cell wanted them, and what was there instead.
    pub(super) lost: Vec<(String, String)>,
}

/// How the statements of a cell ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ended {
    Well,
    Error,
    Panic,
}

/// A panic or an error, as the preload tells it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Report {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) causes: Vec<String>,
    #[serde(flatten)]
    pub(super) place: Frame,
    pub(super) thread: Option<String>,
    /// The calls in cells that led there, the innermost first.
    #[serde(default)]
    pub(super) frames: Vec<Frame>,
}

/// A place in a program.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Frame {
    #[serde(default)]
    pub(super) function: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
}

struct State {
    events: Events,
    /// Output of the kernel's own cells at the start is not shown.
    muted: bool,
    control: Option<UnixStream>,
    interrupted: bool,
    /// Counts the ends of cells, so that what is flushed belongs to this one.
    round: u64,
    /// Which streams have nothing more of this cell.
    flushed: [bool; 2],
    ran: Ran,
}

impl Link {
    /// Listens at `socket`. `token` begins the preload's own lines.
    pub(super) fn listen(socket: &Path, token: String, events: Events) -> Result<Self> {
        let listener = UnixListener::bind(socket).with_context(|| format!("listening at {}", socket.display()))?;
        let state = State {
            events,
            muted: true,
            control: None,
            interrupted: false,
            round: 0,
            flushed: [false; 2],
            ran: Ran::default(),
        };
        let link = Self { state: Arc::new(Mutex::new(state)), token };
        let accepting = link.clone();
        spawn("kensaku-accept", move || accepting.accept(&listener))?;
        Ok(link)
    }

    /// Shows output from now on.
    pub(super) fn unmute(&self) {
        self.lock().muted = false;
    }

    /// Forgets the cell before. To be called before each.
    pub(super) fn reset(&self) {
        let mut state = self.lock();
        state.ran = Ran::default();
        state.interrupted = false;
        state.say("interrupt 0");
    }

    /// Asks the running cell to stop; a cell that is not running yet is asked when it begins.
    pub(super) fn interrupt(&self) {
        let mut state = self.lock();
        state.interrupted = true;
        state.say("interrupt 1");
    }

    pub(super) fn has_begun(&self) -> bool {
        self.lock().ran.began
    }

    /// What the cell told, once it has ended.
    pub(super) fn take_ran(&self) -> Ran {
        std::mem::take(&mut self.lock().ran)
    }

    /// Shows `event` between those of the cell.
    pub(super) fn show(&self, event: Event) {
        self.lock().show(event);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A process that is started again connects again.
    fn accept(&self, listener: &UnixListener) {
        for stream in listener.incoming().map_while(std::result::Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut name = String::new();
            if reader.read_line(&mut name).is_err() {
                continue;
            }
            let link = self.clone();
            // Without a thread the stream is closed, and the process for cells ends with an error.
            let _ = match name.trim_end() {
                "stdout" => spawn("kensaku-stdout", move || link.read(reader, Stream::Stdout)),
                "stderr" => spawn("kensaku-stderr", move || link.read(reader, Stream::Stderr)),
                _ => {
                    let mut state = self.lock();
                    state.control = Some(reader.into_inner());
                    state.say("welcome");
                    Ok(())
                }
            };
        }
    }

    fn read(&self, mut reader: BufReader<UnixStream>, stream: Stream) {
        let mut filter = Filter::new(&self.token);
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            let pieces = filter.push(&buffer[..count]);
            self.lock().take(stream, pieces);
        }
        let pieces = filter.finish();
        self.lock().take(stream, pieces);
    }
}

impl State {
    fn take(&mut self, stream: Stream, pieces: Vec<Piece>) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.show(Event::Stream { stream, text }),
                Piece::Event(event) => self.take_event(stream, event),
                Piece::Marker(marker) => self.take_marker(&marker),
            }
        }
    }

    fn take_event(&mut self, stream: Stream, event: Value) {
        let Value::Object(mut event) = event else { return };
        if event.contains_key("begin") {
            self.ran.began = true;
            if self.interrupted {
                self.say("interrupt 1");
            }
        } else if let Some(display) = event.remove("display") {
            self.show(Event::Display(display));
        } else if let Some(value) = event.remove("result") {
            self.show(Event::Value(value));
        } else if let Some(failure) = event.remove("failure") {
            self.ran.reports.extend(serde_json::from_value(failure));
        } else if let Some(how) = event.remove("ended") {
            self.ran.ended = serde_json::from_value(how).ok();
        } else if let (Some(Value::String(name)), Some(Value::String(problem))) =
            (event.remove("lost"), event.remove("problem"))
        {
            self.ran.lost.push((name, problem));
        } else if event.get("flushed").and_then(Value::as_u64) == Some(self.round) {
            self.flushed[stream as usize] = true;
            if self.flushed == [true; 2] {
                self.say(&format!("relay {COMPLETE}"));
            }
        }
    }

    fn take_marker(&mut self, marker: &str) {
        if marker == COMPLETE {
            self.round += 1;
            self.flushed = [false; 2];
            let flush = format!("flush {}", self.round);
            self.say(&flush);
        } else {
            self.say(&format!("relay {marker}"));
        }
    }

    fn show(&self, event: Event) {
        if !self.muted {
            (self.events)(event);
        }
    }

    fn say(&mut self, line: &str) {
        if let Some(control) = &mut self.control
            && writeln!(control, "{line}").is_err()
        {
            // The process has ended; evcxr notices by itself.
            self.control = None;
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
    Ok(())
}
