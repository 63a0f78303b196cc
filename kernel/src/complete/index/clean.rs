//! Prepares tokens for syn: bodies of functions are emptied, which saves most of the parsing time,
//! and syntax reserved for std (`const` traits) is removed.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{ImplItem, Item};

/// The items in `tokens`; those that do not parse are skipped.
pub(super) fn items(tokens: TokenStream) -> Vec<Item> {
    let tokens = clean(tokens);
    if let Ok(file) = syn::parse2::<syn::File>(tokens.clone()) {
        return file.items;
    }
    each::<Item>.parse2(tokens).unwrap_or_default()
}

/// The members of an impl in `tokens`, likewise.
pub(super) fn members(tokens: TokenStream) -> Vec<ImplItem> {
    each::<ImplItem>.parse2(clean(tokens)).unwrap_or_default()
}

fn each<T: Parse>(input: ParseStream) -> syn::Result<Vec<T>> {
    syn::Attribute::parse_inner(input)?;
    let mut items = Vec::new();
    while !input.is_empty() {
        let ahead = input.fork();
        match ahead.parse::<T>() {
            Ok(item) => {
                items.push(item);
                syn::parse::discouraged::Speculative::advance_to(input, &ahead);
            }
            Err(_) => skip(input)?,
        }
    }
    Ok(items)
}

/// Skips past the next semicolon or block.
fn skip(input: ParseStream) -> syn::Result<()> {
    while !input.is_empty() {
        match input.parse::<TokenTree>()? {
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
            _ => {}
        }
    }
    Ok(())
}

fn clean(tokens: TokenStream) -> TokenStream {
    let mut output: Vec<TokenTree> = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    let mut in_function = false;
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Ident(word) if word == "fn" => {
                in_function = matches!(tokens.peek(), Some(TokenTree::Ident(_)));
            }
            TokenTree::Ident(word) if word == "const" => {
                let before = output.last().map(ToString::to_string);
                let tilde = before.as_deref() == Some("~");
                let next = tokens.peek().map(ToString::to_string);
                let before_item = matches!(next.as_deref(), Some("trait" | "impl" | "auto"));
                if tilde {
                    output.pop();
                }
                if tilde || before_item || matches!(before.as_deref(), Some(">" | "impl")) {
                    continue;
                }
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                let only_const = group.stream().to_string() == "const";
                if only_const && matches!(tokens.peek(), Some(TokenTree::Ident(_))) {
                    continue;
                }
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let body = if in_function { TokenStream::new() } else { clean(group.stream()) };
                in_function = false;
                output.push(TokenTree::Group(regrouped(group, body)));
                continue;
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => in_function = false,
            _ => {}
        }
        output.push(match token {
            TokenTree::Group(group) => TokenTree::Group(regrouped(&group, clean(group.stream()))),
            token => token,
        });
    }
    output.into_iter().collect()
}

fn regrouped(group: &Group, inner: TokenStream) -> Group {
    let mut new = Group::new(group.delimiter(), inner);
    new.set_span(group.span());
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_reserved_for_std_is_accepted() {
        let code = "pub const trait Add<R = Self> { fn add(self) -> R; }\n\
                    impl<T: [const] Add> const Add for Box<T> where T: ~const Drop { fn add(self) { body } }\n\
                    this is nothing;\n\
                    pub fn kept() -> u8 { let x = 1; x }";
        let items = items(code.parse().expect("these are tokens"));
        assert_eq!(items.len(), 3);
    }
}
