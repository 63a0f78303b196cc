//! Expands `macro_rules!` macros that generate items: most of std's integer methods and many of
//! candle's and Polars's come from one.

use std::collections::HashMap;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};

/// The rules of one macro.
#[derive(Debug)]
pub(crate) struct Rules(Vec<(Vec<Matcher>, TokenStream)>);

#[derive(Debug)]
enum Matcher {
    Token(TokenTree),
    Group(Delimiter, Vec<Matcher>),
    Fragment { name: String, kind: String },
    Repeat { inner: Vec<Matcher>, separator: Vec<TokenTree>, once: bool },
}

#[derive(Debug, Clone)]
enum Bound {
    Tokens(TokenStream),
    Many(Vec<Bound>),
}

type Bindings = HashMap<String, Bound>;

impl Rules {
    /// Reads the body of a `macro_rules!`.
    pub(crate) fn parse(body: TokenStream) -> Self {
        let mut rules = Vec::new();
        let mut pattern = None;
        for token in body {
            if let TokenTree::Group(group) = token {
                match pattern.take() {
                    None => pattern = Some(matchers(group.stream())),
                    Some(matchers) => rules.push((matchers, group.stream())),
                }
            }
        }
        Self(rules)
    }

    /// The expansion of a call with `input`, if a rule matches.
    pub(crate) fn expand(&self, input: TokenStream) -> Option<TokenStream> {
        let input: Vec<TokenTree> = input.into_iter().collect();
        self.0.iter().find_map(|(matchers, body)| {
            let mut bindings = Bindings::new();
            let end = matches(matchers, &input, 0, &mut bindings)?;
            (end == input.len()).then(|| transcribe(body.clone(), &bindings))
        })
    }
}

fn matchers(pattern: TokenStream) -> Vec<Matcher> {
    let mut matchers = Vec::new();
    let mut tokens = pattern.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '$' => match tokens.next() {
                Some(TokenTree::Group(group)) => {
                    let (separator, operator) = repetition(&mut tokens);
                    let inner = self::matchers(group.stream());
                    matchers.push(Matcher::Repeat { inner, separator, once: operator == '?' });
                }
                Some(TokenTree::Ident(name)) => {
                    tokens.next();
                    let kind = tokens.next().map(|kind| kind.to_string()).unwrap_or_default();
                    matchers.push(Matcher::Fragment { name: name.to_string(), kind });
                }
                _ => {}
            },
            TokenTree::Group(group) => {
                matchers.push(Matcher::Group(group.delimiter(), self::matchers(group.stream())));
            }
            token => matchers.push(Matcher::Token(token)),
        }
    }
    matchers
}

/// The part after `$( .. )`: a separator and `*`, `+` or `?`.
fn repetition(tokens: &mut impl Iterator<Item = TokenTree>) -> (Vec<TokenTree>, char) {
    let mut separator = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if matches!(punct.as_char(), '*' | '+' | '?') => {
                return (separator, punct.as_char());
            }
            token => separator.push(token),
        }
    }
    (separator, '*')
}

/// Matches from `at` on and returns the end.
fn matches(matchers: &[Matcher], input: &[TokenTree], mut at: usize, bindings: &mut Bindings) -> Option<usize> {
    for matcher in matchers {
        match matcher {
            Matcher::Token(token) => {
                if input.get(at)?.to_string() != token.to_string() {
                    return None;
                }
                at += 1;
            }
            Matcher::Group(delimiter, inner) => {
                let TokenTree::Group(group) = input.get(at)? else { return None };
                let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
                if group.delimiter() != *delimiter || matches(inner, &tokens, 0, bindings)? != tokens.len() {
                    return None;
                }
                at += 1;
            }
            Matcher::Fragment { name, kind } => {
                let length = fragment(kind, &input[at..])?;
                let tokens = input[at..at + length].iter().cloned().collect();
                bindings.insert(name.clone(), Bound::Tokens(tokens));
                at += length;
            }
            Matcher::Repeat { inner, separator, once } => {
                let mut rounds: Vec<Bindings> = Vec::new();
                while at < input.len() && !(*once && rounds.len() == 1) {
                    let start = if rounds.is_empty() { Some(at) } else { behind(separator, input, at) };
                    let mut round = Bindings::new();
                    match start.and_then(|start| matches(inner, input, start, &mut round)) {
                        Some(end) if end > at => at = end,
                        _ => break,
                    }
                    rounds.push(round);
                }
                for name in names(inner) {
                    let values = rounds.iter().filter_map(|round| round.get(name).cloned()).collect();
                    bindings.insert(name.to_owned(), Bound::Many(values));
                }
            }
        }
    }
    Some(at)
}

fn behind(separator: &[TokenTree], input: &[TokenTree], at: usize) -> Option<usize> {
    let there = input.get(at..at + separator.len())?;
    let same = there.iter().zip(separator).all(|(a, b)| a.to_string() == b.to_string());
    same.then_some(at + separator.len())
}

fn names(matchers: &[Matcher]) -> Vec<&str> {
    let mut found = Vec::new();
    for matcher in matchers {
        match matcher {
            Matcher::Fragment { name, .. } => found.push(name.as_str()),
            Matcher::Group(_, inner) | Matcher::Repeat { inner, .. } => found.extend(names(inner)),
            Matcher::Token(_) => {}
        }
    }
    found
}

