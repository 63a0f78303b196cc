//! A `return` without a value, as in `let .. else { return }`, in code that becomes part of a `main` which returns a
//! result.

use syn::visit::Visit;
use syn::{Expr, Item, Stmt};

use super::parse::Statement;

/// The end of each `return` without a value that returns from the cell itself, not from a function, closure or async
/// block in it.
pub(crate) fn bare_returns(statement: &Statement) -> Vec<usize> {
    let mut returns = Returns(Vec::new());
    returns.visit_stmt(&statement.syntax);
    returns.0
}

struct Returns(Vec<usize>);

impl<'ast> Visit<'ast> for Returns {
    fn visit_expr(&mut self, expression: &'ast Expr) {
        match expression {
            Expr::Closure(_) | Expr::Async(_) | Expr::Const(_) => {}
            Expr::Return(found) if found.expr.is_none() => self.0.push(found.return_token.span.byte_range().end),
            _ => syn::visit::visit_expr(self, expression),
        }
    }

    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if !matches!(statement, Stmt::Item(_)) {
            syn::visit::visit_stmt(self, statement);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::Cell;
    use super::*;

    fn places(code: &str) -> Vec<usize> {
        let cell = Cell::parse(code).expect("the cell parses");
        cell.statements.iter().flat_map(bare_returns).collect()
    }

    #[test]
    fn only_returns_of_the_cell_are_found() {
        assert_eq!(places("let Some(a) = b else { return };"), [29]);
        assert_eq!(places("if a { return; }\nreturn"), [13, 23]);
        let others = "fn f() { return; }\nlet g = || { return; };\nlet h = async { return; };\nif a { return Ok(()); }";
        assert_eq!(places(others), [0; 0]);
    }
}
