//! Training a WordPiece vocabulary.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Tokenizer,
};

use super::tokenizer::problem;
use crate::{Error, Result, interrupt};

/// `[PAD]` is 0, as in every BERT.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const PREFIX: &str = "##";
/// A longer word is `[UNK]` as a whole, so nothing is learnt from it.
const LONGEST_WORD: usize = 100;

/// How a WordPiece vocabulary is learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WordPieceConfig {
    /// The largest vocabulary, special tokens and alphabet included; a small corpus gives a smaller
    /// one. Default 8,000.
    pub vocab_size: usize,
    /// How often two pieces must be neighbours to become one. Default 2.
    pub min_frequency: u64,
    /// Whether letters are lower-cased and accents removed. Default true.
    pub lowercase: bool,
    /// How many different characters, the most frequent first, the vocabulary may spell words with;
    /// words with another character become `[UNK]`. Default 1,000.
    pub alphabet: usize,
}

impl Default for WordPieceConfig {
    fn default() -> Self {
        Self { vocab_size: 8_000, min_frequency: 2, lowercase: true, alphabet: 1_000 }
    }
}

/// Learns the vocabulary as Hugging Face's `BertWordPieceTokenizer` does (byte-pair merges, then
/// WordPiece encoding), in an order that depends on nothing but the words and their counts.
pub(super) fn train<S: AsRef<str> + Sync>(texts: &[S], config: &WordPieceConfig) -> Result<Tokenizer> {
    let mut normalizer = BertNormalizer::default();
    normalizer.lowercase = config.lowercase;
    let words = count_words(texts, &normalizer)?;
    let alphabet = alphabet(&words, config.alphabet);
    let fixed = fixed_tokens(&words, &alphabet);
    if config.vocab_size < fixed.len() {
        return Err(Error::Setting {
            field: "vocab_size",
            value: config.vocab_size.to_string(),
            expected: format!("at least {}: the special tokens and the alphabet of these texts", fixed.len()),
        });
    }
    // Each merge shortens a word: more tokens than that no texts can give, and room for them is made at once.
    let most = words.keys().map(|word| word.len()).sum::<usize>() + fixed.len();
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(config.vocab_size.min(most))
        .min_frequency(config.min_frequency)
        .continuing_subword_prefix(PREFIX.to_owned())
        .special_tokens(fixed.into_iter().map(|token| AddedToken::from(token, false)).collect())
        .build();
    let spelled = words.into_iter().filter(|(word, _)| word.chars().all(|letter| alphabet.contains(&letter)));
    let mut merges = BPE::default();
    trainer.do_train(&spelled.map(|(word, count)| (word.into(), count)).collect(), &mut merges).map_err(problem)?;
    bert(WordPiece::from_bpe(&merges), normalizer)
}

fn count_words<S: AsRef<str> + Sync>(texts: &[S], normalizer: &BertNormalizer) -> Result<BTreeMap<String, u64>> {
    let count = |mut counts: BTreeMap<String, u64>, text: &S| {
        interrupt::check("training a tokenizer")?;
        for word in split(text.as_ref(), normalizer)? {
            if word.chars().nth(LONGEST_WORD).is_some() {
                continue;
            }
            *counts.entry(word).or_default() += 1;
        }
        Ok(counts)
    };
    let add = |mut a: BTreeMap<String, u64>, b: BTreeMap<String, u64>| {
        b.into_iter().for_each(|(word, count)| *a.entry(word).or_default() += count);
        Ok(a)
    };
    texts.par_iter().try_fold(BTreeMap::new, count).try_reduce(BTreeMap::new, add)
}

fn split(text: &str, normalizer: &BertNormalizer) -> Result<Vec<String>> {
    let mut text = NormalizedString::from(text);
    normalizer.normalize(&mut text).map_err(problem)?;
    let mut words = PreTokenizedString::from(text);
    BertPreTokenizer.pre_tokenize(&mut words).map_err(problem)?;
    let words = words.get_splits(OffsetReferential::Original, OffsetType::None);
    Ok(words.into_iter().map(|(word, ..)| word.to_owned()).collect())
}

/// The most frequent characters; of equally frequent ones the lower.
fn alphabet(words: &BTreeMap<String, u64>, size: usize) -> BTreeSet<char> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in words {
        word.chars().for_each(|letter| *counts.entry(letter).or_default() += count);
    }
    let mut letters: Vec<(char, u64)> = counts.into_iter().collect();
    letters.sort_by_key(|(letter, count)| (std::cmp::Reverse(*count), *letter));
    letters.into_iter().take(size).map(|(letter, _)| letter).collect()
}

