//! Conclusions from the errors of a program about the variables of its cell.

use super::unkept::Why;
use crate::cell::{Diagnostic, Local, Nesting, Plan, Program, Role, Tried, Variable};

/// What to do about a program that did not compile.
pub(super) enum Verdict {
    /// Compile again: the plan knows more.
    Retry,
    /// Compile again, and ask for the types again.
    RetryTextOnly,
    /// Compile again without this variable of an earlier cell, for this reason.
    RetryWithout(String, Why),
    /// The user has to fix it.
    Failed,
}

/// Reads `errors`. A variable that is used after it was moved is moved; one that borrows lives in its own cell; everything
/// else is the user's to fix.
pub(super) fn verdict(program: &Program, errors: &[Diagnostic], plan: &mut Plan) -> Verdict {
    if let Some((name, why)) = unwritable(program, errors, plan) {
        return Verdict::RetryWithout(name, why);
    }
    let before = plan.moved.len() + plan.local.len();
    for mark in &program.marks {
        let code = |wanted: &str| errors.iter().any(|error| error.code() == wanted && error.is_at(&mark.at));
        // A variable that was never assigned can't be kept.
        let moved = code("E0382") || code("E0381");
        let borrows = errors.iter().any(|error| borrows(error, &mark.at));
        match mark.role {
            Role::Keeps if moved || borrows => {
                let local = if moved { Local::Moved } else { Local::Borrow };
                plan.local.insert((mark.statement, mark.name.clone()), local).is_none()
            }
            Role::Returns if moved => plan.moved.insert(mark.name.clone()),
            _ => false,
        };
    }
    if plan.moved.len() + plan.local.len() > before {
        return Verdict::Retry;
    }
    let open = |error: &Diagnostic| OPEN.contains(&error.code()) || error.mentions(TRIED);
    if plan.tried == Tried::Whole && errors.iter().any(open) {
        plan.tried = Tried::Text;
        return Verdict::RetryTextOnly;
    }
    if program.nested && plan.nesting != Nesting::Flat && !errors.iter().all(|error| CLEAR.contains(&error.code())) {
        plan.nesting = plan.nesting.less();
        return Verdict::Retry;
    }
    Verdict::Failed
}

/// A variable whose type cannot be written in this cell, though rustc has printed it. If other code fails too, that
/// may be the cause, and the user fixes it first.
pub(super) fn unwritable(program: &Program, errors: &[Diagnostic], plan: &mut Plan) -> Option<(String, Why)> {
    let takes = || program.marks.iter().filter(|mark| mark.role == Role::Takes);
    let found = errors.iter().find_map(|error| takes().find(|mark| error.is_at(&mark.at)).map(|mark| (error, mark)));
    let (error, mark) = found?;
    let private = error.code() == PRIVATE;
    if !private && !errors.iter().all(|error| takes().any(|mark| error.is_at(&mark.at))) {
        return None;
    }
    let at = plan.used.iter().position(|variable| variable.name == mark.name)?;
    let Variable { name, ty, .. } = plan.used.remove(at);
    let why = if private { Why::Private(ty) } else { Why::Unwritable(ty, error.message.clone()) };
    Some((name, why))
}

const PRIVATE: &str = "E0603";

/// Errors about types that are inferred from later code.
const OPEN: [&str; 4] = ["E0271", "E0282", "E0283", "E0284"];
/// The path of the traits that find an error's causes; rustc may have mistaken a type for one of them.
const TRIED: &str = "nb::failed::";

/// Errors that the frame can't cause: unknown names and mismatched types.
const CLEAR: [&str; 15] = [
    "E0061", "E0277", "E0308", "E0405", "E0412", "E0422", "E0423", "E0425", "E0432", "E0433", "E0559", "E0560",
    "E0599", "E0609", "E0614",
];

/// Errors about borrowed values, whose explanation points to what requires them to live longer.
const SHORT: [&str; 7] = ["E0373", "E0499", "E0502", "E0505", "E0515", "E0597", "E0716"];
/// Errors at the place that requires them to live longer. Some of them have no code.
const ESCAPES: [&str; 3] = ["", "E0310", "E0521"];

fn borrows(error: &Diagnostic, kept: &std::ops::Range<usize>) -> bool {
    let short = SHORT.contains(&error.code()) && error.points_to(kept);
    short || ESCAPES.contains(&error.code()) && error.is_at(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, Homes, runnable};

    /// What becomes of a cell that names `x`, a `T`, after errors of these codes at the start of its type and of its code.
    fn after(at_type: &str, in_code: Option<&str>) -> Verdict {
        let x = Variable { name: "x".to_owned(), ty: "T".to_owned(), ..Variable::default() };
        let mut plan = Plan { used: vec![x], ..Plan::default() };
        let cell = Cell::parse("x;").expect("the cell parses");
        let program = runnable(&[], &Homes::default(), &cell, 0, &plan);
        let error = |code: &str, text: &str| {
            let start = program.text.find(text).expect("the text is there");
            let span = format!(
                r#"{{ "file_name": "cell_0.rs", "byte_start": {start}, "byte_end": {}, "is_primary": true }}"#,
                start + 1
            );
            format!(r#"{{ "message": "m", "level": "error", "code": {{ "code": "{code}" }}, "spans": [{span}] }}"#)
        };
        let lines: Vec<String> =
            [error(at_type, "T>")].into_iter().chain(in_code.map(|code| error(code, "x;"))).collect();
        verdict(&program, &Diagnostic::errors(&lines.join("\n")), &mut plan)
    }

    #[test]
    fn a_type_that_cannot_be_written_is_not_always_private() {
        let private = Why::Private("T".to_owned());
        let unwritable = Why::Unwritable("T".to_owned(), "m".to_owned());
        assert!(matches!(after("E0603", None), Verdict::RetryWithout(_, why) if why == private));
        assert!(matches!(after("E0603", Some("E0425")), Verdict::RetryWithout(_, why) if why == private));
        assert!(matches!(after("E0659", None), Verdict::RetryWithout(_, why) if why == unwritable));
        assert!(matches!(after("E0659", Some("E0425")), Verdict::Failed));
    }
}
