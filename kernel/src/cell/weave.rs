//! The code inserted into a cell: interrupt checks everywhere and, in its own statements, the places of errors and the
//! display of the last value.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Block, Expr, ExprAwait, ExprTry, ImplItem, Item, Macro, Pat, Signature, TraitItem, Type};

use super::edit::{Edited, Edits};
use super::parse::{Kind, Statement};

/// Macros whose arguments are expressions, and so may contain a `?`.
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

/// Which macro records the error that `?` returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tried {
    /// With its causes.
    #[default]
    Whole,
    /// Only its text, which requires less of its type.
    Text,
}

/// A statement in the form that runs.
pub(crate) fn woven(code: &str, statement: &Statement, tried: Tried) -> Edited {
    let mut edits = Edits::default();
    let range = &statement.range;
    let value = statement.kind == Kind::Value;
    // On its own line: rustc gives advice for statements at the start of a line.
    edits.insert(range.start, format!("{POLL}\n"));
    if value {
        edits.insert(range.start, "kensaku::show_value!(");
    }
    Weave { edits: &mut edits, tried, own: true }.visit_stmt(&statement.syntax);
    if value {
        edits.insert(range.end, ")");
    }
    edits.insert(range.end, ";");
    edits.apply(code, range.clone())
}

/// Whether a cell awaits outside of async blocks.
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
            let parsed = arguments(call);
            self.0 |= waits(call) || parsed.is_empty() && hidden_await(call.tokens.clone());
            for argument in parsed {
                // The argument does not live as long as the cell, which this visitor borrows.
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

/// Macros of tokio and futures that await their arguments.
const AWAITING_MACROS: [&str; 4] = ["join", "select", "select_biased", "try_join"];

fn waits(call: &Macro) -> bool {
    call.path.segments.last().is_some_and(|name| AWAITING_MACROS.iter().any(|known| name.ident == known))
}

/// Whether the tokens of a macro call contain an await outside of async blocks; its expansion is unknown.
fn hidden_await(tokens: TokenStream) -> bool {
    let mut before = None;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Ident(word) if word == "async" => {
                tokens.find(|token| matches!(token, TokenTree::Group(body) if body.delimiter() == Delimiter::Brace));
            }
            TokenTree::Ident(word) if word == "await" && before == Some('.') => return true,
            TokenTree::Ident(word) if AWAITING_MACROS.iter().any(|known| word == known) => {
                if matches!(tokens.peek(), Some(TokenTree::Punct(bang)) if bang.as_char() == '!') {
                    return true;
                }
            }
            TokenTree::Group(group) if hidden_await(group.stream()) => return true,
            _ => {}
        }
        before = if let TokenTree::Punct(mark) = &token { Some(mark.as_char()) } else { None };
    }
    false
}

/// The interrupt checks in an item: in loops, closures and recursive functions.
pub(crate) fn polls(item: &Item) -> Edits {
    let mut edits = Edits::default();
    Weave { edits: &mut edits, tried: Tried::Text, own: false }.visit_item(item);
    edits
}

/// Ends the cell if the user has interrupted it.
pub(super) const POLL: &str = "::kensaku::nb::poll();";

/// Visits all code that runs, as opposed to code that the compiler evaluates.
struct Weave<'a> {
    edits: &'a mut Edits,
    tried: Tried,
    /// Whether `?` and `return` are the cell's: those in functions, closures and async blocks are not.
    own: bool,
}

