//! The cells of this session, for consoles that page through them.

use serde_json::{Value, json};

/// What was run.
#[derive(Default)]
pub(super) struct History(Vec<(u64, String)>);

impl History {
    pub(super) fn add(&mut self, count: u64, code: &str) {
        self.0.push((count, code.to_owned()));
    }

    /// The answer to a history request. Earlier sessions are not kept.
    pub(super) fn reply(&self, content: &Value) -> Value {
        let number = |name: &str| content[name].as_u64();
        let entries: Vec<&(u64, String)> = match content["hist_access_type"].as_str() {
            Some("range") => {
                let start = number("start").unwrap_or(1);
                let stop = number("stop").unwrap_or(u64::MAX);
                self.0.iter().filter(|(count, _)| (start..stop).contains(count)).collect()
            }
            Some("search") => {
                let pattern = content["pattern"].as_str().unwrap_or("*").to_lowercase();
                self.0.iter().filter(|(_, code)| matches(&pattern, &code.to_lowercase())).collect()
            }
            _ => self.0.iter().collect(),
        };
        let wanted = number("n").and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let last = &entries[entries.len().saturating_sub(wanted)..];
        let history: Vec<Value> = last.iter().map(|(count, code)| json!([0, count, code])).collect();
        json!({ "status": "ok", "history": history })
    }
}

/// A glob of `*` and `?`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..]))
        }
        Some(first) => text.chars().next().is_some_and(|next| {
            (first == '?' || first == next) && matches(&pattern[first.len_utf8()..], &text[next.len_utf8()..])
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(request: Value) -> Vec<String> {
        let mut history = History::default();
        for (count, code) in [(1, "let a = 1;"), (2, "a + 1"), (3, "索(a)")] {
            history.add(count, code);
        }
        let reply = history.reply(&request);
        let entries = reply["history"].as_array().expect("a list").iter();
        entries.map(|entry| entry[2].as_str().expect("code").to_owned()).collect()
    }

    #[test]
    fn tail_range_and_search() {
        assert_eq!(codes(json!({ "hist_access_type": "tail", "n": 2 })), ["a + 1", "索(a)"]);
        assert_eq!(codes(json!({ "hist_access_type": "range", "start": 1, "stop": 2 })), ["let a = 1;"]);
        assert_eq!(codes(json!({ "hist_access_type": "search", "pattern": "?(*" })), ["索(a)"]);
        assert_eq!(codes(json!({ "hist_access_type": "search", "pattern": "*+*" })), ["a + 1"]);
    }
}
