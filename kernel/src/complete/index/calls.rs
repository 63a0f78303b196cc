//! Macro calls in the place of items or members.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::ItemImpl;

use super::clean;
use super::convert::unraw;
use super::raw::{DEPTH, Walker};

impl Walker<'_> {
    /// Expands macro calls among the members.
    pub(super) fn expand_members(&self, syntax: &mut ItemImpl, module: usize) {
        for _ in 0..DEPTH {
            let mut changed = false;
            let mut members = Vec::new();
            for item in std::mem::take(&mut syntax.items) {
                match item {
                    syn::ImplItem::Macro(call) if self.cfg.allows(&call.attrs) => {
                        let tokens = self.expanded(&call.mac, module).unwrap_or_default();
                        members.extend(clean::members(tokens));
                        changed = true;
                    }
                    other => members.push(other),
                }
            }
            syntax.items = members;
            if !changed {
                break;
            }
        }
    }

    pub(super) fn expanded(&self, call: &syn::Macro, module: usize) -> Option<TokenStream> {
        let name = unraw(&call.path.segments.last()?.ident);
        if name == "cfg_if" || name == "cfg_select" {
            return Some(self.selected(call.tokens.clone()));
        }
        let mut place = Some(module);
        while let Some(index) = place {
            // `#[macro_use] mod macros;` brings a module's macros into its parent.
            let inner = (index + 1..self.modules.len()).filter(|at| self.modules[*at].parent == Some(index));
            let mut places = std::iter::once(index).chain(inner);
            if let Some(rules) = places.find_map(|at| self.macros.get(&(at, name.clone()))) {
                return rules.expand(call.tokens.clone());
            }
            place = self.modules[index].parent;
        }
        self.macros_anywhere.get(&name)?.expand(call.tokens.clone())
    }

    /// The active branch of a `cfg_if!` or `cfg_select!`.
    fn selected(&self, tokens: TokenStream) -> TokenStream {
        let mut condition = TokenStream::new();
        for token in tokens {
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    if self.is_chosen(std::mem::take(&mut condition)) {
                        return group.stream();
                    }
                }
                token => condition.extend([token]),
            }
        }
        TokenStream::new()
    }

    /// `if #[cfg(unix)]`, `else`, `unix =>` or `_ =>`.
    fn is_chosen(&self, condition: TokenStream) -> bool {
        let mut predicate = TokenStream::new();
        for token in condition {
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                    let inner = group.stream().into_iter().find_map(|token| match token {
                        TokenTree::Group(group) => Some(group.stream()),
                        _ => None,
                    });
                    return inner.is_some_and(|inner| self.cfg.holds_for(inner));
                }
                TokenTree::Punct(punct) if matches!(punct.as_char(), '=' | '>') => {}
                TokenTree::Ident(word) if word == "if" || word == "else" => {}
                token => predicate.extend([token]),
            }
        }
        predicate.is_empty() || self.cfg.holds_for(predicate)
    }
}
