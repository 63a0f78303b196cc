//! Lines that are one value of JSON each.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::cells::Fault;
use super::jsonl::problem;
use crate::Result;
use crate::data::source::Lines;

/// Calls `take` with the number and the value of each line that is not empty; its error is reported with the line.
pub(super) fn json_lines<T: DeserializeOwned>(
    path: &Path,
    expected: &str,
    mut take: impl FnMut(usize, T) -> Result<(), Fault>,
) -> Result<()> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read = serde_json::from_str(line).map_err(|error| (problem(&error, line), expected.to_owned()));
        if let Err((problem, expected)) = read.and_then(|value| take(lines.number(), value)) {
            return Err(lines.error(problem, expected));
        }
    }
    Ok(())
}
