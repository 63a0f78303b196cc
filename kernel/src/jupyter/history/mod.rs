//! The cells of this and earlier sessions, which consoles page through.

mod glob;
mod store;

use std::collections::HashSet;

use serde_json::{Value, json};

use self::store::{Entry, Store};

/// The cells, oldest first; the last entries are this session's.
pub(super) struct History {
    entries: Vec<Entry>,
    session: u64,
    store: Store,
}

impl History {
    /// Opens the history on disk and begins a new session.
    pub(super) fn open() -> Self {
        let (store, past) = Store::open();
        Self { entries: past.entries, session: past.session, store }
    }

    pub(super) fn add(&mut self, line: u64, code: &str) {
        let entry = Entry::new(self.session, line, code);
        self.store.add_code(&entry);
        self.entries.push(entry);
    }

    /// Adds the value of cell `line` as text.
    pub(super) fn add_output(&mut self, line: u64, output: &str) {
        let session = self.session;
        let entry = self.entries.iter_mut().rev().find(|entry| (entry.session, entry.line) == (session, line));
        if let Some(entry) = entry {
            entry.output = Some(store::shortened(output));
            self.store.add_output(entry);
        }
    }

    /// The answer to a history request.
    pub(super) fn reply(&self, content: &Value) -> Value {
        let mut found: Vec<&Entry> = match content["hist_access_type"].as_str() {
            Some("range") => self.range(content),
            Some("search") => self.search(content),
            _ => self.entries.iter().collect(),
        };
        if content["hist_access_type"] != "range"
            && let Some(count) = content["n"].as_u64().and_then(|count| usize::try_from(count).ok())
        {
            found.drain(..found.len().saturating_sub(count));
        }
        let with_output = content["output"] == json!(true);
        let entry = |entry: &&Entry| {
            let code = if with_output { json!([entry.code, entry.output]) } else { json!(entry.code) };
            json!([entry.session, entry.line, code])
        };
        json!({ "status": "ok", "history": found.iter().map(entry).collect::<Vec<_>>() })
    }

    /// Lines of one session; session numbers of 0 and less count back from this one.
    fn range(&self, content: &Value) -> Vec<&Entry> {
        let asked = content["session"].as_i64().unwrap_or(0);
        let session =
            if asked > 0 { u64::try_from(asked).ok() } else { self.session.checked_sub(asked.unsigned_abs()) };
        let lines = content["start"].as_u64().unwrap_or(1)..content["stop"].as_u64().unwrap_or(u64::MAX);
        let is_wanted = |entry: &&Entry| Some(entry.session) == session && lines.contains(&entry.line);
        self.entries.iter().filter(is_wanted).collect()
    }

    fn search(&self, content: &Value) -> Vec<&Entry> {
        let pattern = content["pattern"].as_str().unwrap_or("*").to_lowercase();
        let mut found: Vec<&Entry> =
            self.entries.iter().filter(|entry| glob::matches(&pattern, &entry.code.to_lowercase())).collect();
        if content["unique"] == json!(true) {
            // Keeps the last of equal entries.
            let mut known = HashSet::new();
            found.reverse();
            found.retain(|entry| known.insert(&entry.code));
            found.reverse();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History { entries: Vec::new(), session: 1, store: Store::none() };
        for (session, line, code) in
            [(1, 1, "old()"), (2, 1, "let a = 1;"), (2, 2, "a + 1"), (2, 3, "索(a)"), (2, 4, "a + 1")]
        {
            history.session = session;
            history.add(line, code);
        }
        history.add_output(4, "2");
        history
    }

    fn codes(request: Value) -> Vec<String> {
        let reply = history().reply(&request);
        let entries = reply["history"].as_array().expect("a list").iter();
        entries.map(|entry| entry[2].as_str().expect("code").to_owned()).collect()
    }

    #[test]
    fn tail_goes_back_into_earlier_sessions() {
        assert_eq!(codes(json!({ "hist_access_type": "tail", "n": 2 })), ["索(a)", "a + 1"]);
        assert_eq!(codes(json!({ "hist_access_type": "tail", "n": 9 })).len(), 5);
        let reply = history().reply(&json!({ "hist_access_type": "tail", "n": 2, "output": true }));
        assert_eq!(reply["history"], json!([[2, 3, ["索(a)", null]], [2, 4, ["a + 1", "2"]]]));
    }

    #[test]
    fn ranges_are_of_one_session() {
        let range = |session: i64| json!({ "hist_access_type": "range", "session": session, "start": 1, "stop": 2 });
        assert_eq!(codes(range(0)), ["let a = 1;"]);
        assert_eq!(codes(range(-1)), ["old()"]);
        assert_eq!(codes(range(2)), ["let a = 1;"]);
        assert_eq!(codes(range(-7)), [""; 0]);
    }

    #[test]
    fn searches_take_a_pattern() {
        let search = |pattern: &str| json!({ "hist_access_type": "search", "pattern": pattern });
        assert_eq!(codes(search("?(*")), ["索(a)"]);
        assert_eq!(codes(search("*+*")), ["a + 1", "a + 1"]);
        let unique = json!({ "hist_access_type": "search", "pattern": "*a*", "unique": true, "n": 2 });
        assert_eq!(codes(unique), ["索(a)", "a + 1"]);
    }
}
