//! Maps places in programs back to cells.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::failure::Failure;
use super::ran::{Ended, Frame, Ran};
use crate::cell::{Origins, Source, file_name, number_of, offset_of, place};

/// The programs so far: a panic may come from a function of an earlier one.
pub(super) struct Traces {
    /// The folder with their source.
    folder: PathBuf,
    programs: BTreeMap<usize, Origins>,
}

impl Traces {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, programs: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, number: usize, program: Origins) {
        self.programs.insert(number, program);
    }

    /// The failure that a cell has reported at its end.
    pub(super) fn failure(&self, sources: &[Source], ran: &Ran) -> Failure {
        let kind = if ran.ended == Some(Ended::Panic) { "panic" } else { "error" };
        let Some(report) = ran.reports.iter().rfind(|report| report.kind == kind) else {
            return Failure::new(kind, "panic message unavailable (a custom panic hook is installed)");
        };
        let mut places: Vec<String> = Vec::new();
        for frame in report.frames.iter().rev().chain([&report.place]) {
            if let Some(place) = self.place(sources, frame)
                && places.last() != Some(&place)
            {
                places.push(place);
            }
        }
        // A message may already contain its cause.
        let causes = report.causes.iter().filter(|cause| !report.message.contains(cause.as_str()));
        let causes = causes.map(|cause| format!("  caused by: {cause}"));
        let hint = report.hint.iter().map(|hint| format!("  hint: {hint}"));
        Failure::new(&report.name, report.message.clone()).with(causes.chain(hint)).at(places)
    }

    fn place(&self, sources: &[Source], frame: &Frame) -> Option<String> {
        let number = number_of(frame.file.as_deref()?)?;
        let program = self.programs.get(&number)?;
        let text = std::fs::read_to_string(self.folder.join(file_name(number))).ok()?;
        let offset = offset_of(&text, frame.line?, frame.column.unwrap_or(1));
        let (source, at) = program.of(offset..offset + 1)?;
        Some(place(sources.get(source)?, at.start))
    }
}
