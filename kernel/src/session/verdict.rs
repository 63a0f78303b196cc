//! What the errors of a program teach about the variables of its cell.

use super::failure::Failure;
use crate::cell::{Cell, CompileError, Diagnostic, Plan, Program, Role, Source, Tried, compile_errors, drawn};

/// What to do about a program that did not compile.
pub(super) enum Verdict {
    /// Compile again: the plan knows more.
    Again,
    /// Compile again, and ask for the types again.
    OtherTried,
    Failed(Failure),
}

/// Reads `errors`. A variable that is used after it was moved is moved; a closure that borrows lives
/// in its own cell; everything else is the user's to mend.
pub(super) fn verdict(
    sources: &[Source],
    program: &Program,
    cell: &Cell,
    source: usize,
    errors: &[Diagnostic],
    plan: &mut Plan,
) -> Verdict {
    let before = plan.moved.len() + plan.local.len();
    for mark in &program.marks {
        let moved = errors.iter().any(|error| error.code() == "E0382" && error.is_at(&mark.at));
        match mark.role {
            Role::Keeps if moved => plan.local.insert(mark.name.clone()),
            Role::Returns if moved => plan.moved.insert(mark.name.clone()),
            _ => false,
        };
    }
    if plan.moved.len() + plan.local.len() > before {
        return Verdict::Again;
    }
    let open = |error: &Diagnostic| OPEN.contains(&error.code()) || error.mentions(TRIED);
    if plan.tried == Tried::Whole && errors.iter().any(open) {
        plan.tried = Tried::Text;
        return Verdict::OtherTried;
    }
    let borrowing: Vec<CompileError> = program
        .marks
        .iter()
        .filter(|mark| mark.role == Role::Keeps && errors.iter().any(|error| borrows(error, &mark.at)))
        .filter_map(|mark| cannot_be_kept(&sources[source], cell, &mark.name))
        .take(1)
        .collect();
    let found = if borrowing.is_empty() { compile_errors(sources, program, errors) } else { borrowing };
    Verdict::Failed(Failure::compile(&found))
}

/// Errors of types that only later code tells.
const OPEN: [&str; 4] = ["E0271", "E0282", "E0283", "E0284"];
/// Where the traits are that look for an error's causes; rustc may have taken a type for one of them.
const TRIED: &str = "nb::failed::";

/// Errors of borrowed values, whose explanation points to what wants them for good.
const SHORT: [&str; 7] = ["E0373", "E0499", "E0502", "E0505", "E0515", "E0597", "E0716"];
/// Errors of the place itself that wants them. Some of them have no code.
const ESCAPES: [&str; 3] = ["", "E0310", "E0521"];

fn borrows(error: &Diagnostic, kept: &std::ops::Range<usize>) -> bool {
    let short = SHORT.contains(&error.code()) && error.points_to(kept);
    short || ESCAPES.contains(&error.code()) && error.is_at(kept)
}

fn cannot_be_kept(source: &Source, cell: &Cell, name: &str) -> Option<CompileError> {
    let (index, _) = cell.kept().into_iter().find(|(_, binding)| binding.name == name)?;
    let message = format!("`{name}` borrows from another value, so it cannot be kept for later cells");
    let help = "clone what it borrows, or put the statements into braces: { .. }";
    Some(drawn(source, cell.statements[index].range.clone(), &message, help))
}
