//! Texts that are tokenized word by word, each word once.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::TryLockError;

use hashbrown::HashTable;
use polars::prelude::{PlHashMap, PlIndexSet};
use rayon::prelude::*;
use tokenizers::{ModelWrapper, NormalizerWrapper, PreTokenizerWrapper};
use xxhash_rust::xxh3::xxh3_64;

use super::tokenizer::{BYTES_PER_TOKEN, SHORT_TEXT};
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

    /// The ids of `count` texts, of at most `max_length`, between those that are put around each, from the ids of their words:
    /// texts share most of them, with others of the batch and with those before.
    pub(super) fn encode_spaced<'a>(
        &self,
        count: usize,
        text: impl Fn(usize) -> Cow<'a, str>,
        around: [&[u32]; 2],
        max_length: usize,
    ) -> Result<Encodings> {
        let mut all = Encodings { ids: Vec::with_capacity(count), truncated: 0 };
        for start in (0..count).step_by(BLOCK) {
            let texts: Vec<Cow<'_, str>> = (start..count.min(start + BLOCK)).map(&text).collect();
            for (ids, truncated) in self.encode_block(&texts, around, max_length)? {
                all.ids.push(ids);
                all.truncated += usize::from(truncated);
            }
        }
        Ok(all)
    }

    /// Ids, and whether the text was longer.
    fn encode_block(
        &self,
        texts: &[Cow<'_, str>],
        [before, after]: [&[u32]; 2],
        max_length: usize,
    ) -> Result<Vec<(Vec<u32>, bool)>> {
        // Whoever waited here for a thread of the pool, which waits for its own work below, might wait for ever: another
        // call at the same time does without.
        let (mut held, mut own) = (None, Words::default());
        match self.words.try_lock() {
            Ok(words) => held = Some(words),
            Err(TryLockError::Poisoned(error)) => held = Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        let known = held.as_deref_mut().unwrap_or(&mut own);
        // What a short text has for its tokens; of a long one mostly the start is enough.
        let most = max_length.saturating_mul(BYTES_PER_TOKEN).max(SHORT_TEXT);
        let mut new = PlIndexSet::<&str>::default();
        let mut long = PlHashMap::<&str, Vec<u32>>::default();
        for word in texts.iter().flat_map(|text| words(start(text, most))) {
            if !known.keep(word) {
                new.insert(word);
            }
        }
        let encode = |word: &&str| {
            interrupt::check("tokenizing")?;
            Ok(guarded(|| self.encode_start(word, max_length))?.get_ids().to_vec())
        };
        let new: Vec<&str> = new.into_iter().collect();
        let ids: Vec<Vec<u32>> = new.par_iter().with_min_len(64).map(encode).collect::<Result<_>>()?;
        for (word, ids) in new.into_iter().zip(ids) {
            match word.len() > LONGEST {
                true => drop(long.insert(word, ids)),
                false => known.insert(word, &ids),
            }
        }
        let join = |text: &Cow<'_, str>| {
            let (part, mut ids) = (start(text, most), Vec::new());
            for word in words(part) {
                ids.extend_from_slice(
                    known.find(word).or_else(|| long.get(word).map(Vec::as_slice)).unwrap_or_default(),
                );
                if ids.len() > max_length {
                    break;
                }
            }
            if ids.len() <= max_length && part.len() < text.len() {
                // Of words that are mostly nothing.
                interrupt::check("tokenizing")?;
                ids = guarded(|| self.encode_start(text, max_length))?.get_ids().to_vec();
            }
            let own = &ids[..ids.len().min(max_length)];
            Ok(([before, own, after].concat(), ids.len() > max_length))
        };
        let found = texts.par_iter().with_min_len(16).map(join).collect();
        known.make_room();
        found
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// The words of a text that begin and end within its first `most` bytes; all of a text that is not longer.
fn start(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let start = &text[..text.floor_char_boundary(most)];
    &start[..start.rfind(' ').unwrap_or(0)]
}

/// The longest word that is remembered, in bytes.
const LONGEST: usize = 64;

/// Texts whose new words are held at a time.
const BLOCK: usize = 1024;

/// How many words a generation has.
const MOST: usize = 7_168; // what a hash table of 8,192 places takes

/// How many ids they may have.
const MOST_IDS: usize = 1 << 16;

/// The ids of words that were met before. The words of the last texts are kept, and those of the texts before: frequent
/// words stay, whatever rare ones come between.
#[derive(Default)]
pub(super) struct Words {
    last: Generation,
    before: Generation,
}

impl Words {
    fn find(&self, word: &str) -> Option<&[u32]> {
        self.last.find(word).or_else(|| self.before.find(word))
    }

    /// Whether a word is known; then it stays for another generation.
    fn keep(&mut self, word: &str) -> bool {
        if self.last.find(word).is_some() {
            return true;
        }
        let ids = self.before.find(word);
        ids.map(|ids| self.last.insert(word, ids)).is_some()
    }

    /// Remembers a word that is not known yet.
    fn insert(&mut self, word: &str, ids: &[u32]) {
        self.last.insert(word, ids);
    }

    /// Forgets the generation before if there is a new one.
    fn make_room(&mut self) {
        if self.last.ends.len() > MOST || self.last.ids.len() > MOST_IDS {
            self.before = std::mem::take(&mut self.last);
        }
    }
}

/// Words and their ids: 30 bytes per word.
#[derive(Default)]
struct Generation {
    /// The words one after the other, and where each ends.
    text: String,
    ends: Vec<u32>,
    /// Their ids, the same way.
    ids: Vec<u32>,
    id_ends: Vec<u32>,
    /// The number of each word, by its hash.
    numbers: HashTable<u32>,
}

impl Generation {
    fn find(&self, word: &str) -> Option<&[u32]> {
        let number = *self.numbers.find(hash(word), |number| self.word(*number) == word)?;
        Some(&self.ids[range(&self.id_ends, number)])
    }

    fn insert(&mut self, word: &str, ids: &[u32]) {
        let number = self.ends.len() as u32;
        self.text.push_str(word);
        self.ends.push(self.text.len() as u32);
        self.ids.extend_from_slice(ids);
        self.id_ends.push(self.ids.len() as u32);
        let Self { text, ends, numbers, .. } = self;
        numbers.insert_unique(hash(word), number, |number| hash(&text[range(ends, *number)]));
    }

    fn word(&self, number: u32) -> &str {
        &self.text[range(&self.ends, number)]
    }
}

fn hash(word: &str) -> u64 {
    xxh3_64(word.as_bytes())
}

fn range(ends: &[u32], number: u32) -> Range<usize> {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    start as usize..ends[number] as usize
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
                let text = |index: usize| texts[index].clone();
                let found = tokenizer.encode_spaced(texts.len(), text, [&[], &[]], max_length).unwrap();
                let mut truncated = 0;
                for (text, found) in texts.iter().zip(&found.ids) {
                    let whole = tokenizer.inner.encode_fast(text.as_ref(), false).unwrap();
                    truncated += usize::from(whole.len() > max_length);
                    prop_assert_eq!(&whole.get_ids()[..whole.len().min(max_length)], &found[..], "{:?}", text);
                }
                prop_assert_eq!(found.truncated, truncated);
                if max_length > 2 {
                    // With special tokens, as texts that are tokenized whole.
                    let found = tokenizer.encode(&texts, max_length).unwrap();
                    for (text, found) in texts.iter().zip(&found.ids) {
                        prop_assert_eq!(&tokenizer.encode_one(text, max_length - 2).unwrap().0, found, "{:?}", text);
                    }
                }
            }
        }
    }

    #[test]
    fn long_texts_are_read_as_far_as_needed() {
        let config = WordPieceConfig { min_frequency: 1, ..Default::default() };
        let tokenizer = Tokenizer::train_wordpiece(&["a red house"], &config).unwrap();
        let texts = [
            "a red house ".repeat(10_000),
            // Words without a token.
            format!("{}house", "\u{1} ".repeat(10_000)),
            "redred".repeat(5_000),
            format!("a {}", "x".repeat(10_000)),
        ];
        for max_length in [3, 50, 100_000] {
            let found = tokenizer.encode(&texts, max_length).unwrap();
            for (text, found) in texts.iter().zip(&found.ids) {
                assert_eq!(&tokenizer.encode_one(text, max_length - 2).unwrap().0, found);
            }
        }
        assert_eq!(tokenizer.encode(&texts, 50).unwrap().truncated, 1);
    }

    #[test]
    fn calls_from_many_threads_do_not_wait_for_each_other() {
        let config = WordPieceConfig { min_frequency: 1, ..Default::default() };
        let tokenizer = Tokenizer::train_wordpiece(&["a red house"], &config).unwrap();
        let texts: Vec<String> = (0..6_000).map(|n| format!("a{n} red{n} house")).collect();
        let whole = tokenizer.encode(&texts, 50).unwrap().ids;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let found: Vec<_> =
            pool.install(|| texts.par_chunks(100).flat_map(|texts| tokenizer.encode(texts, 50).unwrap().ids).collect());
        assert_eq!(found, whole);
    }

    #[test]
    fn words_that_are_met_again_are_remembered() {
        let mut words = Words::default();
        words.insert("often", &[1, 2]);
        words.insert("once", &[3]);
        for generation in 0..3 {
            assert!(words.keep("often"));
            words.insert(&format!("long {generation}"), &vec![7; MOST_IDS]);
            words.make_room();
            assert_eq!(words.find("often"), Some(&[1, 2][..]));
            assert_eq!(words.find(&format!("long {generation}")).map(<[u32]>::len), Some(MOST_IDS));
            assert_eq!(words.find("once").is_some(), generation == 0);
        }
    }
}
