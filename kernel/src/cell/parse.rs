//! What a cell is made of, found by syn.

use std::ops::Range;

use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Block, Expr, Pat, PatIdent, Stmt, Type};

/// A parsed cell.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The text as the user wrote it.
    pub(crate) code: String,
    pub(crate) statements: Vec<Statement>,
}

/// One statement at the top of a cell.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) range: Range<usize>,
    pub(crate) kind: Kind,
    pub(crate) syntax: Stmt,
}

/// What a statement is to the kernel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A function, type, import or macro: it stays for later cells as it is.
    Item,
    /// A `let`, with the names it binds.
    Let(Vec<Binding>),
    /// The last expression, whose value is shown.
    Value,
    /// Anything else.
    Other,
}

/// A variable a `let` makes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binding {
    pub(crate) name: String,
    pub(crate) mutable: bool,
    /// Whether the user wrote its whole type.
    pub(crate) typed: bool,
}

impl Cell {
    /// Parses `code`. Lines of evcxr's commands and of the shell are passed over.
    pub(crate) fn parse(code: &str) -> syn::Result<Self> {
        let statements = Block::parse_within.parse_str(&without_commands(code))?;
        let last = statements.len().saturating_sub(1);
        let statements = statements
            .into_iter()
            .enumerate()
            .map(|(index, syntax)| Statement {
                range: range_of(&syntax),
                kind: kind_of(&syntax, index == last),
                syntax,
            })
            .collect();
        Ok(Self { code: code.to_owned(), statements })
    }

    /// Whether there is nothing to compile: no statement and no command.
    pub(crate) fn is_empty(&self) -> bool {
        self.statements.is_empty() && !self.code.lines().any(is_command)
    }

    /// The last `let` of each name, as indices of statement and binding: the ones that are kept.
    pub(crate) fn kept(&self) -> Vec<(usize, &Binding)> {
        let mut kept: Vec<(usize, &Binding)> = Vec::new();
        for (index, statement) in self.statements.iter().enumerate() {
            if let Kind::Let(bindings) = &statement.kind {
                for binding in bindings {
                    kept.retain(|(_, other)| other.name != binding.name);
                    kept.push((index, binding));
                }
            }
        }
        kept
    }
}

/// Spaces in place of the lines that are not Rust; offsets stay as they are.
pub(super) fn without_commands(code: &str) -> String {
    let blank =
        |line: &str| line.chars().map(|c| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) }).collect();
    let rust = |line: &str| if is_command(line) { blank(line) } else { line.to_owned() };
    code.split_inclusive('\n').map(rust).collect()
}

/// `:dep`, `:vars`, `!ls`: a colon or an exclamation mark in the first column.
fn is_command(line: &str) -> bool {
    let mut characters = line.chars();
    match characters.next() {
        Some(':') => characters.next().is_some_and(|next| next.is_ascii_alphabetic()),
        Some('!') => true,
        _ => false,
    }
}

fn range_of(syntax: &Stmt) -> Range<usize> {
    syntax.span().byte_range()
}

fn kind_of(syntax: &Stmt, last: bool) -> Kind {
    match syntax {
        Stmt::Item(_) => Kind::Item,
        Stmt::Local(local) => Kind::Let(bindings(&local.pat)),
        Stmt::Expr(expression, None) if last && has_value(expression) => Kind::Value,
        Stmt::Macro(statement) if last && statement.semi_token.is_none() => Kind::Value,
        Stmt::Expr(..) | Stmt::Macro(_) => Kind::Other,
    }
}

/// Loops have no value worth a look, and showing them would hide that they can be interrupted.
fn has_value(expression: &Expr) -> bool {
    !matches!(expression, Expr::ForLoop(_) | Expr::While(_) | Expr::Assign(_) | Expr::Return(_))
}

fn bindings(pattern: &Pat) -> Vec<Binding> {
    if let Pat::Type(typed) = pattern
        && let Pat::Ident(name) = typed.pat.as_ref()
    {
        return vec![Binding { typed: is_whole(&typed.ty), ..binding(name) }];
    }
    let mut names = Names::default();
    names.visit_pat(pattern);
    names.0
}

