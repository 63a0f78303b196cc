//! The outputs of cells in the form of a notebook file.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::session::{Event, Failure};

/// The outputs of each cell that has run.
#[derive(Default)]
pub(super) struct Outputs {
    cells: Vec<Vec<Value>>,
    /// The positions of the displays of an id: an update replaces all of them, also in earlier cells.
    displays: HashMap<String, Vec<(usize, usize)>>,
    /// Whether the next output replaces all previous ones.
    cleared: bool,
}

impl Outputs {
    pub(super) fn begin_cell(&mut self) {
        self.cleared = false;
        self.cells.push(Vec::new());
    }

    pub(super) fn take_cells(self) -> Vec<Vec<Value>> {
        self.cells
    }

    /// Adds an output of the running cell, the `count`th.
    pub(super) fn add(&mut self, event: &Event, count: usize) {
        if self.cleared && is_output(event) {
            self.clear();
        }
        match event {
            Event::Stream { stream, text } => self.add_text(stream.name(), text),
            Event::Display(display) if display["update"] == json!(true) => self.update(display),
            Event::Display(display) => {
                if let Some(id) = display["id"].as_str() {
                    let place = (self.cells.len().saturating_sub(1), self.current().len());
                    self.displays.entry(id.to_owned()).or_default().push(place);
                }
                let output = json!({
                    "output_type": "display_data",
                    "data": data(display), "metadata": metadata(display),
                });
                self.current().push(output);
            }
            Event::Value(value) => {
                let output = json!({
                    "output_type": "execute_result", "execution_count": count,
                    "data": data(value), "metadata": metadata(value),
                });
                self.current().push(output);
            }
            Event::Clear { wait: true } => self.cleared = true,
            Event::Clear { wait: false } => self.clear(),
            Event::Input(_) | Event::Page(_) => {}
        }
    }

    pub(super) fn add_failure(&mut self, failure: &Failure) {
        if self.cleared {
            self.clear();
        }
        let output = json!({
            "output_type": "error",
            "ename": failure.name, "evalue": failure.message, "traceback": failure.traceback,
        });
        self.current().push(output);
    }

    fn add_text(&mut self, name: &str, text: &str) {
        let outputs = self.current();
        match outputs.last_mut() {
            Some(last) if last["output_type"] == "stream" && last["name"] == name => {
                let Value::String(mut all) = last["text"].take() else { return };
                // Only the last line can still be overwritten.
                let line = all.split_off(all.rfind('\n').map_or(0, |at| at + 1));
                all.push_str(&after_returns(&(line + text)));
                last["text"] = Value::String(all);
            }
            _ => {
                let text = after_returns(text);
                outputs.push(json!({ "output_type": "stream", "name": name, "text": text }));
            }
        }
    }

    fn update(&mut self, display: &Value) {
        let places = display["id"].as_str().and_then(|id| self.displays.get(id));
        for (cell, output) in places.into_iter().flatten() {
            if let Some(shown) = self.cells.get_mut(*cell).and_then(|cell| cell.get_mut(*output)) {
                shown["data"] = data(display);
                shown["metadata"] = metadata(display);
            }
        }
    }

    fn clear(&mut self) {
        self.cleared = false;
        self.current().clear();
        let cell = self.cells.len() - 1;
        self.displays.values_mut().for_each(|places| places.retain(|(of, _)| *of != cell));
    }

    fn current(&mut self) -> &mut Vec<Value> {
        if self.cells.is_empty() {
            self.cells.push(Vec::new());
        }
        let last = self.cells.len() - 1;
        &mut self.cells[last]
    }
}

/// Whether `event` adds an output; an update replaces one.
fn is_output(event: &Event) -> bool {
    match event {
        Event::Display(display) => display["update"] != json!(true),
        Event::Stream { .. } | Event::Value(_) => true,
        Event::Clear { .. } | Event::Input(_) | Event::Page(_) => false,
    }
}

fn data(display: &Value) -> Value {
    display["data"].clone()
}

fn metadata(display: &Value) -> Value {
    match &display["metadata"] {
        Value::Null => json!({}),
        metadata => metadata.clone(),
    }
}

/// The text that remains on the screen: a carriage return overwrites its line.
fn after_returns(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            let (body, end) = match line.strip_suffix('\n') {
                Some(body) => (body.strip_suffix('\r').unwrap_or(body), "\n"),
                None => (line, ""),
            };
            // A return at the very end only takes effect with later text.
            match body.strip_suffix('\r').unwrap_or(body).rfind('\r') {
                Some(at) => format!("{}{end}", &body[at + 1..]),
                None => format!("{body}{end}"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Stream;

    fn text(text: &str) -> Event {
        Event::Stream { stream: Stream::Stdout, text: text.to_owned() }
    }

    #[test]
    fn text_of_one_stream_is_one_output() {
        let mut outputs = Outputs::default();
        outputs.begin_cell();
        outputs.add(&text("10%\r"), 1);
        outputs.add(&text("20%\r30%"), 1);
        outputs.add(&text("\ndone\n"), 1);
        let cells = outputs.take_cells();
        assert_eq!(cells[0], [json!({ "output_type": "stream", "name": "stdout", "text": "30%\ndone\n" })]);
    }

    #[test]
    fn updates_reach_earlier_cells() {
        let mut outputs = Outputs::default();
        let display = |update: bool, text: &str| {
            Event::Display(json!({ "id": "a", "update": update, "data": { "text/plain": text } }))
        };
        outputs.begin_cell();
        outputs.add(&display(false, "1"), 1);
        outputs.begin_cell();
        outputs.add(&display(true, "2"), 2);
        let cells = outputs.take_cells();
        assert_eq!(cells[0][0]["data"]["text/plain"], "2");
        assert_eq!(cells[1].len(), 0);
    }

    #[test]
    fn outputs_are_cleared_immediately_or_by_the_next() {
        let mut outputs = Outputs::default();
        let display = Event::Display(json!({ "id": "a", "update": false, "data": { "text/plain": "1" } }));
        let update = Event::Display(json!({ "id": "a", "update": true, "data": { "text/plain": "2" } }));
        outputs.begin_cell();
        for event in [&text("gone"), &Event::Clear { wait: false }, &display, &Event::Clear { wait: true }] {
            outputs.add(event, 1);
        }
        assert_eq!(outputs.cells[0].len(), 1);
        outputs.add(&text("new"), 1);
        outputs.add(&update, 1);
        outputs.add(&Event::Clear { wait: true }, 1);
        outputs.begin_cell();
        outputs.add(&text("of its own"), 2);
        let cells = outputs.take_cells();
        assert_eq!(cells[0], [json!({ "output_type": "stream", "name": "stdout", "text": "new" })]);
        assert_eq!(cells[1].len(), 1);
    }
}