impl Weave<'_> {
    fn poll_in(&mut self, body: &Block) {
        let open = body.brace_token.span.open().byte_range();
        self.edits.insert(open.end, format!(" {POLL}"));
    }

    /// Visits code in which `?` and `return` are not the cell's.
    fn apart(&mut self, visit: impl FnOnce(&mut Weave<'_>)) {
        visit(&mut Weave { edits: self.edits, tried: self.tried, own: false });
    }

    fn function(&mut self, signature: &Signature, body: &Block) {
        // Constants may call `const` functions, and C may call `extern` ones.
        if signature.constness.is_some() || signature.abi.is_some() {
            return;
        }
        if calls(body, &signature.ident) {
            self.poll_in(body);
        }
        self.apart(|weave| weave.visit_block(body));
    }

    fn closure(&mut self, closure: &syn::ExprClosure) {
        if closure.constness.is_some() {
            return;
        }
        match closure.body.as_ref() {
            Expr::Block(body) if body.attrs.is_empty() && body.label.is_none() => self.poll_in(&body.block),
            Expr::Async(_) => {}
            body => {
                let range = body.span().byte_range();
                self.edits.insert(range.start, format!("{{ {POLL} "));
                self.apart(|weave| weave.visit_expr(body));
                self.edits.insert(range.end, " }");
                return;
            }
        }
        self.apart(|weave| weave.visit_expr(&closure.body));
    }
}

impl<'ast> Visit<'ast> for Weave<'_> {
    fn visit_expr_try(&mut self, tried: &'ast ExprTry) {
        if !self.own {
            return self.visit_expr(&tried.expr);
        }
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
            Expr::Closure(closure) => return self.closure(closure),
            Expr::Async(block) => return self.apart(|weave| weave.visit_block(&block.block)),
            Expr::Const(_) | Expr::TryBlock(_) => return,
            // The length of a repeat is a constant.
            Expr::Repeat(repeat) => return self.visit_expr(&repeat.expr),
            Expr::Return(returned) if self.own => {
                let range = returned.span().byte_range();
                match returned.expr.as_deref() {
                    // The type of its error could not be inferred.
                    Some(Expr::Call(call)) if matches!(&*call.func, Expr::Path(ok) if ok.path.is_ident("Ok")) => {
                        self.edits.replace(call.func.span().byte_range(), "::kensaku::nb::returned");
                        call.args.iter().for_each(|value| self.visit_expr(value));
                    }
                    Some(value) => {
                        self.edits.insert(value.span().byte_range().start, "::kensaku::nb::returned(");
                        self.visit_expr(value);
                        self.edits.insert(range.end, ")");
                    }
                    None => self.edits.insert(range.end, " ::kensaku::nb::returned(())"),
                }
                return;
            }
            Expr::ForLoop(each) => self.poll_in(&each.body),
            Expr::Loop(each) => self.poll_in(&each.body),
            Expr::While(each) => self.poll_in(&each.body),
            _ => {}
        }
        syn::visit::visit_expr(self, expression);
    }

    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Fn(item) => self.function(&item.sig, &item.block),
            Item::Impl(item) => {
                for part in &item.items {
                    if let ImplItem::Fn(method) = part {
                        self.function(&method.sig, &method.block);
                    }
                }
            }
            Item::Trait(item) => {
                for part in &item.items {
                    if let TraitItem::Fn(method) = part
                        && let Some(body) = &method.default
                    {
                        self.function(&method.sig, body);
                    }
                }
            }
            Item::Mod(item) => item.content.iter().flat_map(|(_, items)| items).for_each(|item| self.visit_item(item)),
            // Constants and types are evaluated by the compiler.
            _ => {}
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        for argument in arguments(call) {
            Weave { edits: self.edits, tried: self.tried, own: self.own }.visit_expr(&argument);
        }
    }

    fn visit_pat(&mut self, _: &'ast Pat) {}

    fn visit_type(&mut self, _: &'ast Type) {}

    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}
}

/// Whether `body` names the function it belongs to.
fn calls(body: &Block, name: &syn::Ident) -> bool {
    struct Calls<'a>(&'a syn::Ident, bool);
    impl<'ast> Visit<'ast> for Calls<'_> {
        fn visit_ident(&mut self, ident: &'ast syn::Ident) {
            self.1 |= ident == self.0;
        }
    }
    let mut calls = Calls(name, false);
    calls.visit_block(body);
    calls.1
}

