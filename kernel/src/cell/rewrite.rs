//! The three texts of a cell that are given to evcxr: one to find types, one to find errors, one
//! to run.
//!
//! Insertions never add a line, so that the lines of a statement stay countable.

use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Block, Expr, ExprTry, Item, Macro, Stmt};

use super::edit::{Edited, Edits};
use super::parse::{Cell, Kind, Statement};
use super::types::Inferred;

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

/// Stands in front of a cell's first statement.
pub(super) const BEGIN: &str = "kensaku::nb::begin(); ";

/// The cell, checked only for its errors.
pub(crate) fn plain(cell: &Cell) -> Edited {
    let mut edits = Edits::default();
    discard_value(cell, &mut edits);
    edits.apply(&cell.code)
}

/// The cell, followed by one deliberate type error for each variable whose type is sought.
pub(crate) fn probe(cell: &Cell) -> Edited {
    let mut edits = Edits::default();
    discard_value(cell, &mut edits);
    for (_, binding) in cell.kept().iter().filter(|(_, binding)| !binding.typed) {
        let name = &binding.name;
        let ask = format!("\n{{ let marker = kensaku::nb::type_of(&{name}); let () = marker; }}");
        edits.insert(cell.code.len(), ask);
    }
    edits.apply(&cell.code)
}

/// The cell as it runs: every kept variable has its type behind it, `?` notes its place, loops ask
/// for interrupts, and the last expression is shown.
pub(crate) fn runnable(cell: &Cell, inferred: &[Inferred]) -> Edited {
    let mut edits = Edits::default();
    if let Some(first) = cell.statements.iter().find(|statement| statement.kind != Kind::Item) {
        edits.insert(first.range.start, BEGIN);
    }
    for statement in &cell.statements {
        show_value(statement, &mut edits, |edits| Weave(edits).visit_stmt(&statement.syntax));
    }
    if let Some(Statement { range, kind: Kind::Other, syntax: Stmt::Expr(_, None) }) = cell.statements.last() {
        // evcxr would show the value of a last loop or block.
        edits.insert(range.end, ";");
    }
    for (index, binding) in cell.kept() {
        let range = &cell.statements[index].range;
        match inferred.iter().find(|found| found.name == binding.name) {
            Some(Inferred { name, ty: Some(ty) }) => {
                let mutable = if binding.mutable { "mut " } else { "" };
                edits.insert(range.end, format!(" let {mutable}{name}: {ty} = {name};"));
            }
            Some(Inferred { ty: None, .. }) => {
                // evcxr keeps every variable that it sees declared, and does not look into macros.
                edits.insert(range.start, "kensaku::nb::local! { ");
                edits.insert(range.end, " }");
            }
            None => {}
        }
    }
    edits.apply(&cell.code)
}

/// The cell as part of a script, where only the last expression needs help.
pub(crate) fn with_value_shown(cell: &Cell) -> String {
    let mut edits = Edits::default();
    for statement in &cell.statements {
        show_value(statement, &mut edits, |_| {});
    }
    edits.apply(&cell.code).text
}

/// Wraps the last expression, around what `within` inserts into it.
fn show_value(statement: &Statement, edits: &mut Edits, within: impl FnOnce(&mut Edits)) {
    if statement.kind == Kind::Value {
        edits.insert(statement.range.start, "kensaku::nb::show!(");
    }
    within(edits);
    if statement.kind == Kind::Value {
        edits.insert(statement.range.end, ");");
    }
}

/// Makes a statement of the last expression.
fn discard_value(cell: &Cell, edits: &mut Edits) {
    if let Some(Statement { range, kind: Kind::Value, .. }) = cell.statements.last() {
        edits.insert(range.start, "let _ = ");
        edits.insert(range.end, ";");
    }
}

/// Visits what runs as part of the cell itself; functions, closures and async blocks have their own
/// `?` and their own callers.
struct Weave<'a>(&'a mut Edits);

impl Weave<'_> {
    fn poll_in(&mut self, body: &Block) {
        let open = body.brace_token.span.open().byte_range();
        self.0.insert(open.end, " kensaku::nb::poll();");
    }
}

