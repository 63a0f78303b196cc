//! Types that cannot be named from outside: those inside functions, and futures.

use syn::visit::Visit;
use syn::{Block, Expr, ImplItem, Item, Macro, Stmt, TraitItem};

/// Whether an item defines types, or its functions do.
pub(super) fn defines_types(item: &Item) -> bool {
    !matches!(item, Item::Const(_) | Item::Static(_) | Item::Type(_) | Item::Use(_) | Item::ExternCrate(_))
        && (nests_types(item) || !matches!(item, Item::Fn(_)))
}

/// Whether the functions of an item define types.
pub(super) fn nests_types(item: &Item) -> bool {
    let nests = |signature: &syn::Signature, body: &Block| signature.asyncness.is_some() || has_types(body);
    match item {
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
    struct Types(bool);
    impl<'ast> Visit<'ast> for Types {
        fn visit_item(&mut self, item: &'ast Item) {
            match item {
                Item::Const(_) | Item::Static(_) | Item::Use(_) => {}
                Item::Fn(function) => self.0 |= function.sig.asyncness.is_some() || has_types(&function.block),
                Item::Macro(each) if is_known_macro(&each.mac) => {}
                _ => self.0 = true,
            }
        }

        fn visit_expr(&mut self, expression: &'ast Expr) {
            match expression {
                Expr::Async(_) => self.0 = true,
                Expr::Closure(closure) => self.0 |= closure.asyncness.is_some(),
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
    let mut types = Types(false);
    types.visit_block(body);
    types.0
}

/// Macros for statements that define no types.
const KNOWN_MACROS: [&str; 18] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "bail",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "ensure",
    "eprint",
    "eprintln",
    "panic",
    "print",
    "println",
    "thread_local",
    "todo",
    "unreachable",
    "write",
    "writeln",
];

fn is_known_macro(call: &Macro) -> bool {
    call.path.segments.last().is_some_and(|name| KNOWN_MACROS.iter().any(|known| name.ident == known))
}
