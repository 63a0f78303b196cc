//! `#[cfg(..)]`: which items of a crate are compiled.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Token};

/// The configuration that a crate is compiled with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cfg {
    flags: HashSet<String>,
    pairs: HashSet<(String, String)>,
}

impl Cfg {
    /// Reads the output of `rustc --print cfg`.
    pub(crate) fn of_target(printed: &str) -> Self {
        let mut cfg = Self::default();
        for line in printed.lines() {
            match line.split_once('=') {
                Some((key, value)) => cfg.pairs.insert((key.to_owned(), value.trim_matches('"').to_owned())),
                None => cfg.flags.insert(line.to_owned()),
            };
        }
        cfg
    }

    pub(crate) fn with_features(&self, features: impl IntoIterator<Item = String>) -> Self {
        let mut cfg = self.clone();
        cfg.pairs.extend(features.into_iter().map(|feature| ("feature".to_owned(), feature)));
        cfg
    }

    /// Whether an item with these attributes is compiled.
    pub(crate) fn allows(&self, attributes: &[Attribute]) -> bool {
        attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).all(|attribute| match &attribute.meta {
            Meta::List(list) => self.holds_for(list.tokens.clone()),
            _ => true,
        })
    }

    /// Whether a predicate, given as the tokens in its parentheses, holds.
    pub(crate) fn holds_for(&self, predicate: TokenStream) -> bool {
        match predicate.to_string().as_str() {
            "true" | "_" => true,
            "false" => false,
            _ => syn::parse2::<Meta>(predicate).is_ok_and(|meta| self.holds(&meta)),
        }
    }

    fn holds(&self, meta: &Meta) -> bool {
        match meta {
            Meta::Path(path) => path.get_ident().is_some_and(|name| self.flags.contains(&name.to_string())),
            Meta::NameValue(pair) => match (&pair.value, pair.path.get_ident()) {
                (Expr::Lit(ExprLit { lit: Lit::Str(value), .. }), Some(name)) => {
                    self.pairs.contains(&(name.to_string(), value.value()))
                }
                _ => false,
            },
            Meta::List(list) => {
                let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
                let Ok(inner) = parser.parse2(list.tokens.clone()) else { return false };
                match list.path.get_ident().map(ToString::to_string).as_deref() {
                    Some("all") => inner.iter().all(|meta| self.holds(meta)),
                    Some("any") => inner.iter().any(|meta| self.holds(meta)),
                    Some("not") => !inner.iter().any(|meta| self.holds(meta)),
                    _ => false,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates() {
        let cfg = Cfg::of_target("unix\ntarget_os=\"linux\"\n").with_features(["lazy".to_owned()]);
        let holds = |text: &str| cfg.holds_for(text.parse().expect("these are tokens"));
        assert!(holds("all(unix, feature = \"lazy\", not(test))"));
        assert!(holds("any(windows, target_os = \"linux\")"));
        assert!(!holds("feature = \"sql\""));
        assert!(!holds("not(any(test, unix))"));
    }
}
