//! Texts that are tokenized word by word, each word once.

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::prelude::*;
use tokenizers::{ModelWrapper, NormalizerWrapper, PreTokenizerWrapper};

use super::tokenizer_file::guarded;
use super::{Encodings, Tokenizer};
use crate::{Result, interrupt};

impl Tokenizer {
    /// Whether the ids of a text are those of the parts between its spaces, one after the other: so it is with BERT's
    /// normaliser, its pre-tokenizer and WordPiece, which see no farther than a space.
    pub(super) fn is_spaced(&self) -> bool {
        matches!(self.inner.get_normalizer(), Some(NormalizerWrapper::BertNormalizer(_)))
            && matches!(self.inner.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)))
            && matches!(self.inner.get_model(), ModelWrapper::WordPiece(_))
            && self.inner.get_added_tokens_decoder().values().all(|token| {
                let reaches = token.lstrip || token.rstrip || token.single_word;
                !reaches && !token.content.is_empty() && !token.content.contains(char::is_whitespace)
            })
    }

    /// The ids of texts without special tokens, of at most `max_length`, from those of their parts: texts of a batch share
    /// most of their words.
    pub(super) fn encode_spaced(&self, texts: &[Cow<'_, str>], max_length: usize) -> Result<Encodings> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut words = Vec::new();
        let place = |word| {
            *places.entry(word).or_insert_with(|| {
                words.push(word);
                words.len() - 1
            })
        };
        let parts = texts.iter().flat_map(|text| text.split(' ').filter(|word| !word.is_empty()));
        let places: Vec<usize> = parts.map(place).collect();
        let encode = |word: &&str| {
            interrupt::check("tokenizing")?;
            Ok(guarded(|| self.encode_start(word, max_length))?.get_ids().to_vec())
        };
        let words: Vec<Vec<u32>> = words.par_iter().with_min_len(64).map(encode).collect::<Result<_>>()?;
        let (mut rest, mut truncated) = (places.as_slice(), 0);
        let mut join = |text: &Cow<'_, str>| {
            let (own, others) = rest.split_at(text.split(' ').filter(|word| !word.is_empty()).count());
            rest = others;
            let mut ids = Vec::with_capacity(2 * own.len());
            own.iter().for_each(|place| ids.extend_from_slice(&words[*place]));
            truncated += usize::from(ids.len() > max_length);
            ids.truncate(max_length);
            ids
        };
        let ids = texts.iter().map(&mut join).collect();
        Ok(Encodings { ids, truncated })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::WordPieceConfig;

    proptest! {
        #[test]
        fn ids_are_those_of_the_whole_text(
            texts in prop::collection::vec(
                prop::collection::vec(
                    prop::sample::select(vec![
                        "red", "House", "houses", " ", "  ", "\t", "\n", ".", "-", "é", "e\u{301}", "\u{301}", "検索", "[UNK]",
                        "[SEP]", "ΑΣ", "\u{a0}", "\u{200b}", "\u{0}", "x1", "🙂", "İ",
                    ]),
                    0..12,
                ),
                0..6,
            ),
            max_length in prop::sample::select(vec![1, 3, 1_000]),
        ) {
            for lowercase in [true, false] {
                let config = WordPieceConfig { vocab_size: 90, min_frequency: 1, lowercase, ..Default::default() };
                let tokenizer =
                    Tokenizer::train_wordpiece(&["red houses - x1 the house . é 検索", "a red House"], &config).unwrap();
                prop_assert!(tokenizer.is_spaced());
                let texts: Vec<Cow<str>> = texts.iter().map(|parts| Cow::Owned(parts.concat())).collect();
                let found = tokenizer.encode_spaced(&texts, max_length).unwrap();
                let mut truncated = 0;
                for (text, found) in texts.iter().zip(&found.ids) {
                    let whole = tokenizer.inner.encode_fast(text.as_ref(), false).unwrap();
                    truncated += usize::from(whole.len() > max_length);
                    prop_assert_eq!(&whole.get_ids()[..whole.len().min(max_length)], &found[..], "{:?}", text);
                }
                prop_assert_eq!(found.truncated, truncated);
            }
        }
    }
}
