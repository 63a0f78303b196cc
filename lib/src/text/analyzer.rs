//! From a text to the terms that lexical search counts.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::porter_stem;

/// How lexical search turns a text into terms: cut into words, then each word becomes a term or
/// nothing. Documents and queries must pass through the same analyzer.
///
/// ```
/// use kensaku::text::Analyzer;
/// assert_eq!(Analyzer::English.tokens("The cat's relational databases"), ["cat", "relat", "databas"]);
/// assert_eq!(Analyzer::Whitespace.tokens("The cat's  tokens"), ["The", "cat's", "tokens"]);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Analyzer {
    /// Lucene's `EnglishAnalyzer`: words by UAX #29, possessive `'s` off, lower case, Lucene's 33
    /// stop words off, Porter's stemmer. One difference: emoji are no words.
    #[default]
    English,
    /// Whatever is between white space, as it is: for text that is already tokenized.
    Whitespace,
}

impl Analyzer {
    /// The terms of a text, in order, repeated as they are repeated in the text.
    pub fn tokens(self, text: &str) -> Vec<String> {
        self.words(text).filter_map(|word| self.term(word)).collect()
    }

    /// The words of a text, in their order.
    pub(crate) fn words(self, text: &str) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::English => Box::new(text.unicode_words().flat_map(pieces)),
            Self::Whitespace => Box::new(text.split_whitespace()),
        }
    }

    /// What is counted for a word; `None` for a stop word. It depends on the word alone, so that an
    /// index computes it once a distinct word.
    pub(crate) fn term(self, word: &str) -> Option<String> {
        match self {
            Self::English => english_term(word),
            Self::Whitespace => Some(word.to_owned()),
        }
    }
}

/// A word as it is, or, if it is longer than Lucene's `maxTokenLength`, cut into pieces of that length.
fn pieces(mut word: &str) -> impl Iterator<Item = &str> {
    const LONGEST: usize = 255;
    std::iter::from_fn(move || {
        let end = if word.len() > LONGEST { word.char_indices().nth(LONGEST) } else { None };
        let (piece, rest) = word.split_at(end.map_or(word.len(), |(at, _)| at));
        word = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn english_term(word: &str) -> Option<String> {
    let word = without_possessive(word).to_lowercase();
    STOP_WORDS.binary_search(&word.as_str()).is_err().then(|| porter_stem(&word))
}

/// The word without a final `'s`, with any of the apostrophes Lucene's filter knows.
fn without_possessive(word: &str) -> &str {
    let stem = word.strip_suffix(['s', 'S']).and_then(|rest| rest.strip_suffix(['\'', '\u{2019}', '\u{FF07}']));
    stem.unwrap_or(word)
}

/// `EnglishAnalyzer.ENGLISH_STOP_WORDS_SET` of Lucene, sorted.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn english(text: &str) -> Vec<String> {
        Analyzer::English.tokens(text)
    }

    #[test]
    fn the_order_of_lucene() {
        // The possessive goes before the stop words: "it's" is "it" and leaves no term.
        assert_eq!(english("It's O'Neill's book"), ["o'neil", "book"]);
        // Lower case comes before the stop words, stemming after them: "thes" would stem to "the".
        assert_eq!(english("THE thes"), ["the"]);
        assert_eq!(english("John\u{2019}s JOHN\u{FF07}S dogs'"), ["john", "john", "dog"]);
    }

    #[test]
    fn words_are_those_of_uax_29() {
        assert_eq!(
            english("3.5 can't a.b well-known foo_bar e-mail"),
            ["3.5", "can't", "a.b", "well", "known", "foo_bar", "e", "mail"]
        );
        assert_eq!(english("検索 エンジン"), ["検", "索", "エンジン"]);
        assert_eq!(english("ÉTÉS ﬁn"), ["été", "ﬁn"]);
    }

    #[test]
    fn a_long_word_is_cut_as_lucene_cuts_it() {
        let lengths = |text: &str| english(text).iter().map(|term| term.chars().count()).collect::<Vec<_>>();
        assert_eq!(lengths(&"x".repeat(600)), [255, 255, 90]);
        assert_eq!(lengths(&"é".repeat(256)), [255, 1]);
        assert_eq!(lengths(&"é".repeat(255)), [255]);
    }

    #[test]
    fn every_stop_word_is_found() {
        assert!(STOP_WORDS.iter().all(|word| english(word).is_empty()));
    }

    #[test]
    fn nothing_to_count() {
        for text in ["", "  \n", "the of and", "... -- !?"] {
            assert!(english(text).is_empty(), "{text}");
        }
        assert!(Analyzer::Whitespace.tokens(" \t ").is_empty());
    }
}
