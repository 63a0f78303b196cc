//! Parses cells with syn.

use std::collections::HashSet;
use std::ops::Range;

use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Attribute, Block, Expr, Ident, Item, Pat, PatIdent, Stmt, Type};

use super::directives::{self, Directives};
use super::items;
use super::mentions::all_words;
use super::nesting;

/// A parsed cell.
#[derive(Debug)]
pub(crate) struct Cell {
    /// The text as the user wrote it.
    pub(crate) code: String,
    /// Its lines that are not Rust.
    pub(crate) directives: Directives,
    pub(crate) statements: Vec<Statement>,
}

/// One statement at the top of a cell.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) range: Range<usize>,
    pub(crate) kind: Kind,
    pub(crate) syntax: Stmt,
}

/// The kind of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A function, type, import or macro, which stays unchanged for later cells.
    Item,
    /// A `let`, with the names it binds.
    Let(Vec<Binding>),
    /// The last expression, whose value is shown.
    Value,
    /// Anything else.
    Other,
}

/// A variable of a `let`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binding {
    pub(crate) name: String,
    pub(crate) mutable: bool,
    /// Its type, if it is fully annotated.
    pub(crate) ty: Option<String>,
    /// Whether it is bound to a closure, whose type cannot be written.
    pub(crate) closure: bool,
    /// Whether it is bound to a path, which may name a function.
    pub(crate) path: bool,
    /// Whether its value is a reference to a place.
    pub(crate) reference: bool,
}

impl Binding {
    /// Whether rustc must infer its type.
    pub(crate) fn is_open(&self) -> bool {
        self.ty.is_none() && !self.closure
    }
}

impl Cell {
    /// Parses `code`, in which no macro of an earlier cell generates items.
    pub(crate) fn parse(code: &str) -> syn::Result<Self> {
        Self::parse_after(code, &[])
    }

    /// Parses `code`. Calls of the `item_macros` of earlier cells are items.
    pub(crate) fn parse_after(code: &str, item_macros: &[String]) -> syn::Result<Self> {
        let (directives, rust) = directives::split(code);
        Self::parse_rust(code, directives, &rust, item_macros)
    }

    /// The cell without a `name?` that asks for documentation: its `?` is that of Rust.
    pub(crate) fn without_docs(code: &str) -> syn::Result<Self> {
        Self::parse_rust(code, Directives::default(), code, &[])
    }

    fn parse_rust(code: &str, directives: Directives, rust: &str, item_macros: &[String]) -> syn::Result<Self> {
        nesting::check(rust)?;
        let parsed = statements.parse_str(rust)?;
        let own = parsed.iter().filter_map(item_macro).map(ToString::to_string);
        let known = STANDARD_ITEM_MACROS.iter().map(|name| (*name).to_owned());
        let item_macros: Vec<String> = own.chain(known).chain(item_macros.iter().cloned()).collect();
        let last = parsed.len().saturating_sub(1);
        let statements = parsed
            .into_iter()
            .enumerate()
            .map(|(index, syntax)| Statement {
                range: range_of(&syntax),
                kind: kind_of(&syntax, index == last, &item_macros),
                syntax,
            })
            .collect();
        Ok(Self { code: code.to_owned(), directives, statements })
    }

    /// The words of the Rust code, including those in the braces of format strings: other variables are not used.
    pub(crate) fn words(&self) -> HashSet<String> {
        let mut words = HashSet::new();
        for statement in &self.statements {
            all_words(statement.syntax.to_token_stream(), &mut words);
        }
        words
    }

    /// The variables that are assigned as a whole.
    pub(crate) fn assigned(&self) -> HashSet<String> {
        #[derive(Default)]
        struct Assigned(HashSet<String>);
        impl<'ast> Visit<'ast> for Assigned {
            fn visit_expr_assign(&mut self, assign: &'ast syn::ExprAssign) {
                if let Expr::Path(path) = assign.left.as_ref() {
                    self.0.extend(path.path.get_ident().map(ToString::to_string));
                }
                syn::visit::visit_expr_assign(self, assign);
            }
        }
        let mut assigned = Assigned::default();
        self.statements.iter().for_each(|statement| assigned.visit_stmt(&statement.syntax));
        assigned.0
    }

