//! `:dep` and `:show_deps`: crates of the session's own.

use crate::session::dependencies::{self, Added};
use crate::session::evaluator::Session;
use crate::session::{Event, Failure, Stream};

impl Session {
    pub(super) fn dep(&mut self, line: &str) -> Result<(), Failure> {
        let link = self.link.clone();
        let progress = |text: &str| {
            link.show(Event::Stream { stream: Stream::Stderr, text: text.to_owned() });
        };
        let added = self.dependencies.add(line, progress);
        let failed = |error| self.unless_stopped(|| Failure::new("DependencyError", format!("`{line}`: {error:#}")));
        let new = match added.map_err(failed)? {
            Added::Held(part, version) => {
                self.say(&format!("{} {version} is part of kensaku: taken from it\n", part.name));
                vec![part]
            }
            Added::Built(crates) => crates,
        };
        self.write_scope(|scope| new.into_iter().for_each(|part| scope.add(part)));
        if let Ok((name, requirement)) = dependencies::parse(line) {
            self.commands.dependencies.retain(|(other, _)| *other != name);
            self.commands.dependencies.push((name, requirement.to_string()));
        }
        Ok(())
    }

    pub(super) fn show_dependencies(&self) {
        let lines = self.commands.dependencies.iter().map(|(name, requirement)| format!("{name} = {requirement}"));
        let lines: Vec<String> = lines.collect();
        self.value(if lines.is_empty() { "no crates were added".to_owned() } else { lines.join("\n") });
    }
}
