//! The kernel's end of the three sockets of the process for cells.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::filter::{COMPLETE, Piece};
use super::input::{Control, Question};
use super::{Event, Events, Stream, streams};

/// Reads both streams of the process for cells and speaks to it.
#[derive(Clone)]
pub(super) struct Link {
    state: Arc<Mutex<State>>,
    control: Control,
    /// Called without the lock: where front ends cannot follow, it waits.
    events: Events,
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
    /// Variables that are kept, with their types.
    pub(super) kept: BTreeMap<String, String>,
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
    pub(super) hint: Option<String>,
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
    pub(super) file: Option<String>,
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
}

struct State {
    /// Output of the kernel's own cells at the start is not shown.
    muted: bool,
    interrupted: bool,
    /// Since when the statements of a cell run, and how long those before them ran.
    running: Option<Instant>,
    ran_for: Option<Duration>,
    /// Counts the ends of cells, so that what is flushed belongs to this one.
    round: u64,
    /// Which streams have nothing more of this cell.
    flushed: [bool; 2],
    ran: Ran,
}

impl Link {
    /// Listens at `socket`.
    pub(super) fn listen(socket: &Path, events: Events) -> Result<Self> {
        let token = token()?;
        let listener = UnixListener::bind(socket).with_context(|| format!("listening at {}", socket.display()))?;
        let state = State {
            muted: true,
            interrupted: false,
            running: None,
            ran_for: None,
            round: 0,
            flushed: [false; 2],
            ran: Ran::default(),
        };
        let link = Self { state: Arc::new(Mutex::new(state)), control: Control::default(), events, token };
        let accepting = link.clone();
        spawn("kensaku-accept", move || accepting.accept(&listener))?;
        Ok(link)
    }

    /// What begins the preload's own lines.
    pub(super) fn token(&self) -> &str {
        &self.token
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
        self.control.say("interrupt 0");
    }

    /// Asks the running cell to stop; a cell that is not running yet is asked when it begins.
    pub(super) fn interrupt(&self) {
        let mut state = self.lock();
        state.interrupted = true;
        self.control.say("interrupt 1");
    }

    pub(super) fn has_begun(&self) -> bool {
        self.lock().ran.began
    }

    /// What the cell told, once it has ended.
    pub(super) fn take_ran(&self) -> Ran {
        std::mem::take(&mut self.lock().ran)
    }

    /// How long statements ran since this was asked last; none where none did.
    pub(super) fn take_run_time(&self) -> Option<Duration> {
        let mut state = self.lock();
        state.stop_clock();
        state.ran_for.take()
    }

    /// Shows `event` between those of the cell.
    pub(super) fn show(&self, event: Event) {
        let muted = self.lock().muted;
        if !muted {
            (self.events)(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A process that is started again connects again, with stdout first.
    fn accept(&self, listener: &UnixListener) {
        let mut stdout = None;
        for stream in listener.incoming().map_while(std::result::Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut name = String::new();
            if reader.read_line(&mut name).is_err() {
                continue;
            }
            match name.trim_end() {
                "stdout" => stdout = Some(reader),
                "stderr" => {
                    let Some(stdout) = stdout.take() else { continue };
                    let link = self.clone();
                    let take = move |stream, pieces| link.take(stream, pieces);
                    let token = self.token.clone();
                    // Without a thread both are closed, and the process for cells ends with an error.
                    let _ = spawn("kensaku-output", move || streams::read(stdout, reader, &token, take));
                }
                _ => {
                    self.control.connect(reader.into_inner());
                    self.control.say("welcome");
                }
            }
        }
    }

    /// Shows each piece before it looks at the next: the end of the cell comes after its output.
    fn take(&self, stream: Stream, pieces: Vec<Piece>) {
        for piece in pieces {
            let shown = match piece {
                Piece::Text(text) => Some(Event::Stream { stream, text }),
                Piece::Event(event) => self.lock().take_event(event, &self.control),
                Piece::Complete => {
                    self.lock().complete(&self.control);
                    None
                }
                Piece::Panicked => {
                    self.lock().ran.ended.get_or_insert(Ended::Panic);
                    None
                }
            };
            if let Some(event) = shown {
                self.show(event);
            }
        }
    }
}

impl State {
    /// Gives what is to be shown.
    fn take_event(&mut self, event: Value, control: &Control) -> Option<Event> {
        let Value::Object(mut event) = event else { return None };
        if event.contains_key("begin") {
            self.ran.began = true;
            self.running = Some(Instant::now());
            if self.interrupted {
                control.say("interrupt 1");
            }
        } else if let Some(display) = event.remove("display") {
            return Some(Event::Display(display));
        } else if let Some(value) = event.remove("result") {
            return Some(Event::Value(value));
        } else if let Some(clear) = event.remove("clear") {
            return Some(Event::Clear { wait: clear["wait"] == true });
        } else if let Some(question) = event.remove("input") {
            return Some(Event::Input(Question {
                prompt: question["prompt"].as_str().unwrap_or_default().to_owned(),
                password: question["password"] == true,
                number: question["number"].as_u64().unwrap_or_default(),
                control: control.clone(),
            }));
        } else if let Some(failure) = event.remove("failure") {
            self.ran.reports.extend(serde_json::from_value(failure));
        } else if let Some(kept) = event.remove("kept") {
            self.ran.kept = serde_json::from_value(kept).unwrap_or_default();
        } else if let Some(how) = event.remove("ended") {
            self.ran.ended = serde_json::from_value(how).ok();
            self.stop_clock();
        } else if let (Some(Value::String(name)), Some(Value::String(problem))) =
            (event.remove("lost"), event.remove("problem"))
        {
            self.ran.lost.push((name, problem));
        } else if event.get("flushed").and_then(Value::as_u64) == Some(self.round) {
            self.flushed[usize::from(event["stderr"] == true)] = true;
            if self.flushed == [true; 2] {
                control.say(&format!("relay {COMPLETE}"));
            }
        }
        None
    }

    /// Also where a process ended before its cell.
    fn stop_clock(&mut self) {
        if let Some(began) = self.running.take() {
            *self.ran_for.get_or_insert_default() += began.elapsed();
        }
    }

    /// evcxr hears of the end once both streams are flushed.
    fn complete(&mut self, control: &Control) {
        self.round += 1;
        self.flushed = [false; 2];
        control.say(&format!("flush {}", self.round));
    }
}

/// Random, so that nothing a user prints begins like it.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    let mut source = std::fs::File::open("/dev/urandom").context("opening /dev/urandom")?;
    std::io::Read::read_exact(&mut source, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)?;
    Ok(())
}
