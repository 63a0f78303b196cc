//! Lucene's `EnglishAnalyzer`, after the words are cut.

use crate::text::porter_stem;

pub(super) fn term(word: &str) -> Option<String> {
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
    use crate::text::Analyzer;

    fn english(text: &str) -> Vec<String> {
        Analyzer::English.tokens(text).unwrap()
    }

    #[test]
    fn the_order_of_lucene() {
        // The possessive goes before the stop words: "it's" is "it" and leaves no term.
        assert_eq!(english("It's O'Neill's book"), ["o'neil", "book"]);
        // Lower case comes before the stop words, stemming after them: "thes" would stem to "the".
        assert_eq!(english("THE thes"), ["the"]);
        assert_eq!(english("John\u{2019}s JOHN\u{FF07}S dogs'"), ["john", "john", "dog"]);
        assert_eq!(english("ÉTÉS ﬁn"), ["été", "ﬁn"]);
    }

    #[test]
    fn every_stop_word_is_found() {
        assert!(STOP_WORDS.iter().all(|word| english(word).is_empty()));
        assert!(english("the of and").is_empty());
    }
}
