//! The progress of a `:dep`: one line, updated in place.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::session::Event;

/// The minimum time between two updates.
const INTERVAL: Duration = Duration::from_millis(100);

pub(in super::super) struct Progress<'a> {
    show: &'a dyn Fn(Event),
    id: String,
    started: Instant,
    shown: Option<Instant>,
}

impl<'a> Progress<'a> {
    pub(in super::super) fn new(show: &'a dyn Fn(Event)) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("kensaku-dep-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { show, id, started: Instant::now(), shown: None }
    }

    /// Shows the current step, unless the line was updated just before.
    pub(super) fn say(&mut self, text: &str) {
        if self.shown.is_none_or(|at| at.elapsed() >= INTERVAL) {
            self.line(text);
        }
    }

    /// Shows the result, if any step was shown.
    pub(super) fn end(&mut self, text: &str) {
        if self.shown.is_some() {
            self.line(&format!("{text} ({:.1} s)", self.started.elapsed().as_secs_f64()));
        }
    }

    fn line(&mut self, text: &str) {
        let update = self.shown.replace(Instant::now()).is_some();
        let data: Value = json!({ "text/plain": text });
        (self.show)(Event::Display(json!({ "id": self.id, "update": update, "data": data, "metadata": {} })));
    }
}
