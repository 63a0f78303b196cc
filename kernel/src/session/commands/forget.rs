//! `:forget` and `:clear`: drop variables, or everything.

use std::collections::BTreeSet;

use crate::session::evaluator::Session;
use crate::session::{Failure, Scope};

impl Session {
    /// Drops the variables named in `line`.
    pub(super) fn forget(&mut self, line: &str) -> Result<(), Failure> {
        let names: BTreeSet<String> =
            line.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if names.is_empty() {
            return Err(Failure::new("CommandError", "expected names of variables: `:forget a b`"));
        }
        let known = self.read_scope(|scope| scope.variables.iter().map(|variable| variable.name.clone()).collect());
        let unknown: Vec<&str> = names.difference(&known).map(String::as_str).collect();
        if let [first, ..] = unknown[..] {
            return Err(Failure::new("CommandError", format!("no variable `{first}`; nothing was dropped")));
        }
        self.drop_variables(names)
    }

    /// Drops all variables, items and added crates.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        let names: BTreeSet<String> =
            self.read_scope(|scope| scope.variables.iter().map(|variable| variable.name.clone()).collect());
        let (items, crates) = self.read_scope(|scope| (scope.items.len(), scope.crates.len()));
        let text = format!(
            "dropped {}, {} and {}\n",
            counted(names.len(), "variable"),
            counted(items, "item"),
            counted(crates, "crate")
        );
        // From now on types of the same names are different types.
        self.write_scope(|scope| *scope = Scope { generation: scope.generation + 1, ..Scope::default() });
        self.unkept.clear();
        self.dependencies.clear();
        self.commands.dependencies.clear();
        self.drop_variables(names)?;
        self.say(&text);
        Ok(())
    }

    /// Removes the names and drops the values at once: they may be large.
    fn drop_variables(&mut self, names: BTreeSet<String>) -> Result<(), Failure> {
        if names.is_empty() {
            return Ok(());
        }
        self.write_scope(|scope| names.iter().for_each(|name| scope.remove(name)));
        self.nameless.extend(names);
        self.run_own("();", ":forget")
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
