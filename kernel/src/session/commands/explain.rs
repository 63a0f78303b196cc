//! `:explain`: rustc's explanations of error codes.

use serde_json::json;

use crate::session::evaluator::Session;
use crate::session::{Event, Failure};

/// The error codes of the last cell that did not compile, if any.
#[derive(Default)]
pub(super) struct Errors(Option<Vec<String>>);

impl Errors {
    pub(super) fn note(&mut self, failure: &Failure) {
        if failure.name == "CompileError" {
            let mut codes: Vec<String> = failure.traceback.iter().filter_map(|error| code(error)).collect();
            codes.dedup();
            self.0 = Some(codes);
        }
    }

    pub(super) fn codes(&self) -> Vec<String> {
        self.0.clone().unwrap_or_default()
    }
}

impl Session {
    pub(super) fn explain(&mut self, line: &str) -> Result<(), Failure> {
        let codes = match (line, &self.commands.errors.0) {
            ("", None) => return Err(Failure::new("NotFound", "no cell has failed to compile yet")),
            ("", Some(codes)) if codes.is_empty() => {
                return Err(Failure::new("NotFound", "the last error has no code, so there is no explanation"));
            }
            ("", Some(codes)) => codes.clone(),
            (line, _) => line.split([' ', ',']).filter(|word| !word.is_empty()).map(whole_code).collect(),
        };
        let explained = codes.iter().map(|code| {
            let text = self.completer().explanation(code);
            let text =
                text.ok_or_else(|| Failure::new("NotFound", format!("the compiler has no error code {code}")))?;
            Ok(format!("## {code}\n\n{}", text.trim()))
        });
        let text = explained.collect::<Result<Vec<String>, Failure>>()?.join("\n\n");
        self.link.show(Event::Value(json!({ "data": { "text/plain": text, "text/markdown": text }, "metadata": {} })));
        Ok(())
    }
}

/// "E0308" of "error[E0308]: mismatched types", possibly coloured.
fn code(error: &str) -> Option<String> {
    let title = error.lines().next()?;
    let (code, _) = title.split_once("error[")?.1.split_once(']')?;
    Some(code.to_owned())
}

/// "E0308" for "e308" and "308".
fn whole_code(written: &str) -> String {
    let digits = written.trim_start_matches(['E', 'e']);
    match digits.parse::<u16>() {
        Ok(number) => format!("E{number:04}"),
        Err(_) => written.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_and_completed() {
        assert_eq!(code("\u{1b}[1m\u{1b}[91merror[E0308]\u{1b}[0m: mismatched types\n x"), Some("E0308".to_owned()));
        assert_eq!(code("error: expected `;`\nerror[E0308]"), None);
        assert_eq!(["E0308", "e308", "308", "x"].map(whole_code), ["E0308", "E0308", "E0308", "x"]);
    }
}
