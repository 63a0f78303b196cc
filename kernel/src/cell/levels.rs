//! The levels of a cell: which statements run in a closure.
//!
//! A failing statement must not drop the variables that the cell has created before it. So each statement that may fail
//! runs in a closure that only borrows them:
//!
//! ```text
//! let trainer = Trainer::new(..);
//! let rest = kensaku::nb::rest(|| {
//!     for step in trainer.steps(..) { .. }
//!     Ok(())
//! });
//! kensaku::nb::keep("trainer", trainer);     // whether or not the rest succeeded
//! rest
//! ```

use syn::{Expr, Lit, Stmt};

use super::parse::{Binding, Cell, Kind, Statement};
use super::program::{Locals, Nesting};

/// A part of the cell, and the variables that are kept when it ends.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Level {
    /// Its statements.
    pub(crate) statements: Vec<usize>,
    /// Its variables, each with its statement; the last one of each name in the cell.
    pub(crate) names: Vec<(usize, String)>,
}

/// rustc takes too long for more.
const DEEPEST: usize = 24;

/// The levels of a cell, each nested in the previous one. `local` are the variables that do not outlive the cell.
pub(crate) fn levels(cell: &Cell, local: &Locals, nesting: Nesting) -> Vec<Level> {
    let kept: Vec<(usize, &Binding)> = cell.kept();
    let mut levels = vec![Level::default()];
    // A closure may borrow what a reference refers to for too long, and cannot initialise a variable.
    let mut open = nesting != Nesting::Flat;
    for (index, statement) in cell.statements.iter().enumerate().filter(|(_, statement)| statement.kind != Kind::Item) {
        let deep = levels.len() >= DEEPEST;
        if open && !deep && may_fail(statement) && levels.last().is_some_and(|level| !level.names.is_empty()) {
            levels.push(Level::default());
        }
        let Some(level) = levels.last_mut() else { continue };
        level.statements.push(index);
        open &= !matches!(&statement.syntax, Stmt::Local(let_) if let_.init.is_none());
        for (_, binding) in kept.iter().filter(|(at, _)| *at == index) {
            if local.contains_key(&(index, binding.name.clone())) {
                open &= binding.closure || nesting == Nesting::Deep;
            } else {
                level.names.push((index, binding.name.clone()));
            }
        }
    }
    levels
}

/// Whether the statement can end in an error, a panic or an interrupt.
fn may_fail(statement: &Statement) -> bool {
    match &statement.syntax {
        Stmt::Local(let_) => let_.init.as_ref().is_some_and(|init| init.diverge.is_some() || !is_plain(&init.expr)),
        _ => true,
    }
}

fn is_plain(value: &Expr) -> bool {
    match value {
        Expr::Lit(literal) => !matches!(literal.lit, Lit::Verbatim(_)),
        Expr::Path(_) | Expr::Closure(_) => true,
        Expr::Reference(reference) => is_plain(&reference.expr),
        Expr::Unary(unary) => matches!(unary.op, syn::UnOp::Neg(_)) && matches!(*unary.expr, Expr::Lit(_)),
        Expr::Tuple(tuple) => tuple.elems.iter().all(is_plain),
        Expr::Array(array) => array.elems.iter().all(is_plain),
        Expr::Macro(call) => call.mac.path.is_ident("vec") && call.mac.tokens.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::Local;
    use super::*;

    fn of(code: &str, local: &[(usize, &str)]) -> Vec<(Vec<usize>, Vec<String>)> {
        nested(code, local, Nesting::Careful)
    }

    fn nested(code: &str, local: &[(usize, &str)], nesting: Nesting) -> Vec<(Vec<usize>, Vec<String>)> {
        let cell = Cell::parse(code).expect("the cell parses");
        let local = local.iter().map(|(index, name)| ((*index, (*name).to_owned()), Local::Borrow)).collect();
        let levels = levels(&cell, &local, nesting);
        levels.into_iter().map(|level| (level.statements, level.names.into_iter().map(|(_, n)| n).collect())).collect()
    }

    fn level(statements: &[usize], names: &[&str]) -> (Vec<usize>, Vec<String>) {
        (statements.to_vec(), names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn fallible_statements_run_within_the_variables_so_far() {
        assert_eq!(
            of("let a = f();\nlet n = 1;\nlet b = g(a)?;\nfor x in b {}\nlet c = 1;", &[]),
            [level(&[0, 1], &["a", "n"]), level(&[2], &["b"]), level(&[3, 4], &["c"])]
        );
        assert_eq!(of("f();\ng();\nlet a = 1;", &[]), [level(&[0, 1, 2], &["a"])]);
    }

    #[test]
    fn a_careful_cell_opens_no_level_after_a_borrow() {
        let code = "let v = f();\nlet first = v.first();\nlet n = 1;\ng(first)?;";
        assert_eq!(of(code, &[(1, "first")]), [level(&[0], &["v"]), level(&[1, 2, 3], &["n"])]);
        let deep = nested(code, &[(1, "first")], Nesting::Deep);
        assert_eq!(deep, [level(&[0], &["v"]), level(&[1, 2], &["n"]), level(&[3], &[])]);
        assert_eq!(of("let a = f();\nlet b;\nb = g()?;", &[]), [level(&[0, 1, 2], &["a", "b"])]);
    }

    #[test]
    fn the_last_variable_of_a_name_is_kept() {
        assert_eq!(of("let x = f();\nlet x = x.g();", &[]), [level(&[0, 1], &["x"])]);
    }
}
