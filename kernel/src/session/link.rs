//! The kernel's end of the three sockets of the process for cells.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::arrivals::{Admitted, arrival, lives};
use super::compilers;
use super::filter::Piece;
use super::input::{Control, Question};
use super::ran::{Ended, Ran};
use super::{Event, Events, Stream, streams};

/// What evcxr waits for after a cell.
const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";

/// Reads both streams of the process for cells, and sends it commands.
#[derive(Clone)]
pub(super) struct Link {
    state: Arc<Mutex<State>>,
    control: Control,
    /// Called without the lock, as it waits for slow front ends.
    events: Events,
    token: String,
}

#[derive(Default)]
struct State {
    /// Output of the kernel's own cells at the start is not shown.
    muted: bool,
    interrupted: bool,
    /// Since when the statements of a cell have been running, and how long earlier ones ran.
    running: Option<Instant>,
    ran_for: Option<Duration>,
    admitted: Admitted,
    /// The cell up to which stdout and stderr were read.
    flushed: [Option<u64>; 2],
    /// Whether both have just reached the end of a cell.
    complete: bool,
    ran: Ran,
}

impl Link {
    /// Listens at `socket`.
    pub(super) fn listen(socket: &Path, events: Events) -> Result<Self> {
        let state = Arc::new(Mutex::new(State { muted: true, ..State::default() }));
        let link = Self { state, control: Control::default(), events, token: token()? };
        link.listen_at(socket)?;
        Ok(link)
    }

    /// Also listens at `socket`.
    pub(super) fn listen_at(&self, socket: &Path) -> Result<()> {
        let listener = UnixListener::bind(socket).with_context(|| format!("listening at {}", socket.display()))?;
        let accepting = self.clone();
        spawn("kensaku-accept", move || accepting.accept(&listener))
    }

    /// The start of the preload's lines.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Shows output from now on.
    pub(super) fn unmute(&self) {
        self.lock().muted = false;
    }

    /// Forgets the previous cell. To be called before each cell.
    pub(super) fn reset(&self) {
        let mut state = self.lock();
        state.ran = Ran::default();
        state.interrupted = false;
        self.control.say("interrupt 0");
    }

    /// Asks the running cell to stop. A cell that does not run yet is asked when it starts.
    pub(super) fn interrupt(&self) {
        let mut state = self.lock();
        state.interrupted = true;
        self.control.say("interrupt 1");
    }

    /// Gives the running cell and then the process a second to end by themselves, and then kills the process.
    pub(super) fn farewell(&self) {
        self.interrupt();
        self.control.say("farewell");
    }

    /// The process for cells, once it has connected.
    pub(super) fn process(&self) -> Option<u32> {
        self.lock().admitted.process()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.lock().ran.began
    }

    /// What the cell has reported, once it has ended.
    pub(super) fn take_ran(&self) -> Ran {
        std::mem::take(&mut self.lock().ran)
    }

    /// How long statements ran since the last call; `None` if none did.
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

    /// A restarted process connects again, with stdout first.
    fn accept(&self, listener: &UnixListener) {
        let mut stdout = None;
        for stream in listener.incoming().map_while(std::result::Result::ok) {
            let Some(arrival) = arrival(stream, &self.token) else { continue };
            if !self.lock().admitted.admit(&arrival, lives) {
                continue;
            }
            match arrival.name {
                "stdout" => {
                    // Its cells are counted from zero again.
                    self.lock().flushed = [None; 2];
                    stdout = Some(arrival.stream);
                }
                "stderr" => {
                    let Some(stdout) = stdout.take() else { continue };
                    let (link, process) = (self.clone(), arrival.process);
                    // Without a thread both are closed, and the process for cells ends with an error.
                    let _ = spawn("kensaku-output", move || {
                        let take = |stream, pieces| link.take(process, stream, pieces);
                        streams::read(stdout, arrival.stream, &link.token, take);
                        link.end_deaf(process);
                    });
                }
                _ => {
                    self.control.connect(arrival.stream.into_inner());
                    self.control.say("welcome");
                }
            }
        }
    }

    /// Shows each piece before it handles the next, as the end of the cell comes after its output.
    fn take(&self, process: u32, stream: Stream, pieces: Vec<Piece>) {
        for piece in pieces {
            let shown = match piece {
                Piece::Text(text) => vec![Event::Stream { stream, text }],
                Piece::Event(event) => self.lock().take_event(process, event, &self.control),
                Piece::Panicked => {
                    self.lock().ran.ended.get_or_insert(Ended::Panic);
                    Vec::new()
                }
            };
            shown.into_iter().for_each(|event| self.show(event));
            // evcxr learns of the end once both streams were read.
            if std::mem::take(&mut self.lock().complete) {
                self.control.say(&format!("relay {COMPLETE}"));
            }
        }
    }

    /// A process that has closed its streams can't tell how a cell ends, so it is replaced.
    fn end_deaf(&self, process: u32) {
        if self.process() == Some(process) && compilers::lingers(process) {
            let text = "[kensaku: the cell closed its connection to the kernel, so its process was ended]\n";
            self.show(Event::Stream { stream: Stream::Stderr, text: text.to_owned() });
            compilers::end(process);
        }
    }
}

impl State {
    /// Returns what to show.
    fn take_event(&mut self, process: u32, event: Value, control: &Control) -> Vec<Event> {
        let Value::Object(mut event) = event else { return Vec::new() };
        if event.contains_key("begin") {
            self.ran.began = true;
            self.running = Some(Instant::now());
            if self.interrupted {
                control.say("interrupt 1");
            }
        } else if let Some(display) = event.remove("display") {
            return vec![Event::Display(display)];
        } else if let Some(value) = event.remove("result") {
            return vec![Event::Value(value)];
        } else if let Some(clear) = event.remove("clear") {
            return vec![Event::Clear { wait: clear["wait"] == true }];
        } else if let Some(question) = event.remove("input") {
            return vec![Event::Input(Question {
                prompt: question["prompt"].as_str().unwrap_or_default().to_owned(),
                password: question["password"] == true,
                number: question["number"].as_u64().unwrap_or_default(),
                control: control.clone(),
            })];
        } else if let Some(failure) = event.remove("failure") {
            return self.ran.report(failure);
        } else if let Some(kept) = event.remove("kept") {
            self.ran.kept = serde_json::from_value(kept).unwrap_or_default();
        } else if let Some(how) = event.remove("ended") {
            self.ran.ended = serde_json::from_value(how).ok();
            self.stop_clock();
        } else if let (Some(Value::String(name)), Some(Value::String(problem))) =
            (event.remove("lost"), event.remove("problem"))
        {
            self.ran.lost.push((name, problem));
        } else if let Some(round) = event.get("flushed").and_then(Value::as_u64)
            // Leftovers of a dead process say nothing about its successor.
            && self.admitted.process() == Some(process)
        {
            self.flushed[usize::from(event["stderr"] == true)] = Some(round);
            if self.flushed == [Some(round); 2] {
                self.complete = true;
                return self.ran.finish();
            }
        }
        Vec::new()
    }

    /// Also when a process ended before its cell.
    fn stop_clock(&mut self) {
        if let Some(began) = self.running.take() {
            *self.ran_for.get_or_insert_default() += began.elapsed();
        }
    }
}

/// Random, so that no output of users begins with it.
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
