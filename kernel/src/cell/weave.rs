//! What is woven into the statements of a cell: places of errors, looks for interrupts, the display
//! of the last value.

use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Block, Expr, ExprAwait, ExprTry, Item, Macro, Stmt};

use super::edit::{Edited, Edits};
use super::parse::{Kind, Statement};

/// Macros whose arguments are expressions, so that a `?` in them is found.
const EXPRESSION_MACROS: [&str; 12] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "dbg",
    "eprint",
    "eprintln",
    "format",
    "panic",
    "print",
    "println",
    "vec",
    "write",
];

/// Which macro notes the error that `?` returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tried {
    /// With its causes.
    #[default]
    Whole,
    /// Its text alone, which asks less of its type.
    Text,
}

/// A statement as it runs.
pub(crate) fn woven(code: &str, statement: &Statement, tried: Tried) -> Edited {
    let mut edits = Edits::default();
    let range = &statement.range;
    let value = statement.kind == Kind::Value;
    if value {
        edits.insert(range.start, "kensaku::show_value!(");
    }
    Weave { edits: &mut edits, tried }.visit_stmt(&statement.syntax);
    if value {
        edits.insert(range.end, ")");
    }
    edits.insert(range.end, ";");
    edits.apply(code, range.clone())
}

/// Whether a cell awaits, outside of async blocks of its own.
pub(crate) fn awaits(statements: &[Statement]) -> bool {
    struct Awaits(bool);
    impl<'ast> Visit<'ast> for Awaits {
        fn visit_expr_await(&mut self, _: &'ast ExprAwait) {
            self.0 = true;
        }

        fn visit_expr(&mut self, expression: &'ast Expr) {
            if !matches!(expression, Expr::Closure(_) | Expr::Async(_)) {
                syn::visit::visit_expr(self, expression);
            }
        }

        fn visit_item(&mut self, _: &'ast Item) {}

        fn visit_macro(&mut self, call: &'ast Macro) {
            for argument in arguments(call) {
                // The visitor borrows for as long as the cell lives; the argument does not.
                let mut inner = Awaits(false);
                inner.visit_expr(&argument);
                self.0 |= inner.0;
            }
        }
    }
    let mut found = Awaits(false);
    for statement in statements {
        found.visit_stmt(&statement.syntax);
    }
    found.0
}

/// Visits what runs as part of the cell itself; functions, closures and async blocks have their own
/// `?` and their own callers.
struct Weave<'a> {
    edits: &'a mut Edits,
    tried: Tried,
}

impl Weave<'_> {
    fn poll_in(&mut self, body: &Block) {
        let open = body.brace_token.span.open().byte_range();
        self.edits.insert(open.end, " kensaku::nb::poll();");
    }
}

impl<'ast> Visit<'ast> for Weave<'_> {
    fn visit_expr_try(&mut self, tried: &'ast ExprTry) {
        let range = tried.expr.span().byte_range();
        let call = match self.tried {
            Tried::Whole => "kensaku::nb::tried!(",
            Tried::Text => "kensaku::nb::tried_text!(",
        };
        self.edits.insert(range.start, call);
        self.visit_expr(&tried.expr);
        self.edits.insert(range.end, ")");
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        match expression {
            Expr::Closure(_) | Expr::Async(_) | Expr::Const(_) | Expr::TryBlock(_) => return,
            Expr::ForLoop(each) => self.poll_in(&each.body),
            Expr::Loop(each) => self.poll_in(&each.body),
            Expr::While(each) => self.poll_in(&each.body),
            _ => {}
        }
        syn::visit::visit_expr(self, expression);
    }

    fn visit_item(&mut self, _: &'ast Item) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        for argument in arguments(call) {
            Weave { edits: self.edits, tried: self.tried }.visit_expr(&argument);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if !matches!(statement, Stmt::Item(_)) {
            syn::visit::visit_stmt(self, statement);
        }
    }
}

/// The expressions a macro of the standard library is called with.
fn arguments(call: &Macro) -> Vec<Expr> {
    type Arguments = syn::punctuated::Punctuated<Expr, syn::Token![,]>;
    let known = call.path.segments.last().is_some_and(|name| EXPRESSION_MACROS.iter().any(|known| name.ident == known));
    let parsed = known.then(|| call.parse_body_with(Arguments::parse_terminated).ok()).flatten();
    parsed.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse::Cell;
    use super::*;

    fn text(code: &str) -> String {
        let cell = Cell::parse(code).expect("the cell parses");
        let statements = cell.statements.iter().filter(|statement| statement.kind != Kind::Item);
        statements.map(|statement| woven(code, statement, Tried::Text).text).collect()
    }

    #[test]
    fn the_value_is_shown_and_its_error_noted() {
        assert_eq!(
            text("use a::b;\nf(g()?)?"),
            "kensaku::show_value!(kensaku::nb::tried_text!(f(kensaku::nb::tried_text!(g())?))?);"
        );
    }

    #[test]
    fn errors_in_printing_macros_are_noted() {
        assert_eq!(text("println!(\"{}\", f()?.x);"), "println!(\"{}\", kensaku::nb::tried_text!(f())?.x);;");
    }

    #[test]
    fn closures_and_functions_are_left_alone() {
        assert_eq!(text("fn f() -> R { g()?; loop {} }\nlet h = || g()?;"), "let h = || g()?;;");
    }

    #[test]
    fn loops_ask_for_interrupts() {
        assert_eq!(
            text("for i in 0..3 {\n  f(i)?;\n}"),
            "for i in 0..3 { kensaku::nb::poll();\n  kensaku::nb::tried_text!(f(i))?;\n};"
        );
    }

    #[test]
    fn cells_that_await_are_known() {
        let waits = |code: &str| awaits(&Cell::parse(code).expect("the cell parses").statements);
        assert!(waits("let x = f().await?;"));
        assert!(waits("println!(\"{}\", f().await);"));
        assert!(!waits("let later = async { f().await };\nasync fn g() { f().await }"));
    }
}
