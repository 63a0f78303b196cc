//! The context of the cursor: the kind of name being written, and what precedes it.

use ra_ap_syntax::ast::{self, AstNode, HasArgList};
use ra_ap_syntax::{Edition, SourceFile, SyntaxKind, SyntaxNode, SyntaxToken, TextRange, TextSize};

use crate::cell::check_nesting;

/// Precedes the cell, whose statements become the body of a function.
const HEAD: &str = "async fn cell() {\n";

/// Makes the text before the cursor a name, even if it is empty.
pub(super) const MARK: &str = "kensaku0mark";

/// A cell, and the name at the cursor in it.
pub(super) struct Position {
    /// The cell as the function's body, macros unchanged.
    pub(super) text: String,
    /// Of the same length as `text`, with macro calls around the cursor turned into plain calls.
    pub(super) tree: SyntaxNode,
    pub(super) token: SyntaxToken,
    /// The part of the name before the cursor.
    pub(super) prefix: String,
}

/// What a name is part of.
#[derive(Debug, PartialEq)]
pub(super) enum Context {
    /// After the dot of an expression; `whole` is the expression with the name and its arguments.
    Member { receiver: TextRange, whole: TextRange },
    /// After `a::b::`; a leading `::` is an empty part.
    Path { before: Vec<String>, import: bool },
    /// A field in a literal or pattern of the type `path`, which already has the fields `present`.
    Field { path: Vec<String>, present: Vec<String> },
    /// A name by itself.
    Name { whole: TextRange },
}

impl Position {
    /// For completion: the name that ends at byte `cursor`. `None` in strings, comments and numbers.
    pub(super) fn to_complete(code: &str, cursor: usize) -> Option<Self> {
        let before = code.get(..cursor)?;
        let written = before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
        let text = format!("{HEAD}{before}{MARK}{}\n}}", &code[cursor..]);
        Self::parse(text, HEAD.len() + cursor, written.to_owned())
    }

    /// For inspection: the name at byte `cursor`, or the function whose arguments it is in.
    pub(super) fn to_inspect(code: &str, cursor: usize) -> Option<Self> {
        let text = format!("{HEAD}{code}\n}}");
        Self::parse(text, HEAD.len() + cursor, String::new())
    }

    fn parse(text: String, at: usize, prefix: String) -> Option<Self> {
        let at = TextSize::try_from(at).ok()?;
        check_nesting(&text).ok()?;
        let mut plain = text.clone();
        // Each round handles one level of nested macros.
        for _ in 0..8 {
            let tree = SourceFile::parse(&plain, Edition::CURRENT).syntax_node();
            match macro_around(&tree, at) {
                Some(bang) => plain.replace_range(usize::from(bang.start())..usize::from(bang.end()), " "),
                None => break,
            }
        }
        let tree = SourceFile::parse(&plain, Edition::CURRENT).syntax_node();
        let token = name_at(&tree, at)?;
        Some(Self { text, tree, token, prefix })
    }

    pub(super) fn context(&self) -> Option<Context> {
        let parent = self.token.parent()?;
        if !matches!(parent.kind(), SyntaxKind::NAME_REF | SyntaxKind::NAME) {
            return match parent.kind() {
                SyntaxKind::PATH_SEGMENT => Some(Context::Name { whole: self.token.text_range() }),
                _ => None,
            };
        }
        let outer = parent.parent()?;
        if let Some(field) = ast::FieldExpr::cast(outer.clone()) {
            let receiver = field.expr()?.syntax().text_range();
            return Some(Context::Member { receiver, whole: outer.text_range() });
        }
        if let Some(call) = ast::MethodCallExpr::cast(outer.clone()) {
            let receiver = call.receiver()?.syntax().text_range();
            return Some(Context::Member { receiver, whole: outer.text_range() });
        }
        if let Some(field) = field_of(&outer, &parent) {
            return Some(field);
        }
        match ast::PathSegment::cast(outer.clone()) {
            Some(segment) => Some(path_context(&segment.parent_path())),
            None => Some(Context::Name { whole: parent.text_range() }),
        }
    }

