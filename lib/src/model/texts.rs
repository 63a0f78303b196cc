//! What every model does with texts before its encoder sees them: prompts, room for them, chunks of even length.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Role;
use super::bi_encoder::{DOC, QUERY};
use crate::data::{Corpus, Queries};
use crate::text::{Encodings, Tokenizer};
use crate::{Error, Result};

/// Texts, or pairs, whose tokens are in memory at a time.
pub(super) const WINDOW: usize = 8_192;

/// The texts of queries by rows, made where they are needed.
pub(super) fn of_queries(queries: &Queries) -> impl Fn(Range<usize>) -> Vec<Cow<'static, str>> {
    |rows| queries.rows(rows).texts().into_iter().map(Cow::Owned).collect()
}

/// The texts of documents by rows, each with its title.
pub(super) fn of_docs(corpus: &Corpus) -> impl Fn(Range<usize>) -> Vec<Cow<'static, str>> {
    |rows| corpus.rows(rows).texts().into_iter().map(Cow::Owned).collect()
}

/// Texts that are in memory, by rows.
pub(super) fn of_slice<'a, S: AsRef<str>>(texts: &'a [S]) -> impl Fn(Range<usize>) -> Vec<Cow<'a, str>> {
    |rows| texts[rows].iter().map(|text| Cow::Borrowed(text.as_ref())).collect()
}

/// The prompts in the settings of a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prompts<'a> {
    pub(super) query: &'a str,
    pub(super) doc: &'a str,
    pub(super) others: &'a BTreeMap<String, String>,
    /// The name of the one before texts of [`Role::Plain`].
    pub(super) default: Option<&'a str>,
}

impl<'a> Prompts<'a> {
    /// What is put before a text.
    pub(super) fn of(self, role: Role) -> &'a str {
        match (role, self.default) {
            (Role::Query, _) | (Role::Plain, Some(QUERY)) => self.query,
            (Role::Doc, _) | (Role::Plain, Some(DOC)) => self.doc,
            (Role::Plain, Some(name)) => self.others.get(name).map_or("", String::as_str),
            (Role::Plain, None) => "",
        }
    }

    /// An error for names of prompts that mean nothing, or two things.
    pub(super) fn check(self) -> Result<()> {
        let known = |name: &str| name == QUERY || name == DOC || self.others.contains_key(name);
        if let Some(name) = self.default.filter(|name| !known(name)) {
            let names = [QUERY, DOC].into_iter().chain(self.others.keys().map(String::as_str));
            let expected = format!("one of {}", names.collect::<Vec<_>>().join(", "));
            return Err(Error::Setting { field: "default_prompt", value: name.to_owned(), expected });
        }
        match [QUERY, DOC].into_iter().find(|name| self.others.contains_key(*name)) {
            Some(name) => Err(Error::Setting {
                field: "prompts",
                value: name.to_owned(),
                expected: "other names: those of queries and documents are `query_prompt` and `doc_prompt`".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// An error for a maximum length beyond the encoder's, or one that special tokens and a prompt fill.
    pub(super) fn check_room(self, tokenizer: &Tokenizer, max_length: usize, longest: usize) -> Result<()> {
        if !(2..=longest).contains(&max_length) {
            return Err(Error::Setting {
                field: "max_length",
                value: max_length.to_string(),
                expected: format!("2 to {longest}, the longest input of the encoder"),
            });
        }
        let roles = [Role::Query, Role::Doc, Role::Plain];
        roles.into_iter().try_for_each(|role| check_room_after(self.of(role), tokenizer, max_length, longest))
    }

    /// The prompt of this name, such as `clustering`.
    pub(super) fn named(self, name: &str) -> Result<&'a str> {
        match name {
            QUERY => Ok(self.query),
            DOC => Ok(self.doc),
            other => self.others.get(other).map(String::as_str).ok_or_else(|| {
                let names = [QUERY, DOC].into_iter().chain(self.others.keys().map(String::as_str));
                let expected = format!("one of {}", names.collect::<Vec<_>>().join(", "));
                Error::Setting { field: "prompt", value: name.to_owned(), expected }
            }),
        }
    }

    /// The token ids of each text after its prompt, special tokens included.
    pub(super) fn encode<S: AsRef<str> + Sync>(
        self,
        tokenizer: &Tokenizer,
        texts: &[S],
        role: Role,
        max_length: usize,
    ) -> Result<Encodings> {
        encode_after(self.of(role), tokenizer, texts, max_length)
    }

    /// Each text after its prompt.
    pub(super) fn before<'t, S: AsRef<str> + Sync>(
        self,
        texts: &'t [S],
        role: Role,
    ) -> impl Fn(usize) -> Cow<'t, str> + Sync + use<'t, 'a, S> {
        let prompt = self.of(role);
        move |index: usize| {
            let text = texts[index].as_ref();
            if prompt.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(format!("{prompt}{text}")) }
        }
    }
}

/// The token ids of each text after a prompt, special tokens included.
pub(super) fn encode_after<S: AsRef<str> + Sync>(
    prompt: &str,
    tokenizer: &Tokenizer,
    texts: &[S],
    max_length: usize,
) -> Result<Encodings> {
    let prompted = |index: usize| {
        let text = texts[index].as_ref();
        if prompt.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(format!("{prompt}{text}")) }
    };
    tokenizer.encode_each(texts.len(), prompted, max_length)
}

/// An error for a maximum length that special tokens and a prompt fill.
pub(super) fn check_room_after(prompt: &str, tokenizer: &Tokenizer, max_length: usize, longest: usize) -> Result<()> {
    let taken = tokenizer.encode_batch(&[prompt], longest)?.first().map_or(0, Vec::len);
    if taken < max_length {
        return Ok(());
    }
    let what = match prompt {
        "" => "special tokens".to_owned(),
        prompt => format!("tokens of the prompt `{prompt}`"),
    };
    Err(Error::Setting {
        field: "max_length",
        value: max_length.to_string(),
        expected: format!("more than {taken}, the number of {what}"),
    })
}

/// Says once per model that some of the texts, or pairs, were cut by a limit, such as `("max_length", 256)`.
pub(super) fn report_truncated(told: &AtomicBool, truncated: usize, of: (usize, &str), limit: (&str, usize)) {
    if truncated > 0 && !told.swap(true, Ordering::Relaxed) {
        let ((count, what), (field, most)) = (of, limit);
        log::warn!("{truncated} of {count} {what} are longer than {field} = {most} tokens and lost their end");
    }
}

/// An error about a text of a window that starts with text `first`.
pub(super) fn shifted(error: Error, first: usize) -> Error {
    match error {
        Error::VectorNotFinite { text, value } => Error::VectorNotFinite { text: first + text, value },
        other => other,
    }
}

/// The numbers of the texts, the longest first, so that progress is even.
pub(super) fn by_length(tokens: &[Vec<u32>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(tokens[*index].len()));
    order
}

/// Cuts `order` where a chunk would hold more than `budget` tokens; a chunk holds at least one text.
pub(super) fn chunks_of_tokens<'a>(order: &'a [usize], tokens: &[Vec<u32>], budget: usize) -> Vec<&'a [usize]> {
    let mut chunks = Vec::new();
    let (mut start, mut held) = (0, 0);
    for (place, index) in order.iter().enumerate() {
        if place > start && held + tokens[*index].len() > budget {
            chunks.push(&order[start..place]);
            (start, held) = (place, 0);
        }
        held += tokens[*index].len();
    }
    if start < order.len() {
        chunks.push(&order[start..]);
    }
    chunks
}