impl<'ast> Visit<'ast> for Weave<'_> {
    fn visit_expr_try(&mut self, tried: &'ast ExprTry) {
        let range = tried.expr.span().byte_range();
        self.0.insert(range.start, "kensaku::nb::tried(");
        self.visit_expr(&tried.expr);
        self.0.insert(range.end, ")");
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
        let known =
            call.path.segments.last().is_some_and(|name| EXPRESSION_MACROS.iter().any(|known| name.ident == known));
        type Arguments = syn::punctuated::Punctuated<Expr, syn::Token![,]>;
        if known && let Ok(arguments) = call.parse_body_with(Arguments::parse_terminated) {
            for argument in &arguments {
                self.visit_expr(argument);
            }
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if !matches!(statement, Stmt::Item(_)) {
            syn::visit::visit_stmt(self, statement);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(code: &str) -> Cell {
        Cell::parse(code).expect("the cell parses")
    }

    fn typed(name: &str, ty: &str) -> Inferred {
        Inferred { name: name.to_owned(), ty: Some(ty.to_owned()) }
    }

    #[test]
    fn variables_get_their_types_on_their_own_line() {
        let types = [typed("a", "i32"), typed("b", "Vec<u8>")];
        let run = runnable(&cell("let (a, mut b) = f();\nlet c = 1;"), &types);
        assert_eq!(
            run.text,
            "kensaku::nb::begin(); let (a, mut b) = f(); let a: i32 = a; let mut b: Vec<u8> = b;\n\
             let c = 1;"
        );
    }

    #[test]
    fn closures_are_hidden_from_evcxr() {
        let run = runnable(&cell("let f = |x| x + 1;\nf(1)"), &[Inferred { name: "f".to_owned(), ty: None }]);
        assert_eq!(
            run.text,
            "kensaku::nb::begin(); kensaku::nb::local! { let f = |x| x + 1; }\nkensaku::nb::show!(f(1));"
        );
    }

    #[test]
    fn shadowed_variables_are_left_alone() {
        let run = runnable(&cell("let x = 1; let x = f(x);"), &[typed("x", "String")]);
        assert_eq!(run.text, "kensaku::nb::begin(); let x = 1; let x = f(x); let x: String = x;");
    }

    #[test]
    fn the_value_is_shown_and_its_error_noted() {
        let run = runnable(&cell("use a::b;\nf(g()?)?"), &[]);
        assert_eq!(
            run.text,
            "use a::b;\nkensaku::nb::begin(); kensaku::nb::show!(\
             kensaku::nb::tried(f(kensaku::nb::tried(g())?))?);"
        );
    }

    #[test]
    fn errors_in_printing_macros_are_noted() {
        let run = runnable(&cell("println!(\"{}\", f()?.x);"), &[]);
        assert!(run.text.ends_with("println!(\"{}\", kensaku::nb::tried(f())?.x);"), "{}", run.text);
    }

    #[test]
    fn closures_and_functions_are_left_alone() {
        let run = runnable(&cell("fn f() -> R { g()?; loop {} }\nlet h = || g()?;"), &[]);
        assert_eq!(run.text, "fn f() -> R { g()?; loop {} }\nkensaku::nb::begin(); let h = || g()?;");
    }

    #[test]
    fn loops_ask_for_interrupts() {
        let run = runnable(&cell("for i in 0..3 {\n  f(i)?;\n}"), &[]);
        assert_eq!(
            run.text,
            "kensaku::nb::begin(); for i in 0..3 { kensaku::nb::poll();\n  \
             kensaku::nb::tried(f(i))?;\n};"
        );
    }

    #[test]
    fn the_probe_asks_for_each_open_type() {
        let asked = probe(&cell("let a = f();\nlet b: u8 = 1;\na.len()"));
        assert_eq!(
            asked.text,
            "let a = f();\nlet b: u8 = 1;\nlet _ = a.len();\n\
             { let marker = kensaku::nb::type_of(&a); let () = marker; }"
        );
    }
}
