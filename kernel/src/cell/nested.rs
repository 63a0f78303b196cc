//! What is inside of functions and constants: types that cannot be named from outside, futures, and `impl`s.

use syn::visit::Visit;
use syn::{Block, Expr, ImplItem, Item, ItemImpl, Macro, ReturnType, Signature, Stmt, TraitItem, Type};

/// Whether an item defines types, or its functions do.
pub(super) fn defines_types(item: &Item) -> bool {
    nests_types(item)
        || !matches!(
            item,
            Item::Const(_) | Item::ExternCrate(_) | Item::Fn(_) | Item::Static(_) | Item::Type(_) | Item::Use(_)
        )
}

/// Whether the functions of an item define types.
pub(super) fn nests_types(item: &Item) -> bool {
    let nests = |signature: &Signature, body: &Block| has_opaque_type(signature) || has_types(body);
    match item {
        Item::Const(constant) => expression_has_types(&constant.expr),
        Item::Static(found) => expression_has_types(&found.expr),
        Item::Fn(function) => nests(&function.sig, &function.block),
        Item::Impl(found) => {
            found.items.iter().any(|part| matches!(part, ImplItem::Fn(method) if nests(&method.sig, &method.block)))
        }
        Item::Trait(found) => found.items.iter().any(|part| match part {
            TraitItem::Fn(method) => method.default.as_ref().is_some_and(|body| nests(&method.sig, body)),
            _ => false,
        }),
        Item::Mod(found) => found.content.iter().flat_map(|(_, items)| items).any(nests_types),
        _ => false,
    }
}

/// Whether a body defines types: structs, futures, or the expansion of an unknown macro.
pub(super) fn has_types(body: &Block) -> bool {
    let mut types = Types(false);
    types.visit_block(body);
    types.0
}

fn expression_has_types(expression: &Expr) -> bool {
    let mut types = Types(false);
    types.visit_expr(expression);
    types.0
}

struct Types(bool);

impl<'ast> Visit<'ast> for Types {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Const(_) | Item::Fn(_) | Item::Static(_) => self.0 |= nests_types(item),
            Item::Use(_) => {}
            Item::Macro(each) if is_known_macro(&each.mac) => {}
            _ => self.0 = true,
        }
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        match expression {
            Expr::Async(_) => self.0 = true,
            Expr::Closure(closure) => self.0 |= closure.asyncness.is_some(),
            Expr::Macro(each) => self.0 |= !is_known_macro(&each.mac),
            _ => {}
        }
        syn::visit::visit_expr(self, expression);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Macro(each) = statement {
            self.0 |= !is_known_macro(&each.mac);
        }
        syn::visit::visit_stmt(self, statement);
    }
}

/// Whether the body of a function decides what type it returns: a future or an `impl Trait`.
pub(super) fn has_opaque_type(signature: &Signature) -> bool {
    struct Opaque(bool);
    impl<'ast> Visit<'ast> for Opaque {
        fn visit_type_impl_trait(&mut self, _: &'ast syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut opaque = Opaque(signature.asyncness.is_some());
    if let ReturnType::Type(_, ty) = &signature.output {
        opaque.visit_type(&Type::clone(ty));
    }
    opaque.0
}

/// Calls `each` with the `impl`s within an item, at any depth.
pub(super) fn impls_within(item: &Item, each: &mut impl FnMut(&ItemImpl)) {
    struct Impls<'a, F>(&'a mut F);
    impl<'ast, F: FnMut(&ItemImpl)> Visit<'ast> for Impls<'_, F> {
        fn visit_item_impl(&mut self, found: &'ast ItemImpl) {
            (self.0)(found);
            syn::visit::visit_item_impl(self, found);
        }
    }
    Impls(each).visit_item(item);
}

/// Macros that define no types.
const KNOWN_MACROS: [&str; 44] = [
    "anyhow",
    "assert",
    "assert_eq",
    "assert_ne",
    "bail",
    "cfg",
    "column",
    "concat",
    "dbg",
    "debug",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "df",
    "ensure",
    "env",
    "eprint",
    "eprintln",
    "error",
    "file",
    "format",
    "format_args",
    "include_bytes",
    "include_str",
    "info",
    "json",
    "line",
    "matches",
    "module_path",
    "option_env",
    "panic",
    "polars_bail",
    "print",
    "println",
    "stringify",
    "thread_local",
    "todo",
    "trace",
    "unimplemented",
    "unreachable",
    "vec",
    "warn",
    "write",
    "writeln",
];

fn is_known_macro(call: &Macro) -> bool {
    call.path.segments.last().is_some_and(|name| KNOWN_MACROS.iter().any(|known| name.ident == known))
}
