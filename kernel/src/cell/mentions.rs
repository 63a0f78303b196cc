//! Names that code looks up.

use std::collections::BTreeSet;

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::{Attribute, Macro, Path, UseTree, Visibility};

pub(crate) type Names = BTreeSet<String>;

/// The names that code looks up: the first word of each path (all words after `crate` and the like), method names, and
/// every word in a macro call or an attribute.
#[derive(Default)]
pub(super) struct Mentions {
    /// The first word of each path.
    pub(super) first: Names,
    /// The further words of paths.
    pub(super) deep: Names,
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_path(&mut self, path: &'ast Path) {
        let mut first = true;
        for segment in &path.segments {
            let name = segment.ident.to_string();
            let relative = ["crate", "self", "super", "Self"].contains(&name.as_str());
            if first {
                self.first.insert(name)
            } else {
                self.deep.insert(name)
            };
            first &= relative;
            // Any segment may have generic arguments.
            self.visit_path_arguments(&segment.arguments);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.first.insert(call.method.to_string());
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        all_words(call.tokens.clone(), &mut self.first);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        all_words(without_variables(item.mac.tokens.clone()), &mut self.first);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        all_words(attribute.meta.to_token_stream(), &mut self.first);
    }

    fn visit_use_tree(&mut self, tree: &'ast UseTree) {
        all_words(tree.to_token_stream(), &mut self.first);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.first.insert(item.ident.to_string());
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Every word in `tokens`, including those in the braces of format strings.
pub(crate) fn all_words(tokens: TokenStream, words: &mut impl Extend<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => all_words(group.stream(), words),
            TokenTree::Ident(word) => words.extend([word.to_string()]),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let braced = text.split('{').skip(1);
                let names = braced.map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')));
                words.extend(names.flatten().filter(|word| !word.is_empty()).map(str::to_owned));
            }
            TokenTree::Punct(_) => {}
        }
    }
}

/// The definition of a macro without its variables, `$name:kind`.
pub(super) fn without_variables(tokens: TokenStream) -> TokenStream {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '$' => {
                if tokens.next_if(|token| matches!(token, TokenTree::Ident(_))).is_some()
                    && tokens
                        .next_if(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ':'))
                        .is_some()
                {
                    tokens.next_if(|token| matches!(token, TokenTree::Ident(_)));
                }
            }
            TokenTree::Group(group) => {
                kept.push(Group::new(group.delimiter(), without_variables(group.stream())).into());
            }
            other => kept.push(other),
        }
    }
    kept.into_iter().collect()
}
