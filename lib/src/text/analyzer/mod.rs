//! From a text to the terms that lexical search counts.

mod cjk;
mod english;
mod language;
mod words;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use crate::Result;

pub use language::Language;

/// How lexical search turns a text into terms: cut into words, then each word becomes a term or
/// nothing. Documents and queries must pass through the same analyzer.
///
/// ```
/// use kensaku::text::{Analyzer, Language};
/// assert_eq!(Analyzer::English.tokens("The cat's relational databases")?, ["cat", "relat", "databas"]);
/// assert_eq!(Analyzer::CjkBigram.tokens("ＧＰＵで検索する")?, ["gpu", "で検", "検索", "索す", "する"]);
/// assert_eq!(Analyzer::Snowball(Language::German).tokens("die Häuser")?, ["die", "haus"]);
/// assert_eq!(Analyzer::Whitespace.tokens("The cat's  tokens")?, ["The", "cat's", "tokens"]);
/// # Ok::<(), kensaku::Error>(())
/// ```
///
/// All but the last two cut at the word boundaries of Unicode (UAX #29), as Lucene's `StandardTokenizer` does, which keeps
/// what Thai, Lao, Burmese and Khmer write without spaces in one piece: for these languages, and for Japanese by words
/// rather than characters, take the pieces of a model's tokenizer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Analyzer {
    /// Lucene's `EnglishAnalyzer`: words by UAX #29, possessive `'s` off, lower case, Lucene's 33
    /// stop words off, Porter's stemmer. One difference: emoji are no words.
    #[default]
    English,
    /// Lucene's `CJKAnalyzer`, for Chinese, Japanese and Korean: each two neighbours in a run of Han, Hiragana, Katakana
    /// and Hangul, or the character of a run of one; the words of what is between the runs, without Lucene's 35 stop words.
    /// All in lower case and of one width. Two differences: the text is normalised (NFKC) before it is cut, not after, and
    /// Hangul next to other letters is a run of its own, as with Lucene's `ICUTokenizer`.
    CjkBigram,
    /// Words by UAX #29, lower case, a Snowball stemmer; elisions off where the language has them (`l'avion`), as in
    /// Lucene's analyzers. No stop words: a term of most documents has little weight.
    Snowball(Language),
    /// The pieces into which the tokenizer of a model cuts the text, without its special tokens; pieces that are not in its
    /// vocabulary are left out.
    #[serde(with = "json")]
    WordPieces(Tokenizer),
    /// Whatever is between white space, as it is: for text that is already tokenized.
    Whitespace,
}

impl Analyzer {
    /// The terms of a text, in order, repeated as they are repeated in the text.
    ///
    /// # Errors
    /// For a tokenizer that cannot encode the text; the others have none.
    pub fn tokens(&self, text: &str) -> Result<Vec<String>> {
        let mut tokens = Vec::new();
        self.words(text, |word| tokens.extend(self.term(word).map(Cow::into_owned)))?;
        Ok(tokens)
    }

    /// The words of a text, in their order.
    pub(crate) fn words(&self, text: &str, mut each: impl FnMut(&str)) -> Result<()> {
        match self {
            Self::English | Self::Snowball(_) => words::words(text, each),
            Self::CjkBigram => cjk::words(text, each),
            Self::WordPieces(tokenizer) => tokenizer.pieces(text)?.iter().for_each(|piece| each(piece)),
            Self::Whitespace => text.split_whitespace().for_each(each),
        }
        Ok(())
    }

    /// What is counted for a word; `None` for a stop word. It depends on the word alone, so that an
    /// index computes it once a distinct word.
    pub(crate) fn term<'a>(&self, word: &'a str) -> Option<Cow<'a, str>> {
        match self {
            Self::English => english::term(word).map(Cow::Owned),
            Self::CjkBigram => cjk::term(word),
            Self::Snowball(language) => language.term(word).map(Cow::Owned),
            Self::WordPieces(_) | Self::Whitespace => Some(Cow::Borrowed(word)),
        }
    }
}

/// A tokenizer in a settings file: its `tokenizer.json`, as a string.
mod json {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::text::Tokenizer;

    pub(super) fn serialize<S: Serializer>(tokenizer: &Tokenizer, serializer: S) -> Result<S::Ok, S::Error> {
        tokenizer.to_json().map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tokenizer, D::Error> {
        Tokenizer::from_bytes(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::WordPieceConfig;

    #[test]
    fn nothing_to_count() {
        let pieces = Analyzer::WordPieces(tokenizer());
        for text in ["", "  \n", "... -- !?", "\u{301}", "🙂"] {
            for analyzer in [Analyzer::English, Analyzer::CjkBigram, Analyzer::Snowball(Language::French)] {
                assert!(analyzer.tokens(text).unwrap().is_empty(), "{analyzer:?}: {text:?}");
            }
        }
        for analyzer in [pieces, Analyzer::Whitespace] {
            assert!(analyzer.tokens(" \t ").unwrap().is_empty());
        }
    }

    fn tokenizer() -> Tokenizer {
        let config = WordPieceConfig { vocab_size: 40, min_frequency: 1, ..Default::default() };
        Tokenizer::train_wordpiece(&["search searching engines"], &config).unwrap()
    }

    #[test]
    fn pieces_are_those_of_the_tokenizer() {
        let analyzer = Analyzer::WordPieces(tokenizer());
        let text = "Searching the searchengines 検";
        let ids = tokenizer().encode_batch(&[text], usize::MAX).unwrap().remove(0);
        let unknown = tokenizer().id("[UNK]").unwrap();
        let known = |id: &&u32| !tokenizer().is_special(**id) && **id != unknown;
        let expected: Vec<String> = ids.iter().filter(known).map(|id| tokenizer().token(*id).unwrap()).collect();
        assert_eq!(analyzer.tokens(text).unwrap(), expected);
        assert!(expected.iter().any(|piece| piece.starts_with("##")), "{expected:?}");
    }

    #[test]
    fn settings_are_read_and_written() {
        for (analyzer, text) in [
            (Analyzer::English, r#""english""#),
            (Analyzer::CjkBigram, r#""cjk_bigram""#),
            (Analyzer::Snowball(Language::Finnish), r#"{"snowball":"finnish"}"#),
            (Analyzer::Whitespace, r#""whitespace""#),
        ] {
            assert_eq!(serde_json::to_string(&analyzer).unwrap(), text);
            assert_eq!(serde_json::from_str::<Analyzer>(text).unwrap(), analyzer);
        }
        let pieces = Analyzer::WordPieces(tokenizer());
        let again: Analyzer = serde_json::from_str(&serde_json::to_string(&pieces).unwrap()).unwrap();
        assert_eq!(again, pieces);
        assert_ne!(again, Analyzer::WordPieces(Tokenizer::train_wordpiece(&["x"], &Default::default()).unwrap()));
        assert!(serde_json::from_str::<Analyzer>(r#"{"word_pieces": "{}"}"#).is_err());
    }
}