    /// The text in a range.
    pub(super) fn slice(&self, range: TextRange) -> &str {
        &self.text[usize::from(range.start())..usize::from(range.end())]
    }

    /// The body of the cell's function.
    pub(super) fn body(&self) -> Option<ast::StmtList> {
        let cell = self.tree.children().find_map(ast::Fn::cast)?;
        cell.body()?.stmt_list()
    }
}

/// The exclamation mark of the macro whose arguments contain `at`.
fn macro_around(tree: &SyntaxNode, at: TextSize) -> Option<TextRange> {
    let token = tree.token_at_offset(at).left_biased()?;
    let call = token.parent_ancestors().filter_map(ast::MacroCall::cast).last()?;
    let inside = call.token_tree()?.syntax().text_range();
    let bang = call.excl_token()?.text_range();
    (inside.start() < at && !inside.is_empty()).then_some(bang)
}

fn name_at(tree: &SyntaxNode, at: TextSize) -> Option<SyntaxToken> {
    let around = tree.token_at_offset(at);
    let is_name = |token: &SyntaxToken| {
        matches!(token.kind(), SyntaxKind::IDENT | SyntaxKind::SELF_TYPE_KW | SyntaxKind::SELF_KW)
    };
    if let Some(token) = around.clone().find(is_name) {
        return Some(token);
    }
    let mut token = around.left_biased()?;
    while token.kind() == SyntaxKind::WHITESPACE {
        token = token.prev_token()?;
    }
    if matches!(token.kind(), SyntaxKind::COMMENT | SyntaxKind::STRING) {
        return None;
    }
    // The function being called.
    token.parent_ancestors().find_map(|node| {
        let (callee, arguments) = match ast::CallExpr::cast(node.clone()) {
            Some(call) => (call.expr()?.syntax().clone(), call.arg_list()?),
            None => {
                let call = ast::MethodCallExpr::cast(node)?;
                (call.name_ref()?.syntax().clone(), call.arg_list()?)
            }
        };
        let is_closed = arguments.r_paren_token().is_some_and(|bracket| bracket.text_range().end() <= at);
        if is_closed || arguments.syntax().text_range().start() >= at {
            return None;
        }
        callee.descendants_with_tokens().filter_map(|each| each.into_token()).filter(is_name).last()
    })
}

/// A field of a literal or a pattern, `Point { x`.
fn field_of(outer: &SyntaxNode, name: &SyntaxNode) -> Option<Context> {
    // A field without a value is a path or pattern of one name.
    let lone = |node: &SyntaxNode| node.text_range() == name.text_range();
    let field = outer.ancestors().take_while(|node| lone(node) || is_field(node)).find(is_field)?;
    let starts = field.text_range().start() == name.text_range().start();
    let list = field.parent()?;
    let whole = list.parent()?;
    let path = whole.children().find_map(ast::Path::cast)?;
    let others = list.children().filter(|other| is_field(other) && *other != field);
    let present = others.filter_map(|other| other.first_token()).map(|token| token.text().to_owned()).collect();
    starts.then(|| Context::Field { path: names(&path), present })
}

fn is_field(node: &SyntaxNode) -> bool {
    matches!(node.kind(), SyntaxKind::RECORD_EXPR_FIELD | SyntaxKind::RECORD_PAT_FIELD)
}

