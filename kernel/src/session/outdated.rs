//! `impl`s of earlier cells that no longer compile after an edit of their types. They must not prevent the edit: they
//! are left out until their cell is run again.

use super::change::Change;
use super::evaluator::Session;
use crate::cell::{Diagnostic, Program};

/// An `impl` that was left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outdated {
    /// The code before its body.
    key: String,
    source: usize,
    /// rustc's first error in it.
    error: String,
}

/// The `impl`s of cells before the `source`th to leave out of `change`, because of `errors` in them. What else fails may
/// be a consequence, and is seen without them.
pub(super) fn leave_out(change: &mut Change, program: &Program, errors: &[Diagnostic], source: usize) -> Vec<Outdated> {
    let earlier = program.impls.iter().filter(|found| found.source < source);
    let outdated: Vec<Outdated> = earlier
        .filter_map(|found| {
            let error = errors.iter().find(|error| error.is_at(&found.at))?;
            Some(Outdated { key: found.key.clone(), source: found.source, error: error.message.clone() })
        })
        .collect();
    change.items.retain(|item| !outdated.iter().any(|found| found.key == item.key && found.source == item.source));
    outdated
}

impl Session {
    /// Says what was left out of the session.
    pub(super) fn report_outdated(&self, outdated: &[Outdated]) {
        outdated.iter().for_each(|found| self.say_error(&format!("{}\n", self.about(found))));
    }

    /// Adds to an error of the cell which `impl`s it does without.
    pub(super) fn explain_outdated(&self, errors: &mut [Diagnostic], outdated: &[Outdated]) {
        if let Some(first) = errors.first_mut() {
            outdated.iter().for_each(|found| first.add_help(self.about(found)));
        }
    }

    fn about(&self, found: &Outdated) -> String {
        let Outdated { key, source, error } = found;
        let cell = self.source_name(*source);
        let (error, _) = error.split_once('\n').unwrap_or((error, ""));
        format!("`{}` of {cell} no longer compiles and is left out until it is defined again: {error}", spaced(key))
    }
}

/// Tokens as text: `impl T for Vec < P >` as `impl T for Vec<P>`.
fn spaced(tokens: &str) -> String {
    let mut text = tokens.to_owned();
    for (apart, joined) in [(" :: ", "::"), (" < ", "<"), (" >", ">"), ("& ", "&"), (" ,", ","), (" :", ":")] {
        text = text.replace(apart, joined);
    }
    text
}