/// How many tokens the fragment takes.
fn fragment(kind: &str, input: &[TokenTree]) -> Option<usize> {
    let starts_with = |c: char| matches!(input.first(), Some(TokenTree::Punct(punct)) if punct.as_char() == c);
    match kind {
        "tt" => (!input.is_empty()).then_some(1),
        "ident" => matches!(input.first()?, TokenTree::Ident(_)).then_some(1),
        "lifetime" => starts_with('\'').then_some(2),
        "literal" => {
            let sign = usize::from(starts_with('-'));
            matches!(input.get(sign)?, TokenTree::Literal(_) | TokenTree::Ident(_)).then_some(sign + 1)
        }
        "ty" => parsed(input, |input| input.parse::<syn::Type>().map(drop)),
        "expr" | "expr_2021" => parsed(input, |input| input.parse::<syn::Expr>().map(drop)),
        "path" => parsed(input, |input| input.parse::<syn::Path>().map(drop)),
        "vis" => parsed(input, |input| input.parse::<syn::Visibility>().map(drop)),
        "meta" => parsed(input, |input| input.parse::<syn::Meta>().map(drop)),
        "block" => parsed(input, |input| input.parse::<syn::Block>().map(drop)),
        "item" => parsed(input, |input| input.parse::<syn::Item>().map(drop)),
        "pat" | "pat_param" => parsed(input, |input| syn::Pat::parse_multi_with_leading_vert(input).map(drop)),
        _ => None,
    }
}

fn parsed(input: &[TokenTree], parser: fn(ParseStream) -> syn::Result<()>) -> Option<usize> {
    let tokens: TokenStream = input.iter().cloned().collect();
    let rest = |input: ParseStream| -> syn::Result<usize> {
        parser(input)?;
        Ok(input.parse::<TokenStream>()?.into_iter().count())
    };
    Some(input.len() - rest.parse2(tokens).ok()?)
}

fn transcribe(body: TokenStream, bindings: &Bindings) -> TokenStream {
    let mut output = TokenStream::new();
    let mut tokens = body.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '$' => match tokens.next() {
                Some(TokenTree::Ident(name)) if name == "crate" => {
                    output.extend([TokenTree::Ident(Ident::new("crate", Span::call_site()))]);
                }
                Some(TokenTree::Ident(name)) => match bindings.get(&name.to_string()) {
                    Some(Bound::Tokens(tokens)) => output.extend(tokens.clone()),
                    // A macro inside the macro.
                    _ => output.extend([TokenTree::Punct(punct), TokenTree::Ident(name)]),
                },
                Some(TokenTree::Group(group)) => {
                    let (separator, _) = repetition(&mut tokens);
                    repeat(&group, &separator, bindings, &mut output);
                }
                Some(other) => output.extend([TokenTree::Punct(punct), other]),
                None => {}
            },
            TokenTree::Group(group) => {
                let inner = transcribe(group.stream(), bindings);
                output.extend([TokenTree::Group(Group::new(group.delimiter(), inner))]);
            }
            token => output.extend([token]),
        }
    }
    output
}

fn repeat(group: &Group, separator: &[TokenTree], bindings: &Bindings, output: &mut TokenStream) {
    let mut used = Vec::new();
    variables(group.stream(), &mut used);
    let count = used
        .iter()
        .filter_map(|name| match bindings.get(name) {
            Some(Bound::Many(values)) => Some(values.len()),
            _ => None,
        })
        .max();
    for round in 0..count.unwrap_or(0) {
        let mut inner = bindings.clone();
        for name in &used {
            if let Some(Bound::Many(values)) = bindings.get(name)
                && let Some(value) = values.get(round)
            {
                inner.insert(name.clone(), value.clone());
            }
        }
        if round > 0 {
            output.extend(separator.iter().cloned());
        }
        output.extend(transcribe(group.stream(), &inner));
    }
}

fn variables(body: TokenStream, found: &mut Vec<String>) {
    let mut dollar = false;
    for token in body {
        match &token {
            TokenTree::Ident(name) if dollar => found.push(name.to_string()),
            TokenTree::Group(group) => variables(group.stream(), found),
            _ => {}
        }
        dollar = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '$');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(rules: &str, input: &str) -> Option<String> {
        let tokens = |text: &str| text.parse::<TokenStream>().expect("these are tokens");
        let expanded = Rules::parse(tokens(rules)).expand(tokens(input))?;
        Some(super::super::print::print(expanded))
    }

    #[test]
    fn names_are_substituted() {
        let rules = "($name:ident, $op:ident) => { pub fn $name(&self) -> Result<Self> { $crate::$op } };";
        assert_eq!(expand(rules, "sqr, Sqr").as_deref(), Some("pub fn sqr(&self) -> Result<Self> { crate::Sqr }"));
        assert_eq!(expand(rules, "sqr"), None);
    }

    #[test]
    fn repetitions_of_types() {
        let rules = "($($t:ty => $n:literal),* $(,)?) => { $(impl Size for $t { const N: u8 = $n; })* }";
        let expanded = expand(rules, "Vec<u8> => 1, i32 => 2,").unwrap_or_default();
        assert!(expanded.contains("impl Size for Vec<u8> { const N: u8 = 1;"), "{expanded}");
        assert!(expanded.contains("impl Size for i32 { const N: u8 = 2;"), "{expanded}");
    }
}