fn path_context(path: &ast::Path) -> Context {
    let mut before = path.qualifier().map(|path| names(&path)).unwrap_or_default();
    let leading = path.syntax().first_token().is_some_and(|token| token.text() == "::");
    if leading && before.first().is_none_or(|first| !first.is_empty()) {
        before.insert(0, String::new());
    }
    // Inside `use a::{b::{c`.
    let trees = path.syntax().ancestors().filter_map(ast::UseTree::cast);
    let mut import = false;
    for (depth, tree) in trees.enumerate() {
        import = true;
        if let Some(outer) = tree.path().filter(|_| depth > 0) {
            before.splice(0..0, names(&outer));
        }
    }
    if before.is_empty() && !import {
        let expression = path.syntax().parent().filter(|node| node.kind() == SyntaxKind::PATH_EXPR);
        let whole = expression.unwrap_or_else(|| path.syntax().clone()).text_range();
        return Context::Name { whole };
    }
    Context::Path { before, import }
}

/// The names of a path, without arguments.
pub(super) fn names(path: &ast::Path) -> Vec<String> {
    let segments = path.segments().filter_map(|segment| {
        let name = segment.name_ref().map(|name| name.text().to_string());
        name.or_else(|| segment.syntax().first_token().map(|token| token.text().to_owned()))
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(code: &str) -> Option<(Position, Context)> {
        let cursor = code.find('¦')?;
        let position = Position::to_complete(&code.replace('¦', ""), cursor)?;
        let context = position.context()?;
        Some((position, context))
    }

    fn receiver(code: &str) -> Option<String> {
        match at(code)? {
            (position, Context::Member { receiver, .. }) => Some(position.slice(receiver).to_owned()),
            _ => None,
        }
    }

    #[test]
    fn receivers_are_complete_expressions() {
        assert_eq!(receiver("df.lazy().fil¦").as_deref(), Some("df.lazy()"));
        assert_eq!(receiver("let x = -a.b[1]?.¦;\nlet y = 2;").as_deref(), Some("a.b[1]?"));
        assert_eq!(receiver("f(a, b.c¦").as_deref(), Some("b"));
        assert_eq!(receiver("v.iter().map(|x| x.le¦).sum::<u8>()").as_deref(), Some("x"));
        assert_eq!(receiver("println!(\"{} {}\", 1, step.lo¦);").as_deref(), Some("step"));
        assert_eq!(receiver("vec![vec![a.b().¦]]").as_deref(), Some("a.b()"));
        assert_eq!(receiver("df\n    .lazy()\n    .¦\n    .collect()?;\nx").as_deref(), Some("df\n    .lazy()"));
        assert_eq!(receiver("// df.¦"), None);
        assert_eq!(receiver("\"df.¦\""), None);
    }

    #[test]
    fn offsets_are_of_the_users_text() {
        let (position, context) = at("let 検索 = \"🦀e\u{301}\"; 検索.le¦n()").expect("there is a name");
        let Context::Member { receiver, .. } = context else { panic!("{context:?}") };
        assert_eq!((position.slice(receiver), position.prefix.as_str()), ("検索", "le"));
    }

    #[test]
    fn paths_and_fields() {
        let context = |code: &str| at(code).map(|(_, context)| context);
        let path = |before: &[&str], import| {
            Some(Context::Path { before: before.iter().map(|name| (*name).to_owned()).collect(), import })
        };
        assert_eq!(context("loss::cus¦"), path(&["loss"], false));
        assert_eq!(context("Vec::<u8>::¦"), path(&["Vec"], false));
        assert_eq!(context("use std::{fs::{Fi¦}}"), path(&["std", "fs"], true));
        assert_eq!(context("use std::fs::¦"), path(&["std", "fs"], true));
        let field = |path: &str, present: &[&str]| {
            let present = present.iter().map(|name| (*name).to_owned()).collect();
            Some(Context::Field { path: vec![path.to_owned()], present })
        };
        assert_eq!(context("let c = Config { ba¦"), field("Config", &[]));
        assert_eq!(context("Config { a: 1, ¦..Default::default() }"), field("Config", &["a"]));
        assert_eq!(context("let Point { x, ¦ } = p;"), field("Point", &["x"]));
        assert!(matches!(context("Config { a: b¦ }"), Some(Context::Name { .. })));
        assert!(matches!(context("let x = so¦"), Some(Context::Name { .. })));
    }
}