fn binding(pattern: &PatIdent) -> Binding {
    Binding { name: pattern.ident.to_string(), mutable: pattern.mutability.is_some(), typed: false }
}

/// The variables of a pattern. A capitalised name without `@` is a constant such as `None`.
#[derive(Default)]
struct Names(Vec<Binding>);

impl<'ast> Visit<'ast> for Names {
    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        let name = pattern.ident.to_string();
        let constant = pattern.subpat.is_none() && name.starts_with(char::is_uppercase);
        if !constant {
            self.0.push(binding(pattern));
        }
        syn::visit::visit_pat_ident(self, pattern);
    }

    fn visit_expr(&mut self, _: &'ast Expr) {}
}

/// Whether a type leaves nothing to inference.
fn is_whole(ty: &Type) -> bool {
    struct Gaps(bool);
    impl<'ast> Visit<'ast> for Gaps {
        fn visit_type_infer(&mut self, _: &'ast syn::TypeInfer) {
            self.0 = true;
        }
        fn visit_type_impl_trait(&mut self, _: &'ast syn::TypeImplTrait) {
            self.0 = true;
        }
        fn visit_expr_infer(&mut self, _: &'ast syn::ExprInfer) {
            self.0 = true;
        }
    }
    let mut gaps = Gaps(false);
    gaps.visit_type(ty);
    !gaps.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(code: &str) -> Vec<String> {
        let cell = Cell::parse(code).expect("the cell parses");
        cell.kept().iter().map(|(_, binding)| binding.name.clone()).collect()
    }

    #[test]
    fn patterns_bind_their_names() {
        assert_eq!(names("let (a, mut b) = f();"), ["a", "b"]);
        assert_eq!(names("let Point { x, y: Some(z), .. } = p;"), ["x", "z"]);
        assert_eq!(names("let Some(v) = o else { panic!() };"), ["v"]);
        assert_eq!(names("let [first, .., last @ 1..=9] = a;"), ["first", "last"]);
        assert_eq!(names("let (None, Some(x)) = p else { return };"), ["x"]);
        assert_eq!(names("fn f() { let inner = 1; }\n{ let hidden = 2; }"), [""; 0]);
    }

    #[test]
    fn the_last_binding_of_a_name_is_kept() {
        let cell = Cell::parse("let x = 1; let y = 2; let x = \"a\";").expect("the cell parses");
        let kept: Vec<_> = cell.kept().iter().map(|(at, b)| (*at, b.name.clone())).collect();
        assert_eq!(kept, [(1, "y".to_owned()), (2, "x".to_owned())]);
    }

    #[test]
    fn written_types_are_noticed() {
        let typed = |code: &str| Cell::parse(code).expect("the cell parses").kept()[0].1.typed;
        assert!(typed("let x: Vec<f32> = v;"));
        assert!(!typed("let x: Vec<_> = v;"));
        assert!(!typed("let x = v;"));
    }

    #[test]
    fn values_and_statements() {
        let kinds = |code: &str| {
            Cell::parse(code).expect("the cell parses").statements.into_iter().map(|s| s.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds("f();\n1 + 1"), [Kind::Other, Kind::Value]);
        assert_eq!(kinds("1 + 1;"), [Kind::Other]);
        assert_eq!(kinds("vec![1, 2]"), [Kind::Value]);
        assert_eq!(kinds("use a::b;\nstruct S;"), [Kind::Item, Kind::Item]);
        assert_eq!(kinds("for i in 0..3 { f(i) }"), [Kind::Other]);
        assert_eq!(kinds(":dep regex\n2"), [Kind::Value]);
    }

    #[test]
    fn offsets_are_bytes() {
        let code = "let 検 = \"索\";\n  f(検)";
        let cell = Cell::parse(code).expect("the cell parses");
        assert_eq!(&code[cell.statements[1].range.clone()], "f(検)");
    }
}
