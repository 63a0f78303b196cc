//! The YAML at the start of a card, by which the hub finds it.

use std::fmt;

/// Keys and their values, in order.
#[derive(Default)]
pub(super) struct FrontMatter(String);

impl FrontMatter {
    pub(super) fn value(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.0 += &format!("{key}: {}\n", scalar(value));
        }
    }

    pub(super) fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            let items: String = values.iter().map(|value| format!("- {}\n", scalar(value))).collect();
            self.0 += &format!("{key}:\n{items}");
        }
    }
}

impl fmt::Display for FrontMatter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "---\n{}---\n", self.0)
    }
}

/// A text that YAML reads as this text: quoted, as in JSON, unless it is plain beyond doubt. `no` is Norwegian.
fn scalar(text: &str) -> String {
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._/-:".contains(c))
        && !text.ends_with(':')
        && !words.contains(&&*text.to_lowercase());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::scalar;

    #[test]
    fn what_yaml_would_take_for_something_else_is_quoted() {
        for plain in ["en", "apache-2.0", "org/name", "loss:MultipleNegativesRankingLoss"] {
            assert_eq!(scalar(plain), plain);
        }
        for quoted in ["no", "Yes", "null", "1.0", "a: b", "a #b", "- a", "[a", "日本語", "", "a:", "two\nlines", "\""]
        {
            assert_eq!(scalar(quoted), serde_json::Value::from(quoted).to_string());
        }
    }
}