    /// Whether a statement after the `index`th contains the word.
    pub(crate) fn is_used_behind(&self, index: usize, name: &str) -> bool {
        self.statements[index + 1..].iter().any(|statement| {
            let mut words = HashSet::new();
            all_words(statement.syntax.to_token_stream(), &mut words);
            words.contains(name)
        })
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

/// The statements after the inner attributes of the cell.
fn statements(input: ParseStream<'_>) -> syn::Result<Vec<Stmt>> {
    input.call(Attribute::parse_inner)?.iter().try_for_each(obeyed)?;
    input.call(Block::parse_within)
}

/// Documentation and lints have no effect: cells get no warnings.
fn obeyed(attribute: &Attribute) -> syn::Result<()> {
    let name = attribute.path().get_ident().map(ToString::to_string).unwrap_or_default();
    let message = match name.as_str() {
        "allow" | "deny" | "doc" | "expect" | "forbid" | "warn" => return Ok(()),
        "feature" => {
            "unstable features need a nightly compiler; cells are compiled with the stable one that built the library"
        }
        _ => {
            "a cell takes only documentation and lints as inner attributes; without the `!`, an attribute applies to the item after it"
        }
    };
    Err(syn::Error::new_spanned(attribute, message))
}

/// Macros of the standard library and of a popular crate that generate items.
const STANDARD_ITEM_MACROS: [&str; 2] = ["lazy_static", "thread_local"];

/// The name of a macro that generates items, if `syntax` defines one.
fn item_macro(syntax: &Stmt) -> Option<&Ident> {
    match syntax {
        Stmt::Item(Item::Macro(definition)) if items::makes_items(definition) => definition.ident.as_ref(),
        _ => None,
    }
}

fn range_of(syntax: &Stmt) -> Range<usize> {
    syntax.span().byte_range()
}

fn kind_of(syntax: &Stmt, last: bool, item_macros: &[String]) -> Kind {
    let makes_items =
        |call: &syn::Macro| call.path.get_ident().is_some_and(|name| item_macros.iter().any(|m| name == m));
    match syntax {
        Stmt::Item(_) => Kind::Item,
        Stmt::Macro(statement) if makes_items(&statement.mac) => Kind::Item,
        Stmt::Local(local) => {
            let value = local.init.as_ref().map(|init| init.expr.as_ref());
            let closure = matches!(value, Some(Expr::Closure(_)));
            let path = matches!(value, Some(Expr::Path(_)));
            let reference = value.is_some_and(is_reference);
            let bindings = bindings(&local.pat).into_iter();
            // With a type, it is a function pointer or a boxed closure.
            let bindings = bindings.map(|binding| Binding {
                closure: closure && binding.ty.is_none(),
                path,
                reference,
                ..binding
            });
            Kind::Let(bindings.collect())
        }
        Stmt::Expr(expression, None) if last && has_value(expression) => Kind::Value,
        Stmt::Macro(statement) if last && statement.semi_token.is_none() => Kind::Value,
        Stmt::Expr(..) | Stmt::Macro(_) => Kind::Other,
    }
}

/// Loops have no interesting value, and showing it would hide that they can be interrupted.
fn has_value(expression: &Expr) -> bool {
    !matches!(expression, Expr::ForLoop(_) | Expr::While(_) | Expr::Assign(_) | Expr::Return(_))
}

fn bindings(pattern: &Pat) -> Vec<Binding> {
    if let Pat::Type(typed) = pattern
        && let Pat::Ident(name) = typed.pat.as_ref()
    {
        let ty = is_whole(&typed.ty).then(|| written(&typed.ty));
        return vec![Binding { ty, ..binding(name) }];
    }
    let mut names = Names::default();
    names.visit_pat(pattern);
    names.0
}

/// The type as the user wrote it, on one line: tokens alone would be `Option < i32 >`.
fn written(ty: &Type) -> String {
    let source = ty.span().source_text().filter(|source| !source.contains(['\n', '/']));
    source.unwrap_or_else(|| ty.to_token_stream().to_string())
}

fn binding(pattern: &PatIdent) -> Binding {
    Binding {
        name: pattern.ident.to_string(),
        mutable: pattern.mutability.is_some(),
        ty: None,
        closure: false,
        path: false,
        reference: false,
    }
}

/// `&x`, `&mut x.y[0]`: what it refers to belongs to a variable.
fn is_reference(value: &Expr) -> bool {
    fn is_place(value: &Expr) -> bool {
        match value {
            Expr::Path(path) => {
                path.path.get_ident().is_some_and(|name| name.to_string().starts_with(char::is_lowercase))
            }
            Expr::Field(field) => is_place(&field.base),
            Expr::Index(index) => is_place(&index.expr),
            Expr::Paren(inner) => is_place(&inner.expr),
            _ => false,
        }
    }
    matches!(value, Expr::Reference(reference) if is_place(&reference.expr))
}

/// The variables of a pattern. A capitalised name without `@` is a constant such as `None`.
#[derive(Default)]
struct Names(Vec<Binding>);

impl<'ast> Visit<'ast> for Names {
    fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
        let name = pattern.ident.to_string();
        // Any other capitalised name is one of a constant or a variable; the first would not compile as a variable.
        if name != "None" {
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
    fn type_annotations_are_detected() {
        let typed = |code: &str| Cell::parse(code).expect("the cell parses").kept()[0].1.ty.is_some();
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
    fn words_of_format_strings_count() {
        let words = Cell::parse("println!(\"{left:?} {}\", right);").expect("the cell parses").words();
        assert!(words.contains("left") && words.contains("right"), "{words:?}");
    }

    #[test]
    fn calls_of_item_macros_are_items() {
        let kinds = |code: &str, known: &[String]| {
            let cell = Cell::parse_after(code, known).expect("the cell parses");
            cell.statements.into_iter().map(|s| s.kind).collect::<Vec<_>>()
        };
        let code = "macro_rules! make { ($n:ident) => { struct $n; } }\nmake!(A);";
        assert_eq!(kinds(code, &[]), [Kind::Item, Kind::Item]);
        assert_eq!(kinds("make!(A);", &["make".to_owned()]), [Kind::Item]);
        assert_eq!(kinds("make!(A);", &[]), [Kind::Other]);
    }

    #[test]
    fn attributes_of_the_cell_itself() {
        let kinds = |code: &str| Cell::parse(code).map(|cell| cell.statements.len()).map_err(|error| error.to_string());
        assert_eq!(kinds("#![allow(unused)]\n//! What it does.\nlet x = 1;"), Ok(1));
        assert!(kinds("#![feature(never_type)]\n1").is_err_and(|message| message.contains("nightly")));
        assert!(kinds("#![no_std]\n1").is_err());
    }

    #[test]
    fn offsets_are_bytes() {
        let code = "let 検 = \"索\";\n  f(検)";
        let cell = Cell::parse(code).expect("the cell parses");
        assert_eq!(&code[cell.statements[1].range.clone()], "f(検)");
    }
}