/// The tokens that are not learnt: special tokens, letters, and letters inside a word.
///
/// All are given to the trainer as if they were special. It would number `##a`, `##b` in the order of
/// a randomly seeded hash map, and numbers decide between merges that are equally frequent.
fn fixed_tokens(words: &BTreeMap<String, u64>, alphabet: &BTreeSet<char>) -> Vec<String> {
    let inside: BTreeSet<char> =
        words.keys().flat_map(|word| word.chars().skip(1)).filter(|letter| alphabet.contains(letter)).collect();
    let special = SPECIAL.iter().map(|token| (*token).to_owned());
    let letters = alphabet.iter().map(char::to_string);
    special.chain(letters).chain(inside.iter().map(|letter| format!("{PREFIX}{letter}"))).collect()
}

fn bert(model: WordPiece, normalizer: BertNormalizer) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normalizer)).map_err(problem)?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(WordPieceDecoder::default()));
    tokenizer.add_special_tokens(SPECIAL.map(|token| AddedToken::from(token, true))).map_err(problem)?;
    let id = |token: &str| tokenizer.token_to_id(token).unwrap_or_default();
    let template = TemplateProcessing::builder()
        .try_single("[CLS] $A [SEP]")
        .and_then(|template| template.try_pair("[CLS] $A [SEP] $B:1 [SEP]:1"))
        .map_err(|problem| Error::Tokenizer { problem })?
        .special_tokens(vec![("[CLS]", id("[CLS]")), ("[SEP]", id("[SEP]"))])
        .build()
        .map_err(|source| Error::Tokenizer { problem: source.to_string() })?;
    tokenizer.with_post_processor(Some(template));
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] = [
        "search engines rank documents by relevance",
        "a document is relevant, or it is not",
        "Café: searching, searched, searches!",
        "ranking documents; ranked by an engine",
    ];

    fn small() -> WordPieceConfig {
        WordPieceConfig { vocab_size: 90, min_frequency: 1, ..Default::default() }
    }

    #[test]
    fn the_order_of_texts_and_the_run_do_not_matter() {
        let forward = train(&TEXTS, &small()).unwrap().to_string(false).unwrap();
        let mut texts = TEXTS;
        texts.reverse();
        for _ in 0..5 {
            assert_eq!(train(&texts, &small()).unwrap().to_string(false).unwrap(), forward);
        }
    }

    #[test]
    fn special_tokens_come_first_and_the_vocabulary_is_full() {
        let tokenizer = train(&TEXTS, &small()).unwrap();
        assert_eq!(tokenizer.get_vocab_size(true), 90);
        for (id, token) in SPECIAL.iter().enumerate() {
            assert_eq!(tokenizer.token_to_id(token), Some(id as u32));
        }
        let encoding = tokenizer.encode("cafe [MASK] Ω", true).unwrap();
        assert_eq!(encoding.get_ids().first(), Some(&2));
        assert_eq!(encoding.get_ids().last(), Some(&3));
        assert!(encoding.get_ids().contains(&4) && encoding.get_ids().contains(&1));
    }

    #[test]
    fn a_vocabulary_smaller_than_the_alphabet_is_an_error() {
        let error = train(&TEXTS, &WordPieceConfig { vocab_size: 10, ..small() }).unwrap_err().to_string();
        assert!(error.starts_with("vocab_size = 10: expected at least "), "{error}");
        let few = WordPieceConfig { vocab_size: 10, alphabet: 1, ..small() };
        assert!(train(&TEXTS, &few).is_ok());
    }

    #[test]
    fn long_words_and_absurd_sizes_cost_nothing() {
        let long = "ab".repeat(500_000);
        let texts = [TEXTS.as_slice(), &[&long]].concat();
        let config = WordPieceConfig { vocab_size: usize::MAX, ..small() };
        let tokenizer = train(&texts, &config).unwrap();
        assert_eq!(tokenizer.to_string(false).unwrap(), train(&TEXTS, &config).unwrap().to_string(false).unwrap());
        assert_eq!(tokenizer.encode(long, false).unwrap().get_ids(), [1]);
    }

    #[test]
    fn no_text_gives_the_special_tokens() {
        let none: [&str; 0] = [];
        assert_eq!(train(&none, &small()).unwrap().get_vocab_size(true), SPECIAL.len());
    }
}