/// The arguments of a macro of the standard library, as expressions.
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
    fn the_value_is_shown_and_its_error_recorded() {
        assert_eq!(
            text("use a::b;\nf(g()?)?"),
            "::kensaku::nb::poll();\nkensaku::show_value!(kensaku::nb::tried_text!(f(kensaku::nb::tried_text!(g())?))?);"
        );
    }

    #[test]
    fn errors_in_printing_macros_are_recorded() {
        assert_eq!(
            text("println!(\"{}\", f()?.x);"),
            "::kensaku::nb::poll();\nprintln!(\"{}\", kensaku::nb::tried_text!(f())?.x);;"
        );
    }

    #[test]
    fn closures_have_their_own_question_marks() {
        assert_eq!(
            text("fn f() -> R { g()? }\nlet h = || g()?;"),
            "::kensaku::nb::poll();\nlet h = || { ::kensaku::nb::poll(); g()? };;"
        );
    }

    #[test]
    fn loops_check_for_interrupts() {
        assert_eq!(
            text("for i in 0..3 {\n  f(i)?;\n}"),
            "::kensaku::nb::poll();\nfor i in 0..3 { ::kensaku::nb::poll();\n  kensaku::nb::tried_text!(f(i))?;\n};"
        );
    }

    #[test]
    fn constants_are_left_alone() {
        let code = "let a = [0u8; { let mut i = 0; while i < 4 { i += 1; } i }];";
        assert_eq!(text(code), format!("::kensaku::nb::poll();\n{code};"));
        let item = |code: &str| {
            let item: Item = syn::parse_str(code).expect("an item");
            polls(&item).apply(code, 0..code.len()).text
        };
        assert_eq!(item("const fn f() { loop {} }"), "const fn f() { loop {} }");
        assert_eq!(item("extern \"C\" fn f() { loop {} }"), "extern \"C\" fn f() { loop {} }");
        assert_eq!(item("fn f() { loop {} }"), "fn f() { loop { ::kensaku::nb::poll();} }");
        assert_eq!(item("fn f() { f() }"), "fn f() { ::kensaku::nb::poll(); f() }");
        assert_eq!(
            item("mod m { impl A { fn f() { || { 1 } } } }"),
            "mod m { impl A { fn f() { || { ::kensaku::nb::poll(); 1 } } } }"
        );
    }

    #[test]
    fn a_cell_can_return() {
        let code = "let Some(x) = y else { return };";
        assert_eq!(text(code), "::kensaku::nb::poll();\nlet Some(x) = y else { return ::kensaku::nb::returned(()) };;");
    }

    #[test]
    fn cells_that_await_are_detected() {
        let waits = |code: &str| awaits(&Cell::parse(code).expect("the cell parses").statements);
        assert!(waits("let x = f().await?;"));
        assert!(waits("println!(\"{}\", f().await);"));
        assert!(!waits("let later = async { f().await };\nasync fn g() { f().await }"));
        for code in [
            "tokio::join!(f(), g())",
            "let (a, b) = tokio::try_join!(f(), g())?;",
            "tokio::select! { x = f() => x, () = g() => 0 }",
            "println!(\"{:?}\", join!(f(), g()));",
            "json!({ \"n\": [f().await?] })",
            "df!(\"n\" => [f().await])?",
            "assert!(matches!(f().await, Some(_)));",
        ] {
            assert!(waits(code), "{code}");
        }
        for code in [
            "later!(async { f().await })",
            "later!(async move |x| { x.await }, 1)",
            "join(a, b); a.join(\"\")",
            "let later = async { tokio::join!(f(), g()) };",
            "let later = || tokio::join!(f(), g());",
            "println!(\"{}\", words.join(\" \"));",
            "json!({ \"await\": 1 })",
        ] {
            assert!(!waits(code), "{code}");
        }
    }
}
