//! The source that asks rustc for an expression's type: all items and variables in scope, the parts of
//! the cell that parse, and a deliberate type error in place of the expression.

use std::collections::BTreeSet;

use ra_ap_syntax::ast::{self, AstNode};
use ra_ap_syntax::{SyntaxKind, SyntaxNode, TextRange};
use syn::Block;
use syn::parse::Parser;

use super::context::Position;
use crate::cell::{Cell, Variable, items};
use crate::session::{Change, Scope, identifiers};

/// A program whose deliberate error contains the type of the expression `asked`. The error replaces the
/// enclosing expression `replaced`.
pub(super) fn probe(scope: &Scope, position: &Position, asked: TextRange, replaced: TextRange) -> Option<String> {
    let body = position.body()?;
    let question =
        format!("({{ let marker = kensaku::nb::type_of(&({})); let () = marker; loop {{}} }})", position.slice(asked));
    let mut statements = String::new();
    let mut own = String::new();
    for node in body.syntax().children() {
        let range = node.text_range();
        let is_item = ast::Item::can_cast(node.kind());
        if range.contains_range(replaced) {
            let target = if is_item { &mut own } else { &mut statements };
            *target += &asking(position, &node, replaced, &question);
            target.push('\n');
        } else if is_item {
            own += &complete(position.slice(range)).unwrap_or_default();
            own.push('\n');
        } else if range.end() <= replaced.start() {
            statements += &complete(position.slice(range)).unwrap_or_default();
            statements.push('\n');
        }
    }
    let words: BTreeSet<String> = identifiers(&statements).chain(identifiers(&own)).map(str::to_owned).collect();
    let used = scope.used(|name| words.contains(name));
    let (change, parameters) = (with(scope, &own), parameters(&used));
    let needed = change.needed(words, &used, OWN);
    let items: String = needed.iter().map(|item| format!("{}\n", item.code())).collect();
    Some(format!(
        "#![allow(warnings)]\nuse kensaku::prelude::*;\n{items}\n\
         async fn kensaku_cell({parameters}) -> ::std::result::Result<(), kensaku::nb::Failed> {{\n{statements}\nOk(())\n}}\n"
    ))
}

/// The items of the scope and of `own`, which replace those of the same names.
pub(super) fn with_items(scope: &Scope, own: &str) -> String {
    with(scope, own).items.iter().map(|item| format!("{}\n", item.code())).collect()
}

/// The number of the cell being written.
const OWN: usize = usize::MAX;

fn with(scope: &Scope, own: &str) -> Change {
    scope.with(Cell::parse(own).map(|cell| items(&cell, OWN)).unwrap_or_default())
}

/// The items that the cell defines, as code.
pub(super) fn own_items(position: &Position) -> String {
    let Some(body) = position.body() else { return String::new() };
    let items = body.syntax().children().filter(|node| ast::Item::can_cast(node.kind()));
    let codes = items.filter_map(|node| complete(position.slice(node.text_range())));
    codes.collect::<Vec<_>>().join("\n")
}

fn parameters(variables: &[Variable]) -> String {
    let each = variables.iter().map(|variable| format!("mut {}: {}", variable.name, variable.ty));
    each.collect::<Vec<_>>().join(", ")
}

/// The statement, with a semicolon if needed, if it parses.
fn complete(text: &str) -> Option<String> {
    [text.to_owned(), format!("{text};")].into_iter().find(|text| parses(text))
}

fn parses(text: &str) -> bool {
    Block::parse_within.parse_str(text).is_ok()
}

/// The statement around the cursor with the question in it, cut off after it if the rest does not parse.
fn asking(position: &Position, statement: &SyntaxNode, replaced: TextRange, question: &str) -> String {
    let range = statement.text_range();
    let before = position.slice(TextRange::new(range.start(), replaced.start()));
    let after = position.slice(TextRange::new(replaced.end(), range.end()));
    let closed = closing(statement, replaced);
    let candidates = [
        format!("{before}{question}{after};"),
        format!("{before}{question}{after}"),
        format!("{before}{question}{closed};"),
        format!("{before}{question}{closed}"),
        format!("{before}{question} {{}} {closed}"),
    ];
    candidates.into_iter().find(|text| parses(text)).unwrap_or_else(|| format!("{question};"))
}

/// The closing brackets for those open at the start of `replaced`.
fn closing(statement: &SyntaxNode, replaced: TextRange) -> String {
    let mut open = Vec::new();
    let tokens = statement.descendants_with_tokens().filter_map(|each| each.into_token());
    for token in tokens.take_while(|token| token.text_range().end() <= replaced.start()) {
        match token.kind() {
            SyntaxKind::L_PAREN => open.push(')'),
            SyntaxKind::L_BRACK => open.push(']'),
            SyntaxKind::L_CURLY => open.push('}'),
            SyntaxKind::R_PAREN | SyntaxKind::R_BRACK | SyntaxKind::R_CURLY => {
                open.pop();
            }
            _ => {}
        }
    }
    open.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complete::context::Context;

    fn statements(code: &str) -> String {
        let cursor = code.find('¦').expect("there is a cursor");
        let position = Position::to_complete(&code.replace('¦', ""), cursor).expect("there is a name");
        let Some(Context::Member { receiver, whole }) = position.context() else { panic!("no member") };
        let source = probe(&Scope::default(), &position, receiver, whole).expect("there is a body");
        let source = source.replace("let marker = kensaku::nb::type_of(&(x)); let () = marker; loop {}", "?");
        let body = source.split("Failed> {\n").nth(1).and_then(|text| text.split("\nOk(())").next());
        body.unwrap_or_default().trim().to_owned()
    }

    #[test]
    fn unfinished_code_is_closed() {
        assert_eq!(statements("let a = f(1, g(x.¦"), "let a = f(1, g(({ ? })));");
        assert_eq!(statements("let a = f(x.b¦).c()?;"), "let a = f(({ ? })).c()?;;");
        assert_eq!(statements("for w in x.¦"), "for w in ({ ? }) {}");
        assert_eq!(statements("let c = C { a: x.¦\nlet d = 1;"), "let c = C { a: ({ ? })};");
        assert_eq!(statements("v.iter().map(|x| x.¦"), "v.iter().map(|x| ({ ? }));");
    }

    #[test]
    fn broken_statements_are_left_out() {
        assert_eq!(statements("let a = 1;\nlet b = ;\nx.¦\nlet c = 2;"), "let a = 1;\n\n({ ? });");
    }
}
