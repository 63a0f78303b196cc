//! Panics, reported to the kernel with their backtraces, so that it can name the cell's lines.

use std::any::Any;
use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::thread::ThreadId;

use kensaku::serde_json::{Value, json};

use crate::{event, nb};

/// The prefix of the names of cells' files.
const CELL: &str = "cell_";

/// Installs the hook. It shares libstd with the cells, so it sees their panics.
pub(crate) fn install() {
    if event::connected() {
        let own = std::thread::current().id();
        std::panic::set_hook(Box::new(move |info| report(info, own)));
    }
}

/// `own` is the thread that runs cells.
fn report(info: &PanicHookInfo<'_>, own: ThreadId) {
    let payload = info.payload();
    if payload.is::<nb::Interrupted>() {
        return;
    }
    let location = info.location();
    let thread = std::thread::current();
    event::emit(&json!({ "failure": {
        "kind": "panic",
        "name": "panic",
        "message": message(payload),
        "file": location.map(|place| place.file()),
        "line": location.map(|place| place.line()),
        "column": location.map(|place| place.column()),
        "thread": thread.name(),
        "own": thread.id() == own,
        "frames": frames(&Backtrace::force_capture().to_string()),
    }}));
}

fn message(payload: &dyn Any) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

/// The places in cells, innermost first. Each frame is a line with a function's name and one with its place.
fn frames(backtrace: &str) -> Vec<Value> {
    let places = backtrace.lines().filter_map(|line| line.trim_start().strip_prefix("at "));
    let frames = places.filter_map(|place| {
        let mut parts = place.rsplitn(3, ':');
        let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
        let (column, row) = (number(), number());
        let file = parts.next()?;
        let of_cell = file.rsplit('/').next().is_some_and(|name| name.starts_with(CELL));
        of_cell.then(|| json!({ "file": file, "line": row, "column": column }))
    });
    frames.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_cells_are_found() {
        let text = "   0: std::panicking::begin\n             at /rustc/library/std/src/panicking.rs:1:2\n   \
                    1: ctx::first\n             at /tmp/x/cell_3.rs:7:5\n   2: main\n";
        let expected = json!({ "file": "/tmp/x/cell_3.rs", "line": 7, "column": 5 });
        assert_eq!(frames(text), [expected]);
    }
}
